//! A new upstream connection: TCP and TLS to one of a few addresses, in staggered attempts.
//!
//! The first attempt goes to the first candidate; every 250 ms without success another one starts;
//! the first to finish wins. An attempt that failed, or was overtaken by a later one, counts against
//! its address. Each attempt has the whole connect timeout for itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::origin::address::Address;
use crate::origin::error::Error;

/// Wait before the next address is tried beside the first. Inside a region a connect takes about a
/// millisecond, so one that takes this long is very likely dead; much less would double the
/// connects to a far endpoint.
const STAGGER: Duration = Duration::from_millis(250);
/// Unacknowledged data ends a connection after this: as long as a body may stall (see `idle`),
/// because the kernel counts a receiver that has closed its window too.
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Out of descriptors, of the process or of the system (errno(3)); the address has no part in it.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

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

/// The socket below an [`UpstreamIo`].
#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    /// Boxed: rustls's state is about a kilobyte, and plain sockets should not carry it.
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connected upstream socket.
#[derive(Debug)]
pub struct UpstreamIo {
    stream: Stream,
    asks_kernel: Arc<AtomicBool>,
}

impl UpstreamIo {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            asks_kernel: Arc::default(),
        }
    }

    /// When set, the next read first asks the kernel whether the peer has closed: the event loop may
    /// not have been told yet. For requests that must not be sent into a closing connection.
    #[must_use]
    pub fn asks_kernel(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asks_kernel)
    }

    /// Whether the peer has closed, or sent something unasked.
    fn is_readable_now(&self) -> bool {
        let socket = match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.get_ref().0,
        };
        let mut byte = [std::mem::MaybeUninit::uninit(); 1];
        !matches!(SockRef::from(socket).peek(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for UpstreamIo {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.asks_kernel.load(Relaxed) {
            this.asks_kernel.store(false, Relaxed);
            if this.is_readable_now() {
                // Reads as end of file: nothing may stand on an idle connection.
                return Poll::Ready(Ok(()));
            }
        }
        match &mut this.stream {
            Stream::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Stream::Tls(io) => Pin::new(&mut **io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for UpstreamIo {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Stream::Tls(io) => Pin::new(&mut **io).poll_write(cx, buf),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Stream::Tls(io) => Pin::new(&mut **io).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(io) => Pin::new(io).poll_flush(cx),
            Stream::Tls(io) => Pin::new(&mut **io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Stream::Tls(io) => Pin::new(&mut **io).poll_shutdown(cx),
        }
    }
}

/// A fresh connection and what it cost.
#[derive(Debug)]
pub struct Connected {
    /// The socket.
    pub io: UpstreamIo,
    /// The address it leads to.
    pub address: Arc<Address>,
    /// TCP part of the time.
    pub connect: Duration,
    /// TLS part of the time.
    pub tls: Duration,
}

/// Connects to one of `candidates`, best first.
///
/// Cancel-safe: dropping the future abandons all attempts.
///
/// # Errors
///
/// [`Error::ConnectRefused`], [`Error::ConnectTimeout`] or [`Error::Tls`] of the last attempt to
/// fail, when none succeeded.
pub async fn connect(
    candidates: &[Arc<Address>],
    tls: Option<&Tls>,
    timeout: Duration,
) -> Result<Connected, Error> {
    if let [only] = candidates {
        return attempt(Arc::clone(only), tls.cloned(), timeout).await;
    }
    let mut waiting = candidates.iter();
    let mut attempts = JoinSet::new();
    let mut started: Vec<(Arc<Address>, Instant)> = Vec::with_capacity(candidates.len());
    let mut last = Error::ConnectTimeout;
    loop {
        if let Some(address) = waiting.next() {
            started.push((Arc::clone(address), Instant::now()));
            attempts.spawn(attempt(Arc::clone(address), tls.cloned(), timeout));
        }
        let next = if waiting.len() == 0 {
            timeout * 2
        } else {
            STAGGER
        };
        match tokio::time::timeout(next, attempts.join_next()).await {
            Err(_elapsed) => {}
            Ok(None) => return Err(last),
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
    tls: Option<Tls>,
    timeout: Duration,
) -> Result<Connected, Error> {
    let outcome = match tokio::time::timeout(timeout, open(Arc::clone(&address), tls)).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(Error::ConnectTimeout),
    };
    match &outcome {
        Ok(_) => address.note_success(),
        Err(Error::Busy) => {
            tracing::warn!(address = %address.socket, "no descriptor left for an upstream connection");
        }
        Err(error) => address.note_failure(Instant::now(), error),
    }
    outcome
}

async fn open(address: Arc<Address>, tls: Option<Tls>) -> Result<Connected, Error> {
    let start = Instant::now();
    let socket = TcpStream::connect(address.socket).await.map_err(|error| {
        match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::TimedOut, _) => Error::ConnectTimeout,
            (_, Some(EMFILE | ENFILE)) => Error::Busy,
            _ => Error::ConnectRefused(error),
        }
    })?;
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
        connect,
        tls: start.elapsed().saturating_sub(connect),
    })
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
