//! One upstream address and its health.
//!
//! A failure ejects an address: requests avoid it for a time that grows with each further failure. When this
//! time is over, one request at a time probes the address. The step that must succeed to end the ejection
//! depends on the step that failed ([`Proof`]). For example, an address that accepts connections but fails at
//! TLS does not become healthy by accepting another connection.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::telemetry::event_budget::EventBudget;

/// The duration of the first ejection; it doubles with each consecutive failure.
const EJECT_FIRST: Duration = Duration::from_secs(1);
/// The maximum duration of an ejection, so that a dead address causes one probe per minute.
const EJECT_LONGEST: Duration = Duration::from_secs(60);

/// The events about addresses that begin to fail.
static FAILING: EventBudget = EventBudget::new(200);

/// The event that makes a failed address count as healthy again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Proof {
    /// The address accepts a connection.
    Accept,
    /// The address completes a TLS handshake.
    Handshake,
    /// The address completes an exchange.
    Exchange,
}

/// One upstream address and its health, shared by all workers. Times are stored in milliseconds since
/// `born`.
#[derive(Debug)]
pub(crate) struct Address {
    /// The endpoint that has the address, as `name:port`, for logs.
    endpoint: Arc<str>,
    /// The socket address to connect to.
    pub(crate) socket: SocketAddr,
    /// The permits for requests in flight; `None` without `max_per_address`.
    pub(crate) permits: Option<Arc<Semaphore>>,
    /// The number of consecutive failures.
    failures: AtomicU32,
    /// The [`Proof`] that is required after the last failure.
    proof: AtomicU8,
    /// The start time of the first failure in the current series of failures.
    failing_since: AtomicU64,
    /// The time of the last failure that was counted.
    counted: AtomicU64,
    ejected_until: AtomicU64,
    /// The time of the last accepted connection; 0 if there was none.
    accepted: AtomicU64,
    /// Whether a connection was ever established, including its TLS handshake.
    has_worked: AtomicBool,
    born: Instant,
}

impl Address {
    pub(super) fn new(
        endpoint: &Arc<str>,
        socket: SocketAddr,
        max_in_flight: usize,
        now: Instant,
    ) -> Self {
        Self {
            endpoint: Arc::clone(endpoint),
            socket,
            permits: (max_in_flight > 0).then(|| Arc::new(Semaphore::new(max_in_flight))),
            failures: AtomicU32::new(0),
            proof: AtomicU8::new(Proof::Accept as u8),
            failing_since: AtomicU64::new(0),
            counted: AtomicU64::new(0),
            ejected_until: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            has_worked: AtomicBool::new(false),
            born: now,
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }

    /// Records a failed connect that began at `began`.
    pub(crate) fn note_failure(&self, began: Instant, now: Instant, why: impl Display) {
        self.count(began, now, Proof::Accept, why);
    }

    /// Records a failed TLS handshake, whose connect began at `began`.
    pub(crate) fn note_tls_failure(&self, began: Instant, now: Instant, why: impl Display) {
        self.count(began, now, Proof::Handshake, why);
    }

    /// Records that an exchange on a new connection, or a response body, broke off.
    pub(crate) fn note_break(&self, now: Instant, why: impl Display) {
        self.count(now, now, Proof::Exchange, why);
    }

    /// Counts a failure. If the address is already ejected, failures within [`EJECT_FIRST`] after a counted
    /// failure are not counted: when an address dies, all its connections fail together. If each of these
    /// failures counted, a busy address would immediately be ejected for [`EJECT_LONGEST`]. Only the first of
    /// several consecutive failures is logged as a warning.
    fn count(&self, began: Instant, now: Instant, proof: Proof, why: impl Display) {
        let at = self.millis(now);
        let since = at.saturating_sub(self.counted.load(Relaxed));
        if self.is_ejected() && Duration::from_millis(since) < EJECT_FIRST {
            return;
        }
        self.counted.store(at, Relaxed);
        self.proof.store(proof as u8, Relaxed);
        let failures = self.failures.fetch_add(1, Relaxed).min(16);
        let pause = EJECT_FIRST.saturating_mul(1 << failures).min(EJECT_LONGEST);
        self.ejected_until.store(self.millis(now + pause), Relaxed);
        if failures == 0 {
            self.failing_since.store(self.millis(began), Relaxed);
            if let Some(left_out) = FAILING.take(now) {
                tracing::warn!(endpoint = %self.endpoint, address = %self.socket, %why, left_out, "address fails, setting it aside");
            }
        } else {
            tracing::debug!(endpoint = %self.endpoint, address = %self.socket, %why, "address fails again");
        }
    }

    /// Records an accepted TCP connection. A TLS handshake may still follow.
    pub(crate) fn note_accepted(&self, now: Instant) {
        self.accepted.store(self.millis(now).max(1), Relaxed);
        if self.proof.load(Relaxed) == Proof::Accept as u8 {
            self.note_success();
        }
    }

    /// Records an established connection, including its TLS handshake.
    pub(crate) fn note_connected(&self, now: Instant) {
        self.accepted.store(self.millis(now).max(1), Relaxed);
        self.has_worked.store(true, Relaxed);
        if self.proof.load(Relaxed) != Proof::Exchange as u8 {
            self.note_success();
        }
    }

    /// Makes the address healthy. Called after a complete exchange, or after the step that [`Proof`]
    /// requires.
    pub(crate) fn note_success(&self) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
            self.ejected_until.store(0, Relaxed);
            tracing::info!(endpoint = %self.endpoint, address = %self.socket, "address works again");
        }
    }

    /// Whether the address is ejected, or its ejection is over but no probe has succeeded yet.
    #[must_use]
    pub(crate) fn is_ejected(&self) -> bool {
        self.failures.load(Relaxed) != 0
    }

    /// Whether a connection to the address was ever established, including its TLS handshake.
    #[must_use]
    pub(crate) fn has_worked(&self) -> bool {
        self.has_worked.load(Relaxed)
    }

    /// Whether connects to the address fail, and have either failed for at least `patience` or never
    /// succeeded.
    #[must_use]
    pub(crate) fn is_lost(&self, now: Instant, patience: Duration) -> bool {
        let since = self
            .millis(now)
            .saturating_sub(self.failing_since.load(Relaxed));
        self.is_ejected()
            && self.proof.load(Relaxed) != Proof::Exchange as u8
            && !(self.has_worked() && Duration::from_millis(since) < patience)
    }

    /// Whether the address has accepted a connection within the last `time`.
    #[must_use]
    pub(crate) fn has_accepted(&self, now: Instant, time: Duration) -> bool {
        let accepted = self.accepted.load(Relaxed);
        let since = self.millis(now).saturating_sub(accepted);
        accepted != 0 && Duration::from_millis(since) < time
    }

    /// Takes a permit for one request in flight. Returns `None` if all permits are taken, and `Some(None)`
    /// without `max_per_address`.
    pub(crate) fn reserve(&self) -> Option<Option<OwnedSemaphorePermit>> {
        match &self.permits {
            None => Some(None),
            Some(permits) => Arc::clone(permits).try_acquire_owned().ok().map(Some),
        }
    }

    /// Claims the probe of an ejected address for this request, and returns whether the claim succeeded. It
    /// succeeds if the time of the ejection is over and no other request has claimed the probe within the
    /// last [`EJECT_FIRST`]. A claim expires by itself, because a request can be cancelled during its probe.
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
