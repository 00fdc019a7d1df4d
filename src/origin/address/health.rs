//! One upstream address, and how it is doing.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// First ejection; doubles with each failure in a row.
const EJECT_FIRST: Duration = Duration::from_secs(1);
/// Longest ejection: a dead address costs one probe in this time.
const EJECT_LONGEST: Duration = Duration::from_secs(60);

/// One upstream address and its health, shared by all workers.
#[derive(Debug)]
pub struct Address {
    /// Where to connect.
    pub socket: SocketAddr,
    /// Places for requests in flight; absent without `max_per_address`.
    pub(crate) places: Option<Arc<Semaphore>>,
    failures: AtomicU32,
    /// Whether the last of them came after a connect: such an address has to answer before it counts
    /// as well again.
    is_breaking: AtomicBool,
    /// When the first of them was, and the last that counted. Times are in milliseconds since `born`.
    failing_since: AtomicU64,
    counted: AtomicU64,
    ejected_until: AtomicU64,
    /// When it has last accepted a connection; 0: never.
    connected: AtomicU64,
    born: Instant,
}

impl Address {
    pub(super) fn new(socket: SocketAddr, max_busy: usize, now: Instant) -> Self {
        Self {
            socket,
            places: (max_busy > 0).then(|| Arc::new(Semaphore::new(max_busy))),
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

    /// A connect failed.
    pub fn note_failure(&self, now: Instant, why: impl Display) {
        self.count(now, false, why);
    }

    /// An exchange on a fresh connection or a body broke off.
    pub fn note_break(&self, now: Instant, why: impl Display) {
        self.count(now, true, why);
    }

    /// What fails together when an address dies counts once: else a busy address would be set aside
    /// for long at once. People are told when it has worked before; each request may try it again.
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

    /// It has accepted a connection.
    pub fn note_connected(&self, now: Instant) {
        self.connected.store(self.millis(now).max(1), Relaxed);
        if !self.is_breaking.load(Relaxed) {
            self.note_success();
        }
    }

    /// An exchange with it has ended well.
    pub fn note_success(&self) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
            self.ejected_until.store(0, Relaxed);
            tracing::info!(address = %self.socket, "address works again");
        }
    }

    /// Whether the address is ejected, or waits for its probe.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.failures.load(Relaxed) != 0
    }

    /// Whether it cannot be connected to: not for longer than `patience`, where it could be before.
    #[must_use]
    pub fn is_lost(&self, now: Instant, patience: Duration) -> bool {
        let since = self
            .millis(now)
            .saturating_sub(self.failing_since.load(Relaxed));
        let has_worked = self.connected.load(Relaxed) != 0;
        self.is_ejected()
            && !self.is_breaking.load(Relaxed)
            && !(has_worked && Duration::from_millis(since) < patience)
    }

    /// Whether it has accepted a connection within the last `time`.
    #[must_use]
    pub fn has_connected(&self, now: Instant, time: Duration) -> bool {
        let connected = self.connected.load(Relaxed);
        let since = self.millis(now).saturating_sub(connected);
        connected != 0 && Duration::from_millis(since) < time
    }

    /// A place for a request in flight: `None` when all are taken; without `max_per_address` there is
    /// nothing to take.
    pub(crate) fn reserve(&self) -> Option<Option<OwnedSemaphorePermit>> {
        match &self.places {
            None => Some(None),
            Some(places) => Arc::clone(places).try_acquire_owned().ok().map(Some),
        }
    }

    /// Whether this request may probe an ejected address: the ejection is over, and no other request
    /// took the probe within the last [`EJECT_FIRST`]. A time rather than a flag, because a request
    /// can be cancelled with the probe in its hands.
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
