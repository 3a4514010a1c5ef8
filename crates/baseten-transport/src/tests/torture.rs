//! Four calls over one connection, of which each operation fails in turn, in every way in which it can:
//! plain and over TLS, directly and through a proxy, sent once and again, in both ways to wait.
//!
//! The outcome is worked out from what the server saw: whatever failed, nothing hangs, no job runs
//! twice, no answer is made up, and an error says of its request what came of it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use baseten_core::{
    Answer as Taken, CallOptions, Delivery, Error, ErrorKind, Request, RetryPolicy, Stop, Timeouts,
};
use baseten_emulator::{Answer, Arrival, Emulator, Seen};
use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use super::faulty::{self, Fault, Faulty, Operation, Plan};
use super::template;
use crate::blocking::wait::{Blocking, ready};
use crate::net::Net;
use crate::nonblocking::wait::Tokio;
use crate::options::Options;
use crate::proxy::Proxies;
use crate::send::Sender;
use crate::tls::Tls;
use crate::upload::Upload;

/// What every job is answered.
const ANSWER: &str = "done";

/// A ceiling for what should take milliseconds, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Job {
    Whole,
    Streamed,
    Upload,
    /// After which the server closes the connection.
    Last,
}

const JOBS: [Job; 4] = [Job::Whole, Job::Streamed, Job::Upload, Job::Last];

/// A job that is over.
struct Ended {
    job: Job,
    outcome: Result<Bytes, Error>,
    /// How many bytes sockets took for it.
    written: u64,
}

/// A server, the way to it and the way to wait.
struct Site {
    tls: bool,
    proxy: bool,
    again: bool,
    /// `None` is the blocking way.
    runtime: Option<Runtime>,
    emulator: Emulator,
    url: String,
    options: Options,
}

#[test]
fn whatever_operation_fails_no_call_lies() {
    let points = thread::scope(|scope| {
        let bits = |n: usize| [n & 1, n & 2, n & 4, n & 8].map(|bit| bit > 0);
        let sites = (0..16).map(|n| scope.spawn(move || fail_each(&Site::new(bits(n)))));
        let sites: Vec<_> = sites.collect();
        sites.into_iter().fold([0; 8], |mut all, site| {
            let points = site.join().unwrap();
            all.iter_mut().zip(points).for_each(|(all, points)| *all += points);
            all
        })
    });
    let each: Vec<_> = Operation::ALL.into_iter().zip(points).collect();
    println!("{} points: {each:?}", points.iter().sum::<usize>());
    assert!(!points.contains(&0), "{each:?}");
}

/// How often each operation failed.
fn fail_each(site: &Site) -> [usize; 8] {
    let mut runs = 0..;
    let mut run = |plan| site.run(runs.next().unwrap(), plan);
    assert!(!run(None));
    Operation::ALL.map(|operation| {
        let faults = operation.faults().iter();
        let points = faults.map(|fault| {
            let plan = |at| Some(Plan { operation, at, fault: *fault });
            (0..).take_while(|at| run(plan(*at))).count()
        });
        points.sum()
    })
}

impl Site {
    fn new([tls, proxy, again, blocking]: [bool; 4]) -> Self {
        let emulator = Emulator::builder().tls(tls).start().unwrap();
        emulator.model("abc").every_route().answer_with(answer);
        let scheme = if tls { "https" } else { "http" };
        let url = format!("{scheme}://emulator.test:{}/model/abc", emulator.addr().port());
        let mut options = Options::default();
        if let Some(ca) = emulator.ca_der() {
            options.tls = Tls::default().with_only_roots(ca).unwrap();
        }
        if proxy {
            let proxy = format!("http://proxy.test:{}", start_proxy(emulator.addr()).port());
            options.proxies = Proxies::none().with_all(&proxy).unwrap();
        }
        let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
        let runtime = (!blocking).then(runtime);
        Self { tls, proxy, again, runtime, emulator, url, options }
    }

    fn told(&self) -> String {
        let Self { tls, proxy, again, runtime, .. } = self;
        let blocking = runtime.is_none();
        format!("TLS {tls}, proxy {proxy}, again {again}, blocking {blocking}")
    }

    /// Runs all jobs with a new pool; whether what is planned has happened.
    fn run(&self, run: usize, plan: Option<Plan>) -> bool {
        self.emulator.forget();
        faulty::plan(plan);
        let began = Instant::now();
        let all = match &self.runtime {
            None => ready(self.jobs::<Faulty<Blocking>>(run)),
            Some(runtime) => runtime.block_on(self.jobs::<Faulty<Tokio>>(run)),
        };
        let told = format!("{}, {plan:?}", self.told());
        assert!(began.elapsed() < SOON, "{told}");
        let gone = |seen: &Seen| seen.closed() == seen.opened();
        let seen = self.emulator.wait_until(SOON, gone).unwrap();
        let plan = plan.filter(|_| faulty::has_failed());
        for ended in &all {
            let path = route(run, ended.job);
            let arrivals = seen.arrivals().iter();
            let arrived = arrivals.filter(|arrival| arrival.path.ends_with(&path)).count();
            self.check(ended, arrived, plan, &format!("{told}, {:?}", ended.job));
        }
        let errors = all.iter().filter(|ended| ended.outcome.is_err()).count();
        assert!(errors <= 1, "one fault, one error: {told}");
        plan.is_some()
    }

    async fn jobs<N: Net>(&self, run: usize) -> Vec<Ended> {
        let sender = Sender::<N>::new(&self.options);
        let mut all = Vec::new();
        for job in JOBS {
            faulty::take_written();
            let outcome = job.run(&sender, &self.request(run, job), &self.call_options()).await;
            all.push(Ended { job, outcome, written: faulty::take_written() });
        }
        all
    }

    fn request(&self, run: usize, job: Job) -> Request {
        let template = template(&self.url, &route(run, job), Taken::Bytes);
        match job {
            Job::Upload => template.streamed("text/plain", Some(3)).unwrap(),
            _ => template.bytes("text/plain", "job").unwrap(),
        }
    }

    fn call_options(&self) -> CallOptions {
        let retry = if self.again { RetryPolicy::default() } else { RetryPolicy::never() };
        let clock = Some(SOON / 4);
        let timeouts =
            Timeouts { connect: clock, first_byte: clock, idle: clock, ..Timeouts::default() };
        CallOptions { retry, timeouts, ..CallOptions::default() }
    }

    fn check(&self, ended: &Ended, arrived: usize, plan: Option<Plan>, told: &str) {
        let Ended { job, outcome, written } = ended;
        let error = match outcome {
            Ok(answer) => {
                return assert_eq!((&**answer, arrived), (ANSWER.as_bytes(), 1), "{told}");
            }
            Err(error) => error,
        };
        let told = format!("{told}, {written} written, {arrived} arrived: {error:?}");
        let Some(Plan { operation, fault, .. }) = plan else { panic!("{told}") };
        let harmless = matches!(fault, Fault::Short | Fault::NotYet | Fault::Lie);
        assert!(!harmless && operation != Operation::CloseWrite, "{told}");
        use ErrorKind::{Connect, Disconnected, Truncated};
        let may_arrive = match (error.kind(), error.delivery()) {
            (Connect | Disconnected, Delivery::NotSent) => 0..=0,
            (Disconnected, Delivery::MaybeRan) => 0..=1,
            (Truncated, Delivery::Answered) => 1..=1,
            _ => panic!("{told}"),
        };
        assert!(may_arrive.contains(&arrived), "{told}");
        let untold = error.delivery() == Delivery::NotSent;
        if !self.tls && !self.proxy {
            // There nothing is written but requests.
            assert_eq!(untold, *written == 0, "{told}");
        }
        // What was not sent is sent again; but a reader gives its body once.
        let taken = *job == Job::Upload && error.stop() == Stop::BodyTaken;
        assert!(!untold || !self.again || taken, "{told}");
    }
}

impl Job {
    async fn run<N: Net>(
        self,
        sender: &Sender<N>,
        request: &Request,
        options: &CallOptions,
    ) -> Result<Bytes, Error> {
        let limit = options.limits.body;
        match self {
            Self::Whole | Self::Last => Ok(sender.fetch(request, options).await?.value),
            Self::Upload => {
                let mut body = Upload::of_bytes(Bytes::from_static(b"jo"));
                body.append(Upload::of_bytes(Bytes::from_static(b"b")));
                let answer = sender.upload(request, body, options).await?;
                Ok(answer.whole(limit).await?.value)
            }
            Self::Streamed => {
                let mut answer = sender.send(request, options).await?;
                let mut all = Vec::new();
                while let Some(chunk) = answer.chunk().await? {
                    all.extend_from_slice(&chunk);
                }
                Ok(all.into())
            }
        }
    }
}

fn route(run: usize, job: Job) -> String {
    format!("{run}/{job:?}")
}

fn answer(arrival: &Arrival) -> Answer {
    let whole = Answer::bytes("text/plain", ANSWER);
    match arrival.path.rsplit('/').next() {
        Some("Streamed") => Answer::stream(["do", "ne"]),
        Some("Last") => whole.header("connection", "close"),
        _ => whole,
    }
}

/// A proxy that lives as long as the process, and opens every tunnel to the same server.
fn start_proxy(target: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // Whoever is gone need not be told.
            thread::spawn(move || drop(tunnel(&client, target)));
        }
    });
    address
}

fn tunnel(mut client: &TcpStream, target: SocketAddr) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let server = &TcpStream::connect(target)?;
    server.set_nodelay(true)?;
    let carry = |mut from: &TcpStream, mut to: &TcpStream| {
        let carried = io::copy(&mut from, &mut to);
        let how = if carried.is_ok() { Shutdown::Write } else { Shutdown::Both };
        to.shutdown(how)
    };
    thread::scope(|scope| {
        scope.spawn(|| carry(client, server));
        carry(server, client)
    })
}
