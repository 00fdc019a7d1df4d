//! Finds origins whose requests would come back to this proxy.
//!
//! It is an error if an endpoint is the address of a listener of the same config. It is only a warning if an
//! endpoint has the name of a host that a route serves: the name servers that ossgate asks may resolve the
//! name to addresses of OSS.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::endpoint::{Endpoint, EndpointHost};
use crate::config::listener::{Address, Listener};
use crate::config::pattern::HostPattern;
use crate::config::reader::Reader;
use crate::config::route::RouteCandidate;

/// Reports the endpoints of `routes` that lead back to `listeners` or to a host of a route.
pub(super) fn check(routes: &[RouteCandidate<'_>], listeners: &[Listener]) {
    let listening: HashSet<SocketAddr> = (listeners.iter())
        .filter_map(|listener| match &listener.address {
            Address::Tcp(address) if address.port() != 0 => Some(*address),
            Address::Tcp(_) | Address::Unix(_) | Address::Passed(_) => None,
        })
        .collect();
    let served = Served::new(routes);
    for route in routes {
        let origin = &route.route().origin;
        let all = std::iter::once(&origin.endpoint).chain(&origin.fallback);
        let is_wrong = |endpoint: &Endpoint| {
            listener_at(endpoint, &listening).is_some() || served.has(endpoint)
        };
        if !all.clone().any(is_wrong) {
            continue;
        }
        // The reader is made only for a route with a problem.
        let table = route.reader().table_again("origin");
        report(&origin.endpoint, &table, "endpoint", &listening, &served);
        for endpoint in &origin.fallback {
            report(endpoint, &table, "fallback", &listening, &served);
        }
    }
}

fn report(
    endpoint: &Endpoint,
    table: &Reader<'_>,
    key: &str,
    listening: &HashSet<SocketAddr>,
    served: &Served<'_>,
) {
    if let Some(listener) = listener_at(endpoint, listening) {
        let message = format!(
            "`{endpoint}` leads to the listener `{listener}` of this config, so requests would go in a circle"
        );
        table.error(key, message, Some(RIGHT));
    } else if served.has(endpoint) {
        let host = match &endpoint.host {
            EndpointHost::Name(name) => name.clone(),
            EndpointHost::Ip(ip) => ip.to_string(),
        };
        let message = format!(
            "`{host}` is also a host of a route: if DNS leads this name to the proxy, requests go in a circle"
        );
        table.warn(key, message, Some(RIGHT));
    }
}

const RIGHT: &str = "the endpoint of the bucket is `oss-REGION-internal.aliyuncs.com` or `oss-REGION.aliyuncs.com`, and \
                     a domain that is bound to the bucket goes to `host`";

/// Returns the address of the listener that a connection to `endpoint` reaches. Returns `None` if there is
/// none, or if `endpoint` is a name: names are not looked up.
fn listener_at(endpoint: &Endpoint, listening: &HashSet<SocketAddr>) -> Option<SocketAddr> {
    let EndpointHost::Ip(ip) = &endpoint.host else {
        return None;
    };
    let ip = ip.to_canonical();
    let whole = match ip {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let exact = SocketAddr::new(ip, endpoint.port);
    let of_all = SocketAddr::new(whole, endpoint.port);
    if listening.contains(&exact) {
        return Some(exact);
    }
    // Only a loopback address certainly belongs to this machine. Any other address may belong to another
    // machine, so a listener for all addresses of this machine does not count.
    (ip.is_loopback() && listening.contains(&of_all)).then_some(of_all)
}

/// The hosts of all routes.
struct Served<'r> {
    exact: HashSet<&'r str>,
    wildcard: HashSet<&'r str>,
}

impl<'r> Served<'r> {
    fn new(routes: &'r [RouteCandidate<'_>]) -> Self {
        let (mut exact, mut wildcard) = (HashSet::new(), HashSet::new());
        for host in routes.iter().flat_map(|route| &route.route().hosts) {
            match host {
                HostPattern::Exact(name) => exact.insert(name.as_str()),
                HostPattern::Wildcard(suffix) => wildcard.insert(suffix.as_str()),
            };
        }
        Self { exact, wildcard }
    }

    fn has(&self, endpoint: &Endpoint) -> bool {
        let EndpointHost::Name(name) = &endpoint.host else {
            return false;
        };
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.exact.contains(name.as_str())
            || parent.is_some_and(|parent| self.wildcard.contains(parent))
    }
}
