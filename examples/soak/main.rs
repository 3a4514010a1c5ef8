//! Calls through both clients for minutes, against servers with bad habits, and what a service would see
//! of it: `cargo run --release --example soak -- --minutes 10`, or `--seconds`. Three origins, one of them
//! over TLS, are called at random.
//!
//! It fails if a job ran twice, an answer was wrong, a call hung, an error came of anything but a cut
//! answer or a request that crossed a close, memory grew for good, or a socket was left.
#![expect(clippy::print_stdout, reason = "an example shows what it got")]

mod load;
mod server;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use baseten_core::{Credential, Hosts};
use baseten_examples::Error;
use baseten_transport::Tls;
use load::{Caller, Counts, Tally};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use server::Log;
use tokio::runtime::Builder;

const TASKS: usize = 64;
const THREADS: usize = 8;
/// No call takes so long here.
const HUNG: Duration = Duration::from_secs(30);
/// In KiB. Large answers that happen to be there at a moment are tens of thousands; 200 bytes that each
/// call of ten minutes would leave are as many as this.
const GROWTH_MOST: i64 = 128 << 10;

fn main() -> Result<(), Error> {
    let length = length(env::args().skip(1))?;
    let log = Log::new();
    let sites = sites(&log)?;
    let tally = Tally::new(TASKS + THREADS, log);
    let sockets = sockets();
    let seen = run(&sites, &tally, length)?;
    // What the servers hold ends when they have seen that their peers have gone.
    let due = Instant::now() + Duration::from_secs(20);
    while self::sockets() > sockets && Instant::now() < due {
        thread::sleep(Duration::from_millis(50));
    }
    let left = self::sockets().zip(sockets).map(|(now, before)| now.saturating_sub(before));
    println!("sockets left {}", told(left));
    if let Some(error) = tally.unexplained.get() {
        println!("unexplained  {error:?}");
    }
    let Counts { duplicates, wrong, other, .. } = &tally.counts;
    let broken = [duplicates, wrong, other].iter().any(|count| count.load(Relaxed) > 0);
    if broken || seen.hung > 0 || left.is_some_and(|left| left > 0) {
        return Err("promises were broken".into());
    }
    let growth = seen.growth();
    println!("KiB at least in the second half, since the first line {}", told(growth));
    if growth.is_some_and(|growth| growth > GROWTH_MOST) {
        return Err(format!("memory grew by more than {GROWTH_MOST} KiB").into());
    }
    Ok(())
}

/// One server, whose models are origins of their own.
struct Site {
    hosts: Hosts,
    tls: Tls,
    models: &'static [&'static str],
}

fn sites(log: &Arc<Log>) -> Result<[Site; 2], Error> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["*.soak.localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(signing_key.serialize_der())?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions()?.with_no_client_auth();
    let config = config.with_single_cert(vec![cert.der().clone()], key)?;
    let plain = format!("http://soak.localhost:{}", server::start(log, None)?.port());
    let port = server::start(log, Some(Arc::new(config)))?.port();
    let secure = format!("https://soak.localhost:{port}");
    let tls = Tls::default();
    Ok([
        Site { hosts: Hosts::root(&plain)?, tls: tls.clone(), models: &["one", "two"] },
        Site {
            hosts: Hosts::root(&secure)?,
            tls: tls.with_only_roots(cert.der())?,
            models: &["three"],
        },
    ])
}

/// All models, each site's through a client of its own.
macro_rules! models {
    ($facade:ident, $sites:expr) => {{
        let mut models = Vec::new();
        for Site { hosts, tls, models: ids } in $sites {
            let client = $facade::Client::builder().credential(Credential::none());
            let client = client.hosts(hosts.clone()).tls(tls.clone()).build()?;
            for id in *ids {
                models.push(client.model(id)?);
            }
        }
        models
    }};
}

/// `--minutes N` or `--seconds N`; a minute by default.
fn length(mut args: impl Iterator<Item = String>) -> Result<Duration, Error> {
    let unit = match args.next().as_deref() {
        None => return Ok(Duration::from_secs(60)),
        Some("--minutes") => 60,
        Some("--seconds") => 1,
        Some(other) => return Err(format!("{other}: --minutes N or --seconds N").into()),
    };
    let number: u64 = args.next().ok_or("how many?")?.parse()?;
    Ok(Duration::from_secs(number * unit))
}

/// What was seen of all calls together.
#[derive(Default)]
struct Watched {
    /// At one moment, at most.
    hung: usize,
    /// Of memory since the first look, in KiB, at each.
    growth: Vec<Option<i64>>,
}

impl Watched {
    /// What memory has grown by for good: the least of the second half.
    fn growth(&self) -> Option<i64> {
        self.growth[self.growth.len() / 2..].iter().copied().min()?
    }
}

/// Runs all callers for so long.
fn run(sites: &[Site], tally: &Arc<Tally>, length: Duration) -> Result<Watched, Error> {
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    let models = models!(baseten, sites);
    let tasks: Vec<_> = (0..TASKS)
        .map(|number| load::nonblocking(models.clone(), tally.clone(), Caller::new(number)))
        .map(|task| runtime.spawn(task))
        .collect();
    let models = models!(baseten_blocking, sites);
    let watched = thread::scope(|scope| {
        for number in TASKS..TASKS + THREADS {
            let models = &models;
            scope.spawn(move || load::blocking(models, tally, Caller::new(number)));
        }
        let watched = watch(tally, length);
        tally.stop.store(true, Relaxed);
        watched
    });
    runtime.block_on(async {
        for task in tasks {
            task.await?;
        }
        Ok(watched)
    })
}

/// Prints each tenth of the time, at most a minute.
fn watch(tally: &Tally, length: Duration) -> Watched {
    let (began, mut warm, mut watched) = (Instant::now(), None, Watched::default());
    let period = (length / 10).min(Duration::from_secs(60));
    while began.elapsed() < length {
        thread::sleep(period.min(length.saturating_sub(began.elapsed())));
        let hung = tally.hung(HUNG);
        watched.hung = watched.hung.max(hung);
        let memory = memory();
        let warm = *warm.get_or_insert(memory);
        let growth = memory.zip(warm).map(|(now, warm)| now as i64 - warm as i64);
        watched.growth.push(growth);
        let Counts { calls, retries, cut, crossed, other, wrong, duplicates } = &tally.counts;
        let count = |count: &AtomicU64| count.load(Relaxed);
        println!(
            "{:>4} s  calls {}, retries {}, idle closes {}; errors: cut {} of {}, crossed {}, other {}; \
             duplicates {}, wrong {}, hung {hung}; sockets {}, KiB since the first line {}",
            began.elapsed().as_secs(),
            count(calls),
            count(retries),
            count(&tally.log.closed_idle),
            count(cut),
            count(&tally.log.cut),
            count(crossed),
            count(other),
            count(duplicates),
            count(wrong),
            told(sockets()),
            told(growth),
        );
    }
    watched
}

fn told(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "not measured on this system".into(), |number| number.to_string())
}

/// Resident memory of this process in KiB, where the system tells.
fn memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Open sockets of this process, where the system tells.
fn sockets() -> Option<usize> {
    let links = fs::read_dir("/proc/self/fd").ok()?.flatten();
    let links = links.filter_map(|entry| fs::read_link(entry.path()).ok());
    Some(links.filter(|link| link.to_string_lossy().starts_with("socket:")).count())
}
