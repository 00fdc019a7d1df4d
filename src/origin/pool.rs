//! Idle upstream connections, kept per worker thread.
//!
//! Two requests may share a connection only if address, TLS name and scheme are the same: the
//! [`Upstream`](super::upstream::Upstream) they belong to fixes TLS name, trust and scheme, and
//! within it connections are kept apart by address. With less, a request could reach a host whose
//! certificate was never checked, or an address that has left DNS could not be retired on its own.
//!
//! A connection in the pool is not polled. Taking one out polls it once, which notices a peer that
//! has closed; an address that has left the set, or is ejected, gives none out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use crate::origin::address::{Address, AddressSet, Snapshot};
use crate::origin::driver::Driver;
use crate::origin::io::Wire;
use crate::origin::upload::UploadBody;

/// One upstream connection with a request on it, or ready for one.
pub struct Connection {
    /// Where it leads.
    pub address: Arc<Address>,
    /// Accepts requests.
    pub sender: http1::SendRequest<UploadBody>,
    /// Does the reading and writing.
    pub driver: Driver,
    /// What is known of its socket.
    pub wire: Arc<Wire>,
    /// Whether it has served a request before.
    pub is_reused: bool,
    /// Whether it must not be used again.
    pub is_last: bool,
    /// Serves every deadline of every request on this connection. It is never moved forward for a
    /// request: whoever sees it fire looks whether anything is late by then, and sets it anew.
    /// Arming a timer per request would cost more than the pool does.
    pub timer: Pin<Box<Sleep>>,
    /// Its place under `max_per_address`.
    pub permit: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("address", &self.address.socket)
            .field("is_reused", &self.is_reused)
            .finish_non_exhaustive()
    }
}

/// Limits of one upstream's idle connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most idle connections to one address on one worker.
    pub idle_per_address: usize,
    /// Longest time a connection stays idle.
    pub idle: Duration,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

struct Lane {
    address: Arc<Address>,
    idle: Vec<Idle>,
}

/// The idle connections of one upstream on this worker.
struct Lanes {
    generation: u64,
    snapshot: Arc<Snapshot>,
    lanes: Vec<Lane>,
    /// The lane used last: the newest connection is the least likely to have been closed.
    latest: usize,
    limits: Limits,
    /// Grows by one with each request, up to a ceiling; a retry takes five. So retries stay under
    /// a fifth of the requests and cannot multiply the load of a failing origin.
    retry_credit: u32,
    /// Sweeps since the last request.
    quiet_sweeps: u32,
}

/// Sweeps without a request after which an upstream without connections is forgotten.
const QUIET_SWEEPS: u32 = 3000;
const RETRY_COST: u32 = 5;
const RETRY_CREDIT_START: u32 = 500;
const RETRY_CREDIT_MOST: u32 = 1000;

/// Upstream ids are small numbers the proxy itself hands out: they need no hashing.
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
        // The table takes its bucket from the low bits and its tag from the high ones.
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

    /// Follows the address set: lanes of addresses that have left it are dropped, which closes
    /// their idle connections at once.
    fn follow(&mut self, set: &AddressSet) {
        let generation = set.generation();
        if self.generation != generation {
            self.generation = generation;
            self.snapshot = set.snapshot();
            let snapshot = &self.snapshot;
            self.lanes.retain(|lane| offers(snapshot, &lane.address));
            self.latest = 0;
        }
    }

    fn pop(&mut self, now: Instant) -> Option<Connection> {
        let lanes = self.lanes.len();
        for step in 0..lanes {
            let index = (self.latest + step) % lanes;
            let Some(lane) = self.lanes.get_mut(index) else {
                break;
            };
            if lane.idle.is_empty() || lane.address.is_ejected() {
                continue;
            }
            let Some(permit) = lane.address.reserve() else {
                continue;
            };
            let Some(idle) = lane.idle.pop() else {
                continue;
            };
            if now.saturating_duration_since(idle.since) > self.limits.idle {
                // The others in the lane are older still.
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
        if !offers(&self.snapshot, &connection.address) {
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

fn offers(snapshot: &Snapshot, address: &Arc<Address>) -> bool {
    snapshot
        .addresses()
        .iter()
        .any(|known| Arc::ptr_eq(known, address))
}

/// Takes a live idle connection of upstream `id`, newest first, and
/// counts the request towards the retries. `is_sure` asks the kernel whether
/// the peer has closed, for requests that could not be sent twice.
pub fn check_out(
    id: u64,
    set: &AddressSet,
    limits: Limits,
    now: Instant,
    is_sure: bool,
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
        connection.wire.begin(is_sure);
        if connection.driver.poll_idle()
            || !connection.sender.is_ready()
            || connection.wire.takes_no_more()
        {
            continue;
        }
        connection.is_reused = true;
        return Some(connection);
    }
}

/// Takes note that the addresses of upstream `id` may be others than at the check-out, which found no
/// connection: the first answer of DNS may have come since.
pub fn follow(id: u64, set: &AddressSet) {
    POOL.with_borrow_mut(|pool| {
        if let Some(lanes) = pool.get_mut(&id) {
            lanes.follow(set);
        }
    });
}

/// Puts a connection back that has finished its request cleanly.
pub fn check_in(id: u64, mut connection: Connection, now: Instant) {
    connection.permit = None;
    connection.driver.mute();
    if !connection.is_reused {
        connection.address.note_success();
    }
    if connection.is_last || connection.wire.takes_no_more() || connection.sender.is_closed() {
        return;
    }
    // `try_with`: a body can be dropped while its worker thread is being torn down.
    let _kept = POOL.try_with(|pool| {
        if let Ok(mut pool) = pool.try_borrow_mut()
            && let Some(lanes) = pool.get_mut(&id)
        {
            lanes.push(connection, now);
        }
    });
}

/// Whether upstream `id` may retry once more; takes the cost.
pub fn take_retry(id: u64) -> bool {
    POOL.with_borrow_mut(|pool| {
        let Some(lanes) = pool.get_mut(&id) else {
            return false;
        };
        let left = lanes.retry_credit.checked_sub(RETRY_COST);
        lanes.retry_credit = left.unwrap_or(lanes.retry_credit);
        left.is_some()
    })
}

/// Closes connections of this worker that have been idle too long. Called about once a second.
pub fn sweep(now: Instant) {
    POOL.with_borrow_mut(|pool| {
        for lanes in pool.values_mut() {
            let limit = lanes.limits.idle;
            for lane in &mut lanes.lanes {
                lane.idle
                    .retain(|idle| now.saturating_duration_since(idle.since) <= limit);
            }
            lanes.quiet_sweeps = lanes.quiet_sweeps.saturating_add(1);
        }
        // Of an upstream that a new config no longer has, nothing stays.
        pool.retain(|_, lanes| {
            lanes.quiet_sweeps < QUIET_SWEEPS
                || lanes.lanes.iter().any(|lane| !lane.idle.is_empty())
        });
    });
}

/// Idle connections of this worker.
#[must_use]
pub fn idle_connections() -> usize {
    POOL.with_borrow(|pool| {
        let lanes = pool.values().flat_map(|lanes| &lanes.lanes);
        lanes.map(|lane| lane.idle.len()).sum()
    })
}

/// Drops every idle connection of this worker, at its end.
pub fn clear() {
    POOL.with_borrow_mut(HashMap::clear);
}
