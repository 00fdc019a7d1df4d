//! From a bound address to connections: sockets, the accept loop, the limit on connections.
//!
//! Serves any cloneable service and knows no router. Every worker has its own listening socket on the
//! same address (SO_REUSEPORT), and the kernel spreads the connections over them. When descriptors
//! run out the loop pauses instead of spinning; when the limit is reached it stops accepting until a
//! connection ends, and clients wait in the kernel's queue.

pub mod connection;
pub mod deadline;
pub mod io;
pub mod service;
pub mod streams;
pub mod tls;

use std::convert::Infallible;
use std::io as std_io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use socket2::{Domain, SockRef, Socket as RawSocket, TcpKeepalive, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::config::{Address, Limits, Listener, Timeouts};
use crate::http::Received;
use crate::http::context::ConnectionInfo;
use crate::listener::io::Socket;
use crate::shutdown::{Phase, Shutdown};

/// Connections that wait in the kernel for one worker; above `net.core.somaxconn` the kernel's own
/// limit holds.
const BACKLOG: i32 = 8192;
/// Most bytes of a client's connection that wait in the kernel before the first is sent.
const UNSENT: u32 = 256 * 1024;
/// Pause after an accept that failed for lack of descriptors or memory; doubles to a second.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_LONGEST: Duration = Duration::from_secs(1);

/// Makes the service of one connection.
pub trait MakeService<B>: Clone + Send + 'static {
    /// The service.
    type Service: Service<
            Received,
            Response = http::Response<B>,
            Error = Infallible,
            Future: Unpin + Send + 'static,
        > + Send
        + Unpin
        + 'static;

    /// The service for the connection `info` describes.
    fn make(&self, info: Arc<ConnectionInfo>) -> Self::Service;
}

/// What all workers of one listener share.
pub struct Shared {
    /// The address as the config writes it.
    pub label: Arc<str>,
    timeouts: Timeouts,
    limits: Limits,
    has_http2: bool,
    tls: Option<TlsAcceptor>,
    permits: Arc<Semaphore>,
    trusted: Vec<ipnet::IpNet>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Whether a peer with this address says who its clients are.
    #[must_use]
    pub fn trusts(&self, peer: std::net::IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted.iter().any(|range| range.contains(&peer))
    }

    /// Whether clients speak TLS here.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

#[derive(Debug)]
enum Bound {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// One worker's socket of a listener.
#[derive(Debug)]
pub struct WorkerListener {
    shared: Arc<Shared>,
    socket: Bound,
}

/// A listener bound for every worker.
#[derive(Debug)]
pub struct BoundListener {
    /// The address really bound, for port 0; absent on a unix socket.
    pub local: Option<SocketAddr>,
    /// One per worker.
    pub workers: Vec<WorkerListener>,
}

/// Binds `config` once per worker.
///
/// # Errors
///
/// What the system says: address in use, not ours, or not permitted.
pub fn bind(
    config: &Listener,
    tls: Option<Arc<rustls::ServerConfig>>,
    workers: usize,
    max_connections: usize,
) -> std_io::Result<BoundListener> {
    let (local, sockets) = bind_each(&config.address, workers)?;
    // With port 0 the config does not say where.
    let label = local.map_or_else(|| config.address.to_string(), |local| local.to_string());
    let shared = Arc::new(Shared {
        label: label.into(),
        timeouts: config.timeouts.clone(),
        limits: config.limits.clone(),
        has_http2: config.http2,
        tls: tls.map(TlsAcceptor::from),
        trusted: config.trusted_proxies.clone(),
        permits: Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS))),
    });
    let worker = |socket| WorkerListener {
        shared: Arc::clone(&shared),
        socket,
    };
    Ok(BoundListener {
        local,
        workers: sockets.into_iter().map(worker).collect(),
    })
}

/// One socket per worker, and where they are bound; that is absent on a unix socket.
fn bind_each(
    address: &Address,
    workers: usize,
) -> std_io::Result<(Option<SocketAddr>, Vec<Bound>)> {
    let mut sockets = Vec::with_capacity(workers);
    match address {
        Address::Tcp(address) => {
            refuse_shared(*address)?;
            let mut address = *address;
            for _ in 0..workers {
                let socket = bind_tcp(address)?;
                // With port 0 the first socket decides and the others share its port.
                address = socket.local_addr()?;
                sockets.push(Bound::Tcp(socket));
            }
            Ok((Some(address), sockets))
        }
        Address::Unix(path) => {
            remove_stale(path)?;
            let socket = std::os::unix::net::UnixListener::bind(path)?;
            socket.set_nonblocking(true)?;
            for _ in 0..workers {
                sockets.push(Bound::Unix(socket.try_clone()?));
            }
            Ok((None, sockets))
        }
    }
}

/// Fails when another process listens there. Workers share an address by SO_REUSEPORT, which would
/// let a second ossgate take half of the first one's connections without a word.
fn refuse_shared(address: SocketAddr) -> std_io::Result<()> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)
}

fn bind_tcp(address: SocketAddr) -> std_io::Result<std::net::TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two listeners, each written by the operator.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Removes the socket file of a process that is gone; a live one, or any other file, is an error.
fn remove_stale(path: &std::path::Path) -> std_io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(std_io::ErrorKind::AddrInUse.into());
            }
            std::fs::remove_file(path)
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

impl WorkerListener {
    /// Accepts until the drain begins; connections run on in `tasks`.
    ///
    /// # Errors
    ///
    /// When the socket cannot be given to this worker's event loop.
    pub async fn run<M, B>(
        self,
        make: M,
        mut shutdown: Shutdown,
        tasks: TaskTracker,
    ) -> std_io::Result<()>
    where
        M: MakeService<B>,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        let listener = match self.socket {
            Bound::Tcp(socket) => AsyncListener::Tcp(TcpListener::from_std(socket)?),
            Bound::Unix(socket) => AsyncListener::Unix(UnixListener::from_std(socket)?),
        };
        let mut pause = PAUSE_FIRST;
        let connections = shutdown.clone();
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &self.shared.permits) => accepted,
                () = shutdown.reached(Phase::Draining) => return Ok(()),
            };
            let (socket, peer, permit) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_about_one_connection(&error) => continue,
                Err(error) => {
                    tracing::warn!(listener = %self.shared.label, %error, "cannot accept, pausing");
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(PAUSE_LONGEST);
                    continue;
                }
            };
            pause = PAUSE_FIRST;
            let (shared, make, shutdown) =
                (Arc::clone(&self.shared), make.clone(), connections.clone());
            tasks.spawn(async move {
                let _permit = permit;
                connection::serve(socket, peer, shared, make, shutdown).await;
            });
        }
    }
}

enum AsyncListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

type Accepted = (
    Socket,
    Option<SocketAddr>,
    tokio::sync::OwnedSemaphorePermit,
);

async fn accept(listener: &AsyncListener, permits: &Arc<Semaphore>) -> std_io::Result<Accepted> {
    // Before the accept: a connection over the limit stays in the kernel's queue.
    let permit = Arc::clone(permits)
        .acquire_owned()
        .await
        .map_err(std_io::Error::other)?;
    match listener {
        AsyncListener::Tcp(listener) => {
            let (socket, peer) = listener.accept().await?;
            tune(&socket)?;
            Ok((Socket::Tcp(socket), Some(peer), permit))
        }
        AsyncListener::Unix(listener) => {
            let (socket, _) = listener.accept().await?;
            Ok((Socket::Unix(socket), None, permit))
        }
    }
}

fn tune(socket: &tokio::net::TcpStream) -> std_io::Result<()> {
    socket.set_nodelay(true)?;
    // Else the kernel takes megabytes for a client, and one that reads slowly but steadily would
    // look as if it had stopped.
    if let Err(error) = SockRef::from(socket).set_tcp_notsent_lowat(UNSENT) {
        tracing::debug!(%error, "the kernel cannot keep its share of unsent bytes small");
    }
    // Finds clients that have vanished without a word, such as behind a dropped NAT entry.
    SockRef::from(socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(60)))
}

/// Errors of `accept` that are about the connection taken, not about the listener (accept(2)).
fn is_about_one_connection(error: &std_io::Error) -> bool {
    matches!(
        error.kind(),
        std_io::ErrorKind::ConnectionAborted
            | std_io::ErrorKind::ConnectionReset
            | std_io::ErrorKind::ConnectionRefused
            | std_io::ErrorKind::InvalidInput
            | std_io::ErrorKind::NotConnected
            | std_io::ErrorKind::Interrupted
            | std_io::ErrorKind::TimedOut
            | std_io::ErrorKind::HostUnreachable
            | std_io::ErrorKind::NetworkUnreachable
    )
}
