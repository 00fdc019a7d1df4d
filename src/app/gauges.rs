//! The metrics that are read from the state at each scrape: listeners, endpoints, certificates, access keys,
//! config loads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::app::endpoints::EndpointState;
use crate::app::state::{State, unix_now};
use crate::identity::credentials::{Source, SourceState};
use crate::runtime::resident_memory;
use crate::telemetry;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

impl State {
    /// Returns all metrics as OpenMetrics text.
    #[must_use]
    pub fn metrics(self: &Arc<Self>) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let own = registry.sub_registry_with_prefix("ossgate");
        own.register_collector(Box::new(Gauges(Arc::clone(self))));
        if let Some(requests) = &self.requests {
            own.register_collector(Box::new(Arc::clone(requests)));
        }
        let mut out = String::new();
        match text::encode(&mut out, &registry) {
            Ok(()) => out,
            Err(error) => format!("# {error}\n"),
        }
    }
}

/// The metrics of ossgate that are read at the time of the scrape.
#[derive(Debug)]
struct Gauges(Arc<State>);

/// The process metrics, under the usual names of Prometheus clients.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
        let most = rlimit::Resource::NOFILE.get_soft().unwrap_or(0);
        let memory = resident_memory().unwrap_or(0);
        for (name, help, value) in [
            ("process_open_fds", "Open file descriptors", open),
            (
                "process_max_fds",
                "Maximum number of open file descriptors",
                most,
            ),
            (
                "process_resident_memory_bytes",
                "Resident memory size in bytes",
                memory,
            ),
        ] {
            gauge(&mut encoder, name, help, value)?;
        }
        Ok(())
    }
}

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
        use MetricType::Counter;
        let (state, to) = (&self.0, &mut encoder);
        to.encode_descriptor("build", "The program", None, MetricType::Info)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        let reloads = state.reloads();
        for (name, help, value) in [
            (
                "config_last_reload_successful",
                "1: the latest load of the config and of its address lists succeeded",
                u64::from(reloads.is_good),
            ),
            (
                "config_last_reload_success_timestamp_seconds",
                "Time of the latest load of the config that succeeded",
                reloads.taken_at,
            ),
            (
                "ready",
                "1: this node should get traffic",
                u64::from(state.health.is_ready()),
            ),
            (
                "draining",
                "1: this node is leaving its load balancer",
                u64::from(state.health.is_leaving()),
            ),
            (
                "overloaded",
                "1: the memory limit is reached and new requests are answered 503",
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
            ("config_reloads", "Loads of the config by result", Counter),
            &taken,
        )?;
        if let Some(lost) = &state.lost_lines {
            to.encode_descriptor(
                "log_dropped_lines",
                "Access log lines dropped",
                None,
                Counter,
            )?
            .encode_counter::<NoLabelSet, _, u64>(&lost.load(Relaxed), None)?;
        }
        let dropped = u64::try_from(telemetry::lost_events()).unwrap_or(u64::MAX);
        for (name, help, count) in [
            ("log_dropped_events", "Events dropped from the log", dropped),
            ("panics", "Panics", telemetry::faults::count()),
        ] {
            to.encode_descriptor(name, help, None, Counter)?
                .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        encode_listeners(state, to)?;
        encode_origins(state, to)?;
        encode_certificates(state, to)?;
        encode_credentials(state, to)
    }
}

/// Encodes the counters of the listeners.
fn encode_listeners(state: &State, to: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    use MetricType::{Counter, Gauge};
    type Row = (Arc<str>, u64, u64, u64, u64);
    let listeners: Vec<Row> = state
        .listeners()
        .iter()
        .map(|one| {
            (
                one.label(),
                one.connections(),
                one.accepted(),
                one.turned_away(),
                one.bad_proxy_headers(),
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
            "Client connections turned away with 503 at the connection limit",
            Counter,
        ),
        &rows(|one| one.3),
    )?;
    family(
        to,
        (
            "connections_without_header",
            "Client connections closed for lack of a valid PROXY header",
            Counter,
        ),
        &rows(|one| one.4),
    )?;
    encode_tls_handshakes(state, to)
}

/// Encodes the TLS handshakes of the listeners, by result.
fn encode_tls_handshakes(state: &State, to: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let counts: Vec<_> = (state.listeners().iter())
        .map(|one| (one.label(), one.tls_handshakes()))
        .collect();
    let help = "TLS handshakes of clients by result: completed, or the reason of the failure";
    let mut family = to.encode_descriptor("tls_handshakes", help, None, MetricType::Counter)?;
    for (listener, results) in &counts {
        for (result, count) in results {
            let labels = [("listener", &**listener), ("result", *result)];
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
    }
    Ok(())
}

/// Encodes the endpoint in use for each route, and the addresses of each endpoint.
fn encode_origins(state: &State, to: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    use MetricType::{Counter, Gauge};
    let routes = state.routes().clone();
    let tiers: Vec<(Labels<'_>, u64)> = routes
        .iter()
        .map(|route| {
            (
                [("route", &*route.name)],
                route.origin.active_endpoint() as u64,
            )
        })
        .collect();
    let help = "Index of the endpoint in use: 0 is the first, above 0 a fallback is in use";
    family(to, ("origin_tier", help, Gauge), &tiers)?;
    let states = state.endpoints();
    type Pick = fn(&EndpointState) -> u64;
    let endpoints: [(&str, &str, MetricType, Pick); 5] = [
        (
            "dns_addresses",
            "Known addresses of the endpoint",
            Gauge,
            |one| one.addresses.len() as u64,
        ),
        (
            "dns_ejected_addresses",
            "Addresses that could not be connected to",
            Gauge,
            |one| one.addresses.values().filter(|ejected| **ejected).count() as u64,
        ),
        (
            "dns_record_age_seconds",
            "Age of the latest valid DNS answer",
            Gauge,
            |one| one.age.unwrap_or_default().as_secs(),
        ),
        (
            "dns_stale",
            "1: the latest DNS query failed",
            Gauge,
            |one| u64::from(one.failure.is_some()),
        ),
        (
            "dns_changes",
            "Changes of the known addresses",
            Counter,
            |one| one.changes,
        ),
    ];
    for (name, help, kind, pick) in endpoints {
        let rows: Vec<(Labels<'_>, u64)> = states
            .iter()
            .map(|(label, one)| ([("endpoint", label.as_str())], pick(one)))
            .collect();
        family(to, (name, help, kind), &rows)?;
    }
    Ok(())
}

/// Encodes the expiry of each certificate.
fn encode_certificates(state: &State, to: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let expiries = state.certificate_expiries();
    let rows: Vec<(Labels<'_>, u64)> = expiries
        .iter()
        .map(|(name, expires)| ([("name", &**name)], u64::try_from(*expires).unwrap_or(0)))
        .collect();
    family(
        to,
        (
            "certificate_not_after_timestamp_seconds",
            "Time at which the certificate expires",
            MetricType::Gauge,
        ),
        &rows,
    )
}

/// Encodes the expiry, the age and the failed refreshes of the access key of each source.
fn encode_credentials(state: &State, to: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    use MetricType::{Counter, Gauge};
    // Two sources have the same label if only their secrets differ, which happens during a reload. The first one
    // is reported.
    let mut sources = state.credentials.all();
    sources.dedup_by(|one, other| one.label() == other.label());
    let states: Vec<(Arc<Source>, SourceState)> = (sources.into_iter())
        .map(|source| (Arc::clone(&source), source.state()))
        .collect();
    let now = unix_now();
    type Pick = fn(&SourceState, u64) -> Option<u64>;
    let metrics: [(&str, &str, MetricType, Pick); 3] = [
        (
            "credentials_expiry_timestamp_seconds",
            "Time at which the access key expires",
            Gauge,
            |state, _| state.key.as_ref()?.expires,
        ),
        (
            "credentials_age_seconds",
            "Time since the source last returned the access key",
            Gauge,
            |state, now| Some(now.saturating_sub(state.key.as_ref()?.fetched)),
        ),
        (
            "credentials_refresh_failures",
            "Failed attempts to get the access key",
            Counter,
            |state, _| Some(state.failures),
        ),
    ];
    for (name, help, kind, pick) in metrics {
        let rows: Vec<(Labels<'_>, u64)> = (states.iter())
            .filter_map(|(source, state)| Some(([("source", source.label())], pick(state, now)?)))
            .collect();
        family(to, (name, help, kind), &rows)?;
    }
    Ok(())
}
