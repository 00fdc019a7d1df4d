//! The address set of one endpoint, shared by all workers and its DNS task.
//!
//! The set is the union of recent DNS answers ([`super::membership`]). New connections prefer the addresses
//! of the latest answer. An address that fails is ejected for a growing time; when this time is over, one
//! request at a time tries the address again. If all addresses are ejected, all of them are tried. The set
//! sends no DNS queries: [`super::dns`] publishes the answers in it.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::origin::endpoint::address_health::Address;
use crate::origin::endpoint::membership::Membership;
use crate::origin::endpoint::snapshot::Snapshot;
use crate::origin::error::DnsFailure;

struct State {
    membership: Membership,
    snapshot: Arc<Snapshot>,
    failure: Option<DnsFailure>,
    last_good: Option<Instant>,
    /// The cause and the description of the latest failed connect.
    connect_failure: Option<(&'static str, Arc<str>)>,
}

/// The address set of one endpoint, shared by all workers and its DNS task.
pub(crate) struct AddressSet {
    /// The host name of the endpoint, or its literal address.
    pub(crate) name: Box<str>,
    /// The TCP port, the same for every address.
    pub(crate) port: u16,
    /// Name and port, as [`AddressSet::label`] returns them.
    label: Arc<str>,
    max_in_flight: usize,
    state: Mutex<State>,
    generation: AtomicU64,
    /// The number of times that an answer added or removed addresses.
    changes: AtomicU64,
    /// Whether a connection to an address was ever established.
    was_reached: AtomicBool,
    /// Whether the last HEAD probe got no response.
    is_silent: AtomicBool,
    /// Whether requests have reported that the endpoint may be unreachable.
    is_suspected: AtomicBool,
    /// The number of finished resolutions, successful and failed.
    answers: AtomicU64,
    is_fixed: bool,
    rotation: AtomicUsize,
    /// Notified after each resolution.
    changed: Notify,
    /// Notified when the DNS task must resolve the name at once.
    refresh_now: Arc<Notify>,
}

impl std::fmt::Debug for AddressSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddressSet")
            .field("name", &self.name)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl AddressSet {
    /// Creates an empty set. `max_in_flight` limits the requests in flight to each address; 0 means no
    /// limit.
    #[must_use]
    pub(crate) fn new(name: &str, port: u16, max_in_flight: usize) -> Self {
        let (open, close) = if name.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        Self {
            name: name.into(),
            port,
            label: format!("{open}{name}{close}:{port}").into(),
            max_in_flight,
            state: Mutex::new(State {
                membership: Membership::default(),
                snapshot: Arc::default(),
                failure: Some(DnsFailure::Pending),
                last_good: None,
                connect_failure: None,
            }),
            generation: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            was_reached: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            is_suspected: AtomicBool::new(false),
            answers: AtomicU64::new(0),
            is_fixed: false,
            rotation: AtomicUsize::new(0),
            changed: Notify::new(),
            refresh_now: Arc::new(Notify::new()),
        }
    }

    /// Creates a set with one literal address, which never expires and is never resolved.
    #[must_use]
    pub(crate) fn fixed(ip: IpAddr, port: u16, max_in_flight: usize, now: Instant) -> Self {
        let mut set = Self::new(&ip.to_string(), port, max_in_flight);
        set.is_fixed = true;
        set.publish(&[ip], Duration::ZERO, now);
        set
    }

    /// Returns the endpoint as `name:port`. An IPv6 address is written in brackets.
    #[must_use]
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Records that a connect has failed. `describe` returns a description of the failure for people. It is
    /// called only if the latest failure had another cause.
    pub(crate) fn note_connect_failure(
        &self,
        cause: &'static str,
        describe: impl FnOnce() -> String,
    ) {
        let mut state = self.state();
        let is_known = (state.connect_failure.as_ref()).is_some_and(|(known, _)| *known == cause);
        if !is_known {
            state.connect_failure = Some((cause, describe().into()));
        }
    }

    /// Returns the description of the latest failed connect; `None` if no connect has failed.
    pub(crate) fn connect_failure(&self) -> Option<Arc<str>> {
        let state = self.state();
        let (_, description) = state.connect_failure.as_ref()?;
        Some(Arc::clone(description))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a number that changes whenever [`AddressSet::snapshot`] changes.
    #[must_use]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Returns the current addresses.
    #[must_use]
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.state().snapshot)
    }

    /// Returns the next number for the `rotation` of [`Snapshot::candidates`].
    pub(crate) fn next_rotation(&self) -> usize {
        self.rotation.fetch_add(1, Relaxed)
    }

    /// Returns why the latest resolution failed, or `None` if it was successful.
    #[must_use]
    pub(crate) fn failure(&self) -> Option<DnsFailure> {
        self.state().failure
    }

    /// Returns the time since the latest successful resolution, or `None` if there was none yet. For a
    /// literal address, returns zero.
    #[must_use]
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        if self.is_fixed {
            return Some(Duration::ZERO);
        }
        let good = self.state().last_good?;
        Some(now.saturating_duration_since(good))
    }

    /// Records a successful answer with this TTL. The generation changes only if the answer changes the
    /// snapshot.
    pub(crate) fn publish(&self, ips: &[IpAddr], ttl: Duration, now: Instant) {
        let sockets: Vec<SocketAddr> = ips
            .iter()
            .map(|ip| SocketAddr::new(*ip, self.port))
            .collect();
        let mut state = self.state();
        state.failure = None;
        state.last_good = Some(now);
        state.membership.answer(&sockets, ttl, now, |socket| {
            Address::new(&self.label, socket, self.max_in_flight, now)
        });
        self.refresh_snapshot(&mut state);
        drop(state);
        self.answers.fetch_add(1, Relaxed);
        self.changed.notify_waiters();
    }

    /// Records a failed resolution. The addresses are kept for the time `stale` after the last successful
    /// answer.
    pub(crate) fn note_failure(&self, failure: DnsFailure, stale: Duration, now: Instant) {
        let mut state = self.state();
        state.failure = Some(failure);
        if state.last_good.is_none_or(|good| now > good + stale) {
            state.membership.clear();
            self.refresh_snapshot(&mut state);
        }
        drop(state);
        self.answers.fetch_add(1, Relaxed);
        self.changed.notify_waiters();
    }

    fn refresh_snapshot(&self, state: &mut State) {
        let next = Snapshot::new(state.membership.usable());
        if next.is_same(&state.snapshot) {
            return;
        }
        let has_same_members = next.has_same_members(&state.snapshot);
        state.snapshot = Arc::new(next);
        self.generation.fetch_add(1, Relaxed);
        if !has_same_members {
            self.changes.fetch_add(1, Relaxed);
        }
    }

    /// Returns the number of times that an answer added or removed addresses. A new order does not count.
    #[must_use]
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Relaxed)
    }

    /// Whether a connection to an address was ever established, including its TLS handshake.
    #[must_use]
    pub(crate) fn was_reached(&self) -> bool {
        if self.was_reached.load(Relaxed) {
            return true;
        }
        let snapshot = self.snapshot();
        let is_reached = snapshot
            .addresses()
            .iter()
            .any(|address| address.has_worked());
        self.was_reached.store(is_reached, Relaxed);
        is_reached
    }

    /// Records whether the last HEAD probe got no response.
    pub(crate) fn set_silent(&self, is_silent: bool) {
        self.is_silent.store(is_silent, Relaxed);
    }

    /// Whether the last HEAD probe got no response.
    #[must_use]
    pub(crate) fn is_silent(&self) -> bool {
        self.is_silent.load(Relaxed)
    }

    /// Records that requests wait long for this endpoint. The readiness check then probes all addresses of
    /// the endpoint.
    pub(crate) fn suspect(&self) {
        self.is_suspected.store(true, Relaxed);
    }

    /// Whether [`AddressSet::suspect`] was called since the last call of this function.
    pub(crate) fn take_suspicion(&self) -> bool {
        self.is_suspected.load(Relaxed) && self.is_suspected.swap(false, Relaxed)
    }

    /// Asks the DNS task to resolve the name now. The task limits how often it does so.
    pub(crate) fn ask_refresh(&self) {
        self.refresh_now.notify_one();
    }

    /// Returns the notifier that [`AddressSet::ask_refresh`] triggers.
    pub(super) fn refresh_now(&self) -> Arc<Notify> {
        Arc::clone(&self.refresh_now)
    }

    /// Returns whether the set has changed since `generation`. If it has not, the function first requests a
    /// resolution and waits for its result until `deadline`. For a literal address, returns false at once.
    ///
    /// Cancel-safe.
    pub(crate) async fn learns_more(&self, generation: u64, deadline: Instant) -> bool {
        if self.is_fixed {
            return false;
        }
        if self.generation() == generation {
            let answers = self.answers();
            self.ask_refresh();
            self.wait_until(deadline, |set| set.answers() != answers)
                .await;
        }
        self.generation() != generation
    }

    /// Waits for `patience`, calls [`AddressSet::suspect`] and requests a resolution. Returns as soon as
    /// the generation of the set differs from the one in `used`. Never returns for a literal address.
    ///
    /// Cancel-safe.
    pub(crate) async fn moves(&self, used: &AtomicU64, patience: Duration) {
        tokio::time::sleep(patience).await;
        self.suspect();
        if self.is_fixed {
            return std::future::pending().await;
        }
        self.ask_refresh();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.generation() != used.load(Relaxed) {
                return;
            }
            changed.await;
        }
    }

    /// Returns the number of finished resolutions, successful and failed.
    #[must_use]
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Relaxed)
    }

    /// Waits until `is_done` returns true for the set, or until `deadline`. Calls `is_done` at the start and
    /// after every resolution.
    ///
    /// Cancel-safe.
    pub(crate) async fn wait_until(&self, deadline: Instant, is_done: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if is_done(self) {
                return;
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
