//! From an origin to a connection that can take a request: name, TCP, proxy, TLS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use baseten_core::{Cause, Clock, Failure, Origin};

use crate::clock::{Due, Limits};
use crate::connection::Connection;
use crate::failure;
use crate::net::{self, Net};
use crate::options::Options;
use crate::proxy::{self, Proxies};
use crate::race;
use crate::stream::Stream;
use crate::tls;
use crate::wire::Wire;

/// What connections are made with.
pub(crate) struct Connector {
    sessions: tls::Sessions,
    proxies: Proxies,
    head_limit: usize,
}

impl Connector {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            sessions: tls::Sessions::of(options),
            proxies: Proxies::of(options),
            head_limit: options.head_limit.max(HEAD_LEAST),
        }
    }
}

/// hyper's smallest buffer, in bytes.
const HEAD_LEAST: usize = 8 * 1024;

/// Opens a connection to `origin` within the connect clock.
pub(crate) async fn dial<N: Net>(
    connector: &Connector,
    origin: &Origin,
    limits: &Limits,
) -> Result<Connection<N>, Failure> {
    let due = limits.start(Clock::Connect);
    let failed = |cause| move |error| failure::of_dial(error, limits, due, cause);
    let mut timer = N::Timer::default();
    let tunnel = proxy::tunnel::<N>(&connector.proxies, origin, &mut timer, due).await;
    let wire = match tunnel {
        Some(tunnel) => tunnel.map_err(failed(failure::of_tunnel))?,
        None => {
            let addresses = locate::<N>(origin, due).await.map_err(failed(|_| Cause::Resolve))?;
            let socket =
                race::connect::<N>(&addresses, due).await.map_err(failed(|_| Cause::Connect))?;
            Arc::new(Wire::new(socket))
        }
    };
    let stream = secure::<N>(&connector.sessions, origin, &wire, &mut timer, due).await;
    let stream = stream.map_err(failed(failure::of_handshake))?;
    Connection::open(wire, stream, timer, connector.head_limit)
        .await
        .map_err(|error| Failure::before_sending(Cause::Connect, Some(error.into())))
}

/// The addresses of an origin. `localhost` and all below it are this machine, without asking anybody:
/// not every resolver knows them (RFC 6761).
async fn locate<N: Net>(origin: &Origin, due: Due<'_>) -> io::Result<Vec<SocketAddr>> {
    let port = origin.port();
    if origin.is_localhost_name() {
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
    }
    resolve::<N>(origin.host(), port, due).await
}

/// The addresses of a host, which may be one already.
pub(crate) async fn resolve<N: Net>(
    host: &str,
    port: u16,
    due: Due<'_>,
) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let addresses = N::lookup(host, port, due).await?;
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

async fn secure<N: Net>(
    sessions: &tls::Sessions,
    origin: &Origin,
    wire: &Arc<Wire<N::Socket>>,
    timer: &mut N::Timer,
    due: Due<'_>,
) -> io::Result<Stream<N::Socket>> {
    if !origin.is_https() {
        return Ok(Stream::plain(wire.clone()));
    }
    let mut stream = Stream::tls(wire.clone(), sessions.session(origin)?);
    match N::drive(wire, timer, due.cancel, || due.at, |cx| stream.poll_handshake(cx)).await {
        Ok(done) => done.map(|()| stream),
        Err(net::Elapsed) => Err(net::timed_out()),
    }
}
