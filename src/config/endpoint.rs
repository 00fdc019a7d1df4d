//! The endpoint of an origin: from `endpoint`, or from `region` and `network`.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Serialize, Serializer};

use crate::config::interpolate::hint_for;
use crate::config::reader::Reader;
use crate::config::value::host_name;
use crate::oss::endpoint::{self, HostKind, Network};

/// Host part of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointHost {
    /// A name, resolved all the time.
    Name(String),
    /// An address, used as it is.
    Ip(IpAddr),
}

/// An OSS endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Host without bucket.
    pub host: EndpointHost,
    /// Port. Default 443 with TLS, else 80.
    pub port: u16,
    /// The network it is on; absent for a host that is no known OSS endpoint.
    pub network: Option<Network>,
    /// The region it is of, where that is known.
    pub region: Option<String>,
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.host {
            EndpointHost::Name(name) => {
                serializer.collect_str(&format_args!("{name}:{}", self.port))
            }
            EndpointHost::Ip(ip) => {
                serializer.collect_str(&std::net::SocketAddr::new(*ip, self.port))
            }
        }
    }
}

pub(crate) fn read_endpoint(reader: &Reader<'_>, tls: bool) -> Option<Endpoint> {
    let default_port = if tls { 443 } else { 80 };
    let networks = [
        ("internal", Network::Internal),
        ("public", Network::Public),
        ("accelerate", Network::Accelerate),
        ("accelerate-overseas", Network::AccelerateOverseas),
        ("dualstack", Network::DualStack),
    ];
    if reader.has("endpoint") {
        for key in ["region", "network"] {
            if reader.has(key) {
                reader.error(
                    key,
                    "cannot stand beside `endpoint`, which already says where OSS is",
                    None,
                );
            }
        }
        return parse_endpoint(reader, default_port);
    }
    let network = reader.word("network", &networks);
    if !reader.has("region") {
        reader.error(
            "region",
            "is missing; name a `region` or an `endpoint`",
            None,
        );
        return None;
    }
    let text = reader.text("region")?;
    let Some(region) = endpoint::region(&text.value) else {
        let ids: Vec<&str> = endpoint::regions().iter().map(|region| region.id).collect();
        let message = format!("`{}` is not a region of OSS", text.value);
        reader.error_at(
            text.span,
            "region",
            message,
            hint_for(text.value.trim_start_matches("oss-"), &ids),
        );
        return None;
    };
    let network = network.unwrap_or(Network::Internal);
    let Some(host) = region.endpoint(network) else {
        reader.error(
            "network",
            format!("region `{}` has no such endpoint", region.id),
            None,
        );
        return None;
    };
    Some(Endpoint {
        host: EndpointHost::Name(host.to_owned()),
        port: default_port,
        network: Some(network),
        region: Some(region.id.to_owned()),
    })
}

fn parse_endpoint(reader: &Reader<'_>, default_port: u16) -> Option<Endpoint> {
    let text = reader.text("endpoint")?;
    let fail = |message: String| {
        let hint =
            "write `host`, `host:port` or `ip:port`, without scheme, bucket and path".to_owned();
        reader.error_at(text.span.clone(), "endpoint", message, Some(hint));
        None
    };
    let Some((host, port)) = split_port(&text.value) else {
        return fail(format!("`{}` is not an endpoint", text.value));
    };
    if let Ok(ip) = host.parse::<IpAddr>() {
        let is_metadata = match ip.to_canonical() {
            IpAddr::V4(ip) => {
                ip == Ipv4Addr::new(100, 100, 100, 200) || ip.is_link_local() || ip.is_unspecified()
            }
            IpAddr::V6(ip) => ip.is_unspecified(),
        };
        if is_metadata {
            return fail(format!(
                "`{ip}` is the metadata service or no host at all, and is never proxied"
            ));
        }
        return Some(Endpoint {
            host: EndpointHost::Ip(ip),
            port: port.unwrap_or(default_port),
            network: None,
            region: None,
        });
    }
    let known = endpoint::classify(&host);
    let network = known.as_ref().and_then(|known| match known.kind {
        HostKind::Acceleration => Some(Network::Accelerate),
        HostKind::AccelerationOverseas => Some(Network::AccelerateOverseas),
        HostKind::DualStack => Some(Network::DualStack),
        HostKind::PrivateLink | HostKind::CloudBox => None,
        HostKind::Regional
        | HostKind::ServiceRoot
        | HostKind::S3
        | HostKind::AccessPointAlias
        | HostKind::AccessPoint
        | HostKind::ObjectProcess
        | HostKind::Legacy => Some(if known.is_internal {
            Network::Internal
        } else {
            Network::Public
        }),
    });
    Some(Endpoint {
        region: known.and_then(|known| known.region.map(std::borrow::Cow::into_owned)),
        host: EndpointHost::Name(host),
        port: port.unwrap_or(default_port),
        network,
    })
}

/// Host in canonical form and port of `host`, `host:port`, `[v6]:port`.
pub(crate) fn split_port(text: &str) -> Option<(String, Option<u16>)> {
    if let Some(host) = host_name(text) {
        return Some((host, None));
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some((host_name(host)?, Some(port)))
}
