//! One name asked of several name servers, for one family of addresses or for both.
//!
//! hickory would ask two servers at a time and take the first to say anything, a failure as well, and
//! it answers for both families or for none. Here each server and each family is a question of its
//! own: servers are asked in turn, the next one at a failure or after a pause, and the first answer
//! with addresses counts. What one family has is not held up by the other.

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

/// The resolvers of every VPC, used where the system names none.
const VPC_SERVERS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 2, 136)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 2, 138)),
];
/// Longest wait for a server before the next one is asked beside it.
const STAGGER: Duration = Duration::from_millis(500);
/// How long the addresses of one family wait for those of the other.
const OTHER_FAMILY: Duration = Duration::from_millis(100);

/// Addresses, and how long they hold.
pub type Found = (Vec<IpAddr>, Duration);

/// The name servers.
#[derive(Debug)]
pub struct NameServers {
    families: Vec<Arc<Ladder>>,
}

/// The name servers for one family.
struct Ladder {
    servers: Vec<TokioResolver>,
    /// The one that has answered last, asked first.
    preferred: AtomicUsize,
    timeout: Duration,
}

impl std::fmt::Debug for Ladder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ladder")
            .field("servers", &self.servers.len())
            .finish_non_exhaustive()
    }
}

impl NameServers {
    /// Those of `config`, else those of the system, else those of the VPC.
    ///
    /// # Errors
    ///
    /// When a resolver cannot be set up.
    pub fn new(config: &Dns) -> Result<Self, NetError> {
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
            Ok(Arc::new(Ladder {
                servers: resolvers.collect::<Result<_, NetError>>()?,
                preferred: AtomicUsize::new(0),
                timeout: config.timeout,
            }))
        });
        Ok(Self {
            families: families.collect::<Result<_, NetError>>()?,
        })
    }

    /// The addresses of `name`, which is absolute.
    ///
    /// # Errors
    ///
    /// When no server has one: what a server says of the name before what is wrong with a server.
    pub async fn resolve(&self, name: &str) -> Result<Found, DnsFailure> {
        let name: Arc<str> = name.into();
        let mut asking = JoinSet::new();
        for ladder in &self.families {
            let (ladder, name) = (Arc::clone(ladder), Arc::clone(&name));
            asking.spawn(async move { ladder.resolve(&name).await });
        }
        let mut found: Option<Found> = None;
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
                Some(Ok(Err(why))) => failure = worse(failure, why),
                Some(Err(_panicked)) => {}
            }
        }
        found.ok_or(failure)
    }
}

impl Ladder {
    async fn resolve(&self, name: &str) -> Result<Found, DnsFailure> {
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
                // hickory's own timeout is per try; this one also ends UDP and then TCP.
                let limit = self.timeout.saturating_mul(2);
                asking.spawn(async move {
                    let answer = tokio::time::timeout(limit, server.lookup_ip(name)).await;
                    (index, answer)
                });
            }
            // Who has been told that there is nothing does not wait long for somebody who says otherwise.
            let is_told = !matches!(failure, DnsFailure::Timeout);
            let pause = if is_last && !is_told {
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
                    failure = worse(failure, DnsFailure::Empty);
                }
                Ok(Some(Ok((_, Ok(Err(error)))))) => failure = worse(failure, meaning(&error)),
                Ok(Some(Ok((_, Err(_elapsed))))) => {}
            }
        }
    }
}

/// Of two failures the one that says more: about the name, then about a server.
fn worse(one: DnsFailure, other: DnsFailure) -> DnsFailure {
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

fn meaning(error: &NetError) -> DnsFailure {
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
