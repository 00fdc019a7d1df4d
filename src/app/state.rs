//! What outlives a config: the listeners, the endpoints, the counters. Read by the admin listener.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::time::Instant;

use crate::config::Certificate;
use crate::health::Health;
use crate::listener::Listening;
use crate::origin::address::AddressSet;
use crate::origin::condition;
use crate::origin::upstream::Upstreams;
use crate::route::Route;
use crate::shutdown::LeaveRequest;
use crate::telemetry::metrics::RequestMetrics;

/// A certificate in use, as far as people want to know.
#[derive(Clone, Debug)]
pub struct CertificateState {
    /// Its first name, or its file where it has none.
    pub name: String,
    /// When it expires, in seconds since 1970.
    pub expires: i64,
}

/// How the latest load of the config went.
#[derive(Clone, Copy, Debug)]
pub struct ReloadState {
    /// Whether it was taken.
    pub is_good: bool,
    /// When a config was taken last, in seconds since 1970.
    pub taken_at: u64,
    /// Configs taken since the start, the first one included.
    pub taken: u64,
    /// Configs refused.
    pub refused: u64,
}

/// The state of a proxy.
#[derive(Debug)]
pub struct State {
    /// Whether it should get traffic.
    pub health: Arc<Health>,
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) listeners: Mutex<Vec<Listening>>,
    /// The routes of the config that is served.
    pub(super) routes: Mutex<Vec<Arc<Route>>>,
    pub(super) certificates: Mutex<Vec<CertificateState>>,
    pub(super) reloads: Mutex<ReloadState>,
    pub(super) requests: Option<Arc<RequestMetrics>>,
    pub(super) lost_lines: Option<Arc<AtomicU64>>,
    pub(super) started: Instant,
}

#[expect(
    clippy::disallowed_methods,
    reason = "when a config was taken, for people"
)]
pub(super) fn unix_now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

impl State {
    pub(super) fn listeners(&self) -> MutexGuard<'_, Vec<Listening>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The endpoints this node depends on: those the config names, and those under a pattern that have
    /// shown to exist. A name that a client has invented is no trouble of the node.
    pub(super) fn endpoints(&self) -> Vec<Arc<AddressSet>> {
        let mut sets: Vec<Arc<AddressSet>> = Vec::new();
        let named = self.routes().clone();
        let named = named.iter().flat_map(|route| route.origin.address_sets());
        let now = Instant::now();
        let shown = self.upstreams.address_sets().into_iter();
        let shown = shown.filter(|set| set.age(now).is_some());
        for set in named.chain(shown) {
            if !sets.iter().any(|known| Arc::ptr_eq(known, &set)) {
                sets.push(set);
            }
        }
        sets
    }

    /// Connects to every endpoint: whether one can be reached.
    pub async fn proves_fit(&self) -> bool {
        let found = condition::prove(&self.endpoints()).await;
        let is_fit = found.is_fit;
        self.health.set_fit(is_fit, found.troubles);
        is_fit
    }

    /// Asks clients to connect anew as long as this node should not get traffic: a balancer that passes
    /// connections on cannot move those that are open.
    pub(super) fn settle_clients(&self) {
        let request = match (self.health.is_cut_off(), self.health.is_leaving()) {
            (true, _) => LeaveRequest::AtOnce,
            (false, true) => LeaveRequest::AfterAnswer,
            (false, false) => LeaveRequest::None,
        };
        for listener in &*self.listeners() {
            listener.trigger.request_leave(request);
        }
    }

    /// Open client connections.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.listeners().iter().map(Listening::connections).sum()
    }

    pub(super) fn routes(&self) -> MutexGuard<'_, Vec<Arc<Route>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the latest load of the config went.
    #[must_use]
    pub fn reloads(&self) -> ReloadState {
        *self.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A config was not taken.
    pub fn note_refused(&self) {
        let mut reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        reloads.is_good = false;
        reloads.refused += 1;
    }

    pub(super) fn note_taken(&self) {
        let mut reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        reloads.is_good = true;
        reloads.taken += 1;
        reloads.taken_at = unix_now();
    }

    pub(super) fn set_certificates(&self, certificates: &[Certificate]) {
        let states = certificates.iter().map(|certificate| CertificateState {
            name: match certificate.names.first() {
                Some(name) => name.clone(),
                None => certificate.cert.display().to_string(),
            },
            expires: certificate.expires,
        });
        *self
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = states.collect();
    }

    /// The state for `ossgate status`.
    #[must_use]
    pub fn status(&self) -> serde_json::Value {
        let now = Instant::now();
        let reloads = self.reloads();
        let listeners: Vec<_> = self
            .listeners()
            .iter()
            .map(|one| {
                serde_json::json!({
                    "address": &*one.label(),
                    "connections": one.connections(),
                })
            })
            .collect();
        let endpoints: Vec<_> = self
            .upstreams
            .address_sets()
            .iter()
            .map(|set| {
                let snapshot = set.snapshot();
                let addresses: Vec<_> = snapshot
                    .addresses()
                    .iter()
                    .map(|address| {
                        serde_json::json!({
                            "address": address.socket.to_string(),
                            "ejected": address.is_ejected(),
                        })
                    })
                    .collect();
                serde_json::json!({
                    "endpoint": &*set.name,
                    "addresses": addresses,
                    "age_seconds": set.age(now).map(|age| age.as_secs()),
                    "failure": set.failure().map(|failure| failure.to_string()),
                })
            })
            .collect();
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "uptime_seconds": now.saturating_duration_since(self.started).as_secs(),
            "ready": self.health.is_ready(),
            "draining": self.health.is_leaving(),
            "troubles": self.health.troubles(),
            "config": {
                "good": reloads.is_good,
                "taken": reloads.taken,
                "refused": reloads.refused,
                "taken_at": reloads.taken_at,
            },
            "listeners": listeners,
            "endpoints": endpoints,
        })
    }
}
