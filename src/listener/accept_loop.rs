//! The accept loop of one worker's listening socket.
//!
//! When descriptors run out, the loop pauses instead of spinning. When the listener's connection limit is
//! reached ([`super::places`]), the loop stops accepting, and clients wait in the kernel's queue. When the
//! listener drains, the connections in that queue are accepted before the socket is closed, because the
//! close would reset them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::listener::bind::Bound;
use crate::listener::connection;
use crate::listener::make_service::MakeService;
use crate::listener::places::{OpenConnection, Permit};
use crate::listener::settings::ListenerSettings;
use crate::net::socket::Socket;
use crate::shutdown::{Phase, Shutdown};

/// The maximum number of unsent bytes that the kernel buffers for one client.
const UNSENT: u32 = 256 * 1024;
/// How long a TCP connection is idle before the kernel probes its peer.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// The pause after an accept that failed for a reason that concerns more than one connection, such as a
/// lack of descriptors. Each further failure in a row doubles the pause, up to [`PAUSE_LONGEST`].
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_LONGEST: Duration = Duration::from_secs(1);

/// The listening socket of one worker.
#[derive(Debug)]
pub struct WorkerListener {
    pub(super) settings: watch::Receiver<Arc<ListenerSettings>>,
    pub(super) socket: Bound,
    pub(super) shutdown: Shutdown,
}

impl WorkerListener {
    /// Accepts connections until the listener drains. Each connection runs as a task of `tasks` and may
    /// continue after this function has returned.
    ///
    /// # Errors
    ///
    /// The OS error when the socket cannot be registered with this worker's event loop.
    pub async fn run<M, B>(self, make: M, tasks: TaskTracker) -> io::Result<()>
    where
        M: MakeService<B>,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        let Self {
            settings,
            socket,
            mut shutdown,
        } = self;
        let connections = shutdown.clone();
        let serve = |accepted: Accepted| {
            let Accepted {
                socket,
                peer,
                permit,
            } = accepted;
            let (make, shutdown) = (make.clone(), connections.clone());
            let settings = Arc::clone(&settings.borrow());
            let open = OpenConnection::new(
                Arc::clone(&settings.places),
                Arc::clone(&settings.counters),
                permit,
            );
            tasks.spawn(async move {
                let admission = open.admission();
                connection::serve(socket, peer, admission, settings, make, shutdown).await;
                drop(open);
            });
        };
        let listener = AsyncListener::from_bound(socket)?;
        let mut pause = PAUSE_FIRST;
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &settings) => accepted,
                () = shutdown.reached(Phase::Draining) => break,
            };
            match accepted {
                Ok(accepted) => {
                    pause = PAUSE_FIRST;
                    serve(accepted);
                }
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    let label = Arc::clone(&settings.borrow().label);
                    tracing::warn!(listener = %label, %error, "cannot accept, pausing");
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(PAUSE_LONGEST);
                }
            }
        }
        let places = Arc::clone(&settings.borrow().places);
        while let Some(permit) = places.try_take() {
            match accept_queued(&listener) {
                Some(Ok((socket, peer))) => serve(Accepted {
                    socket,
                    peer,
                    permit,
                }),
                Some(Err(error)) if is_about_one_connection(&error) => {}
                Some(Err(_)) | None => break,
            }
        }
        Ok(())
    }
}

enum AsyncListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl AsyncListener {
    fn from_bound(socket: Bound) -> io::Result<Self> {
        Ok(match socket {
            Bound::Tcp(socket) => Self::Tcp(TcpListener::from_std(socket)?),
            Bound::Unix(socket) => Self::Unix(UnixListener::from_std(socket)?),
        })
    }
}

/// An accepted connection. A connection over a unix socket has no peer address.
struct Accepted {
    socket: Socket,
    peer: Option<SocketAddr>,
    permit: Permit,
}

async fn accept(
    listener: &AsyncListener,
    settings: &watch::Receiver<Arc<ListenerSettings>>,
) -> io::Result<Accepted> {
    let places = Arc::clone(&settings.borrow().places);
    // The loop waits for a free permit before it accepts, so that a connection for which there is no
    // permit stays in the kernel's queue.
    places.wait().await;
    let (socket, peer) = match listener {
        AsyncListener::Tcp(listener) => {
            let (socket, peer) = listener.accept().await?;
            set_options(&socket)?;
            (Socket::Tcp(socket), Some(peer))
        }
        AsyncListener::Unix(listener) => (Socket::Unix(listener.accept().await?.0), None),
    };
    // `take` waits only if another worker has taken the free permit since `wait`, which is rare.
    let permit = places.take().await;
    Ok(Accepted {
        socket,
        peer,
        permit,
    })
}

/// Accepts the next connection of the kernel's queue. Returns `None` when the queue is empty. Calls the
/// kernel directly, because the event loop may not have reported the connection yet.
fn accept_queued(listener: &AsyncListener) -> Option<io::Result<(Socket, Option<SocketAddr>)>> {
    let accepted = match listener {
        AsyncListener::Tcp(listener) => SockRef::from(listener).accept(),
        AsyncListener::Unix(listener) => SockRef::from(listener).accept(),
    };
    let (socket, peer) = match accepted {
        Ok(accepted) => accepted,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
        Err(error) => return Some(Err(error)),
    };
    let register = || {
        socket.set_nonblocking(true)?;
        match listener {
            AsyncListener::Tcp(_) => {
                let socket = TcpStream::from_std(socket.into())?;
                set_options(&socket)?;
                // Linux reports no address for a connection that has already been reset.
                Ok((Socket::Tcp(socket), peer.as_socket()))
            }
            AsyncListener::Unix(_) => {
                let socket = UnixStream::from_std(socket.into())?;
                Ok((Socket::Unix(socket), None))
            }
        }
    };
    Some(register())
}

fn set_options(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    // Without this limit the kernel accepts megabytes for a client at once. A client that reads slowly
    // but steadily would then look stalled.
    if let Err(error) = SockRef::from(socket).set_tcp_notsent_lowat(UNSENT) {
        tracing::debug!(%error, "cannot limit the unsent bytes in the kernel");
    }
    // The probes detect clients that have vanished without closing the connection, such as clients behind
    // a NAT that has dropped its entry.
    SockRef::from(socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
}

/// Whether an error of `accept` concerns only the accepted connection and not the listener (accept(2)).
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotConnected
            | io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}
