//! The shutdown of the process or of a listener, in phases that every task can watch.
//!
//! Phases only advance and are never taken back. A [`LeaveRequest`] is reversible: it only makes clients
//! reconnect while the node is draining or cannot reach OSS. A change of the phase or of the leave request
//! wakes every task that waits on a [`Shutdown`]: an idle connection must close before the load balancer
//! sends the next request over it. This module only publishes the phases; the process waits for its tasks to
//! end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::Context;

use tokio::sync::watch;
use tokio::task::unconstrained;

/// The progress of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The listener accepts connections and serves requests.
    Running,
    /// The listener accepts no new connections. Requests in flight finish, and each connection closes after
    /// its next response.
    Draining,
    /// All tasks stop immediately.
    Stopping,
}

/// Whether the clients of a listener must reconnect, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum LeaveRequest {
    /// Clients need not reconnect.
    #[default]
    None,
    /// Each connection closes after its next response.
    AfterAnswer,
    /// Each connection without a request in flight closes at once, because the next response would be an
    /// error.
    AtOnce,
}

/// The current [`LeaveRequest`], stored in an atomic.
#[derive(Debug, Default)]
struct LeaveCell(AtomicU8);

impl LeaveCell {
    #[inline]
    fn get(&self) -> LeaveRequest {
        match self.0.load(Relaxed) {
            0 => LeaveRequest::None,
            1 => LeaveRequest::AfterAnswer,
            // The value is 2, because only `raise` and `replace` write it, and both write values of the
            // enum.
            _ => LeaveRequest::AtOnce,
        }
    }

    /// Sets `request`, unless a later variant of [`LeaveRequest`] is already set.
    fn raise(&self, request: LeaveRequest) {
        self.0.fetch_max(request as u8, Relaxed);
    }

    /// Sets `request`. Returns whether the previous request was different.
    fn replace(&self, request: LeaveRequest) -> bool {
        let request = request as u8;
        self.0.swap(request, Relaxed) != request
    }
}

/// Reads the current [`LeaveRequest`] with one atomic load, for code that runs on every request. A default
/// reader always returns [`LeaveRequest::None`].
#[derive(Clone, Debug, Default)]
pub struct LeaveReader(Arc<LeaveCell>);

impl LeaveReader {
    /// Returns the current [`LeaveRequest`].
    #[inline]
    #[must_use]
    pub fn get(&self) -> LeaveRequest {
        self.0.get()
    }
}

/// Publishes the phases. Not `Clone`, because there must be only one owner.
#[derive(Debug)]
pub struct Trigger {
    phase: watch::Sender<Phase>,
    leave: Arc<LeaveCell>,
}

/// Reads the current phase and waits for later ones.
#[derive(Clone, Debug)]
pub struct Shutdown {
    phase: watch::Receiver<Phase>,
    leave: LeaveReader,
}

/// Creates a trigger, and a [`Shutdown`] that follows it.
#[must_use]
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(Phase::Running);
    let leave = Arc::new(LeaveCell::default());
    let trigger = Trigger {
        phase: sender,
        leave: Arc::clone(&leave),
    };
    let shutdown = Shutdown {
        phase: receiver,
        leave: LeaveReader(leave),
    };
    (trigger, shutdown)
}

impl Trigger {
    /// Publishes `phase`. A phase that is earlier than the current one is ignored.
    pub fn advance(&self, phase: Phase) {
        if phase > Phase::Running {
            self.leave.raise(LeaveRequest::AfterAnswer);
        }
        self.phase.send_if_modified(|now| {
            let is_later = phase > *now;
            if is_later {
                *now = phase;
            }
            is_later
        });
    }

    /// Sets the [`LeaveRequest`] for clients. During a drain, it is at least [`LeaveRequest::AfterAnswer`].
    pub fn request_leave(&self, request: LeaveRequest) {
        let least = match *self.phase.borrow() {
            Phase::Running => LeaveRequest::None,
            Phase::Draining | Phase::Stopping => LeaveRequest::AfterAnswer,
        };
        if self.leave.replace(request.max(least)) {
            // Wakes every task without changing the phase.
            self.phase.send_modify(|_| ());
        }
    }
}

impl Drop for Trigger {
    /// Publishes [`Phase::Stopping`], because nobody can publish another phase.
    fn drop(&mut self) {
        self.advance(Phase::Stopping);
    }
}

impl Shutdown {
    /// Returns the current phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Whether clients must reconnect.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leave.get() >= LeaveRequest::AfterAnswer
    }

    /// Returns a reader of the [`LeaveRequest`].
    #[must_use]
    pub fn leave_reader(&self) -> LeaveReader {
        self.leave.clone()
    }

    /// Waits for `phase` or a later one. Returns at once if the trigger was dropped. Cancel-safe.
    pub async fn reached(&mut self, phase: Phase) {
        // An error means that the trigger was dropped, which also ends the wait.
        drop(self.phase.wait_for(|now| *now >= phase).await);
    }

    /// Waits until idle connections must close. Returns [`LeaveRequest::AtOnce`] if they must close at
    /// once. Returns [`LeaveRequest::AfterAnswer`] when a drain begins, because a client may already have
    /// sent one more request. Cancel-safe.
    pub async fn idle_must_leave(&mut self) -> LeaveRequest {
        loop {
            // The phase is marked as seen before the leave request is read. A change between these two
            // steps therefore wakes the loop again.
            let is_draining = *self.phase.borrow_and_update() >= Phase::Draining;
            if self.leave.get() == LeaveRequest::AtOnce {
                return LeaveRequest::AtOnce;
            }
            // An error means that the trigger was dropped.
            if is_draining || self.phase.changed().await.is_err() {
                return LeaveRequest::AfterAnswer;
            }
        }
    }

    /// Returns a notifier for a task that is polled often anyway, such as the task of a connection.
    #[must_use]
    pub fn notice(&self) -> Notice {
        let changes = self.phase.clone();
        let mut waited_for = self.phase.clone();
        Notice {
            // Unconstrained, because the waker must be registered even if the task has used up tokio's
            // budget.
            wait: Box::pin(unconstrained(async move {
                while waited_for.changed().await.is_ok() {}
            })),
            changes,
            is_registered: false,
        }
    }
}

/// Wakes a task when the trigger publishes a change. The notice does not contain the new state; the task
/// reads it from its [`Shutdown`].
///
/// A poll usually costs one atomic load, because the waker of the task stays registered until the next
/// change. Only one task may poll a notice: a poll from another task does not replace the registered
/// waker.
pub struct Notice {
    wait: Pin<Box<dyn Future<Output = ()> + Send>>,
    changes: watch::Receiver<Phase>,
    is_registered: bool,
}

impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notice").finish_non_exhaustive()
    }
}

impl Notice {
    /// Registers the task for the next change. Returns whether there may have been a change since the last
    /// call. Always true on the first call.
    #[inline]
    pub fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        // An error means that the trigger was dropped, so no change follows.
        if self.is_registered && !self.changes.has_changed().unwrap_or(false) {
            return false;
        }
        self.is_registered = true;
        self.changes.mark_unchanged();
        // The future completes only after the trigger was dropped. It is not polled again after that.
        let _ready = self.wait.as_mut().poll(cx);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::{Wake, Waker};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn a_task_is_woken_once_per_change_however_often_it_is_polled() {
        let (trigger, shutdown) = channel();
        let mut notice = shutdown.notice();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        let changes: [fn(&Trigger); 5] = [
            |trigger| trigger.request_leave(LeaveRequest::AfterAnswer),
            |trigger| trigger.request_leave(LeaveRequest::AtOnce),
            |trigger| trigger.request_leave(LeaveRequest::None),
            |trigger| trigger.advance(Phase::Draining),
            |trigger| trigger.advance(Phase::Stopping),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert!(notice.poll(&mut cx), "change {number}");
            assert!(!notice.poll(&mut cx));
            assert_eq!(count.0.load(Relaxed), number);
            change(&trigger);
        }
        assert_eq!(count.0.load(Relaxed), changes.len());
        drop(trigger);
        assert!(!notice.poll(&mut cx));
        assert_eq!(shutdown.phase(), Phase::Stopping);
    }

    #[tokio::test]
    async fn idle_connections_leave_at_once_when_the_node_is_cut_off_but_not_when_it_leaves() {
        let (trigger, mut shutdown) = channel();
        trigger.request_leave(LeaveRequest::AfterAnswer);
        let mut other = shutdown.clone();
        let waiting = tokio::spawn(async move { other.idle_must_leave().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        trigger.request_leave(LeaveRequest::AtOnce);
        assert_eq!(waiting.await.unwrap(), LeaveRequest::AtOnce);
        trigger.request_leave(LeaveRequest::None);
        trigger.advance(Phase::Draining);
        assert_eq!(shutdown.idle_must_leave().await, LeaveRequest::AfterAnswer);
    }
}
