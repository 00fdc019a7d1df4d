//! Opens an upstream connection: TCP and TLS to one of several addresses, in staggered attempts.
//!
//! The first attempt uses the first candidate. After every 250 ms without success another attempt starts,
//! with at most three in parallel. A failed attempt is replaced at once. The first successful attempt wins.
//! An attempt that failed counts as a failure of its address, and so does one that ran for at least 250 ms
//! when another attempt won. Each attempt may use the whole connect timeout. No attempt starts after the
//! connect timeout or one second, whichever is longer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::net::stream::MaybeTls;
use crate::origin::connect_error::{ConnectFault, TlsFault};
use crate::origin::endpoint::address_health::Address;
use crate::origin::error::Error;
use crate::origin::link::socket::UpstreamSocket;
use crate::origin::link::tls::Tls;

/// The wait before another address is tried in parallel. Inside a region a connect takes about a
/// millisecond, so an address that takes this long is very likely dead. A much shorter wait would double
/// the number of connects to a distant endpoint.
const STAGGER: Duration = Duration::from_millis(250);
/// The maximum number of addresses tried in parallel. When three do not respond, further ones are unlikely
/// to respond.
const PARALLEL: usize = 3;
/// A connection is closed when sent data is unacknowledged for this time. While OSS reads no data, its TCP
/// window is closed, and the kernel counts this time too. Therefore the value equals the default of the
/// timeout `idle`.
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// A new connection, and how long its connect and its TLS handshake took.
#[derive(Debug)]
pub(crate) struct Connected {
    /// The connected socket.
    pub(crate) socket: UpstreamSocket,
    /// The address that the socket is connected to.
    pub(crate) address: Arc<Address>,
    /// The permit for one request in flight to the address; `None` without `max_per_address`.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
    /// The duration of the TCP connect.
    pub(crate) connect: Duration,
    /// The duration of the TLS handshake; zero without TLS.
    pub(crate) tls: Duration,
}

/// Connects to one of `candidates`, best first. With `max_per_address`, addresses without a free permit are
/// skipped. If the connects to all other addresses fail, the function waits until `deadline` for a permit of
/// a skipped address.
///
/// Cancel-safe: dropping the future abandons all attempts.
///
/// # Errors
///
/// [`Error::Connect`] of the attempt that failed last, if no attempt succeeded. [`Error::Busy`] if there was no
/// permit, file descriptor or local port.
pub(crate) async fn connect(
    candidates: &[Arc<Address>],
    tls: Option<&Tls>,
    timeout: Duration,
    deadline: Instant,
) -> Result<Connected, Error> {
    if let [only] = candidates {
        let permit = wait_for_permit(only, deadline).await?;
        return attempt(Arc::clone(only), permit, tls.cloned(), timeout).await;
    }
    let begin = Instant::now();
    // Even if `timeout` is very short, there is time to start attempts for several addresses.
    let patience = timeout.max(STAGGER * 4);
    let mut waiting = candidates.iter();
    let mut attempts = JoinSet::new();
    let mut started: Vec<(Arc<Address>, Instant)> = Vec::with_capacity(candidates.len());
    let mut last = Error::Busy;
    // The last address that was skipped because it had no free permit.
    let mut full = None;
    loop {
        let has_time = begin.elapsed() < patience;
        let next = if has_time && attempts.len() < PARALLEL {
            waiting.by_ref().find_map(|address| {
                let permit = address.reserve();
                if permit.is_none() {
                    full = Some(address);
                }
                Some((address, permit?))
            })
        } else {
            None
        };
        if let Some((address, permit)) = next {
            started.push((Arc::clone(address), Instant::now()));
            attempts.spawn(attempt(Arc::clone(address), permit, tls.cloned(), timeout));
        }
        let pause = if waiting.len() == 0 || attempts.len() >= PARALLEL {
            timeout * 2
        } else {
            STAGGER
        };
        match tokio::time::timeout(pause, attempts.join_next()).await {
            Err(_elapsed) => {}
            // No attempt is running, so the next round starts one at once.
            Ok(None) if waiting.len() > 0 && begin.elapsed() < patience => {}
            Ok(None) => {
                let Some(address) = full else {
                    return Err(last);
                };
                let permit = wait_for_permit(address, deadline).await?;
                return attempt(Arc::clone(address), permit, tls.cloned(), timeout).await;
            }
            Ok(Some(Ok(Ok(connected)))) => {
                note_overtaken(&started, &connected.address);
                return Ok(connected);
            }
            Ok(Some(Ok(Err(error)))) => {
                started.retain(|(address, _)| !address.is_ejected());
                last = error;
            }
            Ok(Some(Err(_panicked))) => {}
        }
    }
}

/// Waits for a permit of `address` until `deadline`.
async fn wait_for_permit(
    address: &Address,
    deadline: Instant,
) -> Result<Option<OwnedSemaphorePermit>, Error> {
    let Some(permits) = &address.permits else {
        return Ok(None);
    };
    match tokio::time::timeout_at(deadline, Arc::clone(permits).acquire_owned()).await {
        Ok(Ok(permit)) => Ok(Some(permit)),
        Ok(Err(_)) | Err(_) => Err(Error::Busy),
    }
}

/// Called when the attempt to `winner` succeeded. Records a failure for each other attempt that has been
/// running for at least [`STAGGER`]. Otherwise every later connect would wait for the addresses of these
/// attempts again.
fn note_overtaken(started: &[(Arc<Address>, Instant)], winner: &Arc<Address>) {
    let now = Instant::now();
    for (address, since) in started {
        if !Arc::ptr_eq(address, winner) && now.duration_since(*since) >= STAGGER {
            address.note_failure(*since, now, "overtaken by a connect to another address");
        }
    }
}

async fn attempt(
    address: Arc<Address>,
    permit: Option<OwnedSemaphorePermit>,
    tls: Option<Tls>,
    timeout: Duration,
) -> Result<Connected, Error> {
    let began = Instant::now();
    let outcome = open(Arc::clone(&address), permit, tls, began, timeout).await;
    match &outcome {
        Ok(_) => address.note_connected(Instant::now()),
        Err(Error::Busy) => {
            tracing::warn!(address = %address.socket, "no descriptor or port left for an upstream connection");
        }
        Err(Error::Connect(error)) if error.has_connected() => {
            address.note_tls_failure(began, Instant::now(), error);
        }
        Err(error) => address.note_failure(began, Instant::now(), error),
    }
    outcome
}

async fn open(
    address: Arc<Address>,
    permit: Option<OwnedSemaphorePermit>,
    tls: Option<Tls>,
    start: Instant,
    timeout: Duration,
) -> Result<Connected, Error> {
    let deadline = start + timeout;
    let to = address.socket;
    let connecting = tokio::time::timeout_at(deadline, TcpStream::connect(to));
    let socket = match connecting.await {
        Ok(connected) => connected.map_err(|error| Error::from_connect(error, to))?,
        Err(_elapsed) => return Err(Error::connect(ConnectFault::TimedOut, to, Duration::ZERO)),
    };
    tune(&socket).map_err(|error| Error::from_connect(error, to))?;
    let connect = start.elapsed();
    let stream = match tls {
        None => MaybeTls::Plain(socket),
        Some(tls) => {
            let shaking =
                tokio::time::timeout_at(deadline, tls.connector.connect(tls.name, socket));
            let shaken = match shaking.await {
                Ok(shaken) => shaken.map_err(TlsFault::from_handshake),
                Err(_elapsed) => Err(TlsFault::TimedOut),
            };
            let stream = shaken.map_err(|fault| {
                let spent = start.elapsed().saturating_sub(connect);
                Error::connect(ConnectFault::Tls(fault), to, spent)
            })?;
            MaybeTls::Tls(Box::new(stream))
        }
    };
    Ok(Connected {
        socket: UpstreamSocket::new(stream),
        address,
        permit,
        connect,
        tls: start.elapsed().saturating_sub(connect),
    })
}

fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    // Detects within half a minute that the peer of an idle connection has disappeared.
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)
}
