//! Warnings about tables that are valid alone and do not do together what they seem to do.

use crate::config::endpoint::Endpoint;
use crate::config::listener::{Address, Listener};
use crate::config::policy::HttpsMode;
use crate::config::reader::Reader;
use crate::config::route::Route;
use crate::config::server::Family;
use crate::oss::endpoint::Network;

/// Warns about a listener whose port is the usual one of the other protocol.
pub(super) fn check_listener(reader: &Reader<'_>, listener: &Listener) {
    let Address::Tcp(address) = &listener.address else {
        return;
    };
    // A load balancer that ends TLS may connect to any port.
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

/// What the routes must know of the rest of the config.
pub(super) struct Surroundings {
    /// Whether a request can come over TLS, at a listener or at a trusted proxy before it.
    has_tls: bool,
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
            // Without a listener, the missing listener is reported.
            has_tls: listeners.is_empty() || listeners.iter().any(receives_tls),
            family,
        }
    }

    /// Warns about a route that needs what no listener or resolver has. `reader` is the table of the route.
    pub(super) fn check_route(&self, reader: &Reader<'_>, route: &Route) {
        if !self.has_tls {
            check_https(reader, route);
        }
        let origin = reader.table_again("origin");
        self.check_family(&origin, &route.origin.endpoint);
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
