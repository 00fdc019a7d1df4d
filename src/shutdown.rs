//! The end of the process, in phases every task can watch.
//!
//! A drain is told once and never taken back; that a node is *leaving* its load balancer can be, and
//! only asks clients to connect anew. Who holds a [`Shutdown`] sees both, and is woken by both: what
//! is idle has to hear at once that it should end, before the balancer passes on more requests. The
//! process waits for its tasks by itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::Context;

use tokio::sync::watch;
use tokio::task::unconstrained;

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
        let wish = wish.max(least) as u8;
        if self.wish.swap(wish, Relaxed) != wish {
            // Wakes everybody; the phase stays as it is.
            self.phase.send_modify(|_| ());
        }
    }
}

impl Drop for Trigger {
    /// Nobody can tell anything any more, which is the last phase.
    fn drop(&mut self) {
        self.advance(Phase::Stopping);
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

    /// Waits until idle connections have to end, and says how: at once ([`Wish::LeaveNow`]), or after
    /// the request that may be on its way ([`Wish::Leave`]), because a drain has begun. Cancel-safe.
    pub async fn farewell(&mut self) -> Wish {
        loop {
            // Before the wish is looked at: a word in between must not count as heard.
            let is_draining = *self.phase.borrow_and_update() >= Phase::Draining;
            if self.wish.load(Relaxed) >= Wish::LeaveNow as u8 {
                return Wish::LeaveNow;
            }
            // An error means that the trigger is gone.
            if is_draining || self.phase.changed().await.is_err() {
                return Wish::Leave;
            }
        }
    }

    /// Wakes a task that is polled often for other reasons.
    #[must_use]
    pub fn notice(&self) -> Notice {
        let news = self.phase.clone();
        let mut waited_for = self.phase.clone();
        Notice {
            // Unconstrained: a task that has done a lot must not be sent away without being registered.
            wait: Box::pin(unconstrained(async move {
                while waited_for.changed().await.is_ok() {}
            })),
            news,
            is_registered: false,
        }
    }
}

/// Has a task woken at every word of the trigger; what the word was, the task reads by itself. Costs
/// one load per poll: the task's waker is left with the channel and stays valid until the next word,
/// because a task's waker does not change. So it must be polled by one task only.
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
    /// Has the task woken at the next word. Whether there may have been one since the last call; true
    /// at first.
    #[inline]
    pub fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        // An error means that the trigger is gone, and that nothing more is said.
        if self.is_registered && !self.news.has_changed().unwrap_or(false) {
            return false;
        }
        self.is_registered = true;
        self.news.mark_unchanged();
        // Ready only without a trigger; then it is not polled again.
        let _over = self.wait.as_mut().poll(cx);
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
    fn a_task_is_woken_once_at_every_word_however_often_it_is_polled() {
        let (trigger, shutdown) = channel();
        let mut notice = shutdown.notice();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        let words: [fn(&Trigger); 5] = [
            |trigger| trigger.ask(Wish::Leave),
            |trigger| trigger.ask(Wish::LeaveNow),
            |trigger| trigger.ask(Wish::Stay),
            |trigger| trigger.advance(Phase::Draining),
            |trigger| trigger.advance(Phase::Stopping),
        ];
        for (number, word) in words.into_iter().enumerate() {
            assert!(notice.poll(&mut cx), "word {number}");
            assert!(!notice.poll(&mut cx));
            assert_eq!(count.0.load(Relaxed), number);
            word(&trigger);
        }
        assert_eq!(count.0.load(Relaxed), words.len());
        drop(trigger);
        assert!(!notice.poll(&mut cx));
        assert_eq!(shutdown.phase(), Phase::Stopping);
    }

    #[tokio::test]
    async fn a_farewell_is_at_once_for_a_node_cut_off_and_not_for_one_that_leaves() {
        let (trigger, mut shutdown) = channel();
        trigger.ask(Wish::Leave);
        let mut other = shutdown.clone();
        let waiting = tokio::spawn(async move { other.farewell().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        trigger.ask(Wish::LeaveNow);
        assert_eq!(waiting.await.unwrap(), Wish::LeaveNow);
        trigger.ask(Wish::Stay);
        trigger.advance(Phase::Draining);
        assert_eq!(shutdown.farewell().await, Wish::Leave);
    }
}
