//! The shutdown of the process or of a listener, in phases that every task can watch.
//!
//! A phase is published once and never taken back. A [`LeaveRequest`] can be taken back: it only makes
//! clients connect anew, while the node leaves its load balancer. Both wake every holder of a
//! [`Shutdown`], because an idle connection has to close before the load balancer sends the next
//! request over it. This module does not wait for tasks to end; the process does that.

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
    /// Serving.
    Running,
    /// No new connections are accepted. Requests in flight finish; connections close after their next
    /// answer.
    Draining,
    /// Everything stops now.
    Stopping,
}

/// Whether the clients of a listener have to connect anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum LeaveRequest {
    /// No.
    #[default]
    None,
    /// After their next answer.
    AfterAnswer,
    /// At once, if no request is in flight: the next answer would be a failure.
    AtOnce,
}

/// The current [`LeaveRequest`] in shared memory.
#[derive(Debug, Default)]
struct LeaveCell(AtomicU8);

impl LeaveCell {
    #[inline]
    fn get(&self) -> LeaveRequest {
        match self.0.load(Relaxed) {
            0 => LeaveRequest::None,
            1 => LeaveRequest::AfterAnswer,
            // Only `raise` and `replace` write here, from a value of the enum.
            _ => LeaveRequest::AtOnce,
        }
    }

    /// Sets `request`, unless a stronger one is set.
    fn raise(&self, request: LeaveRequest) {
        self.0.fetch_max(request as u8, Relaxed);
    }

    /// Sets `request`. Returns whether another one was set before.
    fn replace(&self, request: LeaveRequest) -> bool {
        let request = request as u8;
        self.0.swap(request, Relaxed) != request
    }
}

/// Reads the current [`LeaveRequest`]: one load, for code that runs per request. The default always
/// reads [`LeaveRequest::None`].
#[derive(Clone, Debug, Default)]
pub struct LeaveReader(Arc<LeaveCell>);

impl LeaveReader {
    /// Returns the current request.
    #[inline]
    #[must_use]
    pub fn get(&self) -> LeaveRequest {
        self.0.get()
    }
}

/// Publishes the phases. Not `Clone`: there is one owner, so that phases cannot go backwards.
#[derive(Debug)]
pub struct Trigger {
    phase: watch::Sender<Phase>,
    leave: Arc<LeaveCell>,
}

/// Watches the phases.
#[derive(Clone, Debug)]
pub struct Shutdown {
    phase: watch::Receiver<Phase>,
    leave: LeaveReader,
}

/// Creates a trigger and the shutdown that it triggers.
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
    /// Goes on to `phase`. An earlier phase than the current one is ignored.
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

    /// Sets the [`LeaveRequest`] for clients. While the listener drains, it is at least
    /// [`LeaveRequest::AfterAnswer`].
    pub fn request_leave(&self, request: LeaveRequest) {
        let least = match *self.phase.borrow() {
            Phase::Running => LeaveRequest::None,
            Phase::Draining | Phase::Stopping => LeaveRequest::AfterAnswer,
        };
        if self.leave.replace(request.max(least)) {
            // Wakes every task; the phase stays as it is.
            self.phase.send_modify(|_| ());
        }
    }
}

impl Drop for Trigger {
    /// Advances to the last phase, because no later one can be published.
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

    /// Whether clients have to connect anew.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leave.get() >= LeaveRequest::AfterAnswer
    }

    /// Returns a reader of the [`LeaveRequest`].
    #[must_use]
    pub fn leave_reader(&self) -> LeaveReader {
        self.leave.clone()
    }

    /// Waits for `phase` or a later one. Cancel-safe. A dropped trigger counts as the last phase.
    pub async fn reached(&mut self, phase: Phase) {
        // An error means that the trigger is gone, which ends the wait as well.
        drop(self.phase.wait_for(|now| *now >= phase).await);
    }

    /// Waits until idle connections have to close. Returns [`LeaveRequest::AtOnce`], or
    /// [`LeaveRequest::AfterAnswer`] when a drain has begun: then one more request may be on its way.
    /// Cancel-safe.
    pub async fn idle_must_leave(&mut self) -> LeaveRequest {
        loop {
            // The phase is marked as seen before the request is read, so that a change between the two
            // wakes the loop again.
            let is_draining = *self.phase.borrow_and_update() >= Phase::Draining;
            if self.leave.get() == LeaveRequest::AtOnce {
                return LeaveRequest::AtOnce;
            }
            // An error means that the trigger is gone.
            if is_draining || self.phase.changed().await.is_err() {
                return LeaveRequest::AfterAnswer;
            }
        }
    }

    /// Returns a waker for a task that is polled often for other reasons.
    #[must_use]
    pub fn notice(&self) -> Notice {
        let changes = self.phase.clone();
        let mut waited_for = self.phase.clone();
        Notice {
            // Unconstrained: a task that has used up tokio's budget must still be registered.
            wait: Box::pin(unconstrained(async move {
                while waited_for.changed().await.is_ok() {}
            })),
            changes,
            is_registered: false,
        }
    }
}

/// Wakes a task at every change that the trigger publishes; the task then reads the new state itself.
/// Costs one load per poll: the task's waker stays registered with the channel until the next change,
/// because a task's waker does not change. It must therefore be polled by one task only.
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
    /// Registers the task for the next change. Returns whether there may have been a change since the
    /// last call; true on the first call.
    #[inline]
    pub fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        // An error means that the trigger is gone, and that no change follows.
        if self.is_registered && !self.changes.has_changed().unwrap_or(false) {
            return false;
        }
        self.is_registered = true;
        self.changes.mark_unchanged();
        // Ready only without a trigger; then it is not polled again.
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
