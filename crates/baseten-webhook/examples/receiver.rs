//! A receiver of webhooks on a plain std socket, and a stand-in for Baseten that delivers to it.
//!
//! `cargo run -p baseten-webhook --example receiver` prints what was taken and what was refused.
//! The HTTP is as little as the example needs: put `Receiver::answer` under a real server.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a receiver does have sockets and a clock"
)]

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, SystemTime};

use baseten_webhook::{
    Delivery, JobError, JobErrorCode, ReplayCache, SIGNATURE_HEADER, Secret, Verifier, Webhook,
    sign,
};
use serde_json::{json, value::to_raw_value};

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut io::stdout())
}

/// The part to copy.
struct Receiver {
    verifier: Verifier,
    seen: ReplayCache,
}

impl Receiver {
    /// The status to answer with, and a line for the log.
    fn answer(&mut self, signature: Option<&str>, body: &[u8], now: SystemTime) -> (u16, String) {
        let webhook = match self.verifier.verify(signature, body, now) {
            Ok(webhook) => webhook,
            Err(error) if error.is_about_signature() => return (401, format!("refused: {error}")),
            Err(error) => return (400, format!("refused: {error}")),
        };
        let id = &webhook.request_id;
        if self.seen.check(&webhook, now) == Delivery::Duplicate {
            return (200, format!("duplicate of {id}: nothing to do"));
        }
        // Store it here. Should that fail: `self.seen.forget(&webhook)` and answer 503.
        match webhook.output::<Vec<f32>>() {
            Ok(output) => (200, format!("accepted {id}: {output:?}")),
            Err(failed) => (200, format!("accepted {id}: {failed}")),
        }
    }

    /// Serves one connection: one request.
    fn serve(&mut self, stream: TcpStream, log: &mut impl Write) -> io::Result<()> {
        /// What this receiver takes, in bytes: more than its model ever returns.
        const BODY_MAX: u64 = 1 << 20;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut reader = BufReader::new(stream.try_clone()?.take(BODY_MAX));
        let (mut signature, mut length) = (None, 0);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            if let Some((name, value)) = line.split_once(':') {
                match name.to_ascii_lowercase().as_str() {
                    SIGNATURE_HEADER => signature = Some(value.trim().to_owned()),
                    "content-length" => length = value.trim().parse().unwrap_or(0),
                    _ => {}
                }
            }
            line.clear();
        }
        let mut body = Vec::new();
        reader.take(length).read_to_end(&mut body)?;

        let (status, note) = self.answer(signature.as_deref(), &body, SystemTime::now());
        writeln!(log, "{status} {note}")?;
        write!(&stream, "HTTP/1.1 {status} \r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    }
}

/// What is POSTed: the signature header and the body.
type Post = (Option<String>, Vec<u8>);

/// Baseten's side: POSTs the deliveries, one after the other, and returns the statuses.
fn deliver(to: SocketAddr, deliveries: &[Post]) -> io::Result<Vec<String>> {
    let mut statuses = Vec::new();
    for (signature, body) in deliveries {
        let mut stream = TcpStream::connect(to)?;
        let header = signature.as_ref().map(|value| format!("{SIGNATURE_HEADER}: {value}\r\n"));
        write!(
            stream,
            "POST /hook HTTP/1.1\r\nhost: {to}\r\ncontent-type: application/json\r\n{}content-length: {}\r\n\r\n",
            header.unwrap_or_default(),
            body.len(),
        )?;
        stream.write_all(body)?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        statuses.push(answer.split(' ').nth(1).unwrap_or_default().to_owned());
    }
    Ok(statuses)
}

/// Good deliveries and bad ones, signed with what Baseten has: two secrets, right after a rotation.
fn deliveries(new: &Secret, old: &Secret) -> Result<Vec<Post>, Box<dyn Error>> {
    let now = SystemTime::now();
    let mut webhook = Webhook::new("request-1", now);
    webhook.data = Some(to_raw_value(&json!([0.5, 0.25]))?);
    let good = serde_json::to_vec(&webhook)?;
    let tampered = String::from_utf8(good.clone())?.replace("0.5", "9.5").into_bytes();

    let mut failed = Webhook::new("request-2", now);
    failed.errors.push(JobError::new(JobErrorCode::ModelPredictError, "out of memory"));
    let failed = serde_json::to_vec(&failed)?;

    webhook.time = now - Duration::from_secs(3600);
    let stale = serde_json::to_vec(&webhook)?;

    let stranger = Secret::new("whsec_of-somebody-else")?;
    Ok(vec![
        (Some(sign([new, old], &good)), good.clone()),
        (Some(sign([new, old], &good)), good.clone()),
        (Some(sign([new, old], &failed)), failed),
        (Some(sign([new, old], &good)), tampered),
        (Some(sign([&stranger], &good)), good.clone()),
        (Some(sign([new, old], &stale)), stale),
        (Some("v1=abc".to_owned()), good.clone()),
        (None, good),
    ])
}

/// Receives as many deliveries as there are, and writes down what became of each.
pub(crate) fn run(log: &mut impl Write) -> Result<(), Box<dyn Error>> {
    // This receiver has not been given the new secret yet: its deliveries come through all the same.
    let (new, old) = (Secret::new("whsec_new-since-today")?, Secret::new("whsec_old-one")?);
    let deliveries = deliveries(&new, &old)?;
    let verifier = Verifier::new(old);
    let mut receiver = Receiver { seen: ReplayCache::new(&verifier), verifier };

    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let count = deliveries.len();
    let sender = thread::spawn(move || deliver(address, &deliveries));
    for _ in 0..count {
        receiver.serve(listener.accept()?.0, log)?;
    }
    let statuses = sender.join().map_err(|_| "the sender panicked")??;
    writeln!(log, "the sender saw {}", statuses.join(" "))?;
    Ok(())
}
