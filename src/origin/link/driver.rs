//! hyper's half of an upstream connection that reads and writes, polled by the user of the connection.
//!
//! The detour: hyper expects this half to run in a task of its own, and its channels wake that task after
//! each message. Here the request that uses the connection polls both halves, so such a wake would poll a
//! whole client connection for nothing. Therefore the driver has a waker of its own. It is muted while the
//! user of the connection runs, except inside the driver itself: there a wake means that hyper or tokio
//! stopped early and wants to be polled again. The wakes that remain are those of the socket and of
//! request bodies. A client codec without tasks and channels would let us remove this.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::origin::link::socket::UpstreamSocket;
use crate::origin::link::upload::UploadBody;

type Inner = http1::Connection<TokioIo<UpstreamSocket>, UploadBody>;

/// Forwards wakes to the task that uses the connection, unless it is muted.
struct MutableWaker {
    /// Only one worker thread at a time locks it, so the lock is never contended.
    task: Mutex<Waker>,
    is_muted: AtomicBool,
}

impl Wake for MutableWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_muted.load(Relaxed) {
            self.task
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .wake_by_ref();
        }
    }
}

/// Reads and writes for a connection. Muted until the connection is in use.
pub(crate) struct Driver {
    /// Boxed: it moves between the pool, the request and the body.
    inner: Pin<Box<Inner>>,
    forwarding: Arc<MutableWaker>,
    waker: Waker,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl Driver {
    /// Wraps hyper's half.
    #[must_use]
    pub(crate) fn new(inner: Inner) -> Self {
        let forwarding = Arc::new(MutableWaker {
            task: Mutex::new(Waker::noop().clone()),
            is_muted: AtomicBool::new(true),
        });
        Self {
            inner: Box::pin(inner),
            waker: Waker::from(Arc::clone(&forwarding)),
            forwarding,
        }
    }

    /// Polls once, without registering for later wakes. Whether the connection has ended.
    pub(crate) fn poll_idle(&mut self) -> bool {
        self.mute();
        self.poll()
    }

    /// Suppresses wakes until the next use.
    pub(crate) fn mute(&self) {
        self.forwarding.is_muted.store(true, Relaxed);
    }

    /// Runs `act` on the other half with wakes suppressed, for a caller that uses the result at once.
    pub(crate) fn muted<R>(&mut self, act: impl FnOnce() -> R) -> R {
        self.mute();
        let result = act();
        self.unmute();
        result
    }

    fn unmute(&self) {
        self.forwarding.is_muted.store(false, Relaxed);
    }

    /// Begins one poll of the task of `cx`, which is woken for what happens after the poll. The caller
    /// must use the other half while it holds the [`Turn`], and before its last [`Turn::poll`] or before
    /// it returns with progress.
    pub(crate) fn turn(&mut self, cx: &Context<'_>) -> Turn<'_> {
        self.mute();
        let mut task = self
            .forwarding
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !task.will_wake(cx.waker()) {
            task.clone_from(cx.waker());
        }
        drop(task);
        Turn(self)
    }

    fn poll(&mut self) -> bool {
        let mut cx = Context::from_waker(&self.waker);
        // An error ends the connection as well; the channel of the request reports it.
        matches!(self.inner.as_mut().poll(&mut cx), Poll::Ready(_))
    }
}

/// One poll of the user of a [`Driver`]. Dropping it lets wakes through again.
#[derive(Debug)]
pub(crate) struct Turn<'a>(&'a mut Driver);

impl Turn<'_> {
    /// Reads and writes as much as possible. Whether the connection has ended.
    pub(crate) fn poll(&mut self) -> bool {
        self.0.unmute();
        let is_over = self.0.poll();
        self.0.mute();
        is_over
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.unmute();
    }
}
