//! Idle upstream connections, kept per worker thread.
//!
//! Two requests may share a connection only when address, TLS name, trust and scheme are the same. The
//! [`Host`](super::host::Host) fixes TLS name, trust and scheme, and within a host connections are kept
//! apart by address. With a weaker key a request could reach a host whose certificate was never checked,
//! or an address that has left DNS could not be retired on its own.
//!
//! A connection in the pool is not polled. Taking one out polls it once, which detects that the peer has
//! closed it. An address that has left the set, or is ejected, offers no connections.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::origin::endpoint::address_health::Address;
use crate::origin::endpoint::addresses::{AddressSet, Snapshot};
use crate::origin::link::connection::Connection;
use crate::origin::link::reuse::{Acceptable, Age};

/// Limits on the idle connections of one host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most idle connections to one address on one worker.
    pub(crate) idle_per_address: usize,
    /// The longest time a connection stays idle.
    pub(crate) idle: Duration,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// The idle connections to one address.
struct Lane {
    address: Arc<Address>,
    idle: Vec<Idle>,
}

/// The idle connections of one host on this worker.
struct Lanes {
    generation: u64,
    snapshot: Arc<Snapshot>,
    lanes: Vec<Lane>,
    /// The lane used last: its newest connection is the least likely to have been closed by OSS.
    latest: usize,
    limits: Limits,
    /// The retry budget: each request adds one, up to a ceiling, and a retry takes five. So retries stay
    /// below a fifth of the requests and cannot multiply the load on a failing origin.
    retry_credit: u32,
    /// Sweeps since the last request.
    quiet_sweeps: u32,
}

/// The number of sweeps without a request after which a host without connections is forgotten.
const QUIET_SWEEPS: u32 = 3000;
const RETRY_COST: u32 = 5;
const RETRY_CREDIT_START: u32 = 500;
const RETRY_CREDIT_MOST: u32 = 1000;

/// Hashes the ids of hosts, which are small numbers assigned by the proxy and need no real hashing.
#[derive(Clone, Copy, Default)]
struct IdHasher(u64);

type ById = BuildHasherDefault<IdHasher>;

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, id: u64) {
        // The hash table uses the low bits for the bucket and the high bits for the tag.
        self.0 = id | (id << 57);
    }
}

thread_local! {
    static POOL: RefCell<HashMap<u64, Lanes, ById>> = RefCell::default();
}

impl Lanes {
    fn new(set: &AddressSet, limits: Limits) -> Self {
        Self {
            generation: set.generation(),
            snapshot: set.snapshot(),
            lanes: Vec::new(),
            latest: 0,
            limits,
            retry_credit: RETRY_CREDIT_START,
            quiet_sweeps: 0,
        }
    }

    /// Adopts the current address set. Lanes of addresses that have left it are dropped, which closes
    /// their idle connections at once.
    fn follow(&mut self, set: &AddressSet) {
        let generation = set.generation();
        if self.generation != generation {
            self.generation = generation;
            self.snapshot = set.snapshot();
            let snapshot = &self.snapshot;
            self.lanes.retain(|lane| snapshot.contains(&lane.address));
            self.latest = 0;
        }
    }

    /// Takes the newest idle connection. Connections to an address that is leaving DNS are not used while
    /// another address is healthy: a new connection follows DNS.
    fn pop(&mut self, now: Instant) -> Option<Connection> {
        let lanes = self.lanes.len();
        for step in 0..lanes {
            let index = (self.latest + step) % lanes;
            let Some(lane) = self.lanes.get_mut(index) else {
                break;
            };
            if lane.idle.is_empty()
                || lane.address.is_ejected()
                || self.snapshot.is_leaving(&lane.address)
            {
                continue;
            }
            let Some(permit) = lane.address.reserve() else {
                continue;
            };
            let Some(idle) = lane.idle.pop() else {
                continue;
            };
            if now.saturating_duration_since(idle.since) > self.limits.idle {
                // The remaining connections of the lane are older.
                lane.idle.clear();
                continue;
            }
            let mut connection = idle.connection;
            connection.permit = permit;
            self.latest = index;
            return Some(connection);
        }
        None
    }

    fn push(&mut self, connection: Connection, now: Instant) {
        if !self.snapshot.contains(&connection.address) {
            return;
        }
        let found = self
            .lanes
            .iter()
            .position(|lane| Arc::ptr_eq(&lane.address, &connection.address));
        let index = found.unwrap_or_else(|| {
            self.lanes.push(Lane {
                address: Arc::clone(&connection.address),
                idle: Vec::new(),
            });
            self.lanes.len() - 1
        });
        if let Some(lane) = self.lanes.get_mut(index)
            && lane.idle.len() < self.limits.idle_per_address
        {
            self.latest = index;
            lane.idle.push(Idle {
                connection,
                since: now,
            });
        }
    }
}

/// Takes an open idle connection of host `id`, newest first, and adds the request to the retry budget.
pub(crate) fn check_out(
    id: u64,
    set: &AddressSet,
    limits: Limits,
    now: Instant,
    acceptable: Acceptable,
) -> Option<Connection> {
    loop {
        let popped = POOL.with_borrow_mut(|pool| {
            let lanes = pool.entry(id).or_insert_with(|| Lanes::new(set, limits));
            lanes.follow(set);
            lanes.quiet_sweeps = 0;
            lanes.retry_credit = lanes.retry_credit.saturating_add(1).min(RETRY_CREDIT_MOST);
            lanes.pop(now)
        });
        let mut connection = popped?;
        connection.socket.begin(acceptable);
        if connection.driver.poll_idle()
            || !connection.sender.is_ready()
            || connection.socket.is_write_closed()
        {
            continue;
        }
        connection.age = Age::Reused;
        return Some(connection);
    }
}

/// Adopts the current addresses of host `id` after a check-out that found no connection: the first
/// answer of DNS may have arrived since, and connections to its addresses could not be kept otherwise.
pub(crate) fn follow(id: u64, set: &AddressSet) {
    POOL.with_borrow_mut(|pool| {
        if let Some(lanes) = pool.get_mut(&id) {
            lanes.follow(set);
        }
    });
}

/// Returns a connection to the pool after a complete exchange.
pub(crate) fn check_in(id: u64, mut connection: Connection, now: Instant) {
    connection.permit = None;
    connection.driver.mute();
    if connection.age == Age::Fresh {
        connection.address.note_success();
    }
    if connection.is_last || connection.socket.is_write_closed() || connection.sender.is_closed() {
        return;
    }
    // `try_with`: a body can be dropped while its worker thread is shut down.
    let _kept = POOL.try_with(|pool| {
        if let Ok(mut pool) = pool.try_borrow_mut()
            && let Some(lanes) = pool.get_mut(&id)
        {
            lanes.push(connection, now);
        }
    });
}

/// Whether the budget of host `id` allows one more retry.
pub(crate) fn has_retry_budget(id: u64) -> bool {
    POOL.with_borrow(|pool| {
        pool.get(&id)
            .is_some_and(|lanes| lanes.retry_credit >= RETRY_COST)
    })
}

/// Takes the cost of one retry from the budget of host `id`; false, and nothing taken, when it is used up.
pub(crate) fn take_retry(id: u64) -> bool {
    POOL.with_borrow_mut(|pool| {
        let Some(lanes) = pool.get_mut(&id) else {
            return false;
        };
        let left = lanes.retry_credit.checked_sub(RETRY_COST);
        lanes.retry_credit = left.unwrap_or(lanes.retry_credit);
        left.is_some()
    })
}

/// Closes the connections of this worker that have been idle for too long. Called about once a second.
pub(crate) fn sweep(now: Instant) {
    POOL.with_borrow_mut(|pool| {
        for lanes in pool.values_mut() {
            let limit = lanes.limits.idle;
            for lane in &mut lanes.lanes {
                lane.idle
                    .retain(|idle| now.saturating_duration_since(idle.since) <= limit);
            }
            lanes.quiet_sweeps = lanes.quiet_sweeps.saturating_add(1);
        }
        // The entry of a host that a new config no longer has must not stay for ever.
        pool.retain(|_, lanes| {
            lanes.quiet_sweeps < QUIET_SWEEPS
                || lanes.lanes.iter().any(|lane| !lane.idle.is_empty())
        });
    });
}

/// The number of idle connections of this worker.
#[must_use]
pub(crate) fn idle_connections() -> usize {
    POOL.with_borrow(|pool| {
        let lanes = pool.values().flat_map(|lanes| &lanes.lanes);
        lanes.map(|lane| lane.idle.len()).sum()
    })
}

/// Closes every idle connection of this worker, at its end.
pub(crate) fn clear() {
    POOL.with_borrow_mut(HashMap::clear);
}
