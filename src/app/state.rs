//! The state that a reload keeps: listeners, endpoints and counters. The admin listener reads this state.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::time::Instant;

use crate::config::KeyType;
use crate::health::Health;
use crate::identity::credentials::Sources;
use crate::listener::Listening;
use crate::origin::exchange::watch::{self, Probing};
use crate::origin::link::host::Host;
use crate::origin::tiers::registry::Registry;
use crate::policy::referer::Reports;
use crate::route::Route;
use crate::shutdown::LeaveRequest;
use crate::telemetry::metrics::RequestMetrics;

/// A certificate in use, for status and metrics.
#[derive(Clone, Debug)]
pub(super) struct CertificateState {
    pub(super) names: Arc<[String]>,
    pub(super) file: Arc<str>,
    pub(super) key_type: KeyType,
    pub(super) is_default: bool,
    /// The time at which the certificate expires, in seconds since 1970.
    pub(super) expires: i64,
}

/// A warning about the config in use.
#[derive(Clone, Debug)]
pub struct ConfigWarning {
    /// The key path, such as `certificate[0].cert`.
    pub path: String,
    /// The warning with its position, as it is logged.
    pub line: String,
}

/// The outcomes of config loads.
#[derive(Clone, Debug)]
pub struct ReloadState {
    /// Whether the latest config load succeeded, and every file of `ip.file` that has changed since then could be
    /// used.
    pub is_good: bool,
    /// The time of the latest successful config load, in seconds since 1970.
    pub taken_at: u64,
    /// The number of successful config loads, including the first one.
    pub taken: u64,
    /// The number of failed config loads, and of changed files of `ip.file` that could not be used.
    pub refused: u64,
    /// Why the latest config load failed; `None` if it succeeded.
    pub problem: Option<String>,
}

/// The state of a proxy.
#[derive(Debug)]
pub struct State {
    /// Whether this node should get traffic.
    pub health: Arc<Health>,
    pub(super) registry: Arc<Registry>,
    pub(super) credentials: Arc<Sources>,
    pub(super) probing: Probing,
    pub(super) referer_reports: Reports,
    pub(super) listeners: Mutex<Vec<Listening>>,
    /// The routes of the config in use.
    pub(super) routes: Mutex<Vec<Arc<Route>>>,
    pub(super) certificates: Mutex<Vec<CertificateState>>,
    /// The warnings of the config in use.
    pub(super) warnings: Mutex<Vec<ConfigWarning>>,
    pub(super) reloads: Mutex<ReloadState>,
    /// The files of `ip.file` that could not be used when they were read again.
    pub(super) broken_lists: Mutex<BTreeSet<PathBuf>>,
    pub(super) requests: Option<Arc<RequestMetrics>>,
    pub(super) lost_lines: Option<Arc<AtomicU64>>,
    pub(super) started: Instant,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock of reloads, for display, and of signatures"
)]
/// Returns the current time, in seconds since 1970.
#[must_use]
pub fn unix_now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

impl State {
    pub(super) fn listeners(&self) -> MutexGuard<'_, Vec<Listening>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the hosts that this node depends on: the hosts of buckets that the config names, and the hosts
    /// of buckets that match a pattern and whose names have been resolved. Other hosts are left out: a client
    /// can make up bucket names, and a name that does not resolve must not make the node unready.
    pub(super) fn hosts(&self) -> Vec<Arc<Host>> {
        let routes = self.routes().clone();
        let named = routes.iter().flat_map(|route| route.origin.named_hosts());
        let now = Instant::now();
        let resolved = self.registry.hosts().into_iter();
        let resolved = resolved.filter(|host| host.addresses.age(now).is_some());
        // The list is sorted so that duplicates can be removed. This code runs several times a second, and
        // with ten thousand hosts sorting is cheaper than a lookup for each host.
        let mut hosts: Vec<Arc<Host>> = named.cloned().chain(resolved).collect();
        hosts.sort_unstable_by_key(|host| host.id);
        hosts.dedup_by_key(|host| host.id);
        hosts
    }

    /// Probes every endpoint. Returns whether at least one of them can be reached.
    pub async fn proves_fit(&self) -> bool {
        let found = watch::prove(&self.hosts(), self.probing.path.as_ref()).await;
        let is_fit = found.is_fit;
        self.health.set_fit(is_fit, found.troubles);
        is_fit
    }

    /// Makes clients reconnect while this node should not get traffic, because a layer 4 load balancer cannot
    /// move open connections to another node.
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

    /// Returns the number of open client connections.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.listeners().iter().map(Listening::connections).sum()
    }

    pub(super) fn routes(&self) -> MutexGuard<'_, Vec<Arc<Route>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the outcomes of config loads.
    #[must_use]
    pub fn reloads(&self) -> ReloadState {
        let reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reloads = reloads.clone();
        reloads.is_good &= self.broken_lists().is_empty();
        reloads
    }

    fn broken_lists(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        let lists = self.broken_lists.lock();
        lists.unwrap_or_else(PoisonError::into_inner)
    }

    /// Records for each path of a file of `ip.file` whether the file could be used when it was read again.
    pub(super) fn note_lists<'p>(&self, outcomes: impl Iterator<Item = (&'p Path, bool)>) {
        let mut broken = self.broken_lists();
        let mut reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, is_good) in outcomes {
            if is_good {
                broken.remove(path);
            } else {
                broken.insert(path.to_owned());
                reloads.refused += 1;
            }
        }
    }

    /// Counts a config load that failed because of `problem`.
    pub fn note_refused(&self, problem: String) {
        let mut reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        reloads.is_good = false;
        reloads.refused += 1;
        reloads.problem = Some(problem);
    }

    /// Counts a successful config load.
    pub(super) fn note_taken(&self) {
        // The load has read every list.
        self.broken_lists().clear();
        let mut reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        reloads.is_good = true;
        reloads.problem = None;
        reloads.taken += 1;
        reloads.taken_at = unix_now();
    }

    /// Returns the state as JSON, for `ossgate status`.
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
            .endpoints()
            .iter()
            .map(|(label, one)| {
                let addresses: Vec<_> = one
                    .addresses
                    .iter()
                    .map(|(address, is_ejected)| {
                        serde_json::json!({
                            "address": address.to_string(),
                            "ejected": is_ejected,
                        })
                    })
                    .collect();
                serde_json::json!({
                    "endpoint": label,
                    "addresses": addresses,
                    "age_seconds": one.age.map(|age| age.as_secs()),
                    "failure": one.problem(),
                })
            })
            .collect();
        let unix = unix_now();
        let credentials: Vec<_> = (self.credentials.all().iter())
            .map(|source| {
                let state = source.state();
                let key = state.key.as_ref();
                serde_json::json!({
                    "source": source.label(),
                    "key_id": key.map(|key| &*key.id),
                    "expires": key.and_then(|key| key.expires),
                    "valid": key.is_some_and(|key| !key.has_expired(unix)),
                    "age_seconds": key.map(|key| unix.saturating_sub(key.fetched)),
                    "failure": state.failure,
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
                "problem": reloads.problem,
                "taken_at": reloads.taken_at,
                "warnings": self.warnings(),
            },
            "listeners": listeners,
            "certificates": self.certificates_status(),
            "endpoints": endpoints,
            "credentials": credentials,
        })
    }
}
