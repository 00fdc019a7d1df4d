//! The tier in use, and the rules for moving away from it and for trying a better one. The module knows no
//! hosts and does no I/O.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// How long connects to a tier must fail before traffic moves to another tier. This is longer than an
/// endpoint takes to move to new addresses, and shorter than one connect timeout.
pub(super) const FAILING: Duration = Duration::from_millis(500);
/// The pause between a move to a worse tier and a trial of the better tiers, and between two trials. It
/// doubles with each failed trial, and with each return to a better tier that did not last.
const TRIAL_PAUSE: Duration = Duration::from_secs(2);
/// The maximum pause after failed trials. It is short enough that the end of an outage is noticed soon, and
/// long enough that a long outage does not fill the log.
const FAILED_TRIAL_PAUSE: Duration = Duration::from_secs(10);
/// The maximum pause before the next trial if the last return to a better tier ended within [`LASTING`]. The
/// pause and the trial together take less than a minute.
const SHORT_RETURN_PAUSE: Duration = Duration::from_secs(30);
/// The minimum time on a better tier before a return counts as lasting.
pub(super) const LASTING: Duration = Duration::from_secs(60);
/// The time after which another trial may start although the last one has not reported its end. The worker
/// that ran the last one may have stopped.
const TRIAL_LIMIT: Duration = Duration::from_secs(45);

/// The direction of a change of the tier in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Traffic moves to a worse tier.
    Away,
    /// Traffic returns to a better tier.
    Back,
}

/// The tier in use, shared by all workers. Tier 0 is the best. Times are in milliseconds since `born`.
#[derive(Debug)]
pub(super) struct TierState {
    active: AtomicUsize,
    born: Instant,
    /// The start of the current series of failed connects to the active tier; 0 if there is none.
    failing_since: AtomicU64,
    next_trial: AtomicU64,
    returned: AtomicU64,
    /// The number of consecutive returns to a better tier that did not last.
    short_returns: AtomicU32,
    /// The number of consecutive failed trials.
    failed_trials: AtomicU32,
}

impl TierState {
    /// Creates the state with tier 0 in use since `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            active: AtomicUsize::new(0),
            born: now,
            failing_since: AtomicU64::new(0),
            next_trial: AtomicU64::new(0),
            returned: AtomicU64::new(0),
            short_returns: AtomicU32::new(0),
            failed_trials: AtomicU32::new(0),
        }
    }

    /// Returns the tier in use.
    pub(super) fn active(&self) -> usize {
        self.active.load(Relaxed)
    }

    fn millis(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.born))
    }

    /// Records that no address of the active tier accepts connections. The failure began at `began` or
    /// earlier.
    pub(super) fn note_unreachable(&self, began: Instant) {
        let began = self.millis(began).max(1);
        // Only the first failure of a series sets the time. A later failure must not restart the
        // measurement.
        let _previous = self
            .failing_since
            .compare_exchange(0, began, Relaxed, Relaxed);
    }

    /// Records a successful connect to the active tier.
    pub(super) fn note_reachable(&self) {
        if self.failing_since.load(Relaxed) != 0 {
            self.failing_since.store(0, Relaxed);
        }
    }

    /// Whether connects to the active tier have failed for at least [`FAILING`].
    pub(super) fn is_failing(&self, now: Instant) -> bool {
        let since = self.failing_since.load(Relaxed);
        since != 0 && self.millis(now).saturating_sub(since) >= millis(FAILING)
    }

    /// Changes the tier in use. Returns `None` if another request has already changed it.
    pub(super) fn change(&self, from: usize, to: usize, now: Instant) -> Option<Move> {
        self.active
            .compare_exchange(from, to, Relaxed, Relaxed)
            .ok()?;
        self.failing_since.store(0, Relaxed);
        self.failed_trials.store(0, Relaxed);
        if to < from {
            self.returned.store(self.millis(now).max(1), Relaxed);
            return Some(Move::Back);
        }
        let returned = self.returned.load(Relaxed);
        let lasted = self.millis(now).saturating_sub(returned);
        if returned != 0 && lasted < millis(LASTING) {
            self.short_returns.fetch_add(1, Relaxed);
        } else {
            self.short_returns.store(0, Relaxed);
        }
        self.next_trial
            .store(self.millis(now + self.pause()), Relaxed);
        Some(Move::Away)
    }

    /// Returns the pause before the next trial.
    pub(super) fn pause(&self) -> Duration {
        let doubled = |times: &AtomicU32, longest| {
            let factor = 1 << times.load(Relaxed).min(8);
            TRIAL_PAUSE.saturating_mul(factor).min(longest)
        };
        let failed = doubled(&self.failed_trials, FAILED_TRIAL_PAUSE);
        failed.max(doubled(&self.short_returns, SHORT_RETURN_PAUSE))
    }

    /// Returns whether a trial is due. If so, the caller must run it; no other caller gets true for the
    /// same trial.
    pub(super) fn takes_trial(&self, now: Instant) -> bool {
        let due = self.next_trial.load(Relaxed);
        let limit = self.millis(now + TRIAL_LIMIT);
        self.millis(now) >= due
            && self
                .next_trial
                .compare_exchange(due, limit, Relaxed, Relaxed)
                .is_ok()
    }

    /// Records the end of a trial and sets the time of the next one.
    pub(super) fn end_trial(&self, has_returned: bool, now: Instant) {
        if !has_returned {
            self.failed_trials.fetch_add(1, Relaxed);
        }
        self.next_trial
            .store(self.millis(now + self.pause()), Relaxed);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
