//! The server of the comparison: a process of its own, so that its cost is never a client's.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running server. It stops when this is dropped, and when this program dies.
pub(super) struct Server {
    child: Child,
    pub(super) plain: String,
    pub(super) tls: String,
    /// The certificate to trust.
    pub(super) ca: PathBuf,
}

impl Server {
    pub(super) fn start(program: &Path, ca: &Path) -> Result<Self, String> {
        let fault = |what: String| format!("{}: {what}", program.display());
        let mut child = Command::new(program)
            .arg(ca)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| fault(e.to_string()))?;
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut line = || lines.next().and_then(Result::ok);
        let (Some(plain), Some(tls)) = (line(), line()) else {
            let _ = child.wait();
            return Err(fault("printed no address".to_owned()));
        };
        Ok(Self { child, plain, tls, ca: ca.to_owned() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input is what stops it; `wait` closes that.
        let _ = self.child.wait();
    }
}
