//! The endpoints in use and their addresses, as status and metrics show them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::app::state::State;
use crate::origin::endpoint::addresses::AddressSet;
use crate::origin::error::DnsFailure;

/// One endpoint: everything that is known under one name and port.
#[derive(Debug, Default)]
pub(super) struct EndpointState {
    /// Its addresses, and whether new connections avoid them.
    pub(super) addresses: BTreeMap<SocketAddr, bool>,
    /// The time since the latest good DNS answer; `None` before the first.
    pub(super) age: Option<Duration>,
    /// Why the latest resolution failed; `None` after a good one.
    pub(super) failure: Option<DnsFailure>,
    /// The number of changes of the addresses.
    pub(super) changes: u64,
}

impl EndpointState {
    /// Adds what `set` knows of the same endpoint; the worse of two values counts.
    fn add(&mut self, set: &AddressSet, now: Instant) {
        for address in set.snapshot().addresses() {
            *self.addresses.entry(address.socket).or_default() |= address.is_ejected();
        }
        self.age = self.age.max(set.age(now));
        self.failure = self.failure.or(set.failure());
        self.changes = self.changes.max(set.changes());
    }
}

impl State {
    /// Returns the endpoints by `name:port`. Routes with different limits, and the buckets at one IP
    /// address, have address sets of their own; those of one name and port are one endpoint here.
    pub(super) fn endpoints(&self) -> BTreeMap<String, EndpointState> {
        let now = Instant::now();
        let mut endpoints: BTreeMap<String, EndpointState> = BTreeMap::new();
        for set in self.registry.address_sets() {
            endpoints.entry(set.label()).or_default().add(&set, now);
        }
        endpoints
    }
}
