//! Hosts and groups of hosts that outlive a config.
//!
//! Hosts and groups are looked up by their identity. If a route of a new config describes the same hosts as
//! before, it gets the existing hosts, with their addresses and connections. Equal hosts are created only
//! once, regardless of the number of routes.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::config::{self, Addressing, Dns, Endpoint, EndpointHost};
use crate::origin::endpoint::address_rule::AddressRule;
use crate::origin::endpoint::addresses::AddressSet;
use crate::origin::endpoint::dns::Engine;
use crate::origin::link::host::Host;
use crate::origin::link::identity::{HostError, HostIdentity, TlsIdentity};
use crate::origin::link::tls::{self, Tls, TlsError, Trust};
use crate::origin::tiers::group::Tiers;
use crate::origin::weak_map::WeakMap;

/// The shared hosts, groups and TLS settings that are in use.
pub struct Registry {
    engine: Arc<Engine>,
    /// The rule that decides which addresses are permitted. The network of each endpoint is added with
    /// [`AddressRule::on`].
    rule: AddressRule,
    provider: Arc<CryptoProvider>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    hosts: WeakMap<HostIdentity, Host>,
    groups: WeakMap<Vec<HostIdentity>, Tiers>,
    tls: WeakMap<Trust, ClientConfig>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// Why the hosts of an origin cannot be created.
#[derive(Debug)]
pub enum RegistryError {
    /// A host name or a certificate name is not valid.
    Host(HostError),
    /// The TLS settings could not be built.
    Tls(TlsError),
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RegistryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Host(error) => Some(error),
            Self::Tls(error) => Some(error),
        }
    }
}

impl Registry {
    /// Creates an empty registry. `engine` resolves the names of endpoints. `dns` contains the settings of
    /// the engine, which cannot change in a running process.
    #[must_use]
    pub fn new(engine: Arc<Engine>, dns: &Dns, provider: Arc<CryptoProvider>) -> Self {
        Self {
            engine,
            rule: AddressRule::new(None, dns),
            provider,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the hosts of `bucket` at the endpoints of `origin`. If `bucket` is `None`, returns the hosts
    /// for ListBuckets. In path style these are also the hosts of all buckets.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Host`] if a name is not valid, [`RegistryError::Tls`] if the TLS settings could not
    /// be built.
    pub(crate) fn tiers(
        &self,
        origin: &config::Origin,
        bucket: Option<&str>,
    ) -> Result<Arc<Tiers>, RegistryError> {
        let identities: Vec<HostIdentity> = std::iter::once(&origin.endpoint)
            .chain(&origin.fallback)
            .map(|endpoint| identity(origin, endpoint, bucket))
            .collect();
        let mut known = self.known();
        if let Some(tiers) = known.groups.get(&identities) {
            return Ok(tiers);
        }
        let mut hosts = Vec::with_capacity(identities.len());
        for identity in &identities {
            hosts.push(self.host(&mut known, identity)?);
        }
        let tiers = Arc::new(Tiers::new(hosts.remove(0), hosts, Instant::now()));
        known.groups.insert(identities, &tiers);
        Ok(tiers)
    }

    fn host(&self, known: &mut Known, identity: &HostIdentity) -> Result<Arc<Host>, RegistryError> {
        if let Some(host) = known.hosts.get(identity) {
            return Ok(host);
        }
        let name = identity.name();
        let tls = match &identity.tls {
            None => None,
            Some(tls) => Some(self.tls(known, tls, &name)?),
        };
        let port = identity.endpoint.port;
        let max_in_flight = identity.pool.max_per_address;
        let addresses = match identity.endpoint.host {
            EndpointHost::Ip(ip) => {
                Arc::new(AddressSet::fixed(ip, port, max_in_flight, Instant::now()))
            }
            EndpointHost::Name(_) => {
                let rule = self.rule.on(identity.endpoint.network);
                self.engine.addresses(&name, port, max_in_flight, &rule)
            }
        };
        let host = Host::new(identity, addresses, tls).map_err(RegistryError::Host)?;
        let host = Arc::new(host);
        known.hosts.insert(identity.clone(), &host);
        Ok(host)
    }

    fn tls(&self, known: &mut Known, tls: &TlsIdentity, name: &str) -> Result<Tls, RegistryError> {
        let config = match known.tls.get(&tls.trust) {
            Some(config) => config,
            None => {
                let config = tls::client_config(&tls.trust, &self.provider);
                let config = Arc::new(config.map_err(RegistryError::Tls)?);
                known.tls.insert(tls.trust.clone(), &config);
                config
            }
        };
        tls.settings(name, TlsConnector::from(config))
            .map_err(RegistryError::Host)
    }

    /// Returns the hosts in use.
    #[must_use]
    pub(crate) fn hosts(&self) -> Vec<Arc<Host>> {
        self.known().hosts.values().collect()
    }

    /// Returns the address sets in use, each of them once, sorted by name and port.
    #[must_use]
    pub(crate) fn address_sets(&self) -> Vec<Arc<AddressSet>> {
        let known = self.known();
        let mut sets: Vec<Arc<AddressSet>> = known
            .hosts
            .values()
            .map(|host| Arc::clone(&host.addresses))
            .collect();
        drop(known);
        // The key contains the address of the set in memory, so the sort makes all references to one set
        // adjacent.
        let key = |set: &Arc<AddressSet>| (set.name.clone(), set.port, Arc::as_ptr(set).addr());
        sets.sort_by_cached_key(key);
        sets.dedup_by(|one, other| Arc::ptr_eq(one, other));
        sets
    }
}

fn identity(origin: &config::Origin, endpoint: &Endpoint, bucket: Option<&str>) -> HostIdentity {
    HostIdentity {
        endpoint: endpoint.clone(),
        bucket: match origin.addressing {
            Addressing::Path => None,
            Addressing::VirtualHost => bucket.map(Into::into),
        },
        host: origin.host.clone(),
        tls: origin.tls.then(|| TlsIdentity {
            trust: match &origin.ca {
                None => Trust::System,
                Some(certificates) => Trust::Only(Arc::clone(certificates)),
            },
            name: origin.server_name.clone(),
        }),
        connect_timeout: origin.timeouts.connect,
        pool: origin.pool.clone(),
    }
}
