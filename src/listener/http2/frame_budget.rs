//! A limit on the bytes of an HTTP/2 connection that belong to no request.
//!
//! PING, SETTINGS, PRIORITY, WINDOW_UPDATE and empty DATA frames cause work for the proxy at no cost for
//! the client (CVE-2019-9511 to CVE-2019-9518); h2 limits few of them. So each byte read is subtracted
//! from a budget. Useful work adds to the budget: each request, and each piece of a body sent or
//! received. A client that has used up its budget is disconnected. Frames are not inspected, so frame
//! types that are defined later count too.

use crate::http::activity::Activity;

/// The initial budget in bytes, and the level up to which [`REFILL`] raises the budget. A client may send
/// a burst of requests before it receives the stream limit. This budget suffices for such a burst, in
/// which the requests over the limit are rejected.
const START: i64 = 512 * 1024;
/// The number of bytes added to the budget on each tick, because clients may send a PING now and then.
const REFILL: i64 = 64 * 1024;
/// The maximum budget, in bytes.
const MOST: i64 = 4 * 1024 * 1024;
/// The maximum number of bytes added to the budget between two ticks for request bodies that were
/// abandoned while their bytes were in transit.
const ABANDONED: i64 = 4 * 1024 * 1024;
/// The number of bytes by which the budget may be exceeded while a request body is open. The excess is
/// allowed because bytes of the body may have been read from the socket and not passed on yet: at most the
/// connection's window, plus the frame headers.
const BUFFERED: i64 = 3 * 1024 * 1024;

/// The budget of one connection, in bytes.
#[derive(Debug)]
pub(super) struct FrameBudget {
    balance: i64,
    /// `read`, `earned` and `granted` are the counters of [`Activity`] at the last check.
    read: u64,
    earned: u64,
    granted: u64,
    /// The part of [`ABANDONED`] that is left until the next tick.
    grants_left: i64,
}

impl Default for FrameBudget {
    fn default() -> Self {
        Self {
            balance: START,
            read: 0,
            earned: 0,
            granted: 0,
            grants_left: ABANDONED,
        }
    }
}

impl FrameBudget {
    /// Updates the budget from `activity`. Returns whether the client has exceeded the budget.
    pub(super) fn is_exceeded(&mut self, activity: &Activity) -> bool {
        let grown = |before: &mut u64, now: u64| {
            let grown = now.wrapping_sub(std::mem::replace(before, now));
            i64::try_from(grown).unwrap_or(i64::MAX)
        };
        let granted = grown(&mut self.granted, activity.granted()).min(self.grants_left);
        self.grants_left -= granted;
        self.balance = self
            .balance
            .saturating_add(grown(&mut self.earned, activity.earned()))
            .saturating_add(granted)
            .saturating_sub(grown(&mut self.read, activity.read()))
            .min(MOST);
        let least = if activity.has_open_body() {
            -BUFFERED
        } else {
            0
        };
        self.balance < least
    }

    /// Refills the budget. Called once per tick.
    pub(super) fn tick(&mut self) {
        let filled = self.balance.saturating_add(REFILL).min(START);
        self.balance = self.balance.max(filled);
        self.grants_left = ABANDONED;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_must_be_earned_except_for_a_small_amount_per_tick() {
        let (activity, mut budget) = (Activity::default(), FrameBudget::default());
        for _ in 0..1000 {
            activity.note_read(60_000);
            assert!(!budget.is_exceeded(&activity), "a small amount per tick");
            budget.tick();
        }
        for _ in 0..100 {
            activity.note_read(1_000_000);
            activity.earn(1_000_000);
            assert!(!budget.is_exceeded(&activity), "a body");
        }
        activity.note_read(500_000);
        assert!(!budget.is_exceeded(&activity));
        activity.note_read(500_000);
        assert!(budget.is_exceeded(&activity), "nothing was earned");
    }

    #[test]
    fn the_savings_of_a_client_are_bounded() {
        let (activity, mut budget) = (Activity::default(), FrameBudget::default());
        activity.earn(1 << 40);
        assert!(!budget.is_exceeded(&activity));
        activity.note_read(5_000_000);
        assert!(budget.is_exceeded(&activity));
    }

    #[test]
    fn the_grant_for_abandoned_bodies_is_bounded_per_tick() {
        let (activity, mut budget) = (Activity::default(), FrameBudget::default());
        let abandon = |budget: &mut FrameBudget| {
            activity.open_body();
            activity.note_read(512 * 1024);
            activity.close_body(512 * 1024);
            budget.is_exceeded(&activity)
        };
        for _ in 0..3 {
            assert!((0..8).all(|_| !abandon(&mut budget)));
            budget.tick();
        }
        assert!((0..10).any(|_| abandon(&mut budget)));
    }

    #[test]
    fn an_open_body_may_have_bytes_that_are_not_handed_on_yet() {
        let (activity, mut budget) = (Activity::default(), FrameBudget::default());
        activity.open_body();
        activity.note_read(2_500_000);
        assert!(!budget.is_exceeded(&activity));
        activity.earn(2_500_000);
        activity.close_body(0);
        assert!(!budget.is_exceeded(&activity));
        activity.open_body();
        activity.note_read(4_000_000);
        assert!(budget.is_exceeded(&activity));
    }
}
