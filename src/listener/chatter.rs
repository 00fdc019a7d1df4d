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
/// Most at a tick: more than one connection may have on its way in bodies, which are paid when their
/// request begins.
const MOST: i64 = 4 * 1024 * 1024;

/// One connection's balance, in bytes.
#[derive(Debug)]
pub struct Chatter {
    balance: i64,
    read: u64,
    earned: u64,
}

impl Default for Chatter {
    fn default() -> Self {
        Self {
            balance: START,
            read: 0,
            earned: 0,
        }
    }
}

impl Chatter {
    /// Whether the client has said too much.
    pub fn is_too_much(&mut self, activity: &Activity) -> bool {
        let read = std::mem::replace(&mut self.read, activity.read());
        let earned = std::mem::replace(&mut self.earned, activity.earned());
        let since = |now: u64, before| i64::try_from(now.wrapping_sub(before)).unwrap_or(i64::MAX);
        self.balance = self
            .balance
            .saturating_add(since(self.earned, earned))
            .saturating_sub(since(self.read, read));
        self.balance < 0
    }

    /// Called about once a second.
    pub fn tick(&mut self) {
        let filled = self.balance.saturating_add(REFILL).min(START);
        self.balance = self.balance.max(filled).min(MOST);
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
        chatter.tick();
        activity.note_read(5_000_000);
        assert!(chatter.is_too_much(&activity));
    }
}
