//! The streams of one HTTP/2 connection, as far as stalls are concerned.
//!
//! A client can leave a stream's window shut and go on talking on the connection, so what moves on
//! the socket says nothing about a stream. Each stream notes what it waits for; on the connection's
//! tick, those that have waited for their client for too long are reset, and the others go on.
//!
//! A client can also open streams only to give them up, each of which costs an upstream request and
//! its connection (CVE-2023-44487; hyper limits only those it has not handed out yet). More of that
//! than any user's client does ends the connection.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::task::AbortHandle;

use crate::http::body::ClientStream;

/// What one stream waits for. Written by the stream's task, read by its connection's; both run on
/// one worker thread.
#[derive(Debug, Default)]
pub struct StreamState {
    /// Whether the next move is the client's: it has to open its window, or to send its body.
    waits_for_client: AtomicBool,
    /// Ticks for which that has been so.
    ticks: AtomicU32,
    task: OnceLock<Arc<OnceLock<AbortHandle>>>,
    given_up: Arc<AtomicU32>,
}

/// A stream's flow-control window, in bytes: what one upload may have in memory.
pub const STREAM_WINDOW: u32 = 512 * 1024;
/// Streams a client may give up before their answers, between two ticks.
const GIVEN_UP: u32 = 200;

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
    /// The next move is, or is not, the client's; either way something has moved.
    pub fn set_waits_for_client(&self, is: bool) {
        self.waits_for_client.store(is, Relaxed);
        self.ticks.store(0, Relaxed);
    }

    /// Ties the stream to the task that runs it. Called inside that task.
    pub fn tie(&self) {
        CURRENT.with_borrow(|current| {
            if let Some(current) = current {
                self.task.get_or_init(|| Arc::clone(current));
            }
        });
    }

    /// The client has given the stream up before its answer.
    pub fn note_given_up(&self) {
        self.given_up
            .store(self.given_up.load(Relaxed).saturating_add(1), Relaxed);
    }

    fn reset(&self) {
        if let Some(task) = self.task.get().and_then(|task| task.get()) {
            // Dropping hyper's half of the stream sends RST_STREAM.
            task.abort();
        }
    }
}

/// The streams in flight on one connection.
#[derive(Debug, Default)]
pub struct Streams {
    /// Locked on the worker's own thread only, so never contended.
    all: Mutex<Vec<Arc<StreamState>>>,
    /// Since the last tick.
    given_up: Arc<AtomicU32>,
}

impl Streams {
    /// A new stream.
    pub fn open(&self) -> Arc<StreamState> {
        let state = Arc::new(StreamState {
            given_up: Arc::clone(&self.given_up),
            ..StreamState::default()
        });
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&state));
        state
    }

    /// Whether the client opens streams only to give them up.
    #[must_use]
    pub fn is_churned(&self) -> bool {
        self.given_up.load(Relaxed) > GIVEN_UP
    }

    /// Called once per tick: resets what has waited for its client for more than `limit` ticks;
    /// how many that were.
    pub fn tick(&self, limit: u32) -> usize {
        self.given_up.store(0, Relaxed);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut late = 0;
        all.retain(|state| {
            let is_open = Arc::strong_count(state) > 1;
            if is_open && state.waits_for_client.load(Relaxed) {
                let ticks = state.ticks.fetch_add(1, Relaxed).saturating_add(1);
                if ticks > limit {
                    state.reset();
                    late += 1;
                    return false;
                }
            }
            is_open
        });
        late
    }
}

thread_local! {
    /// The task being polled.
    static CURRENT: RefCell<Option<Arc<OnceLock<AbortHandle>>>> = const { RefCell::new(None) };
}

/// Runs hyper's HTTP/2 streams as tasks of this worker that can be reset one by one.
#[derive(Clone, Debug)]
pub struct StreamSpawner;

impl<F> hyper::rt::Executor<F> for StreamSpawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        let handle = Arc::new(OnceLock::new());
        let task = tokio::spawn(Tied {
            inner: stream,
            handle: Arc::clone(&handle),
        });
        // The task has not run yet: it runs on this thread.
        handle.get_or_init(|| task.abort_handle());
    }
}

pin_project! {
    /// A stream's task, which can be found while it runs.
    struct Tied<F> {
        #[pin]
        inner: F,
        handle: Arc<OnceLock<AbortHandle>>,
    }
}

impl<F: Future> Future for Tied<F> {
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
    async fn a_stream_that_waits_for_its_client_too_long_is_reset_and_others_are_not() {
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
