//! The endpoints in use and their upstream addresses, for status and metrics.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::app::state::State;
use crate::origin::endpoint::addresses::AddressSet;
use crate::origin::error::DnsFailure;

/// The state of one endpoint, which has one name and port.
#[derive(Debug, Default)]
pub(super) struct EndpointState {
    /// The upstream addresses; the value is true while new connections avoid the address.
    pub(super) addresses: BTreeMap<SocketAddr, bool>,
    /// The time since the latest successful DNS answer; `None` before the first one.
    pub(super) age: Option<Duration>,
    /// The reason why the latest resolution failed; `None` after a successful one.
    pub(super) failure: Option<DnsFailure>,
    /// Why the latest connect failed, if all addresses are avoided.
    connect_failure: Option<Arc<str>>,
    /// The number of times that the addresses have changed.
    pub(super) changes: u64,
}

impl EndpointState {
    /// Adds the data of `set`, which belongs to the same endpoint. If two values differ, the worse one is
    /// kept.
    fn add(&mut self, set: &AddressSet, now: Instant) {
        for address in set.snapshot().addresses() {
            *self.addresses.entry(address.socket).or_default() |= address.is_ejected();
        }
        self.age = self.age.max(set.age(now));
        self.failure = self.failure.or(set.failure());
        self.changes = self.changes.max(set.changes());
        self.connect_failure = self.connect_failure.take().or(set.connect_failure());
    }

    /// Returns why the endpoint cannot be used, or why its addresses cannot be resolved again. `None` if there is
    /// no problem.
    pub(super) fn problem(&self) -> Option<String> {
        let is_avoided =
            !self.addresses.is_empty() && self.addresses.values().all(|avoided| *avoided);
        let connect = self.connect_failure.as_deref().filter(|_| is_avoided);
        let dns = self.failure.map(|failure| failure.to_string());
        connect.map(str::to_owned).or(dns)
    }
}

impl State {
    /// Returns the endpoints by `name:port`. Several address sets can have the same name and port: routes
    /// with different limits, and buckets at one IP address, have separate sets. The sets with the same name
    /// and port are returned as one endpoint.
    pub(super) fn endpoints(&self) -> BTreeMap<String, EndpointState> {
        let now = Instant::now();
        let mut endpoints: BTreeMap<String, EndpointState> = BTreeMap::new();
        for set in self.registry.address_sets() {
            endpoints
                .entry(set.label().to_owned())
                .or_default()
                .add(&set, now);
        }
        endpoints
    }
}
