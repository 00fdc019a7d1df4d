//! The limit on a listener's connections, and the counters of its connections.
//!
//! Up to the limit, connections are served. A few more connections are accepted and answered 503 with
//! `Retry-After`. Any further client waits in the kernel's queue.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::listener::noted::Noted;
use crate::listener::tls_outcome::TlsOutcomes;

/// The limits on the number of a listener's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// The maximum number of connections that are served.
    pub served: usize,
    /// The maximum number of further connections, which are answered 503 with `Retry-After`. Any further
    /// client waits in the kernel's queue.
    pub turned_away: usize,
}

/// Whether a connection is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The connection is under the limit.
    Served,
    /// The connection is over the limit: its request is answered 503.
    TurnedAway,
}

/// The connection counts of a listener since it was bound.
#[derive(Debug, Default)]
pub(super) struct Counters {
    accepted: AtomicU64,
    turned_away: AtomicU64,
    ended: AtomicU64,
    /// The number of connections that were closed because the PROXY header was missing or could not be
    /// trusted.
    pub(super) bad_proxy_header: Noted,
    /// The outcomes of TLS handshakes.
    pub(super) tls: TlsOutcomes,
}

impl Counters {
    /// Returns the number of connections that are open.
    pub(super) fn open(&self) -> u64 {
        // `ended` is read before `accepted`, so a connection that ends between the two reads still counts
        // as open. If `accepted` were read first, a connection that begins and ends between the two reads
        // would make the result too small.
        let ended = self.ended.load(Relaxed);
        self.accepted.load(Relaxed).saturating_sub(ended)
    }

    /// Returns the number of connections accepted.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// Returns the number of connections that were answered 503 because the listener was full.
    pub(super) fn turned_away(&self) -> u64 {
        self.turned_away.load(Relaxed)
    }
}

/// The permit of one connection, taken from a [`PlacePool`].
#[derive(Debug)]
pub(super) enum Permit {
    Served(OwnedSemaphorePermit),
    TurnedAway(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit),
}

/// The permits of a listener, one for each connection that may be open. When the limit is lowered, permits
/// in use are removed as their connections end.
#[derive(Debug)]
pub(super) struct PlacePool {
    served: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
    size: Mutex<Places>,
    /// The number of permits in use that are removed when their connections end.
    surplus: AtomicUsize,
}

impl PlacePool {
    /// Creates a pool with all permits free.
    pub(super) fn new(places: Places) -> Self {
        Self {
            served: Arc::new(Semaphore::new(places.served)),
            turned_away: Arc::new(Semaphore::new(places.turned_away)),
            size: Mutex::new(places),
            surplus: AtomicUsize::new(0),
        }
    }

    /// Changes the maximum number of served connections. `places.turned_away` is ignored.
    pub(super) fn resize(&self, places: Places) {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        let more = places.served.saturating_sub(size.served);
        let fewer = size.served.saturating_sub(places.served);
        *size = places;
        drop(size);
        let mut surplus = self.surplus.load(Relaxed);
        let taken_back = surplus.min(more);
        surplus -= taken_back;
        self.served.add_permits(more - taken_back);
        surplus += fewer - self.served.forget_permits(fewer);
        self.surplus.store(surplus, Relaxed);
    }

    /// Returns a permit to the pool, or removes it when there is a surplus.
    fn give_back(&self, permit: OwnedSemaphorePermit) {
        let less = |surplus: usize| surplus.checked_sub(1);
        if self.surplus.fetch_update(Relaxed, Relaxed, less).is_ok() {
            permit.forget();
        }
    }

    /// Takes a permit if one is free. A permit for a served connection is preferred.
    pub(super) fn try_take(&self) -> Option<Permit> {
        let served = Arc::clone(&self.served).try_acquire_owned();
        let turned_away = || Arc::clone(&self.turned_away).try_acquire_owned();
        served
            .map(Permit::Served)
            .or_else(|_| turned_away().map(Permit::TurnedAway))
            .ok()
    }

    /// Waits until a permit of either kind is free, and leaves it in the pool. While the calling worker
    /// waits for a client, another worker must be able to take the permit.
    pub(super) async fn wait(&self) {
        // In the usual case a permit for a served connection is free. It is not acquired here, so no other
        // worker is disturbed.
        if self.served.available_permits() > 0 {
            return;
        }
        // An error would mean that the semaphore is closed, which never happens.
        tokio::select! {
            permit = self.served.acquire() => drop(permit),
            permit = self.turned_away.acquire() => drop(permit),
        }
    }

    /// Waits until a permit is free, and takes it.
    pub(super) async fn take(&self) -> Permit {
        loop {
            self.wait().await;
            if let Some(permit) = self.try_take() {
                return permit;
            }
        }
    }
}

/// One open connection. Dropping it returns its permit and counts the connection as ended.
#[derive(Debug)]
pub(super) struct OpenConnection {
    places: Arc<PlacePool>,
    counters: Arc<Counters>,
    permit: Option<Permit>,
}

impl OpenConnection {
    /// Counts a connection that has been accepted.
    pub(super) fn new(places: Arc<PlacePool>, counters: Arc<Counters>, permit: Permit) -> Self {
        counters.accepted.fetch_add(1, Relaxed);
        if matches!(permit, Permit::TurnedAway(_)) {
            counters.turned_away.fetch_add(1, Relaxed);
        }
        Self {
            places,
            counters,
            permit: Some(permit),
        }
    }

    /// Returns whether the connection is served.
    pub(super) fn admission(&self) -> Admission {
        match self.permit {
            Some(Permit::TurnedAway(_)) => Admission::TurnedAway,
            Some(Permit::Served(_)) | None => Admission::Served,
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        match self.permit.take() {
            Some(Permit::Served(permit)) => self.places.give_back(permit),
            turned_away => drop(turned_away),
        }
        // The end is counted last, so that the permit is already free when the connection counts as ended.
        self.counters.ended.fetch_add(1, Relaxed);
    }
}
