//! Monitors whether the endpoints are reachable. An endpoint is probed if the requests of clients do not show
//! whether it is reachable.
//!
//! A host is probed while it is unreachable, when requests report that it may be unreachable, and every
//! `interval` if one is set. All its addresses are probed at the same time, so that an address that drops all
//! packets does not delay the other probes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::origin::endpoint::readiness::{self, Reachability};
use crate::origin::exchange::probe::probe;
use crate::origin::link::host::Host;

/// The pause between two evaluations of all hosts.
const ROUND: Duration = Duration::from_millis(250);
/// The first pause between two probes of an unreachable host.
const AGAIN: Duration = Duration::from_millis(500);
/// The maximum pause between two probes of an unreachable host. While other hosts are reachable, the pause
/// doubles with each probe.
const AGAIN_LONGEST: Duration = Duration::from_secs(10);
/// How long the first report waits for a reachable host.
const SETTLING: Duration = Duration::from_secs(1);
/// The maximum number of hosts that are probed at the same time. With thousands of routes, thousands of hosts
/// can be unreachable at once.
const PARALLEL: usize = 256;

/// After each evaluation, the loop pauses for the duration of that evaluation times this factor. Otherwise,
/// with ten thousand hosts, each finished probe would cause an evaluation of all of them without a pause.
const REST: u32 = 9;

/// The probe settings: the steps of a probe, and how often reachable hosts are probed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probing {
    /// The pause between two probes of a reachable host. If it is zero, reachable hosts are not probed.
    pub(crate) interval: Duration,
    /// The path of the HEAD request to which OSS must respond. `None` means that a probe ends after the TLS
    /// handshake.
    pub(crate) path: Option<Uri>,
}

/// The data that determines when one host is probed next.
struct Schedule {
    is_running: bool,
    last: Instant,
    pause: Duration,
}

/// Evaluates the hosts repeatedly and calls `report` after each evaluation. The first report is made when a
/// host is reachable, or after [`SETTLING`]. The future never ends; dropping it stops all probes.
pub(crate) async fn watch(
    hosts: impl Fn() -> Vec<Arc<Host>>,
    probing: Probing,
    mut report: impl FnMut(Reachability),
) {
    let began = Instant::now();
    let mut schedules: HashMap<u64, Schedule> = HashMap::new();
    let mut probes = JoinSet::new();
    let (mut is_fit, mut has_settled) = (false, false);
    // The time that the latest evaluation took.
    let mut evaluating = Duration::ZERO;
    loop {
        let now = Instant::now();
        let hosts = hosts();
        for host in &hosts {
            let schedule = schedules.entry(host.id).or_insert(Schedule {
                is_running: false,
                last: began,
                pause: Duration::ZERO,
            });
            if probes.len() < PARALLEL && schedule.is_due(host, &probing, now) {
                schedule.is_running = true;
                schedule.last = now;
                schedule.pause = if is_fit {
                    (schedule.pause * 2).clamp(AGAIN, AGAIN_LONGEST)
                } else {
                    AGAIN
                };
                probes.spawn(probe_host(Arc::clone(host), probing.path.clone()));
            }
        }
        if schedules.len() > hosts.len() {
            let ids: HashSet<u64> = hosts.iter().map(|host| host.id).collect();
            schedules.retain(|id, _| ids.contains(id));
        }
        let rest = Instant::now() + (now.elapsed() + evaluating) * REST;
        let mut ended = |id| {
            if let Some(schedule) = schedules.get_mut(&id) {
                schedule.is_running = false;
            }
        };
        // A finished probe may change the result. The hosts are then evaluated before the round ends, but not
        // before the time `rest`.
        if let Ok(Some(id)) = tokio::time::timeout(ROUND, probes.join_next()).await {
            if let Ok(id) = id {
                ended(id);
            }
            tokio::time::sleep_until(rest).await;
            while let Some(Ok(id)) = probes.try_join_next() {
                ended(id);
            }
        } else if probes.is_empty() {
            tokio::time::sleep_until(now + ROUND).await;
        }
        let evaluated = Instant::now();
        let found = evaluate(&hosts);
        is_fit = found.is_fit;
        has_settled |= is_fit || began.elapsed() >= SETTLING;
        if has_settled {
            report(found);
        }
        evaluating = evaluated.elapsed();
    }
}

impl Schedule {
    fn is_due(&mut self, host: &Host, probing: &Probing, now: Instant) -> bool {
        if self.is_running {
            return false;
        }
        if host.addresses.take_suspicion() {
            return true;
        }
        let since = now.saturating_duration_since(self.last);
        if readiness::trouble(&host.addresses, now).is_some() {
            return since >= self.pause;
        }
        self.pause = Duration::ZERO;
        !probing.interval.is_zero() && since >= probing.interval
    }
}

/// Probes every host once, then evaluates all hosts.
pub(crate) async fn prove(hosts: &[Arc<Host>], path: Option<&Uri>) -> Reachability {
    let mut probes = JoinSet::new();
    for host in hosts {
        if probes.len() >= PARALLEL {
            probes.join_next().await;
        }
        probes.spawn(probe_host(Arc::clone(host), path.cloned()));
    }
    while probes.join_next().await.is_some() {}
    evaluate(hosts)
}

fn evaluate(hosts: &[Arc<Host>]) -> Reachability {
    let sets = hosts.iter().map(|host| &*host.addresses);
    readiness::evaluate(sets, Instant::now())
}

/// Probes all addresses of a host and returns the host's id.
async fn probe_host(host: Arc<Host>, path: Option<Uri>) -> u64 {
    let mut probes = JoinSet::new();
    for address in host.addresses.snapshot().addresses() {
        let (host, address, path) = (Arc::clone(&host), Arc::clone(address), path.clone());
        probes.spawn(async move { probe(&host, address, path.as_ref()).await });
    }
    let mut has_answer = false;
    while let Some(probed) = probes.join_next().await {
        has_answer |= probed.unwrap_or(false);
    }
    if path.is_some() {
        host.addresses.set_silent(!has_answer);
    }
    host.id
}
