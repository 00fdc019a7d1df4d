//! The rule that decides which addresses are permitted for an endpoint.
//!
//! DNS answers are not fully trusted. A request must never be sent to the metadata service or to this
//! machine. A request for an internal endpoint must not leave the address range of Alibaba Cloud's internal
//! network.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::config::Dns;
use crate::oss::endpoint::Network;

/// The addresses permitted for one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct AddressRule {
    network: Option<Network>,
    allow: Arc<[ipnet::IpNet]>,
    allows_loopback: bool,
}

impl AddressRule {
    /// Creates the rule for an endpoint on `network`, which is `None` for a host that is not a known OSS
    /// endpoint. `dns.allow` permits further networks. Loopback addresses are permitted if the config names
    /// a name server on loopback, as the demo and the tests do.
    #[must_use]
    pub(crate) fn new(network: Option<Network>, dns: &Dns) -> Self {
        Self {
            network,
            allow: dns.allow.clone().into(),
            allows_loopback: dns.servers.iter().any(|server| server.ip().is_loopback()),
        }
    }

    /// Returns the same rule for an endpoint on `network`.
    #[must_use]
    pub(crate) fn on(&self, network: Option<Network>) -> Self {
        Self {
            network,
            ..self.clone()
        }
    }

    /// Returns the network of the endpoint.
    pub(super) fn network(&self) -> Option<Network> {
        self.network
    }

    /// Whether a request may be sent to `ip`.
    #[must_use]
    pub(crate) fn permits(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        if self.allow.iter().any(|net| net.contains(&ip))
            || (self.allows_loopback && ip.is_loopback())
        {
            return true;
        }
        match ip {
            IpAddr::V4(ip) => {
                // The metadata service issues credentials, so no request may ever reach it.
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
