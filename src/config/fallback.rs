//! `[[route.origin.fallback]]`: the further endpoints of an origin, after the first one.
//!
//! All endpoints of an origin share its other settings: bucket, addressing, TLS and `host`. An endpoint that
//! cannot work with these settings is reported here.

use crate::config::addressing::{Addressing, Mismatch};
use crate::config::endpoint::{Endpoint, EndpointHost};
use crate::config::reader::Reader;

/// The settings that all endpoints of one origin share.
#[derive(Clone, Copy)]
pub(super) struct OriginSettings<'a> {
    pub(super) addressing: Addressing,
    pub(super) host: Option<&'a str>,
    pub(super) tls: bool,
    /// The port of an endpoint that is written without a port.
    pub(super) default_port: u16,
    /// Whether `ca` or `server_name` is set.
    pub(super) has_trust: bool,
}

/// Reads the endpoints of `fallback`, in order of preference. `first` is the origin's own endpoint.
pub(super) fn read(
    reader: &Reader<'_>,
    first: &Endpoint,
    settings: OriginSettings<'_>,
) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for table in reader.tables("fallback") {
        let region = first.region.as_deref();
        let Some(endpoint) = Endpoint::read(&table, settings.default_port, region) else {
            continue;
        };
        let is_same = |known: &Endpoint| known.host == endpoint.host && known.port == endpoint.port;
        if is_same(first) || endpoints.iter().any(is_same) {
            let message = format!("`{endpoint}` is already listed before this one");
            table.error("", message, None);
        }
        check(&table, &endpoint, first, settings);
        endpoints.push(endpoint);
    }
    endpoints
}

fn check(table: &Reader<'_>, endpoint: &Endpoint, first: &Endpoint, settings: OriginSettings<'_>) {
    match settings.addressing.mismatch(endpoint, settings.host) {
        Some(Mismatch::VirtualHostOnly) => {
            let message =
                "answers path style, which this origin uses, with 403 SecondLevelDomainForbidden";
            table.error("", message, None);
        }
        Some(Mismatch::PathOnly) => {
            let message =
                "takes the bucket in the path only, and this origin puts it into the host";
            table.error("", message, None);
        }
        Some(Mismatch::AddressWithoutHost) => {
            let message = "is an IP address, which has no host to put a bucket before";
            table.error("", message, Some("set the origin's `host`"));
        }
        None => {}
    }
    if let (Some(own), Some(other)) = (&endpoint.region, &first.region)
        && own != other
    {
        let message =
            format!("is of region `{own}`: a bucket of `{other}` is refused there with 403");
        table.warn("", message, None);
    }
    let is_ip = matches!(endpoint.host, EndpointHost::Ip(_));
    if is_ip && settings.tls && !settings.has_trust {
        let message = "is an IP address, which no certificate of OSS names, so HTTPS to it fails";
        let hint = "set the origin's `server_name` to the endpoint's host name, or `tls = false`";
        table.warn("", message, Some(hint));
    }
}
