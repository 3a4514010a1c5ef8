//! Deliveries signed by an independent implementation: `vectors.py` says how.

use baseten_webhook::{Error, Secret, Verifier};
use serde::Deserialize;

#[derive(Deserialize)]
struct Row {
    why: String,
    secrets: Vec<String>,
    header: Option<String>,
    body: String,
    /// `ok`, or the variant of the error and, behind a colon, a part of its message.
    expect: String,
}

fn name(result: &Result<(), Error>) -> &'static str {
    match result {
        Ok(()) => "ok",
        Err(Error::NoSignature) => "NoSignature",
        Err(Error::NoKnownVersion) => "NoKnownVersion",
        Err(Error::MalformedSignature(_)) => "MalformedSignature",
        Err(Error::WrongSignature) => "WrongSignature",
        Err(_) => "not about the signature",
    }
}

#[test]
fn every_vector_is_taken_or_refused_as_it_says() {
    let rows: Vec<Row> = serde_json::from_str(include_str!("vectors.json")).unwrap();
    assert!(rows.len() > 30, "{}", rows.len());
    for Row { why, secrets, header, body, expect } in rows {
        let mut secrets = secrets.iter().map(|secret| Secret::new(secret).unwrap());
        let first = Verifier::new(secrets.next().unwrap());
        let verifier = secrets.fold(first, Verifier::with_secret);

        let result = verifier.verify_signature(header.as_deref(), body.as_bytes());

        let (variant, part) = expect.split_once(": ").unwrap_or((&expect, ""));
        assert_eq!(name(&result), variant, "{why}");
        if let Err(error) = result {
            assert!(error.is_about_signature(), "{why}");
            let message = error.to_string();
            assert!(message.contains(part), "{why}: {message}");
            // What was signed, and with what, is in no message.
            for hidden in [&*body, header.as_deref().unwrap_or_default()] {
                let leaks = hidden.len() > 8 && format!("{message} {error:?}").contains(hidden);
                assert!(!leaks, "{why}: {message}");
            }
        }
    }
}

#[test]
fn a_repeated_header_is_one_list() {
    let (new, old) = (Secret::new("whsec_new").unwrap(), Secret::new("whsec_old").unwrap());
    let values = [baseten_webhook::sign([&new], b"{}"), baseten_webhook::sign([&old], b"{}")];
    assert_eq!(Verifier::new(old).verify_signature(&values, b"{}"), Ok(()));

    let garbled = [values[0].as_str(), "v1=?"];
    let error = Verifier::new(new).verify_signature(garbled, b"{}").unwrap_err();
    assert!(error.to_string().contains("entry 2 has 1 digits"), "{error}");
}
