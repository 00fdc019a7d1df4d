//! What a client says on an HTTP/2 connection that is part of no request.
//!
//! PING, SETTINGS, PRIORITY, WINDOW_UPDATE and empty DATA frames are work for the proxy and cost a
//! client nothing (CVE-2019-9511 to CVE-2019-9518); h2 limits few of them. So bytes read are held against
//! what they were good for: each request, each piece of a body sent or taken earns some. A client
//! that uses up its balance is cut off. No frame is looked at, so kinds that are yet to come count, too.

use crate::http::activity::Activity;

/// What a connection begins with, and what [`REFILL`] fills it up to: a burst of requests that are
/// refused because the client does not know the limit yet.
const START: i64 = 512 * 1024;
/// Back with each tick: a client may well ping now and then.
const REFILL: i64 = 64 * 1024;
/// Most that is saved up.
const MOST: i64 = 4 * 1024 * 1024;
/// Most between two ticks for bodies that were refused while they were on their way.
const REFUSED: i64 = 4 * 1024 * 1024;
/// While a body is open, its bytes may have been read and not yet have been handed on: as many as the
/// connection's window holds, in frames of some length.
const UNDER_WAY: i64 = 3 * 1024 * 1024;

/// One connection's balance, in bytes.
#[derive(Debug)]
pub struct Chatter {
    balance: i64,
    read: u64,
    earned: u64,
    granted: u64,
    /// What is left of [`REFUSED`].
    grants: i64,
}

impl Default for Chatter {
    fn default() -> Self {
        Self {
            balance: START,
            read: 0,
            earned: 0,
            granted: 0,
            grants: REFUSED,
        }
    }
}

impl Chatter {
    /// Whether the client has said too much.
    pub fn is_too_much(&mut self, activity: &Activity) -> bool {
        let grown = |before: &mut u64, now: u64| {
            let grown = now.wrapping_sub(std::mem::replace(before, now));
            i64::try_from(grown).unwrap_or(i64::MAX)
        };
        let granted = grown(&mut self.granted, activity.granted()).min(self.grants);
        self.grants -= granted;
        self.balance = self
            .balance
            .saturating_add(grown(&mut self.earned, activity.earned()))
            .saturating_add(granted)
            .saturating_sub(grown(&mut self.read, activity.read()))
            .min(MOST);
        let least = if activity.has_open_body() {
            -UNDER_WAY
        } else {
            0
        };
        self.balance < least
    }

    /// Called about once a second.
    pub fn tick(&mut self) {
        let filled = self.balance.saturating_add(REFILL).min(START);
        self.balance = self.balance.max(filled);
        self.grants = REFUSED;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_needs_to_be_earned_above_a_trickle() {
        let (activity, mut chatter) = (Activity::default(), Chatter::default());
        for _ in 0..1000 {
            activity.note_read(60_000);
            assert!(!chatter.is_too_much(&activity), "a trickle");
            chatter.tick();
        }
        for _ in 0..100 {
            activity.note_read(1_000_000);
            activity.earn(1_000_000);
            assert!(!chatter.is_too_much(&activity), "a body");
        }
        activity.note_read(500_000);
        assert!(!chatter.is_too_much(&activity));
        activity.note_read(500_000);
        assert!(chatter.is_too_much(&activity), "nothing earned");
    }

    #[test]
    fn what_was_earned_is_not_saved_up() {
        let (activity, mut chatter) = (Activity::default(), Chatter::default());
        activity.earn(1 << 40);
        assert!(!chatter.is_too_much(&activity));
        activity.note_read(5_000_000);
        assert!(chatter.is_too_much(&activity));
    }

    #[test]
    fn refused_bodies_are_forgiven_up_to_a_bound() {
        let (activity, mut chatter) = (Activity::default(), Chatter::default());
        let refuse = |chatter: &mut Chatter| {
            activity.open_body();
            activity.note_read(512 * 1024);
            activity.close_body(512 * 1024);
            chatter.is_too_much(&activity)
        };
        for _ in 0..3 {
            assert!((0..8).all(|_| !refuse(&mut chatter)));
            chatter.tick();
        }
        assert!((0..10).any(|_| refuse(&mut chatter)));
    }

    #[test]
    fn an_open_body_may_be_under_way() {
        let (activity, mut chatter) = (Activity::default(), Chatter::default());
        activity.open_body();
        activity.note_read(2_500_000);
        assert!(!chatter.is_too_much(&activity));
        activity.earn(2_500_000);
        activity.close_body(0);
        assert!(!chatter.is_too_much(&activity));
        activity.open_body();
        activity.note_read(4_000_000);
        assert!(chatter.is_too_much(&activity));
    }
}
