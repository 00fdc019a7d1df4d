//! A counter of failures that many clients may cause. Only some of them are logged.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The minimum time between two log entries of one counter. A scanner, or a load balancer with a wrong
/// setting, can cause a failure with every connection.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The number of failures of one kind, and the time of the last log entry about them.
#[derive(Debug, Default)]
pub(super) struct Noted {
    count: AtomicU64,
    logged: Mutex<Option<Instant>>,
}

impl Noted {
    /// Returns the number of failures so far.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// Counts a failure at the time `now`. Returns the number of failures so far if the failure should be
    /// logged, otherwise `None`.
    pub(super) fn note(&self, now: Instant) -> Option<u64> {
        let so_far = self.count.fetch_add(1, Relaxed) + 1;
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = logged.is_none_or(|last| now.saturating_duration_since(last) >= LOG_EVERY);
        if is_due {
            *logged = Some(now);
        }
        is_due.then_some(so_far)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_failures_are_counted_and_one_a_minute_is_logged() {
        let noted = Noted::default();
        let begin = Instant::now();
        for (after, expected) in [
            (0, Some(1)),
            (0, None),
            (59_999, None),
            (60_000, Some(4)),
            (60_001, None),
            (120_000, Some(6)),
        ] {
            let now = begin + Duration::from_millis(after);
            assert_eq!(noted.note(now), expected, "{after} ms");
        }
        assert_eq!(noted.count(), 6);
    }
}
