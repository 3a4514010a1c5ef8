//! Calls through both clients for minutes, against a server with bad habits, and what a service would see
//! of it: `cargo run --release --example soak -- --minutes 10`, or `--seconds`.
//!
//! It fails if a job ran twice, an answer was wrong, a call hung, an error came of anything but a cut
//! answer or a request that crossed a close, or a socket was left.
#![expect(clippy::print_stdout, reason = "an example shows what it got")]

mod load;
mod server;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use baseten_core::Credential;
use baseten_examples::Error;
use load::{Caller, Counts, Tally};
use server::Log;
use tokio::runtime::Builder;

const TASKS: usize = 64;
const THREADS: usize = 8;
/// No call takes so long here.
const HUNG: Duration = Duration::from_secs(30);

fn main() -> Result<(), Error> {
    let length = length(env::args().skip(1))?;
    let log = Log::new();
    let url = format!("http://{}", server::start(&log)?);
    let tally = Tally::new(TASKS + THREADS, log);
    let sockets = sockets();
    let hung = run(&url, &tally, length)?;
    // What the server holds ends when it has seen that its peers have gone.
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
    if broken || hung > 0 || left.is_some_and(|left| left > 0) {
        return Err("promises were broken".into());
    }
    Ok(())
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

/// Runs all callers for so long; how many calls hung.
fn run(url: &str, tally: &Arc<Tally>, length: Duration) -> Result<usize, Error> {
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    let client = baseten::Client::builder().credential(Credential::none()).base_url(url).build()?;
    let model = client.model("soak")?;
    let tasks: Vec<_> = (0..TASKS)
        .map(|number| load::nonblocking(model.clone(), tally.clone(), Caller::new(number)))
        .map(|task| runtime.spawn(task))
        .collect();
    let client = baseten_blocking::Client::builder().credential(Credential::none());
    let model = client.base_url(url).build()?.model("soak")?;
    let hung = thread::scope(|scope| {
        for number in TASKS..TASKS + THREADS {
            let model = &model;
            scope.spawn(move || load::blocking(model, tally, Caller::new(number)));
        }
        let hung = watch(tally, length);
        tally.stop.store(true, Relaxed);
        hung
    });
    runtime.block_on(async {
        for task in tasks {
            task.await?;
        }
        Ok(hung)
    })
}

/// Prints each tenth of the time, at most a minute; how many calls hung at one of these moments.
fn watch(tally: &Tally, length: Duration) -> usize {
    let (began, mut warm, mut hung) = (Instant::now(), None, 0);
    let period = (length / 10).min(Duration::from_secs(60));
    while began.elapsed() < length {
        thread::sleep(period.min(length.saturating_sub(began.elapsed())));
        let now = tally.hung(HUNG);
        hung = hung.max(now);
        let memory = memory();
        let warm = *warm.get_or_insert(memory);
        let growth = memory.zip(warm).map(|(now, warm)| now as i64 - warm as i64);
        let Counts { calls, retries, cut, crossed, other, wrong, duplicates } = &tally.counts;
        let count = |count: &AtomicU64| count.load(Relaxed);
        println!(
            "{:>4} s  calls {}, retries {}, idle closes {}; errors: cut {} of {}, crossed {}, other {}; \
             duplicates {}, wrong {}, hung {now}; KiB since the first line {}",
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
            told(growth),
        );
    }
    hung
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
