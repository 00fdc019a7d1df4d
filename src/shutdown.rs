//! The end of the process, in phases every task can watch.
//!
//! A drain is told once and never taken back; that a node is *leaving* its load balancer can be, and
//! only asks clients to connect anew. Who holds a [`Shutdown`] sees both; the process waits for its
//! tasks by itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll};

use tokio::sync::watch;

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Serving.
    Running,
    /// No new connections; running requests finish, connections close after their next answer.
    Draining,
    /// Everything stops now.
    Stopping,
}

/// What is asked of the clients of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// Nothing.
    Stay,
    /// To connect anew after their next answer.
    Leave,
    /// To connect anew at once, where nothing is under way: the next answer would be a failure.
    LeaveNow,
}

/// Tells the phases. Not `Clone`: one owner decides, so phases cannot run backwards.
#[derive(Debug)]
pub struct Trigger {
    phase: watch::Sender<Phase>,
    wish: Arc<AtomicU8>,
}

/// Sees the phases.
#[derive(Clone, Debug)]
pub struct Shutdown {
    phase: watch::Receiver<Phase>,
    wish: Arc<AtomicU8>,
}

/// A trigger and what it triggers.
#[must_use]
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(Phase::Running);
    let wish = Arc::new(AtomicU8::new(Wish::Stay as u8));
    let trigger = Trigger {
        phase: sender,
        wish: Arc::clone(&wish),
    };
    let shutdown = Shutdown {
        phase: receiver,
        wish,
    };
    (trigger, shutdown)
}

impl Trigger {
    /// Goes on to `phase`; an earlier phase is ignored.
    pub fn advance(&self, phase: Phase) {
        if phase > Phase::Running {
            self.wish.fetch_max(Wish::Leave as u8, Relaxed);
        }
        self.phase.send_if_modified(|now| {
            let is_later = phase > *now;
            if is_later {
                *now = phase;
            }
            is_later
        });
    }

    /// Asks this of clients from now on. A drain is not taken back by it.
    pub fn ask(&self, wish: Wish) {
        let least = match *self.phase.borrow() {
            Phase::Running => Wish::Stay,
            Phase::Draining | Phase::Stopping => Wish::Leave,
        };
        self.wish.store(wish.max(least) as u8, Relaxed);
    }
}

impl Shutdown {
    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Whether clients are asked to connect anew.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.wish.load(Relaxed) >= Wish::Leave as u8
    }

    /// The [`Wish`] of now, as a number.
    #[must_use]
    pub fn wish(&self) -> Arc<AtomicU8> {
        Arc::clone(&self.wish)
    }

    /// Waits for `phase` or a later one. Cancel-safe. A dropped trigger is the last phase.
    pub async fn reached(&mut self, phase: Phase) {
        // An error means that the trigger is gone, which ends the wait just as well.
        drop(self.phase.wait_for(|now| *now >= phase).await);
    }

    /// The same wait for a task that is polled often for other reasons.
    #[must_use]
    pub fn notice(&self, phase: Phase) -> Notice {
        let mut news = self.phase.clone();
        news.mark_unchanged();
        let mut shutdown = self.clone();
        Notice {
            wait: Box::pin(async move { shutdown.reached(phase).await }),
            news,
            is_registered: false,
        }
    }
}

/// A wait for a phase that costs one load per poll: the task's waker is left with the channel at the
/// first poll and stays valid, because a task's waker does not change. So it must be polled by one
/// task only.
pub struct Notice {
    wait: Pin<Box<dyn Future<Output = ()> + Send>>,
    news: watch::Receiver<Phase>,
    is_registered: bool,
}

impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notice").finish_non_exhaustive()
    }
}

impl Notice {
    /// Whether the phase is reached. Not to be polled again after that.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // An error means that the trigger is gone, which is the last phase.
        if self.is_registered && !self.news.has_changed().unwrap_or(true) {
            return Poll::Pending;
        }
        self.is_registered = true;
        self.wait.as_mut().poll(cx)
    }
}
