//! The end of the process, in phases every task can watch.
//!
//! A drain is told once and never taken back. Who holds a [`Shutdown`] sees the phases; the process
//! waits for its tasks by itself.

use tokio::sync::watch;

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Serving.
    Running,
    /// No new connections; running requests finish, idle connections close.
    Draining,
    /// Everything stops now.
    Stopping,
}

/// Tells the phases. Not `Clone`: one owner decides, so phases cannot run backwards.
#[derive(Debug)]
pub struct Trigger(watch::Sender<Phase>);

/// Sees the phases.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Phase>);

/// A trigger and what it triggers.
#[must_use]
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(Phase::Running);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Goes on to `phase`; an earlier phase is ignored.
    pub fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let is_later = phase > *now;
            if is_later {
                *now = phase;
            }
            is_later
        });
    }
}

impl Shutdown {
    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits for `phase` or a later one. Cancel-safe. A dropped trigger is the last phase.
    pub async fn reached(&mut self, phase: Phase) {
        // An error means that the trigger is gone, which ends the wait just as well.
        drop(self.0.wait_for(|now| *now >= phase).await);
    }
}
