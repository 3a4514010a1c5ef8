//! hyper alone: one connection in a task of its own, headers built for each call; no pool, no clocks,
//! no retries. What a service would write by hand, and the measure of the others.

use bench_job::{API_KEY, Error, Input, Job, Output, PATH};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

fn main() -> Result<(), Error> {
    let job = Job::from_args()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Within a task: a call right under `block_on` pays for a poll of the reactor that no server has.
    runtime.block_on(runtime.spawn(run(job)))?
}

async fn run(job: Job) -> Result<(), Error> {
    let (scheme, authority) = job.base_url.split_once("://").ok_or("the URL has no scheme")?;
    let socket = TcpStream::connect(authority).await?;
    socket.set_nodelay(true)?;
    let mut sender = if scheme == "https" {
        let host = authority.split(':').next().unwrap_or_default().to_owned();
        let connector = TlsConnector::from(std::sync::Arc::new(job.tls()?));
        open(connector.connect(ServerName::try_from(host)?, socket).await?).await?
    } else {
        open(socket).await?
    };
    for _ in 0..job.calls {
        predict(&mut sender, authority).await?.check()?;
    }
    Ok(())
}

async fn open(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<SendRequest<Full<Bytes>>, Error> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn predict(sender: &mut SendRequest<Full<Bytes>>, authority: &str) -> Result<Output, Error> {
    let request = http::Request::post(PATH)
        .header(HOST, authority)
        .header(AUTHORIZATION, format!("Bearer {API_KEY}"))
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(serde_json::to_vec(&Input::new())?))?;
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    if !response.status().is_success() {
        return Err(response.status().to_string().into());
    }
    let body = response.into_body().collect().await?.to_bytes();
    Ok(serde_json::from_slice(&body)?)
}
