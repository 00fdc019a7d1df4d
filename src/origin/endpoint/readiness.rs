//! Whether the endpoints in use can be reached; readiness depends on it.
//!
//! The connects of requests are the first source: an endpoint is unreachable when it has no address, or
//! when the latest connect to each of its addresses has failed. A node that is not ready gets no traffic,
//! so no request would notice that the endpoint works again. Therefore the addresses of unreachable
//! endpoints are probed by connects from here.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::origin::endpoint::address_health::Address;
use crate::origin::endpoint::addresses::AddressSet;
use crate::origin::error::Error;

/// The longest wait for the connect of a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause between two rounds of probes.
const ROUND: Duration = Duration::from_millis(500);

/// How long connects to an address that has worked must fail before the address counts as lost. When an
/// endpoint moves, all its addresses fail at once; the first failure requests a resolution, and DNS has
/// the new addresses within this time.
const PATIENCE: Duration = Duration::from_millis(1200);

/// Which endpoints can be reached.
#[derive(Debug)]
pub(crate) struct Reachability {
    /// Whether at least one endpoint can be reached, or there is none.
    pub(crate) is_fit: bool,
    /// One text for each endpoint that cannot be reached: its name and the reason.
    pub(crate) troubles: Vec<String>,
}

/// Evaluates what is known of the endpoints, without I/O.
#[must_use]
pub(crate) fn evaluate(sets: &[Arc<AddressSet>], now: Instant) -> Reachability {
    let mut troubles = Vec::new();
    let mut has_good = sets.is_empty();
    for set in sets {
        match trouble(set, now) {
            Some(trouble) => troubles.push(format!("{}:{}: {trouble}", set.name, set.port)),
            None => has_good = true,
        }
    }
    Reachability {
        is_fit: has_good,
        troubles,
    }
}

fn trouble(set: &AddressSet, now: Instant) -> Option<String> {
    let snapshot = set.snapshot();
    if snapshot.addresses().is_empty() {
        return Some(match set.failure() {
            Some(failure) => format!("no address: {failure}"),
            None => "no address".to_owned(),
        });
    }
    let is_lost = |address: &Arc<Address>| address.is_lost(now, PATIENCE);
    if snapshot.addresses().iter().all(is_lost) {
        let age = set.age(now).unwrap_or_default().as_secs();
        return Some(format!(
            "none of its {} addresses can be connected to; resolved {age} s ago",
            snapshot.addresses().len()
        ));
    }
    None
}

/// Evaluates `sets` in rounds and calls `report` after each. Unreachable endpoints are probed in every
/// round, the others every `interval`; zero: never.
pub(crate) async fn watch(
    sets: impl Fn() -> Vec<Arc<AddressSet>>,
    interval: Duration,
    mut report: impl FnMut(Reachability),
) {
    let mut last_probe = Instant::now();
    loop {
        let sets = sets();
        let now = Instant::now();
        let is_due = !interval.is_zero() && now.saturating_duration_since(last_probe) >= interval;
        if is_due {
            last_probe = now;
        }
        let probed = sets
            .iter()
            .filter(|set| is_due || trouble(set, now).is_some());
        let addresses: Vec<Arc<Address>> = probed
            .flat_map(|set| set.snapshot().addresses().to_vec())
            .collect();
        probe(addresses).await;
        report(evaluate(&sets, Instant::now()));
        tokio::time::sleep(ROUND).await;
    }
}

/// Probes every address of `sets`, then evaluates them.
pub(crate) async fn prove(sets: &[Arc<AddressSet>]) -> Reachability {
    let addresses = sets
        .iter()
        .flat_map(|set| set.snapshot().addresses().to_vec());
    probe(addresses.collect()).await;
    evaluate(sets, Instant::now())
}

async fn probe(addresses: Vec<Arc<Address>>) {
    let mut probes = JoinSet::new();
    for address in addresses {
        probes.spawn(accepts(address));
    }
    while probes.join_next().await.is_some() {}
}

/// Whether `address` accepts a connection, which is closed at once. True as well when this process has no
/// descriptor or port left for the connect: that says nothing about the address.
///
/// Cancel-safe.
pub(crate) async fn accepts(address: Arc<Address>) -> bool {
    let connecting = TcpStream::connect(address.socket);
    match tokio::time::timeout(PROBE_TIMEOUT, connecting).await {
        Ok(Ok(_)) => {
            address.note_connected(Instant::now());
            return true;
        }
        Ok(Err(error)) => match Error::from_connect(error) {
            Error::Busy => return true,
            error => address.note_failure(Instant::now(), error),
        },
        Err(_) => address.note_failure(Instant::now(), "no answer to a connect"),
    }
    false
}
