//! A new upstream connection: TCP and TLS to one of a few addresses, in staggered attempts.
//!
//! The first attempt goes to the first candidate; every 250 ms without success another one starts,
//! up to three beside each other, and one that fails is replaced at once; the first to finish wins. An
//! attempt that failed, or was overtaken by a later one, counts against its address. Each attempt has
//! the whole connect timeout for itself; none begins after it, or after a second if that is more.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::origin::address::Address;
use crate::origin::error::Error;
use crate::origin::io::{Stream, UpstreamIo};

/// Wait before the next address is tried beside the first. Inside a region a connect takes about a
/// millisecond, so one that takes this long is very likely dead; much less would double the
/// connects to a far endpoint.
const STAGGER: Duration = Duration::from_millis(250);
/// Most addresses tried at a time. Where these stay silent, more would.
const BESIDE: usize = 3;
/// Unacknowledged data ends a connection after this: as long as a body may stall (see `idle`),
/// because the kernel counts a receiver that has closed its window too.
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Out of descriptors, of the process or of the system, of memory for sockets or of ports of its own
/// (errno(3)); the address has no part in it.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
const ENOBUFS: i32 = 105;
const EADDRNOTAVAIL: i32 = 99;

/// How to speak TLS to an endpoint; absent for plain HTTP.
#[derive(Clone)]
pub struct Tls {
    /// Trust and protocol settings.
    pub connector: TlsConnector,
    /// The name the certificate must have; also the SNI.
    pub name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A fresh connection and what it cost.
#[derive(Debug)]
pub struct Connected {
    /// The socket.
    pub io: UpstreamIo,
    /// The address it leads to.
    pub address: Arc<Address>,
    /// Its place at the address, under `max_per_address`.
    pub place: Option<OwnedSemaphorePermit>,
    /// TCP part of the time.
    pub connect: Duration,
    /// TLS part of the time.
    pub tls: Duration,
}

/// Connects to one of `candidates`, best first. Where places are limited, those without a free one
/// are passed over; when the others fail, a place at the last of them is waited for, until `deadline`.
///
/// Cancel-safe: dropping the future abandons all attempts.
///
/// # Errors
///
/// [`Error::ConnectRefused`], [`Error::ConnectTimeout`] or [`Error::Tls`] of the last attempt to
/// fail, when none succeeded; [`Error::Busy`] when there was no place.
pub async fn connect(
    candidates: &[Arc<Address>],
    tls: Option<&Tls>,
    timeout: Duration,
    deadline: Instant,
) -> Result<Connected, Error> {
    if let [only] = candidates {
        let place = place(only, deadline).await?;
        return attempt(Arc::clone(only), place, tls.cloned(), timeout).await;
    }
    let begin = Instant::now();
    // A short timeout still leaves a few to try.
    let patience = timeout.max(STAGGER * 4);
    let mut waiting = candidates.iter();
    let mut attempts = JoinSet::new();
    let mut started: Vec<(Arc<Address>, Instant)> = Vec::with_capacity(candidates.len());
    let mut last = Error::ConnectTimeout;
    // One that was passed over.
    let mut full = None;
    loop {
        let has_time = begin.elapsed() < patience;
        let next = if has_time && attempts.len() < BESIDE {
            waiting.by_ref().find_map(|address| {
                let place = address.reserve();
                if place.is_none() {
                    full = Some(address);
                }
                Some((address, place?))
            })
        } else {
            None
        };
        if let Some((address, place)) = next {
            started.push((Arc::clone(address), Instant::now()));
            attempts.spawn(attempt(Arc::clone(address), place, tls.cloned(), timeout));
        }
        let pause = if waiting.len() == 0 || attempts.len() >= BESIDE {
            timeout * 2
        } else {
            STAGGER
        };
        match tokio::time::timeout(pause, attempts.join_next()).await {
            Err(_elapsed) => {}
            // Nothing is under way: the next one, if there is one.
            Ok(None) if waiting.len() > 0 && begin.elapsed() < patience => {}
            Ok(None) => {
                let Some(address) = full else {
                    return Err(last);
                };
                let place = place(address, deadline).await?;
                return attempt(Arc::clone(address), place, tls.cloned(), timeout).await;
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

/// A place at `address`, waited for until `deadline`.
async fn place(
    address: &Address,
    deadline: Instant,
) -> Result<Option<OwnedSemaphorePermit>, Error> {
    let Some(places) = &address.places else {
        return Ok(None);
    };
    match tokio::time::timeout_at(deadline, Arc::clone(places).acquire_owned()).await {
        Ok(Ok(place)) => Ok(Some(place)),
        Ok(Err(_)) | Err(_) => Err(Error::Busy),
    }
}

/// An attempt that began a whole stagger before the winner's and has not finished is as good as
/// dead; without this mark every later connect would wait for it again.
fn note_overtaken(started: &[(Arc<Address>, Instant)], winner: &Arc<Address>) {
    let now = Instant::now();
    for (address, since) in started {
        if !Arc::ptr_eq(address, winner) && now.duration_since(*since) >= STAGGER {
            address.note_failure(now, "another one has accepted the connection long before");
        }
    }
}

async fn attempt(
    address: Arc<Address>,
    place: Option<OwnedSemaphorePermit>,
    tls: Option<Tls>,
    timeout: Duration,
) -> Result<Connected, Error> {
    let opening = open(Arc::clone(&address), place, tls);
    let outcome = match tokio::time::timeout(timeout, opening).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(Error::ConnectTimeout),
    };
    match &outcome {
        Ok(_) => address.note_connected(Instant::now()),
        Err(Error::Busy) => {
            tracing::warn!(address = %address.socket, "no descriptor or port left for an upstream connection");
        }
        Err(error) => address.note_failure(Instant::now(), error),
    }
    outcome
}

async fn open(
    address: Arc<Address>,
    place: Option<OwnedSemaphorePermit>,
    tls: Option<Tls>,
) -> Result<Connected, Error> {
    let start = Instant::now();
    let socket = TcpStream::connect(address.socket).await.map_err(meaning)?;
    tune(&socket).map_err(Error::ConnectRefused)?;
    let connect = start.elapsed();
    let stream = match tls {
        None => Stream::Plain(socket),
        Some(tls) => {
            let stream = tls
                .connector
                .connect(tls.name, socket)
                .await
                .map_err(Error::Tls)?;
            Stream::Tls(Box::new(stream))
        }
    };
    Ok(Connected {
        io: UpstreamIo::new(stream),
        address,
        place,
        connect,
        tls: start.elapsed().saturating_sub(connect),
    })
}

/// What a failed connect says. [`Error::Busy`]: nothing about the address.
pub(super) fn meaning(error: io::Error) -> Error {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::TimedOut, _) => Error::ConnectTimeout,
        (_, Some(EMFILE | ENFILE | ENOBUFS | EADDRNOTAVAIL)) => Error::Busy,
        _ => Error::ConnectRefused(error),
    }
}

fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    // Finds a silently dead peer of an idle connection within half a minute.
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)
}
