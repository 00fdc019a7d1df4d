//! What outlives a config: the listeners, the endpoints, the counters. Read by the admin listener.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::config::Certificate;
use crate::health::Health;
use crate::listener::Listening;
use crate::origin::upstream::Upstreams;
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

    /// Asks clients to connect anew as long as this node should not get traffic: a balancer that passes
    /// connections on cannot move those that are open.
    pub(super) fn settle_clients(&self) {
        let is_leaving = !self.health.is_ready();
        for listener in &*self.listeners() {
            listener.trigger.set_leaving(is_leaving);
        }
    }

    /// Open client connections.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.listeners().iter().map(Listening::connections).sum()
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

    /// The metrics in OpenMetrics text.
    #[must_use]
    pub fn metrics(self: &Arc<Self>) -> String {
        let mut registry = Registry::with_prefix("ossgate");
        registry.register_collector(Box::new(Gauges(Arc::clone(self))));
        if let Some(requests) = &self.requests {
            registry.register_collector(Box::new(Arc::clone(requests)));
        }
        let mut out = String::new();
        match text::encode(&mut out, &registry) {
            Ok(()) => out,
            Err(error) => format!("# {error}\n"),
        }
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

/// What is not counted but looked at.
#[derive(Debug)]
struct Gauges(Arc<State>);

type Labels<'a> = [(&'static str, &'a str); 1];

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), fmt::Error> {
    encoder
        .encode_descriptor(name, help, None, MetricType::Gauge)?
        .encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))
}

fn family(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, kind): (&str, &str, MetricType),
    rows: &[(Labels<'_>, u64)],
) -> Result<(), fmt::Error> {
    let is_counter = matches!(kind, MetricType::Counter);
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in rows {
        let mut row = family.encode_family(labels)?;
        if is_counter {
            row.encode_counter::<NoLabelSet, _, u64>(value, None)?;
        } else {
            row.encode_gauge(&i64::try_from(*value).unwrap_or(i64::MAX))?;
        }
    }
    Ok(())
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        use MetricType::{Counter, Gauge};
        let (state, now, to) = (&self.0, Instant::now(), &mut encoder);
        to.encode_descriptor("build", "The program", None, MetricType::Info)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        let reloads = state.reloads();
        for (name, help, value) in [
            (
                "config_last_reload_successful",
                "1: the latest load of the config was taken",
                u64::from(reloads.is_good),
            ),
            (
                "config_last_reload_success_timestamp_seconds",
                "When a config was taken last",
                reloads.taken_at,
            ),
            (
                "ready",
                "1: this node should get traffic",
                u64::from(state.health.is_ready()),
            ),
            (
                "draining",
                "1: this node is leaving",
                u64::from(state.health.is_leaving()),
            ),
            (
                "overloaded",
                "1: memory is short and new requests are answered 503",
                u64::from(state.health.is_overloaded()),
            ),
        ] {
            gauge(to, name, help, value)?;
        }
        let taken = [
            ([("result", "taken")], reloads.taken),
            ([("result", "refused")], reloads.refused),
        ];
        family(
            to,
            ("config_reloads", "Loads of the config", Counter),
            &taken,
        )?;
        if let Some(lost) = &state.lost_lines {
            to.encode_descriptor("log_dropped_lines", "Access lines lost", None, Counter)?
                .encode_counter::<NoLabelSet, _, u64>(&lost.load(Relaxed), None)?;
        }
        type Row = (Arc<str>, u64, u64, u64);
        let listeners: Vec<Row> = state
            .listeners()
            .iter()
            .map(|one| {
                (
                    one.label(),
                    one.connections(),
                    one.accepted(),
                    one.refused(),
                )
            })
            .collect();
        let rows = |pick: fn(&Row) -> u64| -> Vec<(Labels<'_>, u64)> {
            listeners
                .iter()
                .map(|one| ([("listener", &*one.0)], pick(one)))
                .collect()
        };
        family(
            to,
            ("connections", "Client connections", Gauge),
            &rows(|one| one.1),
        )?;
        family(
            to,
            (
                "connections_accepted",
                "Client connections accepted",
                Counter,
            ),
            &rows(|one| one.2),
        )?;
        family(
            to,
            (
                "connections_refused",
                "Client connections answered 503 for lack of room",
                Counter,
            ),
            &rows(|one| one.3),
        )?;
        let sets = state.upstreams.address_sets();
        let names: Vec<String> = sets
            .iter()
            .map(|set| format!("{}:{}", set.name, set.port))
            .collect();
        type Pick = fn(&crate::origin::address::AddressSet, Instant) -> u64;
        let endpoints: [(&str, &str, MetricType, Pick); 5] = [
            ("dns_addresses", "Known addresses", Gauge, |set, _| {
                set.snapshot().addresses().len() as u64
            }),
            (
                "dns_ejected_addresses",
                "Addresses that could not be connected to",
                Gauge,
                |set, _| {
                    let snapshot = set.snapshot();
                    snapshot
                        .addresses()
                        .iter()
                        .filter(|address| address.is_ejected())
                        .count() as u64
                },
            ),
            (
                "dns_record_age_seconds",
                "Since the latest good answer",
                Gauge,
                |set, now| set.age(now).unwrap_or_default().as_secs(),
            ),
            (
                "dns_stale",
                "1: the latest resolution failed",
                Gauge,
                |set, _| u64::from(set.failure().is_some()),
            ),
            (
                "dns_changes",
                "Changes of the known addresses",
                Counter,
                |set, _| set.generation(),
            ),
        ];
        for (name, help, kind, pick) in endpoints {
            let rows: Vec<(Labels<'_>, u64)> = sets
                .iter()
                .zip(&names)
                .map(|(set, name)| ([("endpoint", name.as_str())], pick(set, now)))
                .collect();
            family(to, (name, help, kind), &rows)?;
        }
        let certificates = state
            .certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        // Two may have one name, as with two kinds of key: the first to expire counts.
        let mut first: BTreeMap<&str, i64> = BTreeMap::new();
        for one in &certificates {
            let expires = first.entry(&one.name).or_insert(one.expires);
            *expires = one.expires.min(*expires);
        }
        let rows: Vec<(Labels<'_>, u64)> = first
            .iter()
            .map(|(name, expires)| ([("name", *name)], u64::try_from(*expires).unwrap_or(0)))
            .collect();
        family(
            to,
            (
                "certificate_not_after_timestamp_seconds",
                "When a certificate expires",
                Gauge,
            ),
            &rows,
        )
    }
}
