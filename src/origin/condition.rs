//! Whether the endpoints in use can be reached, for readiness.
//!
//! What requests find out is used first: an endpoint is in trouble when it has no address, or when
//! the latest connect to every one of its addresses has failed. A node in trouble gets no traffic that
//! could find out that the trouble is over, so its addresses are then connected to from here.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::origin::address::{Address, AddressSet};
use crate::origin::connect;
use crate::origin::error::Error;

/// Longest wait for a connect from here.
const PROBE: Duration = Duration::from_secs(2);
/// Pause between two rounds.
const ROUND: Duration = Duration::from_millis(500);

/// How long an address that has worked cannot be connected to before that is trouble. Addresses that
/// move fail all at once, and DNS, which is asked at the first failure, has the new ones by then.
const PATIENCE: Duration = Duration::from_millis(1200);

/// What was found about the endpoints.
#[derive(Debug)]
pub struct Condition {
    /// Whether some endpoint can be reached, or none is known yet.
    pub is_fit: bool,
    /// What is wrong with which endpoint.
    pub troubles: Vec<String>,
}

/// Looks at the endpoints as they are.
#[must_use]
pub fn look(sets: &[Arc<AddressSet>], now: Instant) -> Condition {
    let mut troubles = Vec::new();
    let mut has_good = sets.is_empty();
    for set in sets {
        match trouble(set, now) {
            Some(trouble) => troubles.push(format!("{}:{}: {trouble}", set.name, set.port)),
            None => has_good = true,
        }
    }
    Condition {
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

/// Looks at `sets` again and again and tells `report`. Endpoints in trouble are connected to in every
/// round, the others every `interval`; zero: never.
pub async fn watch(
    sets: impl Fn() -> Vec<Arc<AddressSet>>,
    interval: Duration,
    mut report: impl FnMut(Condition),
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
        report(look(&sets, Instant::now()));
        tokio::time::sleep(ROUND).await;
    }
}

/// Connects to every address of `sets`; what they are after that.
pub async fn prove(sets: &[Arc<AddressSet>]) -> Condition {
    let addresses = sets
        .iter()
        .flat_map(|set| set.snapshot().addresses().to_vec());
    probe(addresses.collect()).await;
    look(sets, Instant::now())
}

async fn probe(addresses: Vec<Arc<Address>>) {
    let mut probes = JoinSet::new();
    for address in addresses {
        probes.spawn(accepts(address));
    }
    while probes.join_next().await.is_some() {}
}

/// Connects to `address` and lets go: whether that is possible, as far as is known.
pub async fn accepts(address: Arc<Address>) -> bool {
    let connecting = TcpStream::connect(address.socket);
    match tokio::time::timeout(PROBE, connecting).await {
        Ok(Ok(_)) => {
            address.note_connected(Instant::now());
            return true;
        }
        Ok(Err(error)) => match connect::meaning(error) {
            // Says nothing about the address.
            Error::Busy => return true,
            error => address.note_failure(Instant::now(), error),
        },
        Err(_) => address.note_failure(Instant::now(), "no answer to a connect"),
    }
    false
}
