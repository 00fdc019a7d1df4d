//! Wraps the I/O half of a hyper client connection (`http1::Connection`). This half is polled by the request
//! or the response body that uses the connection.
//!
//! This wrapper avoids useless polls. hyper expects the I/O half to run in its own task, and its channels
//! wake that task after each message. In this crate, the request that uses the connection polls both halves.
//! A wake after a message would therefore only poll the whole client connection once more, without effect.
//! For this reason the driver has its own waker, which is muted while the user of the connection runs. The
//! waker is not muted during a poll of the driver itself: a wake during this poll means that hyper or tokio
//! stopped early and must be polled again. The remaining wakes come from the socket and from request bodies.
//! A client codec without tasks and channels would make this wrapper unnecessary.

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

/// A waker that wakes the task that uses the connection, unless it is muted.
struct MutableWaker {
    /// The task to wake. Only one worker thread at a time locks it, so the lock is never contended.
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

/// The I/O half of a connection. Its wakes are muted until the connection is in use.
pub(crate) struct Driver {
    /// Boxed, because it moves between the pool, the request and the body.
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
    /// Wraps the I/O half of a hyper connection.
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

    /// Polls the idle connection once, with wakes muted. Returns whether the connection has ended.
    pub(crate) fn poll_idle(&mut self) -> bool {
        self.mute();
        self.poll()
    }

    /// Mutes wakes until the next use of the connection.
    pub(crate) fn mute(&self) {
        self.forwarding.is_muted.store(true, Relaxed);
    }

    /// Runs `act`, which uses the other half of the connection (the sender, the response or its body), with
    /// wakes muted. The caller must use the result at once.
    pub(crate) fn muted<R>(&mut self, act: impl FnOnce() -> R) -> R {
        self.mute();
        let result = act();
        self.unmute();
        result
    }

    fn unmute(&self) {
        self.forwarding.is_muted.store(false, Relaxed);
    }

    /// Starts one poll by the task of `cx`; events after this poll wake that task. While the caller holds the
    /// [`Turn`], messages from the other half (the sender, the response or its body) do not wake the task.
    /// Only [`Turn::poll`] handles these messages. Therefore the caller must not use the other half after its
    /// last [`Turn::poll`], unless it then returns `Ready`.
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
        // An error ends the connection too. hyper also reports the error through the channel of the response.
        matches!(self.inner.as_mut().poll(&mut cx), Poll::Ready(_))
    }
}

/// One poll by the user of a [`Driver`]. Dropping the turn unmutes the wakes.
#[derive(Debug)]
pub(crate) struct Turn<'a>(&'a mut Driver);

impl Turn<'_> {
    /// Reads and writes as much as possible. Returns whether the connection has ended.
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
