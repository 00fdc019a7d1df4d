//! `origin.fallback`: the endpoints after the first one.
//!
//! They share everything else with it: bucket, addressing, TLS settings, `host`. What cannot work
//! with that is noted here.

use crate::config::endpoint::{Endpoint, EndpointHost};
use crate::config::origin::Addressing;
use crate::config::reader::Reader;
use crate::oss::endpoint::HostKind;

/// What the endpoints of an origin share.
#[derive(Clone, Copy)]
pub(super) struct Shared {
    pub(super) addressing: Addressing,
    pub(super) has_host: bool,
    pub(super) tls: bool,
    /// Whether `ca` or `server_name` is set.
    pub(super) has_trust: bool,
}

/// The endpoints of `fallback`, in order of preference.
pub(super) fn read(reader: &Reader<'_>, first: &Endpoint, shared: Shared) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for table in reader.tables("fallback") {
        let Some(endpoint) = Endpoint::read(&table, shared.tls, first.region.as_deref()) else {
            continue;
        };
        let is_same = |known: &Endpoint| known.host == endpoint.host && known.port == endpoint.port;
        if is_same(first) || endpoints.iter().any(is_same) {
            let message = format!("is `{endpoint}`, which comes before it already");
            table.error("", message, None);
        }
        check(&table, &endpoint, first, shared);
        endpoints.push(endpoint);
    }
    endpoints
}

fn check(table: &Reader<'_>, endpoint: &Endpoint, first: &Endpoint, shared: Shared) {
    let is_private_link = endpoint.kind() == Some(HostKind::PrivateLink);
    let is_ip = matches!(endpoint.host, EndpointHost::Ip(_));
    match shared.addressing {
        Addressing::Path if endpoint.kind().is_some() && !is_private_link => {
            let message =
                "answers path style, which this origin uses, with 403 SecondLevelDomainForbidden";
            table.error("", message, None);
        }
        Addressing::VirtualHost if is_private_link => {
            let message =
                "takes the bucket in the path only, and this origin puts it into the host";
            table.error("", message, None);
        }
        Addressing::VirtualHost if is_ip && !shared.has_host => {
            let hint = "set the origin's `host`";
            table.error(
                "",
                "is an address, which has no host to put a bucket before",
                Some(hint),
            );
        }
        Addressing::Path | Addressing::VirtualHost => {}
    }
    if let (Some(own), Some(other)) = (&endpoint.region, &first.region)
        && own != other
    {
        let message =
            format!("is of region `{own}`: a bucket of `{other}` is refused there with 403");
        table.warn("", message, None);
    }
    if is_ip && shared.tls && !shared.has_trust {
        let message = "certificates of OSS name no address, so HTTPS to one will fail";
        let hint = "set the origin's `server_name` to the endpoint's host, or `tls = false`";
        table.warn("", message, Some(hint));
    }
}
