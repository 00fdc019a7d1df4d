//! hyper's half of an upstream connection, polled by whoever uses the connection.
//!
//! The channels between the halves of a hyper connection wake the task that polls it, though that
//! task is the one that has just moved them and will look by itself. Each such wake would poll a
//! whole client connection for nothing. So a driver is polled with a waker of its own, which is
//! muted while its user is running, except inside the driver: there a wake means that hyper or tokio
//! stopped early and wants to be polled again. What else remains are the wakes of the socket and of
//! request bodies.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::origin::io::UpstreamIo;
use crate::origin::upload::UploadBody;

type Inner = http1::Connection<TokioIo<UpstreamIo>, UploadBody>;

/// Passes wakes on to the task that uses the connection, unless muted.
struct Bell {
    /// Locked by one worker thread at a time, so never contended.
    task: Mutex<Waker>,
    is_muted: AtomicBool,
}

impl Wake for Bell {
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

/// Does a connection's reading and writing. Muted until somebody uses it.
pub struct Driver {
    /// Boxed: it moves between the pool, the request and the body.
    inner: Pin<Box<Inner>>,
    bell: Arc<Bell>,
    waker: Waker,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl Driver {
    /// Takes hyper's half.
    #[must_use]
    pub fn new(inner: Inner) -> Self {
        let bell = Arc::new(Bell {
            task: Mutex::new(Waker::noop().clone()),
            is_muted: AtomicBool::new(true),
        });
        Self {
            inner: Box::pin(inner),
            waker: Waker::from(Arc::clone(&bell)),
            bell,
        }
    }

    /// Polls once; whether the connection is over. Nobody is woken for what happens later.
    pub fn poll_idle(&mut self) -> bool {
        self.mute();
        self.poll()
    }

    /// No wakes until the next use.
    pub fn mute(&self) {
        self.bell.is_muted.store(true, Relaxed);
    }

    /// Does something to the other half whose result is used at once, so that the wakes it makes
    /// are for nothing.
    pub fn muted<R>(&mut self, act: impl FnOnce() -> R) -> R {
        self.mute();
        let result = act();
        self.unmute();
        result
    }

    fn unmute(&self) {
        self.bell.is_muted.store(false, Relaxed);
    }

    /// For the length of one poll of the task of `cx`, which is woken for what happens after it. What
    /// is done to the other half must be done while this is held and before the last
    /// [`Turn::poll`] or a return with progress.
    pub fn turn(&mut self, cx: &Context<'_>) -> Turn<'_> {
        self.mute();
        let mut task = self
            .bell
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
        // An error ends the connection just as well; the request's own channel tells it.
        matches!(self.inner.as_mut().poll(&mut cx), Poll::Ready(_))
    }
}

/// The right to poll a [`Driver`] without being woken for it.
#[derive(Debug)]
pub struct Turn<'a>(&'a mut Driver);

impl Turn<'_> {
    /// Reads and writes what can be; whether the connection is over.
    pub fn poll(&mut self) -> bool {
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
