//! Shared by the examples: where the model is.
//!
//! With `BASETEN_API_KEY` and `BASETEN_MODEL_ID` set it is that model, on Baseten or at
//! `BASETEN_BASE_URL`; otherwise it is a model called `echo` on an emulator inside the process.

use std::{env, error, fmt};

use baseten_core::{Credential, Hosts};
#[cfg(feature = "emulator")]
use baseten_emulator::{DUMMY_KEY, Emulator};

/// The code in the README and in `docs/`, as doctests.
#[cfg(all(doctest, feature = "async", feature = "emulator"))]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/api.md")]
    struct Api;
    #[doc = include_str!("../docs/errors.md")]
    struct Errors;
}

/// What can go wrong in an example: printed by `main`, which then exits with 1.
pub type Error = Box<dyn error::Error>;

/// A model, and what a client needs to reach it.
#[derive(Debug)]
pub struct Place {
    /// What the model asks of its callers.
    pub credential: Credential,
    /// Baseten's hosts, or what stands in for them.
    pub hosts: Hosts,
    /// The model to call.
    pub model_id: String,
    /// The emulator, where that is what is called; it runs until this is dropped.
    #[cfg(feature = "emulator")]
    pub emulator: Option<Emulator>,
}

impl Place {
    /// The model that the environment names, else one on an emulator.
    ///
    /// # Errors
    /// A variable cannot be read, or names no model where there is no emulator to fall back to.
    pub fn find() -> Result<Self, Error> {
        let [key, model_id, url] = VARIABLES.map(|name| env::var(name).ok());
        match (key, model_id, url) {
            (Some(key), Some(model_id), url) => Ok(Self {
                credential: Credential::api_key(&key)?,
                hosts: url.map_or_else(|| Ok(Hosts::baseten()), |url| Hosts::base_url(&url))?,
                model_id,
                #[cfg(feature = "emulator")]
                emulator: None,
            }),
            #[cfg(feature = "emulator")]
            (_, _, None) => Self::emulator(),
            _ => {
                Err("set BASETEN_API_KEY and BASETEN_MODEL_ID, and BASETEN_BASE_URL for a server \
                      other than Baseten's"
                    .into())
            }
        }
    }

    /// A model on an emulator of its own.
    ///
    /// # Errors
    /// The emulator cannot listen on 127.0.0.1.
    #[cfg(feature = "emulator")]
    pub fn emulator() -> Result<Self, Error> {
        let emulator = Emulator::start()?;
        Ok(Self {
            credential: Credential::api_key(DUMMY_KEY)?,
            hosts: Hosts::root(&format!("http://{}", emulator.root()))?,
            model_id: "echo".into(),
            emulator: Some(emulator),
        })
    }
}

/// What names a model: key, id, and base URL.
const VARIABLES: [&str; 3] = ["BASETEN_API_KEY", "BASETEN_MODEL_ID", "BASETEN_BASE_URL"];

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "model {}", self.model_id)?;
        #[cfg(feature = "emulator")]
        if self.emulator.is_some() {
            f.write_str(
                " on the embedded emulator (BASETEN_API_KEY and BASETEN_MODEL_ID name another)",
            )?;
        }
        Ok(())
    }
}
