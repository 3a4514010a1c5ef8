//! Webhooks: what the platform posts when an async request is over, to receivers on this machine.
//!
//! As its documentation describes: ten seconds for an answer, and one more attempt after 500, 502, 503
//! or 504. Bytes are literals, and only the signature is the webhook crate's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use baseten_webhook::{Secret, sign};
use http::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::jobs::Jobs;

/// How often one is posted.
const ATTEMPTS: usize = 2;
/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of an answer is read.
const ANSWER_MAX: u64 = 64 * 1024;

/// What webhooks are delivered with.
#[derive(Clone, Debug)]
pub(crate) struct Courier {
    pub(crate) secrets: Vec<Secret>,
    /// Between two attempts.
    pub(crate) pause: Duration,
}

/// A receiver on this machine.
#[derive(Debug)]
struct Receiver {
    address: SocketAddr,
    host: String,
    path: String,
}

/// Delivers the webhook of each job whose id comes, until the emulator stops.
pub(crate) async fn run(jobs: Jobs, courier: Courier, mut over: UnboundedReceiver<String>) {
    while let Some(id) = over.recv().await {
        tokio::spawn(deliver(jobs.clone(), courier.clone(), id));
    }
}

/// Whether a webhook can be delivered to this URL.
pub(crate) fn is_local(url: &str) -> bool {
    Receiver::parse(url).is_some()
}

async fn deliver(jobs: Jobs, courier: Courier, id: String) {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(courier.pause).await;
        }
        let Some((url, body)) = jobs.webhook(&id) else { return };
        let Some(receiver) = Receiver::parse(&url) else { return };
        let head = receiver.head(&id, &body, &courier.secrets);
        let posted = tokio::time::timeout(PATIENCE, receiver.post(&head, &body)).await;
        let status = posted.ok().and_then(Result::ok);
        jobs.posted(&id, status);
        if !matches!(status, Some(500 | 502 | 503 | 504)) {
            break;
        }
    }
    jobs.delivered(&id);
}

impl Receiver {
    fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok().filter(|uri: &Uri| uri.scheme_str() == Some("http"))?;
        let name = uri.host()?.trim_matches(['[', ']']);
        let by_name = name == "localhost" || name.ends_with(".localhost");
        let ip: IpAddr = if by_name { Ipv4Addr::LOCALHOST.into() } else { name.parse().ok()? };
        ip.is_loopback().then(|| Self {
            address: (ip, uri.port_u16().unwrap_or(80)).into(),
            host: uri.authority().map_or_else(String::new, ToString::to_string),
            path: uri.path_and_query().map_or_else(|| "/".into(), ToString::to_string),
        })
    }

    fn head(&self, id: &str, body: &str, secrets: &[Secret]) -> String {
        let signature = if secrets.is_empty() {
            String::new()
        } else {
            format!("X-BASETEN-SIGNATURE: {}\r\n", sign(secrets, body.as_bytes()))
        };
        format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             X-BASETEN-REQUEST-ID: {id}\r\n{signature}Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.path,
            self.host,
            body.len(),
        )
    }

    /// The status of the answer. What follows it is read, but not waited for: a receiver may keep the
    /// connection.
    async fn post(&self, head: &str, body: &str) -> io::Result<u16> {
        let mut socket = TcpStream::connect(self.address).await?;
        socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
        let mut begin = [0; b"HTTP/1.1 200".len()];
        socket.read_exact(&mut begin).await?;
        tokio::spawn(tokio::time::timeout(PATIENCE, async move {
            tokio::io::copy(&mut socket.take(ANSWER_MAX), &mut tokio::io::sink()).await
        }));
        let status = begin.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
        let status = status.and_then(|digits| std::str::from_utf8(digits).ok());
        status
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_this_machine_gets_any() {
        for (url, local) in [
            ("http://127.0.0.1:9/hook?a=b", true),
            ("http://localhost/hook", true),
            ("http://a.localhost:9", true),
            ("http://[::1]:9/", true),
            ("https://localhost/hook", false), // there is no TLS here
            ("http://example.com/hook", false),
            ("http://localhost.example.com/", false),
            ("http://10.0.0.1/", false),
            ("localhost", false),
            ("", false),
        ] {
            assert_eq!(is_local(url), local, "{url}");
        }
    }
}
