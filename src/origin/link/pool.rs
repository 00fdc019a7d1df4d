//! Idle upstream connections, kept per worker thread.
//!
//! Two requests may share a connection only if the address, the TLS name, the trusted certificates and the
//! scheme are the same. The [`Host`](super::host::Host) determines the last three, and the connections of a
//! host are stored by address. If connections were shared more widely, a request could use a connection whose
//! certificate was checked for another host. Also, the connections to an address that left DNS could not be
//! closed separately.
//!
//! A connection in the pool is not polled. When a connection is taken out, it is polled once, which detects
//! whether OSS has closed it. Connections to an address that is no longer in the set, or is ejected, are not
//! used.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::origin::endpoint::address_health::Address;
use crate::origin::endpoint::addresses::AddressSet;
use crate::origin::endpoint::snapshot::Snapshot;
use crate::origin::link::connection::Connection;
use crate::origin::link::reuse::{Acceptable, Age};

/// The limits on the idle connections of one host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The maximum number of idle connections to one address on one worker.
    pub(crate) idle_per_address: usize,
    /// The maximum time that a connection stays idle.
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
    /// The index of the lane that was used last. Its newest connection is the one that OSS has least likely
    /// closed.
    latest: usize,
    limits: Limits,
    /// The credit for retries. It starts at [`RETRY_CREDIT_START`]. Each request adds 1, up to
    /// [`RETRY_CREDIT_MOST`], and each retry costs [`RETRY_COST`]. In the long run, retries therefore stay
    /// below a fifth of the requests and cannot multiply the load on a failing origin.
    retry_credit: u32,
    /// The number of calls of [`sweep`] since the last request.
    quiet_sweeps: u32,
}

/// After this number of calls of [`sweep`] without a request, a host without idle connections is removed.
const QUIET_SWEEPS: u32 = 3000;
const RETRY_COST: u32 = 5;
const RETRY_CREDIT_START: u32 = 500;
const RETRY_CREDIT_MOST: u32 = 1000;

/// Hashes the ids of hosts. These are small numbers assigned by the proxy, so no real hashing is necessary.
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
        // The hash table uses the low bits to select a slot and the high bits as a tag, so both contain the
        // id.
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

    /// Applies changes of the address set. Lanes of removed addresses are dropped, which closes their idle
    /// connections at once.
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

    /// Takes the newest usable idle connection. Connections to an address that is leaving DNS are not used
    /// while another address is healthy, so that requests move to the addresses that DNS still returns.
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

/// Takes an open idle connection of host `id`, preferably the newest, and adds the request to the retry
/// credit.
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

/// Applies changes of the address set of host `id`. Called after [`check_out`] found no connection and a new
/// one was opened. The first DNS answer may have arrived in the meantime; without this call, connections to
/// its addresses could not be kept.
pub(crate) fn follow(id: u64, set: &AddressSet) {
    POOL.with_borrow_mut(|pool| {
        if let Some(lanes) = pool.get_mut(&id) {
            lanes.follow(set);
        }
    });
}

/// Returns a connection to the pool after a complete exchange. The connection is closed instead if it cannot
/// be used again, if its address has left the set, or if the maximum number of idle connections is reached.
pub(crate) fn check_in(id: u64, mut connection: Connection, now: Instant) {
    connection.permit = None;
    connection.driver.mute();
    if connection.age == Age::Fresh {
        connection.address.note_success();
    }
    if connection.is_last || connection.socket.is_write_closed() || connection.sender.is_closed() {
        return;
    }
    // `try_with` does not panic if a body is dropped while its worker thread exits and the pool is already
    // gone.
    let _kept = POOL.try_with(|pool| {
        if let Ok(mut pool) = pool.try_borrow_mut()
            && let Some(lanes) = pool.get_mut(&id)
        {
            lanes.push(connection, now);
        }
    });
}

/// Whether the retry credit of host `id` is sufficient for one more retry.
pub(crate) fn has_retry_budget(id: u64) -> bool {
    POOL.with_borrow(|pool| {
        pool.get(&id)
            .is_some_and(|lanes| lanes.retry_credit >= RETRY_COST)
    })
}

/// Takes the cost of one retry from the credit of host `id`. If the credit is too low, leaves it unchanged
/// and returns false.
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
        // An entry is removed after some time without requests, so that hosts of an old config are not kept
        // for ever.
        pool.retain(|_, lanes| {
            lanes.quiet_sweeps < QUIET_SWEEPS
                || lanes.lanes.iter().any(|lane| !lane.idle.is_empty())
        });
    });
}

/// Returns the number of idle connections of this worker.
#[must_use]
pub(crate) fn idle_connections() -> usize {
    POOL.with_borrow(|pool| {
        let lanes = pool.values().flat_map(|lanes| &lanes.lanes);
        lanes.map(|lane| lane.idle.len()).sum()
    })
}

/// Closes all idle connections of this worker. Called when the worker ends.
pub(crate) fn clear() {
    POOL.with_borrow_mut(HashMap::clear);
}
