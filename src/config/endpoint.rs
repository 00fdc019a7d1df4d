//! The endpoint of an origin: the value of the key `endpoint`, or derived from `region` and `network`.
//!
//! Nothing is resolved here. Two values of `endpoint` can only be a mistake or an attack, and are refused:
//! the address of the metadata service, and a host name that contains a bucket.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Serialize, Serializer};

use crate::config::pasted;
use crate::config::pattern::host_name;
use crate::config::reader::Reader;

use crate::oss::endpoint::{self, HostKind, Network};

/// The host part of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndpointHost {
    /// A host name, which is resolved repeatedly.
    Name(String),
    /// An IP address, which is used without resolution.
    Ip(IpAddr),
}

/// An OSS endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The host, without a bucket.
    pub host: EndpointHost,
    /// The TCP port. Default 443 with TLS, otherwise 80.
    pub port: u16,
    /// The network that the endpoint is on. `None` for an IP address, for a PrivateLink or CloudBox endpoint,
    /// and for a host that is not a known OSS endpoint.
    pub network: Option<Network>,
    /// The region of the endpoint; `None` when the region is not known.
    pub region: Option<String>,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            EndpointHost::Name(name) => write!(f, "{name}:{}", self.port),
            EndpointHost::Ip(ip) => write!(f, "{}", SocketAddr::new(*ip, self.port)),
        }
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

const NETWORKS: [(&str, Network); 5] = [
    ("internal", Network::Internal),
    ("public", Network::Public),
    ("accelerate", Network::Accelerate),
    ("accelerate-overseas", Network::AccelerateOverseas),
    ("dualstack", Network::DualStack),
];

impl Endpoint {
    /// Reads the key `endpoint`, or the keys `region` and `network`. An endpoint without a port gets
    /// `default_port`. If the table has `network` but no `region`, the argument `region` is used.
    pub(crate) fn read(
        reader: &Reader<'_>,
        default_port: u16,
        region: Option<&str>,
    ) -> Option<Self> {
        let network = reader.word("network", &NETWORKS);
        if !reader.has("endpoint") {
            return from_region(reader, network, region, default_port);
        }
        for key in ["region", "network"] {
            if reader.has(key) {
                let message = "cannot be used together with `endpoint`";
                reader.error(key, message, Some("keep one of the two"));
            }
        }
        as_written(reader, default_port)
    }

    /// Returns the kind of the host; `None` for an IP address, and for a host that is not a known OSS host.
    pub(crate) fn kind(&self) -> Option<HostKind> {
        match &self.host {
            EndpointHost::Name(name) => endpoint::classify(name).map(|known| known.kind),
            EndpointHost::Ip(_) => None,
        }
    }
}

fn from_region(
    reader: &Reader<'_>,
    network: Option<Network>,
    inherited: Option<&str>,
    default_port: u16,
) -> Option<Endpoint> {
    let inherited = inherited
        .filter(|_| reader.has("network") && !reader.has("region"))
        .and_then(endpoint::region);
    if inherited.is_none() && !reader.has("region") {
        let (key, message) = if reader.has("network") {
            ("network", "needs a `region`")
        } else {
            ("region", "is missing")
        };
        let hint = "name a `region`, such as \"cn-hangzhou\", or an `endpoint`";
        reader.error(key, message, Some(hint));
        return None;
    }
    let region = match inherited {
        Some(region) => region,
        None => read_region(reader)?,
    };
    // If the file has the key but the variable `network` is `None`, the value of the key is invalid, which
    // has already been reported.
    if network.is_none() && reader.has("network") {
        return None;
    }
    let network_or_default = network.unwrap_or(Network::Internal);
    let Some(host) = region.endpoint(network_or_default) else {
        let name = |network: Network| {
            let found = NETWORKS.iter().find(|(_, known)| *known == network);
            found.map_or("", |(name, _)| name)
        };
        let offered: Vec<&str> = NETWORKS
            .iter()
            .filter(|(_, network)| region.endpoint(*network).is_some())
            .map(|(name, _)| *name)
            .collect();
        let message = format!(
            "this region has no endpoint on network `{}`",
            name(network_or_default)
        );
        let hint = format!("it has: {}", offered.join(", "));
        let key = if network.is_some() {
            "network"
        } else {
            "region"
        };
        reader.error(key, message, Some(&hint));
        return None;
    };
    Some(Endpoint {
        host: EndpointHost::Name(host.to_owned()),
        port: default_port,
        network: Some(network_or_default),
        region: Some(region.id.to_owned()),
    })
}

fn read_region(reader: &Reader<'_>) -> Option<&'static endpoint::Region> {
    let text = reader.text("region")?;
    let region = endpoint::region(&text.value);
    if region.is_none() {
        let hint = pasted::unknown_region(&text.written);
        reader.error_at("region", &text, "is not a region of OSS", hint);
    }
    region
}

fn as_written(reader: &Reader<'_>, default_port: u16) -> Option<Endpoint> {
    const FORMS: &str = "write `host`, `host:port` or `ip:port`, without scheme, bucket and path";
    let text = reader.text("endpoint")?;
    let invalid = |reason: &str| {
        let lines = text.is_literal().then(|| pasted::endpoint(&text.written));
        let hint = lines.flatten().unwrap_or_else(|| FORMS.to_owned());
        reader.error_at("endpoint", &text, reason, Some(hint));
        None
    };
    let Some((host, port)) = split_port(&text.value) else {
        return invalid(if text.value.contains("://") {
            "has a scheme; `tls` chooses between HTTP and HTTPS"
        } else if text.value.contains('@') {
            "has a user in it"
        } else if text.value.contains(['/', '?', '#']) {
            "has a path in it"
        } else {
            "is not an endpoint"
        });
    };
    let port = port.unwrap_or(default_port);
    if let Ok(ip) = host.parse::<IpAddr>() {
        if !is_host(ip) {
            return invalid(
                "is the metadata service or not the address of one host, and is never proxied",
            );
        }
        return Some(Endpoint {
            host: EndpointHost::Ip(ip),
            port,
            network: None,
            region: None,
        });
    }
    let known = endpoint::classify(&host);
    if known.as_ref().is_some_and(|known| known.bucket.is_some()) {
        return invalid("has a bucket in it");
    }
    let region = known
        .as_ref()
        .and_then(|known| known.region.as_deref().map(str::to_owned));
    if let Some(region) = &region
        && endpoint::region(region).is_none()
    {
        let message = "is of a region that ossgate does not know";
        reader.warn("endpoint", message, pasted::region(region).as_deref());
    }
    Some(Endpoint {
        network: known.and_then(|known| network_of(known.kind, known.is_internal)),
        host: EndpointHost::Name(host),
        port,
        region,
    })
}

fn network_of(kind: HostKind, is_internal: bool) -> Option<Network> {
    match kind {
        HostKind::Acceleration => Some(Network::Accelerate),
        HostKind::AccelerationOverseas => Some(Network::AccelerateOverseas),
        HostKind::DualStack => Some(Network::DualStack),
        // These endpoints have addresses in the operator's own network, so their address ranges are not
        // known.
        HostKind::PrivateLink | HostKind::CloudBox => None,
        HostKind::Regional
        | HostKind::ServiceRoot
        | HostKind::S3
        | HostKind::AccessPointAlias
        | HostKind::AccessPoint
        | HostKind::ObjectProcess
        | HostKind::Legacy => Some(if is_internal {
            Network::Internal
        } else {
            Network::Public
        }),
    }
}

/// Whether a request may be sent to `ip`. The metadata service (100.100.100.200, and link-local addresses) is
/// excluded because it returns credentials of the instance. Addresses that do not belong to one host, such as
/// multicast addresses, are also excluded.
fn is_host(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            !(ip == Ipv4Addr::new(100, 100, 100, 200)
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast())
        }
        IpAddr::V6(ip) => !(ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local()),
    }
}

/// Splits `host`, `host:port` or `[v6]:port` into the host in canonical form and the port. Returns
/// `None` for any other text, and for port 0.
pub(crate) fn split_port(text: &str) -> Option<(String, Option<u16>)> {
    if let Some(host) = host_name(text) {
        return Some((host, None));
    }
    let (host, port) = text.rsplit_once(':')?;
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some((host_name(host)?, Some(port)))
}
