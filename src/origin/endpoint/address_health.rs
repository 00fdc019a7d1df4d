//! One upstream address and its health.
//!
//! Failures eject an address for a growing time; after that, one request at a time probes it. A failed
//! connect and a connection that breaks later are told apart: an address that accepts connections and
//! then breaks them must complete an exchange before it counts as healthy.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The first ejection; it doubles with each failure in a row.
const EJECT_FIRST: Duration = Duration::from_secs(1);
/// The longest ejection: a dead address costs one probe in this time.
const EJECT_LONGEST: Duration = Duration::from_secs(60);

/// One upstream address and its health, shared by all workers.
#[derive(Debug)]
pub(crate) struct Address {
    /// Where to connect.
    pub(crate) socket: SocketAddr,
    /// Permits for requests in flight; absent without `max_per_address`.
    pub(crate) permits: Option<Arc<Semaphore>>,
    /// Failures in a row.
    failures: AtomicU32,
    /// Whether the last failure came after a successful connect. Such an address must complete an
    /// exchange before it counts as healthy.
    is_breaking: AtomicBool,
    /// The time of the first failure in the row. All times are in milliseconds since `born`.
    failing_since: AtomicU64,
    /// The time of the last failure that was counted.
    counted: AtomicU64,
    ejected_until: AtomicU64,
    /// The time of the last accepted connection; 0: never.
    connected: AtomicU64,
    born: Instant,
}

impl Address {
    pub(super) fn new(socket: SocketAddr, max_in_flight: usize, now: Instant) -> Self {
        Self {
            socket,
            permits: (max_in_flight > 0).then(|| Arc::new(Semaphore::new(max_in_flight))),
            failures: AtomicU32::new(0),
            is_breaking: AtomicBool::new(false),
            failing_since: AtomicU64::new(0),
            counted: AtomicU64::new(0),
            ejected_until: AtomicU64::new(0),
            connected: AtomicU64::new(0),
            born: now,
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }

    /// Records a failed connect.
    pub(crate) fn note_failure(&self, now: Instant, why: impl Display) {
        self.count(now, false, why);
    }

    /// Records that an exchange on a fresh connection, or a body, broke off.
    pub(crate) fn note_break(&self, now: Instant, why: impl Display) {
        self.count(now, true, why);
    }

    /// All failures within [`EJECT_FIRST`] count as one: when an address dies, all its connections fail
    /// together, and counting each would eject a busy address for the longest time at once. Only the first
    /// failure in a row is a warning in the log.
    fn count(&self, now: Instant, is_breaking: bool, why: impl Display) {
        let at = self.millis(now);
        let since = at.saturating_sub(self.counted.load(Relaxed));
        if self.is_ejected() && Duration::from_millis(since) < EJECT_FIRST {
            return;
        }
        self.counted.store(at, Relaxed);
        self.is_breaking.store(is_breaking, Relaxed);
        let failures = self.failures.fetch_add(1, Relaxed).min(16);
        let pause = EJECT_FIRST.saturating_mul(1 << failures).min(EJECT_LONGEST);
        self.ejected_until.store(self.millis(now + pause), Relaxed);
        if failures == 0 {
            self.failing_since.store(at, Relaxed);
            tracing::warn!(address = %self.socket, %why, "address fails, setting it aside");
        } else {
            tracing::debug!(address = %self.socket, %why, "address fails again");
        }
    }

    /// Records an accepted connection.
    pub(crate) fn note_connected(&self, now: Instant) {
        self.connected.store(self.millis(now).max(1), Relaxed);
        if !self.is_breaking.load(Relaxed) {
            self.note_success();
        }
    }

    /// Records a complete exchange: the address is healthy.
    pub(crate) fn note_success(&self) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
            self.ejected_until.store(0, Relaxed);
            tracing::info!(address = %self.socket, "address works again");
        }
    }

    /// Whether the address is ejected, or its ejection is over and it has not been probed yet.
    #[must_use]
    pub(crate) fn is_ejected(&self) -> bool {
        self.failures.load(Relaxed) != 0
    }

    /// Whether connects to the address fail: for longer than `patience`, or from the beginning.
    #[must_use]
    pub(crate) fn is_lost(&self, now: Instant, patience: Duration) -> bool {
        let since = self
            .millis(now)
            .saturating_sub(self.failing_since.load(Relaxed));
        let has_worked = self.connected.load(Relaxed) != 0;
        self.is_ejected()
            && !self.is_breaking.load(Relaxed)
            && !(has_worked && Duration::from_millis(since) < patience)
    }

    /// Whether the address has accepted a connection within the last `time`.
    #[must_use]
    pub(crate) fn has_connected(&self, now: Instant, time: Duration) -> bool {
        let connected = self.connected.load(Relaxed);
        let since = self.millis(now).saturating_sub(connected);
        connected != 0 && Duration::from_millis(since) < time
    }

    /// Takes a permit for one request in flight. `None` when all are taken; `Some(None)` without
    /// `max_per_address`.
    pub(crate) fn reserve(&self) -> Option<Option<OwnedSemaphorePermit>> {
        match &self.permits {
            None => Some(None),
            Some(permits) => Arc::clone(permits).try_acquire_owned().ok().map(Some),
        }
    }

    /// Whether this request may probe an ejected address: the ejection is over, and no other request
    /// took the probe within the last [`EJECT_FIRST`]. The probe is taken for a time and not by a flag,
    /// because a request can be cancelled while it probes.
    pub(super) fn takes_probe(&self, now: Instant) -> bool {
        let until = self.ejected_until.load(Relaxed);
        self.is_ejected()
            && self.millis(now) >= until
            && self
                .ejected_until
                .compare_exchange(until, self.millis(now + EJECT_FIRST), Relaxed, Relaxed)
                .is_ok()
    }
}
