//! The addresses of one endpoint, derived from successive DNS answers. The module reads no clock and does no
//! I/O.
//!
//! OSS often returns only some of its addresses in one answer. An address that is missing from an answer was
//! either removed from DNS, or is in rotation: a later answer contains it again. Only later answers show
//! which of the two is the case.
//!
//! - An address that returned after an absence is in rotation. It is withdrawn after twice its longest
//!   absence, or at the time at which a leaving address would be withdrawn, whichever is later.
//! - An address that is missing for the first time is leaving: new connections prefer the other addresses at
//!   once. It is withdrawn after [`HOLD_TTLS`] TTLs or [`HOLD_LEAST`], whichever is longer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::origin::endpoint::address_health::Address;

/// The number of TTLs after which a missing address is withdrawn.
const HOLD_TTLS: u32 = 3;
/// The minimum time before a missing address is withdrawn, even if [`HOLD_TTLS`] TTLs are shorter.
const HOLD_LEAST: Duration = Duration::from_secs(10);
/// An address that no answer has contained for this time is removed from the list. If DNS returns the address
/// earlier, the length of its absence is remembered, and the address is in rotation from then on.
const MEMORY: Duration = Duration::from_secs(600);
/// The maximum number of addresses in the list. It is higher than the number of addresses of any endpoint.
const MOST: usize = 256;

/// The status of an address in the recent DNS answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// The latest answer contains the address.
    Fresh,
    /// The address is missing from the latest answer. It has already returned after an earlier absence.
    Rotating,
    /// The address is missing for the first time.
    Leaving,
    /// The address has been missing for too long, so no request may use it.
    Withdrawn,
}

/// An address and its history.
struct Member {
    address: Arc<Address>,
    standing: Standing,
    last_seen: Instant,
    /// The longest absence: the time between two answers with the address, if no answer between them
    /// contained it. It is zero if the address never returned after an absence.
    longest_gap: Duration,
}

/// The addresses of one endpoint.
#[derive(Default)]
pub(super) struct Membership {
    members: Vec<Member>,
}

impl Membership {
    /// Records an answer with these addresses and this TTL. `make` creates the entry of a new address.
    pub(super) fn answer(
        &mut self,
        sockets: &[SocketAddr],
        ttl: Duration,
        now: Instant,
        make: impl Fn(SocketAddr) -> Address,
    ) {
        let hold = ttl.saturating_mul(HOLD_TTLS).max(HOLD_LEAST);
        for member in &mut self.members {
            member.observe(sockets.contains(&member.address.socket), hold, now);
        }
        for socket in sockets {
            let is_known = |member: &Member| member.address.socket == *socket;
            if !self.members.iter().any(is_known) {
                self.members.push(Member {
                    address: Arc::new(make(*socket)),
                    standing: Standing::Fresh,
                    last_seen: now,
                    longest_gap: Duration::ZERO,
                });
            }
        }
        self.members
            .retain(|member| now.saturating_duration_since(member.last_seen) < MEMORY);
        // Sorted by standing and address, so that equal sets result in equal lists.
        self.members
            .sort_by_key(|member| (member.standing, member.address.socket));
        self.members.truncate(MOST);
    }

    /// Removes all addresses.
    pub(super) fn clear(&mut self) {
        self.members.clear();
    }

    /// Returns the addresses that may be used, in the order fresh, rotating, leaving. Each group is sorted.
    pub(super) fn usable(&self) -> impl Iterator<Item = (&Arc<Address>, Standing)> {
        self.members
            .iter()
            .map(|member| (&member.address, member.standing))
            .filter(|(_, standing)| *standing != Standing::Withdrawn)
    }
}

impl Member {
    fn observe(&mut self, is_present: bool, hold: Duration, now: Instant) {
        let missing = now.saturating_duration_since(self.last_seen);
        if is_present {
            if self.standing != Standing::Fresh {
                self.longest_gap = self.longest_gap.max(missing);
            }
            self.standing = Standing::Fresh;
            self.last_seen = now;
            return;
        }
        let is_rotating = !self.longest_gap.is_zero();
        self.standing = if missing >= hold.max(self.longest_gap * 2) {
            Standing::Withdrawn
        } else if is_rotating {
            Standing::Rotating
        } else {
            Standing::Leaving
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(last: u8) -> SocketAddr {
        SocketAddr::from(([100, 64, 0, last], 443))
    }

    struct Model {
        membership: Membership,
        start: Instant,
    }

    impl Model {
        fn new() -> Self {
            Self {
                membership: Membership::default(),
                start: Instant::now(),
            }
        }

        /// Returns the standing of each usable address after an answer at this second.
        fn answer(&mut self, second: u64, ttl: u64, lasts: &[u8]) -> Vec<(u8, Standing)> {
            let now = self.start + Duration::from_secs(second);
            let sockets: Vec<SocketAddr> = lasts.iter().copied().map(socket).collect();
            let make = |socket| Address::new(&"oss.test:80".into(), socket, 0, now);
            self.membership
                .answer(&sockets, Duration::from_secs(ttl), now, make);
            let last = |address: &Address| match address.socket.ip() {
                std::net::IpAddr::V4(ip) => ip.octets()[3],
                std::net::IpAddr::V6(_) => 0,
            };
            let usable = self.membership.usable();
            usable
                .map(|(address, standing)| (last(address), standing))
                .collect()
        }
    }

    use Standing::{Fresh, Leaving, Rotating};

    #[test]
    fn an_address_that_moves_is_leaving_at_once_and_withdrawn_after_three_ttls_or_ten_seconds() {
        // A case consists of the TTL, the seconds between two answers, and the second at which the old
        // address is withdrawn.
        for (ttl, pause, withdrawn) in [(1, 5, 10), (5, 5, 15), (60, 60, 180)] {
            let mut model = Model::new();
            assert_eq!(model.answer(0, ttl, &[1]), [(1, Fresh)]);
            let mut second = pause;
            while second < withdrawn {
                let standings = model.answer(second, ttl, &[2]);
                assert_eq!(standings, [(2, Fresh), (1, Leaving)], "TTL {ttl}, {second}");
                second += pause;
            }
            assert_eq!(model.answer(second, ttl, &[2]), [(2, Fresh)], "TTL {ttl}");
        }
    }

    #[test]
    fn addresses_in_rotation_stay() {
        let mut model = Model::new();
        for round in 0..3_u64 {
            for last in 1..=3 {
                model.answer(round * 15 + u64::from(last) * 5, 1, &[last]);
            }
        }
        for step in 10..100_u64 {
            let last = u8::try_from((step - 1) % 3 + 1).unwrap();
            let standings = model.answer(step * 5, 1, &[last]);
            assert_eq!(standings.len(), 3, "second {}: {standings:?}", step * 5);
            assert_eq!(standings[0], (last, Fresh));
            assert!(standings[1..].iter().all(|(_, one)| *one == Rotating));
        }
    }

    #[test]
    fn an_address_that_leaves_the_rotation_is_withdrawn_after_twice_its_longest_absence() {
        let mut model = Model::new();
        for (second, last) in [(0, 1), (5, 2), (10, 1), (15, 2), (20, 1)] {
            model.answer(second, 1, &[last]);
        }
        // The second address was missing for at most ten seconds, and was last seen at second 15.
        assert_eq!(model.answer(25, 1, &[1]), [(1, Fresh), (2, Rotating)]);
        assert_eq!(model.answer(34, 1, &[1]), [(1, Fresh), (2, Rotating)]);
        assert_eq!(model.answer(35, 1, &[1]), [(1, Fresh)]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut model = Model::new();
        for answer in 0..100_u64 {
            let lasts: Vec<u8> = (0..=255).collect();
            model.answer(answer, 1, &lasts);
        }
        assert!(model.membership.members.len() <= MOST);
        model.answer(2000, 1, &[7]);
        assert_eq!(
            model.membership.members.len(),
            1,
            "old addresses are removed"
        );
    }
}
