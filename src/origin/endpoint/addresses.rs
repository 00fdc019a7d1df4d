//! The address set of one endpoint: which addresses exist, and which ones a new connection tries.
//!
//! The set is the union of recent DNS answers, each address with its own expiry, because OSS often
//! returns only some of its addresses in one answer. New connections prefer the addresses of the latest
//! answer; the idle connections of the others stay in use. An address that fails is ejected for a
//! growing time, and then one request at a time tries it again. When all addresses are ejected, all are
//! used. The set sends no DNS queries: [`super::dns`] publishes answers in it.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::origin::endpoint::address_health::Address;
use crate::origin::error::DnsFailure;

/// The most addresses that one connect tries. More than this number are never dead at the same time.
pub(crate) const ATTEMPTS: usize = 10;

/// The addresses at one moment: those of the latest answer first, then the others that are still held.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    addresses: Vec<Arc<Address>>,
    fresh: usize,
}

impl Snapshot {
    /// All addresses.
    #[must_use]
    pub(crate) fn addresses(&self) -> &[Arc<Address>] {
        &self.addresses
    }

    /// The addresses that a new connection should try, best first, at most [`ATTEMPTS`]. `rotation`
    /// chooses where in each group the list begins, so that connections spread over the addresses.
    #[must_use]
    pub(crate) fn candidates(&self, now: Instant, rotation: usize) -> Vec<Arc<Address>> {
        let (fresh, held) = self
            .addresses
            .split_at(self.fresh.min(self.addresses.len()));
        let mut chosen = Vec::with_capacity(ATTEMPTS);
        if let Some(probe) = self
            .addresses
            .iter()
            .find(|address| address.takes_probe(now))
        {
            chosen.push(Arc::clone(probe));
        }
        for group in [fresh, held] {
            let turn = rotation.checked_rem(group.len()).unwrap_or(0);
            let (tail, head) = group.split_at(turn);
            let healthy = head
                .iter()
                .chain(tail)
                .filter(|address| !address.is_ejected());
            chosen.extend(healthy.take(ATTEMPTS - chosen.len().min(ATTEMPTS)).cloned());
        }
        if chosen.is_empty() {
            let turn = rotation.checked_rem(self.addresses.len()).unwrap_or(0);
            let (tail, head) = self.addresses.split_at(turn);
            chosen.extend(head.iter().chain(tail).take(ATTEMPTS).cloned());
        }
        chosen
    }
}

struct Member {
    address: Arc<Address>,
    expires: Instant,
    is_fresh: bool,
}

struct State {
    members: Vec<Member>,
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
                members: Vec::new(),
                snapshot: Arc::default(),
                failure: Some(DnsFailure::Pending),
                last_good: None,
            }),
            generation: AtomicU64::new(0),
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
        // A century: `Instant` has no maximum value, and adding a larger duration can overflow.
        set.publish(&[ip], Duration::from_secs(3_153_600_000), now);
        set
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

    /// Adds a good answer: its addresses are the fresh ones and stay for `hold`; the others stay until
    /// their own expiry. Publishing an equal set is not a change.
    pub(crate) fn publish(&self, ips: &[IpAddr], hold: Duration, now: Instant) {
        let mut state = self.state();
        state.failure = None;
        state.last_good = Some(now);
        for member in &mut state.members {
            member.is_fresh = ips.contains(&member.address.socket.ip());
            if member.is_fresh {
                member.expires = now + hold;
            }
        }
        for ip in ips {
            let socket = SocketAddr::new(*ip, self.port);
            if !state
                .members
                .iter()
                .any(|member| member.address.socket == socket)
            {
                state.members.push(Member {
                    address: Arc::new(Address::new(socket, self.max_in_flight, now)),
                    expires: now + hold,
                    is_fresh: true,
                });
            }
        }
        state.members.retain(|member| member.expires > now);
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
            state.members.clear();
            self.refresh_snapshot(&mut state);
        }
        drop(state);
        self.answers.fetch_add(1, Relaxed);
        self.changed.notify_waiters();
    }

    fn refresh_snapshot(&self, state: &mut State) {
        let members = &mut state.members;
        members.sort_by_key(|member| (!member.is_fresh, member.address.socket));
        let fresh = members.iter().filter(|member| member.is_fresh).count();
        let is_same = state.snapshot.fresh == fresh
            && state.snapshot.addresses.len() == members.len()
            && members
                .iter()
                .zip(&state.snapshot.addresses)
                .all(|(member, known)| Arc::ptr_eq(&member.address, known));
        if !is_same {
            state.snapshot = Arc::new(Snapshot {
                addresses: members
                    .iter()
                    .map(|member| Arc::clone(&member.address))
                    .collect(),
                fresh,
            });
            self.generation.fetch_add(1, Relaxed);
        }
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

    /// Requests a resolution after `patience` and returns when the set differs from the one of the
    /// generation in `used`. Never returns for a literal address.
    ///
    /// Cancel-safe.
    pub(crate) async fn moves(&self, used: &AtomicU64, patience: Duration) {
        if self.is_fixed {
            return std::future::pending().await;
        }
        tokio::time::sleep(patience).await;
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
