//! The DNS engine: one task per endpoint name resolves it all the time.
//!
//! A task sleeps for the answer's TTL, held between `min_ttl` (a TTL of 0 must not become a busy
//! loop) and `max_ttl`, and feeds the name's [`AddressSet`]. A failed resolution keeps the last good
//! set and is tried again with back-off; a request whose connects all failed asks for an answer at
//! once. The name servers are asked by [`super::lookup`], and by nobody else.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use hickory_resolver::net::NetError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::Dns;
use crate::origin::address::AddressSet;
use crate::origin::error::DnsFailure;
use crate::origin::lookup::NameServers;
use crate::oss::endpoint::Network;

/// An address stays this many TTLs after the last answer that had it: OSS answers with a part of
/// its addresses in rotation, and forgetting one costs its warm connections.
const HOLD_TTLS: u32 = 5;
/// And at least this long, for small TTLs.
const HOLD_LEAST: Duration = Duration::from_secs(30);
/// Pause after the first failed resolution; doubles up to [`RETRY_LONGEST`].
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LONGEST: Duration = Duration::from_secs(5);
/// Least time between two resolutions of a name, however often requests ask.
const ASK_SPACING: Duration = Duration::from_millis(500);

/// Which addresses an endpoint may have.
#[derive(Clone, Debug)]
pub struct AddressRule {
    network: Option<Network>,
    allow: Arc<[ipnet::IpNet]>,
    allows_loopback: bool,
}

impl AddressRule {
    /// The rule for an endpoint of `network` (absent: not a known OSS endpoint). Loopback is allowed
    /// when the operator names a loopback name server, and whatever `dns.allow` contains.
    #[must_use]
    pub fn new(network: Option<Network>, dns: &Dns) -> Self {
        Self {
            network,
            allow: dns.allow.clone().into(),
            allows_loopback: dns.servers.iter().any(|server| server.ip().is_loopback()),
        }
    }

    /// Whether a request may be sent to `ip`.
    #[must_use]
    pub fn permits(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        if self.allow.iter().any(|net| net.contains(&ip))
            || (self.allows_loopback && ip.is_loopback())
        {
            return true;
        }
        match ip {
            IpAddr::V4(ip) => {
                // The metadata service hands out credentials: no request may ever reach it.
                let is_metadata = ip == Ipv4Addr::new(100, 100, 100, 200);
                let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
                let is_nowhere = ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast();
                if is_metadata || is_nowhere || ip.is_loopback() || ip.is_link_local() {
                    return false;
                }
                match self.network {
                    Some(Network::Internal) => is_shared,
                    Some(_) => !ip.is_private(),
                    None => true,
                }
            }
            IpAddr::V6(ip) => {
                !(ip.is_loopback()
                    || ip.is_unspecified()
                    || ip.is_multicast()
                    || ip.is_unicast_link_local())
            }
        }
    }
}

/// Address sets in use, by endpoint name, port, most requests in flight, and the network whose
/// addresses are allowed.
type Sets = HashMap<(Box<str>, u16, usize, Option<Network>), Weak<AddressSet>>;

/// Hands out the address set of each endpoint name.
#[derive(Debug)]
pub struct Engine {
    sets: Mutex<Sets>,
    tasks: mpsc::UnboundedSender<(Weak<AddressSet>, AddressRule)>,
}

/// The tasks behind an [`Engine`]; runs on the control runtime.
pub struct Runner {
    config: Dns,
    servers: NameServers,
    tasks: mpsc::UnboundedReceiver<(Weak<AddressSet>, AddressRule)>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

/// An engine and its runner.
///
/// # Errors
///
/// When the resolver cannot be set up.
pub fn engine(config: &Dns) -> Result<(Arc<Engine>, Runner), NetError> {
    let servers = NameServers::new(config)?;
    let (sender, tasks) = mpsc::unbounded_channel();
    let engine = Engine {
        sets: Mutex::default(),
        tasks: sender,
    };
    let runner = Runner {
        config: config.clone(),
        servers,
        tasks,
    };
    Ok((Arc::new(engine), runner))
}

impl Engine {
    /// The address set of `name`, resolved from now on until the last user drops it.
    pub fn addresses(
        &self,
        name: &str,
        port: u16,
        max_busy: usize,
        rule: &AddressRule,
    ) -> Arc<AddressSet> {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Box::<str>::from(name), port, max_busy, rule.network);
        if let Some(set) = sets.get(&key).and_then(Weak::upgrade) {
            return set;
        }
        sets.retain(|_, set| set.strong_count() > 0);
        let set = Arc::new(AddressSet::new(name, port, max_busy));
        sets.insert(key, Arc::downgrade(&set));
        if self
            .tasks
            .send((Arc::downgrade(&set), rule.clone()))
            .is_err()
        {
            tracing::error!(name, "the DNS engine has stopped");
        }
        set
    }
}

impl Runner {
    /// Resolves until the engine is dropped. Dropping this future stops all resolution.
    pub async fn run(mut self) {
        let mut running = JoinSet::new();
        let servers = Arc::new(self.servers);
        while let Some((set, rule)) = self.tasks.recv().await {
            running.spawn(refresh(
                Arc::clone(&servers),
                self.config.clone(),
                set,
                rule,
            ));
            while running.try_join_next().is_some() {}
        }
    }
}

async fn refresh(servers: Arc<NameServers>, config: Dns, set: Weak<AddressSet>, rule: AddressRule) {
    let mut failures = 0_u32;
    loop {
        let Some(live) = set.upgrade() else { return };
        let (name, kick) = (live.name.clone(), live.kick());
        drop(live);
        let asked = Instant::now();
        let answer = resolve(&servers, &name, &rule).await;
        let Some(live) = set.upgrade() else { return };
        let pause = match answer {
            Ok((ips, ttl)) => {
                failures = 0;
                let ttl = ttl.clamp(config.min_ttl, config.max_ttl);
                let before = live.generation();
                live.publish(
                    &ips,
                    ttl.saturating_mul(HOLD_TTLS).max(HOLD_LEAST),
                    Instant::now(),
                );
                if live.generation() != before {
                    tracing::info!(endpoint = %name, addresses = ?ips, "endpoint addresses changed");
                }
                ttl
            }
            Err(failure) => {
                failures = failures.saturating_add(1);
                tracing::warn!(endpoint = %name, %failure, failures, "endpoint not resolved");
                live.note_failure(failure, config.stale, Instant::now());
                RETRY_FIRST
                    .saturating_mul(1 << failures.saturating_sub(1).min(8))
                    .min(RETRY_LONGEST)
            }
        };
        drop(live);
        let asked_for = async {
            kick.notified().await;
            tokio::time::sleep_until(asked + ASK_SPACING).await;
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = asked_for => {}
        }
    }
}

async fn resolve(
    servers: &NameServers,
    name: &str,
    rule: &AddressRule,
) -> Result<(Vec<IpAddr>, Duration), DnsFailure> {
    // The trailing dot keeps search domains out of it.
    let (mut ips, ttl) = servers.resolve(&format!("{name}.")).await?;
    ips.retain(|ip| {
        let is_permitted = rule.permits(*ip);
        if !is_permitted {
            tracing::warn!(endpoint = name, address = %ip, "DNS answer ignored: not an address this endpoint may have");
        }
        is_permitted
    });
    if ips.is_empty() {
        return Err(DnsFailure::Forbidden);
    }
    Ok((ips, ttl))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(network: Option<Network>, allow: &[&str]) -> AddressRule {
        AddressRule {
            network,
            allow: allow.iter().map(|net| net.parse().unwrap()).collect(),
            allows_loopback: false,
        }
    }

    #[test]
    fn no_endpoint_may_be_the_metadata_service_or_this_machine() {
        for network in [None, Some(Network::Internal), Some(Network::Public)] {
            for ip in [
                "100.100.100.200",
                "169.254.169.254",
                "127.0.0.1",
                "0.0.0.0",
                "::1",
                "::ffff:127.0.0.1",
                "fe80::1",
            ] {
                assert!(
                    !rule(network, &[]).permits(ip.parse().unwrap()),
                    "{ip} {network:?}"
                );
            }
        }
    }

    #[test]
    fn an_internal_endpoint_lives_in_the_shared_range() {
        let internal = rule(Some(Network::Internal), &[]);
        assert!(internal.permits("100.118.28.7".parse().unwrap()));
        assert!(!internal.permits("8.8.8.8".parse().unwrap()));
        let public = rule(Some(Network::Public), &[]);
        assert!(public.permits("118.31.219.1".parse().unwrap()));
        assert!(!public.permits("10.0.0.1".parse().unwrap()));
        assert!(
            rule(None, &[]).permits("10.0.0.1".parse().unwrap()),
            "a PrivateLink address"
        );
        assert!(
            rule(Some(Network::Internal), &["127.0.0.0/8"]).permits("127.0.0.2".parse().unwrap())
        );
    }
}
