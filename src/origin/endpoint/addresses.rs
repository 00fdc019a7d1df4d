//! The address set of one endpoint: which addresses exist, and which ones a new connection tries.
//!
//! The set is the union of recent DNS answers ([`super::membership`]). New connections prefer the
//! addresses of the latest answer. An address that fails is ejected for a growing time, and then one
//! request at a time tries it again. When all addresses are ejected, all are used. The set sends no DNS
//! queries: [`super::dns`] publishes answers in it.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::origin::endpoint::address_health::Address;
use crate::origin::endpoint::membership::{Membership, Standing};
use crate::origin::error::DnsFailure;

/// The most addresses that one connect tries. More than this number are never dead at the same time.
pub(crate) const ATTEMPTS: usize = 10;

/// The addresses at one moment, in the order in which new connections prefer them.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    addresses: Vec<Arc<Address>>,
    /// The first ones, of the latest answer.
    fresh: usize,
    /// Those and the ones in rotation; the rest is leaving DNS.
    settled: usize,
}

impl Snapshot {
    /// All addresses.
    #[must_use]
    pub(crate) fn addresses(&self) -> &[Arc<Address>] {
        &self.addresses
    }

    /// Whether `address` may be used.
    #[must_use]
    pub(crate) fn contains(&self, address: &Arc<Address>) -> bool {
        self.addresses
            .iter()
            .any(|known| Arc::ptr_eq(known, address))
    }

    /// Whether `address` is missing in the latest answer for the first time, and another address can take
    /// its place. Its connections are then left alone, so that requests follow DNS.
    #[must_use]
    pub(crate) fn is_leaving(&self, address: &Arc<Address>) -> bool {
        let (settled, leaving) = self.split(self.settled);
        leaving.iter().any(|known| Arc::ptr_eq(known, address))
            && settled.iter().any(|other| !other.is_ejected())
    }

    fn split(&self, at: usize) -> (&[Arc<Address>], &[Arc<Address>]) {
        self.addresses.split_at(at.min(self.addresses.len()))
    }

    /// The addresses that a new connection should try, best first, at most [`ATTEMPTS`]. `rotation`
    /// chooses where in each group the list begins, so that connections spread over the addresses.
    #[must_use]
    pub(crate) fn candidates(&self, now: Instant, rotation: usize) -> Vec<Arc<Address>> {
        let (fresh, held) = self.split(self.fresh);
        let mut chosen = Vec::with_capacity(ATTEMPTS);
        if let Some(probe) = self
            .addresses
            .iter()
            .find(|address| address.takes_probe(now))
        {
            chosen.push(Arc::clone(probe));
        }
        for group in [fresh, held] {
            let healthy = turned(group, rotation).filter(|address| !address.is_ejected());
            chosen.extend(healthy.take(ATTEMPTS - chosen.len().min(ATTEMPTS)).cloned());
        }
        if chosen.is_empty() {
            chosen.extend(turned(&self.addresses, rotation).take(ATTEMPTS).cloned());
        }
        chosen
    }
}

/// The addresses of `group` from another one on at each `rotation`.
fn turned(group: &[Arc<Address>], rotation: usize) -> impl Iterator<Item = &Arc<Address>> {
    let turn = rotation.checked_rem(group.len()).unwrap_or(0);
    let (tail, head) = group.split_at(turn);
    head.iter().chain(tail)
}

struct State {
    membership: Membership,
    snapshot: Arc<Snapshot>,
    failure: Option<DnsFailure>,
    last_good: Option<Instant>,
}

/// The address set of one endpoint, shared by all workers and its DNS task.
pub(crate) struct AddressSet {
    /// The endpoint's host name, or its address.
    pub(crate) name: Box<str>,
    /// The port of every address.
    pub(crate) port: u16,
    max_in_flight: usize,
    state: Mutex<State>,
    generation: AtomicU64,
    /// The number of times an address was added or removed.
    changes: AtomicU64,
    /// Whether an address was ever connected to.
    was_reached: AtomicBool,
    /// Whether requests suspect that the endpoint cannot be reached.
    is_suspected: AtomicBool,
    /// The number of resolutions so far, good and failed.
    answers: AtomicU64,
    is_fixed: bool,
    rotation: AtomicUsize,
    /// Notified after each resolution.
    changed: Notify,
    /// Wakes the DNS task, which then resolves at once.
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
    /// Creates an empty set. `max_in_flight` limits the requests in flight to one address; 0 is no limit.
    #[must_use]
    pub(crate) fn new(name: &str, port: u16, max_in_flight: usize) -> Self {
        Self {
            name: name.into(),
            port,
            max_in_flight,
            state: Mutex::new(State {
                membership: Membership::default(),
                snapshot: Arc::default(),
                failure: Some(DnsFailure::Pending),
                last_good: None,
            }),
            generation: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            was_reached: AtomicBool::new(false),
            is_suspected: AtomicBool::new(false),
            answers: AtomicU64::new(0),
            is_fixed: false,
            rotation: AtomicUsize::new(0),
            changed: Notify::new(),
            refresh_now: Arc::new(Notify::new()),
        }
    }

    /// Creates a set of one literal address, which never expires and is never resolved.
    #[must_use]
    pub(crate) fn fixed(ip: IpAddr, port: u16, max_in_flight: usize, now: Instant) -> Self {
        let mut set = Self::new(&ip.to_string(), port, max_in_flight);
        set.is_fixed = true;
        set.publish(&[ip], Duration::ZERO, now);
        set
    }

    /// The endpoint as `name:port`; an IPv6 address is in brackets.
    #[must_use]
    pub(crate) fn label(&self) -> String {
        let (open, close) = if self.name.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        format!("{open}{}{close}:{}", self.name, self.port)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes whenever [`AddressSet::snapshot`] would give something else.
    #[must_use]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// The addresses now.
    #[must_use]
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.state().snapshot)
    }

    /// Returns another number at each call, for [`Snapshot::candidates`].
    pub(crate) fn next_rotation(&self) -> usize {
        self.rotation.fetch_add(1, Relaxed)
    }

    /// Why the latest resolution failed; `None` after a good one.
    #[must_use]
    pub(crate) fn failure(&self) -> Option<DnsFailure> {
        self.state().failure
    }

    /// Time since the latest good answer; `None` before the first. Zero for a literal address.
    #[must_use]
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        if self.is_fixed {
            return Some(Duration::ZERO);
        }
        let good = self.state().last_good?;
        Some(now.saturating_duration_since(good))
    }

    /// Adds a good answer with this TTL. Publishing an equal set is not a change.
    pub(crate) fn publish(&self, ips: &[IpAddr], ttl: Duration, now: Instant) {
        let sockets: Vec<SocketAddr> = ips
            .iter()
            .map(|ip| SocketAddr::new(*ip, self.port))
            .collect();
        let mut state = self.state();
        state.failure = None;
        state.last_good = Some(now);
        state.membership.answer(&sockets, ttl, now, |socket| {
            Address::new(socket, self.max_in_flight, now)
        });
        self.refresh_snapshot(&mut state);
        drop(state);
        self.answers.fetch_add(1, Relaxed);
        self.changed.notify_waiters();
    }

    /// Records a failed resolution. The set stays until `stale` after the last good answer.
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
        let mut next = Snapshot::default();
        for (address, standing) in state.membership.usable() {
            next.addresses.push(Arc::clone(address));
            next.fresh += usize::from(standing == Standing::Fresh);
            next.settled += usize::from(standing != Standing::Leaving);
        }
        let last = &state.snapshot;
        let has_same_order = next
            .addresses
            .iter()
            .map(Arc::as_ptr)
            .eq(last.addresses.iter().map(Arc::as_ptr));
        let is_same = has_same_order && next.fresh == last.fresh && next.settled == last.settled;
        if is_same {
            return;
        }
        let has_same_members = next.addresses.len() == last.addresses.len()
            && next.addresses.iter().all(|address| last.contains(address));
        state.snapshot = Arc::new(next);
        self.generation.fetch_add(1, Relaxed);
        if !has_same_members {
            self.changes.fetch_add(1, Relaxed);
        }
    }

    /// The number of times an address was added or removed; the order does not count.
    #[must_use]
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Relaxed)
    }

    /// Whether an address was ever connected to, TLS included.
    #[must_use]
    pub(crate) fn was_reached(&self) -> bool {
        if self.was_reached.load(Relaxed) {
            return true;
        }
        let snapshot = self.snapshot();
        let is_reached = snapshot
            .addresses
            .iter()
            .any(|address| address.has_worked());
        self.was_reached.store(is_reached, Relaxed);
        is_reached
    }

    /// Reports that requests wait long for this endpoint. Readiness then probes all its addresses.
    pub(crate) fn suspect(&self) {
        self.is_suspected.store(true, Relaxed);
    }

    /// Whether a suspicion was reported since the last call.
    pub(crate) fn take_suspicion(&self) -> bool {
        self.is_suspected.load(Relaxed) && self.is_suspected.swap(false, Relaxed)
    }

    /// Requests a resolution now. The DNS task limits how often it resolves.
    pub(crate) fn ask_refresh(&self) {
        self.refresh_now.notify_one();
    }

    /// Notified by [`AddressSet::ask_refresh`].
    pub(super) fn refresh_now(&self) -> Arc<Notify> {
        Arc::clone(&self.refresh_now)
    }

    /// Whether the set differs from the one of `generation`. When it does not, requests a resolution and
    /// waits for its result until `deadline`. Always false for a literal address.
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

    /// Reports a suspicion and requests a resolution after `patience`, and returns when the set differs from the one of the
    /// generation in `used`. Never returns for a literal address.
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

    /// The number of resolutions so far, good and failed.
    #[must_use]
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Relaxed)
    }

    /// Waits until `is_done` holds for the set, or until `deadline`. Checks after every resolution.
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
