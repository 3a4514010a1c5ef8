//! The first of a host's addresses that takes a connection.
//!
//! A dead address must not hold up a live one, so attempts overlap (RFC 8305): families take turns,
//! and the next attempt begins when the one before has failed, or has had 250 ms. The first to
//! connect wins, and the others are closed. Which attempts there are is decided here, how to wait for
//! them in [`Net`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::clock::Due;
use crate::net::{self, Net};

/// How long an attempt has before the next one begins beside it: RFC 8305 §5 recommends this.
const STAGGER: Duration = Duration::from_millis(250);

/// A connection to one of these; fails with `TimedOut` when `due` has come.
pub(crate) async fn connect<N: Net>(
    addresses: &[SocketAddr],
    due: Due<'_>,
) -> io::Result<N::Socket> {
    let mut waiting = interleave(addresses).into_iter();
    let mut open = Vec::new();
    let mut failed = Vec::new();
    loop {
        match waiting.next().map(|address| (address, N::open(address))) {
            Some((address, Ok(opening))) => open.push((address, opening)),
            Some((address, Err(error))) => {
                failed.push((address, error));
                continue;
            }
            None if open.is_empty() => return Err(unreachable(failed)),
            None => {}
        }
        let next = (waiting.len() > 0).then(|| Instant::now() + STAGGER);
        match N::first(&mut open, due.or_at(next)).await {
            Some((_, Ok(socket))) => return Ok(socket),
            Some((address, Err(error))) => failed.push((address, error)),
            None if due.has_come() => {
                failed.extend(open.iter().map(|(address, _)| (*address, net::timed_out())));
                return Err(unreachable(failed));
            }
            None => {}
        }
    }
}

/// Families in turns, beginning with that of the first address; within a family the resolver's order
/// is kept.
fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let like_first = |address: &SocketAddr| address.is_ipv6() == addresses[0].is_ipv6();
    let (ones, others): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(like_first);
    let (mut ones, mut others) = (ones.into_iter(), others.into_iter());
    let mut turns = Vec::with_capacity(addresses.len());
    while turns.len() < addresses.len() {
        turns.extend(ones.next());
        turns.extend(others.next());
    }
    turns
}

/// The last failure; where there were more, with all of them.
fn unreachable(mut failed: Vec<(SocketAddr, io::Error)>) -> io::Error {
    let kind = failed.last().map_or(io::ErrorKind::NotFound, |(_, error)| error.kind());
    match failed.pop() {
        Some((_, only)) if failed.is_empty() => only,
        last => io::Error::new(kind, Unreachable(failed.into_iter().chain(last).collect())),
    }
}

/// What came of each address that was tried.
#[derive(Debug)]
struct Unreachable(Vec<(SocketAddr, io::Error)>);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (address, error)) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{address}: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Unreachable {}

#[cfg(test)]
#[cfg(feature = "tokio")]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use baseten_core::{Clock, Clocks};
    use socket2::{Domain, SockAddr, Socket, Type};

    use super::*;
    use crate::blocking::wait::{Blocking, ready};
    use crate::clock::Limits;
    use crate::nonblocking::wait::Tokio;

    /// An address that does not answer: a listener whose queue is full, which drops what comes.
    struct BlackHole {
        address: SocketAddr,
        _listener: Socket,
        _queue: Vec<TcpStream>,
    }

    impl BlackHole {
        fn new() -> Self {
            let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
            listener.bind(&SockAddr::from(any)).unwrap();
            listener.listen(0).unwrap();
            let address = listener.local_addr().unwrap().as_socket().unwrap();
            let mut queue = Vec::new();
            while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100))
            {
                queue.push(stream);
                assert!(queue.len() < 100, "the queue must be full at some time");
            }
            Self { address, _listener: listener, _queue: queue }
        }

        /// How many sockets of this machine are connecting to it.
        #[cfg(target_os = "linux")]
        fn connecting(&self) -> usize {
            const SYN_SENT: &str = "02";
            let to = format!("0100007F:{:04X}", self.address.port());
            let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
            let fields = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            fields.filter(|fields| fields[2] == to && fields[3] == SYN_SENT).count()
        }
    }

    /// A listener that takes what comes, and how many came.
    struct Live(TcpListener);

    impl Live {
        fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            Self(listener)
        }

        fn address(&self) -> SocketAddr {
            self.0.local_addr().unwrap()
        }

        fn taken(&self) -> usize {
            std::iter::from_fn(|| self.0.accept().ok()).count()
        }
    }

    /// Nobody listens there.
    fn refusing() -> SocketAddr {
        Live::new().address()
    }

    const LONG: Duration = Duration::from_secs(20);

    async fn race<N: Net>(addresses: &[SocketAddr], limit: Duration) -> (io::Result<()>, Duration) {
        let clocks =
            Clocks { connect: Some(limit), queue: None, first_byte: None, idle: None, total: None };
        let began = Instant::now();
        let limits = Limits::new(clocks, began, None);
        let due = limits.start(Clock::Connect);
        let socket = connect::<N>(addresses, due).await;
        (socket.map(drop), began.elapsed())
    }

    /// What a race comes to in either way to wait, and after how long.
    fn both(addresses: &[SocketAddr], limit: Duration) -> [(io::Result<()>, Duration); 2] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        [
            ready(race::<Blocking>(addresses, limit)),
            runtime.block_on(race::<Tokio>(addresses, limit)),
        ]
    }

    #[test]
    fn a_dead_address_holds_up_a_live_one_for_the_stagger_alone() {
        let (hole, live) = (BlackHole::new(), Live::new());
        for addresses in [
            vec![hole.address, live.address()],
            // A failure in between is followed by the next at once.
            vec![hole.address, refusing(), live.address()],
        ] {
            for (won, took) in both(&addresses, LONG) {
                won.unwrap();
                assert!((STAGGER..LONG / 2).contains(&took), "{took:?}");
            }
            assert_eq!(live.taken(), 2, "once in each way to wait");
        }
    }

    #[test]
    fn a_live_address_is_not_raced() {
        let (first, second) = (Live::new(), Live::new());
        for (won, _) in both(&[first.address(), second.address()], LONG) {
            won.unwrap();
        }
        assert_eq!((first.taken(), second.taken()), (2, 0));
    }

    #[test]
    fn refusals_are_told_at_once_and_all() {
        let all: [_; 12] = std::array::from_fn(|_| refusing());
        for (lost, took) in both(&all, LONG) {
            let error = lost.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            let told = error.to_string();
            for address in all {
                assert!(told.contains(&format!("{address}: Connection refused")), "{told}");
            }
            assert!(took < 10 * STAGGER, "not one after the other: {took:?}");
        }
        for (lost, _) in both(&all[..1], LONG) {
            assert!(lost.unwrap_err().raw_os_error().is_some(), "one alone is told as it was");
        }
    }

    #[test]
    fn the_clock_ends_all_attempts() {
        let (one, other) = (BlackHole::new(), BlackHole::new());
        // All have begun by then, on a busy machine, too.
        let limit = 4 * STAGGER;
        for (lost, took) in both(&[one.address, refusing(), other.address], limit) {
            let error = lost.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            let told = error.to_string();
            assert!(told.contains("refused") && told.matches("timed out").count() == 2, "{told}");
            assert!((limit..10 * limit).contains(&took), "{took:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn whoever_loses_is_closed() {
        let (hole, live) = (BlackHole::new(), Live::new());
        for (won, _) in both(&[hole.address, live.address()], LONG) {
            won.unwrap();
        }
        assert_eq!(hole.connecting(), 0);
        // It would have been seen.
        let mut open = vec![(hole.address, Blocking::open(hole.address).unwrap())];
        assert!(ready(Blocking::first(&mut open, Due::after(Duration::ZERO, None))).is_none());
        assert_eq!(hole.connecting(), 1);
    }

    #[test]
    fn families_take_turns() {
        let (v4, v6) = (["4.0.0.1:1", "4.0.0.2:1", "4.0.0.3:1"], ["[6::1]:1", "[6::2]:1"]);
        let parse = |given: &[&str]| -> Vec<SocketAddr> {
            given.iter().map(|address| address.parse().unwrap()).collect()
        };
        //   as resolved                        as tried
        for (given, expect) in [
            (vec![], vec![]),
            (vec![v4[0], v4[1]], vec![v4[0], v4[1]]),
            (vec![v6[0], v6[1], v4[0], v4[1]], vec![v6[0], v4[0], v6[1], v4[1]]),
            (vec![v4[0], v4[1], v4[2], v6[0]], vec![v4[0], v6[0], v4[1], v4[2]]),
            (vec![v6[0], v4[0], v4[1], v4[2]], vec![v6[0], v4[0], v4[1], v4[2]]),
        ] {
            assert_eq!(interleave(&parse(&given)), parse(&expect), "{given:?}");
        }
    }
}
