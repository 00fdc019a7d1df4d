//! Limits how many events of one kind are logged, for events that clients can cause with every request.
//!
//! If a route serves all buckets that match a pattern, clients choose the host names that the proxy resolves and
//! connects to. Each name may cause an event, so thousands of invented names would hide all other events.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The length of the period to which the limit applies.
const PERIOD: Duration = Duration::from_secs(60);

/// The number of events of one kind that may be logged in a minute, and the number that were logged.
#[derive(Debug)]
pub struct EventBudget {
    limit: u32,
    // Only failures take this lock.
    state: Mutex<Option<State>>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    began: Instant,
    logged: u32,
    left_out: u64,
}

impl EventBudget {
    /// Creates a budget of `limit` events a minute.
    #[must_use]
    pub const fn new(limit: u32) -> Self {
        Self {
            limit,
            state: Mutex::new(None),
        }
    }

    /// Returns `None` if the event must not be logged. Otherwise returns the number of events that were not
    /// logged since the last logged event.
    pub fn take(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let current = state.get_or_insert(State {
            began: now,
            logged: 0,
            left_out: 0,
        });
        if now.saturating_duration_since(current.began) >= PERIOD {
            current.began = now;
            current.logged = 0;
        }
        if current.logged >= self.limit {
            current.left_out += 1;
            return None;
        }
        current.logged += 1;
        Some(std::mem::take(&mut current.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_for_each_minute_and_what_is_left_out_is_counted() {
        let budget = EventBudget::new(2);
        let start = Instant::now();
        let take = |seconds| budget.take(start + Duration::from_secs(seconds));
        assert_eq!([take(0), take(1)], [Some(0), Some(0)]);
        assert_eq!([take(2), take(59)], [None, None]);
        assert_eq!([take(60), take(61)], [Some(2), Some(0)]);
        assert_eq!([take(62), take(120)], [None, Some(1)]);
    }
}
