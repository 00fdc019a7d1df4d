//! Resolves one name with several name servers, for one address family or for both.
//!
//! hickory queries two servers at a time and uses the first answer, even if it is a failure. For two
//! families, it returns the addresses of both or none. Therefore this module sends a separate query per
//! server and family. It queries the next server after a failure or a pause, and uses the first answer with
//! addresses. The addresses of one family do not wait for a slow answer about the other family. This module
//! could be removed if hickory supported an ordered list of servers and separate results per family.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::system_conf::read_system_conf;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::{Dns, Family};
use crate::origin::error::DnsFailure;

/// The name servers that exist in every VPC. They are used if the system has no name servers configured.
const VPC_SERVERS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 2, 136)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 2, 138)),
];
/// The longest wait for one server before the next one is queried too.
const STAGGER: Duration = Duration::from_millis(500);
/// How long to wait for the answer about the other family, once the addresses of one family are known.
const OTHER_FAMILY: Duration = Duration::from_millis(100);

/// Addresses and their TTL.
pub(crate) type Resolved = (Vec<IpAddr>, Duration);

/// The name servers, with one list per address family.
#[derive(Debug)]
pub(crate) struct NameServers {
    families: Vec<Arc<ServerList>>,
}

/// The name servers that are queried for one address family.
struct ServerList {
    servers: Vec<TokioResolver>,
    /// The index of the server that last returned addresses; it is queried first.
    preferred: AtomicUsize,
    timeout: Duration,
}

impl std::fmt::Debug for ServerList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerList")
            .field("servers", &self.servers.len())
            .finish_non_exhaustive()
    }
}

impl NameServers {
    /// Creates a resolver for each name server and family. The name servers are those of `config`; if it has
    /// none, those of the system; if the system has none, [`VPC_SERVERS`].
    ///
    /// # Errors
    ///
    /// The error of hickory if a resolver cannot be created.
    pub(crate) fn new(config: &Dns) -> Result<Self, NetError> {
        let (servers, mut options) = if config.servers.is_empty() {
            match read_system_conf() {
                Ok((system, options)) if !system.name_servers().is_empty() => {
                    (system.name_servers().to_vec(), options)
                }
                other => {
                    let error = other.err().map(|error| error.to_string());
                    tracing::warn!(error, "no system name servers, using those of the VPC");
                    let servers = VPC_SERVERS.map(|ip| at(SocketAddr::new(ip, 53)));
                    (servers.to_vec(), ResolverOpts::default())
                }
            }
        } else {
            let servers = config.servers.iter().copied().map(at).collect();
            let mut options = ResolverOpts::default();
            options.use_hosts_file = ResolveHosts::Never;
            (servers, options)
        };
        options.cache_size = 0;
        options.attempts = 1;
        options.timeout = config.timeout;
        let strategies: &[LookupIpStrategy] = match config.family {
            Family::Ipv4 => &[LookupIpStrategy::Ipv4Only],
            Family::Ipv6 => &[LookupIpStrategy::Ipv6Only],
            Family::Both => &[LookupIpStrategy::Ipv4Only, LookupIpStrategy::Ipv6Only],
        };
        let families = strategies.iter().map(|strategy| {
            options.ip_strategy = *strategy;
            let resolvers = servers.iter().map(|server| {
                let config = ResolverConfig::from_name_servers(vec![server.clone()]);
                let provider = TokioRuntimeProvider::default();
                let mut builder = TokioResolver::builder_with_config(config, provider);
                *builder.options_mut() = options.clone();
                builder.build()
            });
            Ok(Arc::new(ServerList {
                servers: resolvers.collect::<Result<_, NetError>>()?,
                preferred: AtomicUsize::new(0),
                timeout: config.timeout,
            }))
        });
        Ok(Self {
            families: families.collect::<Result<_, NetError>>()?,
        })
    }

    /// Resolves `name`, which must be absolute.
    ///
    /// # Errors
    ///
    /// A [`DnsFailure`] if no server returned an address. If several queries failed, a failure that describes
    /// the name ([`DnsFailure::NxDomain`], [`DnsFailure::Empty`]) takes precedence over one that describes a
    /// server.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Resolved, DnsFailure> {
        let name: Arc<str> = name.into();
        let mut asking = JoinSet::new();
        for ladder in &self.families {
            let (ladder, name) = (Arc::clone(ladder), Arc::clone(&name));
            asking.spawn(async move { ladder.resolve(&name).await });
        }
        let mut found: Option<Resolved> = None;
        let mut failure = DnsFailure::Timeout;
        let mut until = None;
        loop {
            let next = match until {
                None => asking.join_next().await,
                Some(until) => match tokio::time::timeout_at(until, asking.join_next()).await {
                    Ok(next) => next,
                    Err(_elapsed) => break,
                },
            };
            match next {
                None => break,
                Some(Ok(Ok((ips, ttl)))) => {
                    let (known, shortest) = found.get_or_insert((Vec::new(), ttl));
                    known.extend(ips);
                    *shortest = ttl.min(*shortest);
                    until = Some(Instant::now() + OTHER_FAMILY);
                }
                Some(Ok(Err(why))) => failure = more_specific(failure, why),
                Some(Err(_panicked)) => {}
            }
        }
        found.ok_or(failure)
    }
}

impl ServerList {
    async fn resolve(&self, name: &str) -> Result<Resolved, DnsFailure> {
        let count = self.servers.len();
        let first = self.preferred.load(Relaxed);
        let mut order = (0..count).map(|step| (first + step) % count);
        let mut asking = JoinSet::new();
        let mut failure = DnsFailure::Timeout;
        loop {
            let next = order.next();
            let is_last = next.is_none();
            if let Some((index, server)) =
                next.and_then(|index| Some((index, self.servers.get(index)?)))
            {
                let (server, name) = (server.clone(), name.to_owned());
                // hickory's timeout applies to each attempt. This timeout limits the total time, because an
                // attempt over TCP may follow the attempt over UDP.
                let limit = self.timeout.saturating_mul(2);
                asking.spawn(async move {
                    let answer = tokio::time::timeout(limit, server.lookup_ip(name)).await;
                    (index, answer)
                });
            }
            // After one server has answered without addresses, the other servers get only a short time to
            // return addresses.
            let has_response = !matches!(failure, DnsFailure::Timeout);
            let pause = if is_last && !has_response {
                self.timeout.saturating_mul(3)
            } else {
                STAGGER.min(self.timeout / 2)
            };
            match tokio::time::timeout(pause, asking.join_next()).await {
                Err(_elapsed) if is_last => return Err(failure),
                Ok(None) if is_last => return Err(failure),
                Err(_) | Ok(None | Some(Err(_))) => {}
                Ok(Some(Ok((index, Ok(Ok(lookup)))))) => {
                    let ttl = lookup
                        .valid_until()
                        .saturating_duration_since(Instant::now().into_std());
                    let ips: Vec<IpAddr> = lookup.iter().collect();
                    if !ips.is_empty() {
                        self.preferred.store(index, Relaxed);
                        return Ok((ips, ttl));
                    }
                    failure = more_specific(failure, DnsFailure::Empty);
                }
                Ok(Some(Ok((_, Ok(Err(error)))))) => {
                    failure = more_specific(failure, classify(&error))
                }
                Ok(Some(Ok((_, Err(_elapsed))))) => {}
            }
        }
    }
}

/// Returns the more specific of two failures: a failure of the name is more specific than one of a server.
fn more_specific(one: DnsFailure, other: DnsFailure) -> DnsFailure {
    let rank = |failure| match failure {
        DnsFailure::NxDomain => 4,
        DnsFailure::Empty | DnsFailure::Forbidden => 3,
        DnsFailure::ServerFailure => 2,
        DnsFailure::Timeout => 1,
        DnsFailure::Pending => 0,
    };
    if rank(other) > rank(one) { other } else { one }
}

fn at(server: SocketAddr) -> NameServerConfig {
    let mut config = NameServerConfig::udp_and_tcp(server.ip());
    for connection in &mut config.connections {
        connection.port = server.port();
    }
    config
}

fn classify(error: &NetError) -> DnsFailure {
    match error {
        NetError::Timeout => DnsFailure::Timeout,
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => DnsFailure::NxDomain,
            ResponseCode::NoError => DnsFailure::Empty,
            _ => DnsFailure::ServerFailure,
        },
        NetError::Dns(DnsError::ResponseCode(ResponseCode::NXDomain)) => DnsFailure::NxDomain,
        NetError::Dns(_) => DnsFailure::ServerFailure,
        _ => DnsFailure::Timeout,
    }
}
