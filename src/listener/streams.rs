//! Detects stalled and cancelled streams of one HTTP/2 connection.
//!
//! A client can keep the window of one stream closed and still send on the connection. So the bytes of
//! the socket do not show that the stream is stalled. Each stream therefore records whether it waits for
//! the client. On each tick of the connection, streams that have waited too long are reset; the others
//! continue.
//!
//! A client can also open streams only to cancel them (CVE-2023-44487). Each such stream costs an upstream
//! request and an upstream connection. hyper limits only streams that it has not passed to the service
//! yet. So if a client cancels more streams than a normal client would, its connection is closed.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::task::AbortHandle;

use crate::http::body::ClientStream;

/// The wait state of one stream. It is written by the stream's task and read by the connection's task;
/// both run on one worker thread.
#[derive(Debug, Default)]
pub(super) struct StreamState {
    /// Whether the client must act next: open the window of the stream, or send the request body.
    waits_for_client: AtomicBool,
    /// The number of ticks for which the stream has waited for the client.
    ticks: AtomicU32,
    task: OnceLock<Arc<OnceLock<AbortHandle>>>,
    cancelled: Arc<AtomicU32>,
}

/// A stream's flow-control window, in bytes. It bounds the memory of one upload.
pub(super) const STREAM_WINDOW: u32 = 512 * 1024;
/// The maximum number of streams that a client may cancel between two ticks. Only streams whose response
/// has not begun count.
const CANCELLED: u32 = 200;

impl ClientStream for StreamState {
    fn note_body_waiting(&self) {
        self.set_waits_for_client(true);
    }

    fn note_body_progress(&self) {
        self.set_waits_for_client(false);
    }

    fn window(&self) -> usize {
        usize::try_from(STREAM_WINDOW).unwrap_or(usize::MAX)
    }
}

impl StreamState {
    /// Records whether the client must act next. Every call counts as progress.
    pub(super) fn set_waits_for_client(&self, is: bool) {
        self.waits_for_client.store(is, Relaxed);
        self.ticks.store(0, Relaxed);
    }

    /// Records the current task as the one that runs the stream.
    pub(super) fn set_task(&self) {
        CURRENT.with_borrow(|current| {
            if let Some(current) = current {
                self.task.get_or_init(|| Arc::clone(current));
            }
        });
    }

    /// Counts a stream that the client has cancelled before the response began.
    pub(super) fn note_cancelled(&self) {
        self.cancelled
            .store(self.cancelled.load(Relaxed).saturating_add(1), Relaxed);
    }

    fn reset(&self) {
        if let Some(task) = self.task.get().and_then(|task| task.get()) {
            // Aborting the task drops hyper's half of the stream, which sends RST_STREAM.
            task.abort();
        }
    }
}

/// The streams in flight on one connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Only the worker's own thread locks this mutex, so the lock is never contended.
    all: Mutex<Vec<Arc<StreamState>>>,
    /// The number of cancelled streams since the last tick.
    cancelled: Arc<AtomicU32>,
}

impl Streams {
    /// Adds a stream.
    pub(super) fn open(&self) -> Arc<StreamState> {
        let state = Arc::new(StreamState {
            cancelled: Arc::clone(&self.cancelled),
            ..StreamState::default()
        });
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&state));
        state
    }

    /// Whether the client has cancelled more than [`CANCELLED`] streams since the last tick.
    pub(super) fn has_too_many_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed) > CANCELLED
    }

    /// Called once per tick. Resets the streams that have waited for the client for more than `limit`
    /// ticks, and returns their number.
    pub(super) fn tick(&self, limit: u32) -> usize {
        self.cancelled.store(0, Relaxed);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stalled = 0;
        all.retain(|state| {
            let is_open = Arc::strong_count(state) > 1;
            if is_open && state.waits_for_client.load(Relaxed) {
                let ticks = state.ticks.fetch_add(1, Relaxed).saturating_add(1);
                if ticks > limit {
                    state.reset();
                    stalled += 1;
                    return false;
                }
            }
            is_open
        });
        stalled
    }
}

thread_local! {
    /// The handle of the stream task that is being polled on this thread.
    static CURRENT: RefCell<Option<Arc<OnceLock<AbortHandle>>>> = const { RefCell::new(None) };
}

/// Runs hyper's HTTP/2 streams as tasks of this worker, so that each can be reset separately. hyper has
/// no other way to reset a stream from outside.
#[derive(Clone, Debug)]
pub(super) struct StreamSpawner;

impl<F> hyper::rt::Executor<F> for StreamSpawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        let handle = Arc::new(OnceLock::new());
        let task = tokio::spawn(StreamTask {
            inner: stream,
            handle: Arc::clone(&handle),
        });
        // The task runs on this thread, so it cannot start before its handle is stored here.
        handle.get_or_init(|| task.abort_handle());
    }
}

pin_project! {
    /// The task of a stream. While it is polled, [`CURRENT`] holds its handle.
    struct StreamTask<F> {
        #[pin]
        inner: F,
        handle: Arc<OnceLock<AbortHandle>>,
    }
}

impl<F: Future> Future for StreamTask<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let outer = CURRENT.replace(Some(Arc::clone(this.handle)));
        let polled = this.inner.poll(cx);
        CURRENT.replace(outer);
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_that_waits_for_the_client_too_long_is_reset_and_others_are_not() {
        let streams = Streams::default();
        let (stalled, moving) = (streams.open(), streams.open());
        stalled.set_waits_for_client(true);
        moving.set_waits_for_client(true);
        assert_eq!(streams.tick(2) + streams.tick(2), 0);
        moving.set_waits_for_client(true);
        assert_eq!(streams.tick(2), 1);
        drop(moving);
        assert_eq!(streams.tick(2), 0);
        assert_eq!(streams.all.lock().unwrap().len(), 0);
    }
}
