//! Which tier is in use, and when to leave it or to try a better one. No hosts and no I/O.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// How long connects to a tier must fail before it is left: longer than an endpoint takes to move to new
/// addresses, shorter than one connect timeout.
pub(super) const FAILING: Duration = Duration::from_millis(500);
/// The pause before a trial of the better tiers, after a move or after another trial. It doubles with each
/// trial that fails, and with each return that did not last.
const TRIAL_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause after failed trials: short enough to notice the end of an outage soon, long enough
/// not to fill the log during a long one.
const FAILED_TRIAL_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause after returns that did not last. Together with a trial it stays below a minute.
const SHORT_RETURN_PAUSE: Duration = Duration::from_secs(30);
/// A return followed by another move within this time did not last.
pub(super) const LASTING: Duration = Duration::from_secs(60);
/// After this time another trial may start although the last one has not ended: its worker may have
/// stopped.
const TRIAL_LIMIT: Duration = Duration::from_secs(45);

/// A change of the tier in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// To a tier further down.
    Away,
    /// To a better tier.
    Back,
}

/// The tier in use, shared by all workers. Tier 0 is the best. Times are in milliseconds since `born`.
#[derive(Debug)]
pub(super) struct TierState {
    active: AtomicUsize,
    born: Instant,
    /// 0: connects to the active tier do not fail.
    failing_since: AtomicU64,
    next_trial: AtomicU64,
    returned: AtomicU64,
    /// Returns in a row that did not last.
    short_returns: AtomicU32,
    /// Trials in a row that failed.
    failed_trials: AtomicU32,
}

impl TierState {
    /// Tier 0 is in use, since `now`.
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

    /// The tier in use.
    pub(super) fn active(&self) -> usize {
        self.active.load(Relaxed)
    }

    fn millis(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.born))
    }

    /// Records that no address of the active tier accepted a connection, since `began` at the latest.
    pub(super) fn note_unreachable(&self, began: Instant) {
        let began = self.millis(began).max(1);
        // The first failure in a row stays: a later one must not restart the clock.
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

    /// Whether the active tier has been failing long enough to be left.
    pub(super) fn is_failing(&self, now: Instant) -> bool {
        let since = self.failing_since.load(Relaxed);
        since != 0 && self.millis(now).saturating_sub(since) >= millis(FAILING)
    }

    /// Changes the tier in use; `None` when another request has already changed it.
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

    /// The pause before the next trial.
    pub(super) fn pause(&self) -> Duration {
        let doubled = |times: &AtomicU32, longest| {
            let factor = 1 << times.load(Relaxed).min(8);
            TRIAL_PAUSE.saturating_mul(factor).min(longest)
        };
        let failed = doubled(&self.failed_trials, FAILED_TRIAL_PAUSE);
        failed.max(doubled(&self.short_returns, SHORT_RETURN_PAUSE))
    }

    /// Whether a trial is due; then the caller has to run it, and no other caller does.
    pub(super) fn takes_trial(&self, now: Instant) -> bool {
        let due = self.next_trial.load(Relaxed);
        let limit = self.millis(now + TRIAL_LIMIT);
        self.millis(now) >= due
            && self
                .next_trial
                .compare_exchange(due, limit, Relaxed, Relaxed)
                .is_ok()
    }

    /// Ends a trial and sets the time of the next one.
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
