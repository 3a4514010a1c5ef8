//! Servers with bad habits: they close connections that lie idle, at random moments, and cut some
//! answers. They know of each job how often it came, and whether its answer was cut.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Jobs are remembered for so many more: longer than any call takes.
const JOBS: usize = 1 << 22;
/// Set in what is known of a job whose answer was cut.
const CUT: u8 = 0x80;

/// What it has seen.
pub(crate) struct Log {
    jobs: Vec<AtomicU8>,
    next: AtomicU64,
    /// Connections that it closed while they lay idle.
    pub(crate) closed_idle: AtomicU64,
    pub(crate) cut: AtomicU64,
}

impl Log {
    pub(crate) fn new() -> Arc<Self> {
        let jobs = (0..JOBS).map(|_| AtomicU8::new(0)).collect();
        let (next, closed_idle, cut) = Default::default();
        Arc::new(Self { jobs, next, closed_idle, cut })
    }

    /// A job that nobody had before.
    pub(crate) fn issue(&self) -> u64 {
        let job = self.next.fetch_add(1, Ordering::Relaxed);
        self.of(job).store(0, Ordering::SeqCst);
        job
    }

    /// How often it came.
    pub(crate) fn arrivals(&self, job: u64) -> u8 {
        self.of(job).load(Ordering::SeqCst) & !CUT
    }

    pub(crate) fn was_cut(&self, job: u64) -> bool {
        self.of(job).load(Ordering::SeqCst) & CUT > 0
    }

    fn of(&self, job: u64) -> &AtomicU8 {
        &self.jobs[job as usize % JOBS]
    }
}

/// Serves until the process ends, over TLS if it is given what for.
pub(crate) fn start(log: &Arc<Log>, tls: Option<Arc<ServerConfig>>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let log = log.clone();
    thread::spawn(move || {
        for (seed, socket) in listener.incoming().flatten().enumerate() {
            let (log, tls) = (log.clone(), tls.clone());
            // A peer that has left needs no answer.
            thread::spawn(move || drop(serve(socket, tls, &log, Dice(seed as u64))));
        }
    });
    Ok(address)
}

fn serve(
    socket: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    log: &Log,
    mut dice: Dice,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut peer = Peer::accept(socket, tls)?;
    loop {
        let patience = dice.roll(200).saturating_sub(100);
        let patience = (patience > 0).then(|| Duration::from_millis(patience));
        peer.socket().set_read_timeout(patience)?;
        let request = match read_request(peer.stream()) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock) => {
                log.closed_idle.fetch_add(1, Ordering::Relaxed);
                peer.say_goodbye()?;
                return peer.close();
            }
            request => request?,
        };
        let Some(request) = request else { return Ok(()) };
        let job = job_of(&request).ok_or(io::ErrorKind::InvalidData)?;
        let cut = dice.roll(200) == 0;
        log.of(job).fetch_add(1, Ordering::SeqCst);
        let (whole, pieces) = answer(&request, job);
        if cut {
            log.of(job).fetch_or(CUT, Ordering::SeqCst);
            log.cut.fetch_add(1, Ordering::Relaxed);
            peer.stream().write_all(&whole[..dice.roll(whole.len() as u64) as usize])?;
            return peer.close();
        }
        for piece in whole.chunks(whole.len().div_ceil(pieces)) {
            peer.stream().write_all(piece)?;
        }
    }
}

/// A connection.
enum Peer {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

impl Peer {
    fn accept(mut socket: TcpStream, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let Some(config) = tls else { return Ok(Self::Plain(socket)) };
        let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(session, socket))))
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }

    fn stream(&mut self) -> &mut dyn Stream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream,
        }
    }

    /// As TLS ends what is whole (close_notify).
    fn say_goodbye(&mut self) -> io::Result<()> {
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        Ok(())
    }

    /// FIN, and then whatever still comes is dropped, so that it is never an RST.
    fn close(&self) -> io::Result<()> {
        let mut socket = self.socket();
        socket.shutdown(Shutdown::Write)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        io::copy(&mut socket, &mut io::sink())?;
        Ok(())
    }
}

/// Head and body; `None` if the peer has left. Fails with `WouldBlock` if nothing comes.
fn read_request(peer: &mut dyn Stream) -> io::Result<Option<Vec<u8>>> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match peer.read(&mut piece) {
            Ok(0) => return Ok(None),
            Ok(read) => request.extend_from_slice(&piece[..read]),
            // One that has begun is waited for.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock && !request.is_empty() => continue,
            Err(error) => return Err(error),
        }
        if let Some(head) = request.windows(4).position(|end| end == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&request[..head]).to_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or_default();
            if request.len() >= head + 4 + length {
                return Ok(Some(request));
            }
        }
    }
}

fn job_of(request: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(request);
    let (_, rest) = text.split_once("\"job\":")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Bytes of a large answer. Larger ones would hide what memory grows by.
const LARGE: usize = 1 << 20;

/// The whole answer, and in how many writes it goes.
fn answer(request: &[u8], job: u64) -> (Vec<u8>, usize) {
    let has = |part: &[u8]| request.windows(part.len()).any(|window| window == part);
    if has(b"/v1/chat/completions HTTP/1.1") {
        return (chat(job), 5);
    }
    let large = has(b"\"large\":true");
    let text = "x".repeat(if large { LARGE } else { 16 });
    let body = format!("{{\"job\":{job},\"text\":\"{text}\"}}");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
    (format!("{head}: {}\r\n\r\n{body}", body.len()).into_bytes(), if large { 8 } else { 1 })
}

fn chat(job: u64) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked";
    let mut answer = format!("{head}\r\n\r\n");
    let text = |text: &str| {
        let choice = format!("{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}");
        format!("data: {{\"id\":\"c{job}\",\"choices\":[{choice}]}}\n\n")
    };
    let done = "{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}";
    let done = format!("data: {{\"id\":\"c{job}\",\"choices\":[{done}]}}\n\ndata: [DONE]\n\n");
    for event in [text("job "), text(&job.to_string()), done] {
        answer.push_str(&format!("{:x}\r\n{event}\r\n", event.len()));
    }
    answer.push_str("0\r\n\r\n");
    answer.into_bytes()
}

/// Chance that can be replayed (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// From 0 to `sides`, without it.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % sides
    }
}
