//! Warns about tables that are each valid, but together do not have the effect that they seem to have.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::config::endpoint::Endpoint;
use crate::config::listener::{Address, Listener};
use crate::config::origin::Origin;
use crate::config::policy::HttpsMode;
use crate::config::reader::Reader;
use crate::config::route::Route;
use crate::config::server::Family;
use crate::oss::endpoint::Network;

/// Warns about a listener that trusts every client as a proxy, and about a listener on the usual port of the
/// other protocol: 443 without TLS, or 80 with TLS.
pub(super) fn check_listener(reader: &Reader<'_>, listener: &Listener) {
    // Peers on a Unix socket are always trusted, so such a listener gets no warning.
    let is_for_all = |range: &IpNet| range.prefix_len() == 0;
    if listener.trusted_proxies.iter().any(is_for_all)
        && !matches!(listener.address, Address::Unix(_))
    {
        let message =
            "trusts every client: anyone can send a false client address, and claim to use HTTPS";
        let hint = "write the addresses of the proxies, such as `10.0.0.0/8`";
        reader.warn("trusted_proxies", message, Some(hint));
    }
    let Address::Tcp(address) = &listener.address else {
        return;
    };
    // A listener with trusted proxies is not checked: a load balancer that ends TLS may connect to any port.
    if address.port() == 443 && !listener.tls && listener.trusted_proxies.is_empty() {
        let message = "is the port of HTTPS, and this listener has no TLS";
        let hint = "add `tls = true` and a `[[certificate]]`, or use port 80";
        reader.warn("address", message, Some(hint));
    }
    if address.port() == 80 && listener.tls {
        let message = "is on the port of HTTP: browsers send requests without TLS to it";
        reader.warn("tls", message, Some("use port 443"));
    }
}

/// The facts about the listeners and `[dns]` with which each route is compared.
pub(super) struct Surroundings {
    /// Whether a request can come over TLS, which ends at a listener or at a trusted proxy before the
    /// listener.
    has_tls: bool,
    /// The TCP ports of the listeners with TLS.
    tls_ports: BTreeSet<u16>,
    /// Whether every listener has a known TCP port to which clients connect directly. False if a listener has
    /// port 0, a Unix socket, a socket from another process, or trusted proxies.
    has_own_ports: bool,
    family: Family,
}

impl Surroundings {
    pub(super) fn new(listeners: &[Listener], family: Family) -> Self {
        let receives_tls = |listener: &Listener| {
            listener.tls
                || !listener.trusted_proxies.is_empty()
                || !matches!(listener.address, Address::Tcp(_))
        };
        Self {
            // If there are no listeners at all, only the missing listener is reported.
            has_tls: listeners.is_empty() || listeners.iter().any(receives_tls),
            tls_ports: (listeners.iter())
                .filter(|listener| listener.tls)
                .filter_map(|listener| match listener.address {
                    Address::Tcp(address) => Some(address.port()),
                    Address::Unix(_) | Address::Passed(_) => None,
                })
                .collect(),
            has_own_ports: listeners.iter().all(|listener| {
                matches!(listener.address, Address::Tcp(address) if address.port() != 0)
                    && listener.trusted_proxies.is_empty()
            }),
            family,
        }
    }

    /// Warns about a route that needs TLS, a port or an address family that the listeners or `[dns]` do not
    /// have, and about endpoints with the wrong port. `reader` is the table of the route.
    pub(super) fn check_route(&self, reader: &Reader<'_>, route: &Route) {
        if !self.has_tls {
            check_https(reader, route);
        }
        self.check_redirect(reader, route);
        let origin = reader.table_again("origin");
        check_port(&origin, &route.origin);
        self.check_family(&origin, &route.origin.endpoint);
    }

    /// Warns about a redirect to a port on which no listener has TLS.
    fn check_redirect(&self, reader: &Reader<'_>, route: &Route) {
        let Some(https) = &route.policies.https else {
            return;
        };
        let Some(first) = self.tls_ports.first() else {
            return;
        };
        if https.mode == HttpsMode::Redirect
            && self.has_own_ports
            && !u16::try_from(https.port).is_ok_and(|port| self.tls_ports.contains(&port))
        {
            let port = https.port;
            let message = format!(
                "redirects to port {port}, and no listener with `tls = true` has this port"
            );
            let hint = format!(
                "write `port = {first}` in `https`, or `port = {port}` if something before this machine maps it"
            );
            // If the table has the key `port`, the port is intended, so there is no warning.
            let table = reader.table_again("https");
            if !table.has("port") {
                table.warn("mode", message, Some(&hint));
            }
        }
    }

    fn check_family(&self, origin: &Reader<'_>, endpoint: &Endpoint) {
        let key = if origin.has("network") {
            "network"
        } else if origin.has("endpoint") {
            "endpoint"
        } else {
            "region"
        };
        match (endpoint.network, self.family) {
            (Some(Network::DualStack), Family::Ipv4) => {
                let message = "is reached by IPv4 only: `family` in `[dns]` is \"ipv4\"";
                let hint = "write `family = \"both\"` in `[dns]`, or use `network = \"public\"`";
                origin.warn(key, message, Some(hint));
            }
            (Some(Network::Internal | Network::Public), Family::Ipv6) => {
                let message = "has IPv4 addresses only, and `family` in `[dns]` is \"ipv6\"";
                let hint = "write `family = \"ipv4\"` in `[dns]`, or use `network = \"dualstack\"`";
                origin.warn(key, message, Some(hint));
            }
            _ => {}
        }
    }
}

/// Warns about endpoints of OSS with the port of the other protocol: 80 with TLS, or 443 without TLS.
fn check_port(reader: &Reader<'_>, origin: &Origin) {
    let (port, message, hint) = if origin.tls {
        (
            80,
            "has the port of HTTP, and connections to it use TLS, so they fail",
            "leave the port out, or write `tls = false`",
        )
    } else {
        (
            443,
            "has the port of HTTPS, and `tls` is false, so requests to it fail",
            "leave the port out, or leave `tls = false` out",
        )
    };
    let first = ("endpoint", &origin.endpoint);
    let further = origin
        .fallback
        .iter()
        .map(|endpoint| ("fallback", endpoint));
    for (key, endpoint) in std::iter::once(first).chain(further) {
        if endpoint.port == port && endpoint.kind().is_some() {
            reader.warn(key, format!("`{endpoint}` {message}"), Some(hint));
        }
    }
}

fn check_https(reader: &Reader<'_>, route: &Route) {
    let Some(https) = &route.policies.https else {
        return;
    };
    let hint = "add a listener with `tls = true`, or list the load balancer that ends TLS in `trusted_proxies` of \
                its listener";
    let table = reader.table_again("https");
    let message = match https.mode {
        HttpsMode::Redirect => "sends every request to HTTPS, and no listener has `tls = true`",
        HttpsMode::Require => "refuses every request, because no listener has `tls = true`",
        HttpsMode::Off => {
            if https.hsts.is_some() {
                table.warn(
                    "hsts",
                    "is never sent: no listener has `tls = true`",
                    Some(hint),
                );
            }
            return;
        }
    };
    table.warn("mode", message, Some(hint));
}
