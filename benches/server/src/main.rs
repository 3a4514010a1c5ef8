//! Answers a chat with a stream and every other request with the same bytes, plain and over TLS, until its standard input ends.
//!
//! It prints the two base URLs, and writes the certificate to trust into the file that its argument
//! names. It is a process of its own so that its cost is never counted with a client's.
#![expect(clippy::print_stdout, reason = "its caller reads the addresses")]

mod stream;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::{env, fs, thread};

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What `bench_job::Output::check` expects.
const BODY: &str = r#"{"id":"run-7f3a","text":"A transport carries a request to a server and its answer back.","tokens":13,"scores":[0.125,0.25,0.5]}"#;

fn main() -> Result<(), Error> {
    let ca = env::args_os().nth(1).ok_or("usage: bench-server CA_FILE")?;
    let config = Arc::new(encrypted(|pem| fs::write(&ca, pem))?);
    let plain = TcpListener::bind("127.0.0.1:0")?;
    let tls = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", plain.local_addr()?);
    println!("https://{}", tls.local_addr()?);
    io::stdout().flush()?;
    accept(plain, serve);
    accept(tls, move |socket| {
        serve(StreamOwned::new(
            ServerConnection::new(config.clone()).map_err(io::Error::other)?,
            socket,
        ))
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// A certificate for loopback, signed by itself.
fn encrypted(publish: impl FnOnce(String) -> io::Result<()>) -> Result<ServerConfig, Error> {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    publish(cert.pem())?;
    let key = PrivateKeyDer::try_from(signing_key.serialize_der())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key)?)
}

/// A thread that accepts, and one for each connection. How a client leaves is its own business.
fn accept(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static,
) {
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || socket.set_nodelay(true).and_then(|()| serve(socket)));
        }
    });
}

fn serve(mut stream: impl Read + Write) -> io::Result<()> {
    let answer = answer();
    let mut buffer = [0; 4096];
    loop {
        let mut filled = 0;
        while request_length(&buffer[..filled]).is_none_or(|length| filled < length) {
            match stream.read(&mut buffer[filled..])? {
                0 => return Ok(()),
                read => filled += read,
            }
        }
        match stream::asked_for(&buffer[..filled]) {
            Some(asked) => stream::serve(&mut stream, &asked)?,
            None => stream.write_all(answer.as_bytes())?,
        }
        stream.flush()?;
    }
}

/// The headers are those of a deployment's answer.
fn answer() -> String {
    let length = BODY.len();
    format!(
        "HTTP/1.1 200 OK\r\n\
         date: Mon, 23 Nov 2026 12:00:00 GMT\r\n\
         server: uvicorn\r\n\
         content-type: application/json\r\n\
         content-length: {length}\r\n\
         x-baseten-request-id: 5f1e0a7c9b2d4836a1c7e95d3f804b62\r\n\
         \r\n\
         {BODY}"
    )
}

/// Head and body together, once the head is there. A request without a length has no body here.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let body = std::str::from_utf8(&bytes[..head]).ok()?.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Some(head + body.unwrap_or(0))
}
