//! The accept loop of one worker's listening socket.
//!
//! When descriptors run out the loop pauses instead of spinning. Over the listener's limit a few more
//! connections are accepted and answered 503; above that clients wait in the kernel's queue. When the
//! listener drains, what waits there is accepted first: closing the socket would reset it.

use std::io as std_io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::listener::bind::Bound;
use crate::listener::{MakeService, Places, Shared, connection};
use crate::net::socket::Socket;
use crate::shutdown::{Phase, Shutdown};

/// Most bytes of a client's connection that wait in the kernel before the first is sent.
const UNSENT: u32 = 256 * 1024;
/// Pause after an accept that failed for lack of descriptors or memory; doubles to a second.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_LONGEST: Duration = Duration::from_secs(1);

/// Connections of a listener since it was bound.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) ended: AtomicU64,
    /// Closed for want of a PROXY header, and when that was said last.
    pub(super) strangers: AtomicU64,
    pub(super) told: Mutex<Option<Instant>>,
}

/// The places of a listener. A smaller limit takes them away as their connections end.
#[derive(Debug)]
pub(super) struct Permits {
    served: Arc<Semaphore>,
    /// For connections over the limit, which are answered 503.
    spare: Arc<Semaphore>,
    now: Mutex<Places>,
    /// Places that are to go and are still taken.
    surplus: AtomicUsize,
}

impl Permits {
    pub(super) fn new(places: Places) -> Self {
        Self {
            served: Arc::new(Semaphore::new(places.served)),
            spare: Arc::new(Semaphore::new(places.refused)),
            now: Mutex::new(places),
            surplus: AtomicUsize::new(0),
        }
    }

    /// Changes the limit; how many are refused above it stays.
    pub(super) fn resize(&self, places: Places) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let more = places.served.saturating_sub(now.served);
        let fewer = now.served.saturating_sub(places.served);
        *now = places;
        drop(now);
        let mut surplus = self.surplus.load(Relaxed);
        let taken_back = surplus.min(more);
        surplus -= taken_back;
        self.served.add_permits(more - taken_back);
        surplus += fewer - self.served.forget_permits(fewer);
        self.surplus.store(surplus, Relaxed);
    }

    /// Gives a place back, unless it is to go.
    fn give_back(&self, permit: OwnedSemaphorePermit) {
        let less = |surplus: usize| surplus.checked_sub(1);
        if self.surplus.fetch_update(Relaxed, Relaxed, less).is_ok() {
            permit.forget();
        }
    }

    fn try_take(&self) -> Option<Permit> {
        let served = Arc::clone(&self.served).try_acquire_owned();
        let spare = || Arc::clone(&self.spare).try_acquire_owned();
        served
            .map(Permit::Served)
            .or_else(|_| spare().map(Permit::Spare))
            .ok()
    }

    /// Waits until there is a place, of whatever kind, and leaves it there: a worker that waits for a
    /// client must not keep another one from taking it.
    async fn wait(&self) {
        // Not even for a moment, where that can be helped.
        if self.served.available_permits() > 0 {
            return;
        }
        // An error means that the semaphore is closed, which it never is.
        tokio::select! {
            permit = self.served.acquire() => drop(permit),
            permit = self.spare.acquire() => drop(permit),
        }
    }

    async fn take(&self) -> Permit {
        loop {
            self.wait().await;
            if let Some(permit) = self.try_take() {
                return permit;
            }
        }
    }
}

/// One open connection; dropping it ends it.
struct Open {
    shared: Arc<Shared>,
    permit: Option<Permit>,
}

impl Drop for Open {
    fn drop(&mut self) {
        match self.permit.take() {
            Some(Permit::Served(permit)) => self.shared.permits.give_back(permit),
            spare => drop(spare),
        }
        // After it: who sees that it has ended finds its place free.
        self.shared.counters.ended.fetch_add(1, Relaxed);
    }
}

/// One worker's socket of a listener.
#[derive(Debug)]
pub struct WorkerListener {
    pub(super) settings: watch::Receiver<Arc<Shared>>,
    pub(super) socket: Bound,
    pub(super) shutdown: Shutdown,
}

impl WorkerListener {
    /// Accepts until the listener drains; connections run on in `tasks`.
    ///
    /// # Errors
    ///
    /// When the socket cannot be given to this worker's event loop.
    pub async fn run<M, B>(self, make: M, tasks: TaskTracker) -> std_io::Result<()>
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
            let (socket, peer, permit) = accepted;
            let is_refused = matches!(permit, Permit::Spare(_));
            let (make, shutdown) = (make.clone(), connections.clone());
            let shared = Arc::clone(&settings.borrow());
            shared.counters.accepted.fetch_add(1, Relaxed);
            let refused = u64::from(is_refused);
            shared.counters.refused.fetch_add(refused, Relaxed);
            let open = Open {
                shared: Arc::clone(&shared),
                permit: Some(permit),
            };
            tasks.spawn(async move {
                let _open = open;
                connection::serve(socket, peer, is_refused, shared, make, shutdown).await;
            });
        };
        let listener = match socket {
            Bound::Tcp(socket) => AsyncListener::Tcp(TcpListener::from_std(socket)?),
            Bound::Unix(socket) => AsyncListener::Unix(UnixListener::from_std(socket)?),
        };
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
        // Closing the socket would reset what waits in its queue.
        let shared = Arc::clone(&settings.borrow());
        while let Some(permit) = shared.permits.try_take() {
            match accept_waiting(&listener) {
                Some(Ok((socket, peer))) => serve((socket, peer, permit)),
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

#[derive(Debug)]
enum Permit {
    Served(OwnedSemaphorePermit),
    Spare(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit),
}

type Accepted = (Socket, Option<SocketAddr>, Permit);

async fn accept(
    listener: &AsyncListener,
    settings: &watch::Receiver<Arc<Shared>>,
) -> std_io::Result<Accepted> {
    let permits = Arc::clone(&settings.borrow().permits);
    // Before the accept: a connection over both limits stays in the kernel's queue.
    permits.wait().await;
    let (socket, peer) = match listener {
        AsyncListener::Tcp(listener) => {
            let (socket, peer) = listener.accept().await?;
            tune(&socket)?;
            (Socket::Tcp(socket), Some(peer))
        }
        AsyncListener::Unix(listener) => (Socket::Unix(listener.accept().await?.0), None),
    };
    // Almost always at once: only another worker can have been faster.
    let permit = permits.take().await;
    Ok((socket, peer, permit))
}

/// The next connection of the kernel's queue, asked for without the event loop, which need not know of
/// it yet; `None` when there is none.
fn accept_waiting(
    listener: &AsyncListener,
) -> Option<std_io::Result<(Socket, Option<SocketAddr>)>> {
    let accepted = match listener {
        AsyncListener::Tcp(listener) => SockRef::from(listener).accept(),
        AsyncListener::Unix(listener) => SockRef::from(listener).accept(),
    };
    let socket = match accepted {
        Ok((socket, _)) => socket,
        Err(error) if error.kind() == std_io::ErrorKind::WouldBlock => return None,
        Err(error) => return Some(Err(error)),
    };
    let adopt = || {
        socket.set_nonblocking(true)?;
        match listener {
            AsyncListener::Tcp(_) => {
                let socket = TcpStream::from_std(socket.into())?;
                tune(&socket)?;
                let peer = socket.peer_addr()?;
                Ok((Socket::Tcp(socket), Some(peer)))
            }
            AsyncListener::Unix(_) => {
                let socket = UnixStream::from_std(socket.into())?;
                Ok((Socket::Unix(socket), None))
            }
        }
    };
    Some(adopt())
}

fn tune(socket: &TcpStream) -> std_io::Result<()> {
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
