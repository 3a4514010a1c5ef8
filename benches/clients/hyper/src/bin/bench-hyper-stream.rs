//! A streamed chat by hyper alone, with the framing of `baseten-core` and `serde_json` into owned
//! structs: no pool, no clocks, no retries, nothing collected. The measure of the others.

use std::sync::Arc;

use baseten_core::sse;
use bench_job::{API_KEY, CHAT_PATH, Chunk, Error, StreamJob};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

fn main() -> Result<(), Error> {
    let job = StreamJob::from_args()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(runtime.spawn(run(Arc::new(job))))?
}

async fn run(job: Arc<StreamJob>) -> Result<(), Error> {
    let all = Arc::new(Barrier::new(job.streams));
    let mut streams = JoinSet::new();
    for _ in 0..job.streams {
        streams.spawn(read(job.clone(), all.clone()));
    }
    while let Some(read) = streams.join_next().await {
        read??;
    }
    job.done()
}

async fn read(job: Arc<StreamJob>, all: Arc<Barrier>) -> Result<(), Error> {
    let authority = job.base_url.strip_prefix("http://").ok_or("not a plain URL")?;
    let socket = TcpStream::connect(authority).await?;
    socket.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    let request = http::Request::post(CHAT_PATH)
        .header(HOST, authority)
        .header(AUTHORIZATION, format!("Bearer {API_KEY}"))
        .header(ACCEPT, "text/event-stream")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::<Bytes>::from(serde_json::to_vec(&job.question())?))?;
    let response = sender.send_request(request).await?;
    if !response.status().is_success() {
        return Err(response.status().to_string().into());
    }
    let mut body = response.into_body();
    let mut decoder = sse::Decoder::default();
    let (mut text, mut events) = (0, 0);
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame?.into_data() else { continue };
        decoder.push(bytes);
        while let Some(event) = decoder.next()? {
            if &*event.data == b"[DONE]" {
                return job.check(text);
            }
            text += serde_json::from_slice::<Chunk>(&event.data)?.text();
            events += 1;
            if Some(events) == job.halfway() {
                all.wait().await;
            }
        }
    }
    Err("the stream broke off".into())
}
