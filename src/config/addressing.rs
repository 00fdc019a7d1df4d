//! `addressing`: whether a request to OSS names the bucket in the host or in the path, and which endpoints
//! accept which style.
//!
//! OSS responds to a request of the wrong style with 403. Therefore a combination of endpoint and style that
//! cannot work is reported when the config is read.

use serde::Serialize;

use crate::config::endpoint::{Endpoint, EndpointHost};
use crate::oss::endpoint::HostKind;

/// Where a request to OSS names the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addressing {
    /// The name is in the host: `bucket.endpoint`.
    VirtualHost,
    /// The name is in the path: `/bucket/key`. PrivateLink endpoints require this style.
    Path,
}

/// The reason why an endpoint cannot be used with a style of addressing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// The endpoint is an IP address and no `host` is set, so there is no host name to which the bucket could
    /// be prepended.
    AddressWithoutHost,
    /// A PrivateLink endpoint accepts the bucket only in the path.
    PathOnly,
    /// The endpoint refuses path style with 403 SecondLevelDomainForbidden.
    VirtualHostOnly,
}

impl Addressing {
    /// Returns the default style for `endpoint`, for a config without the key `addressing`. `host` is the
    /// value of the origin's key `host`.
    pub(super) fn default_for(endpoint: &Endpoint, host: Option<&str>) -> Self {
        if is_private_link(endpoint) || (is_ip(endpoint) && host.is_none()) {
            Self::Path
        } else {
            Self::VirtualHost
        }
    }

    /// Returns the reason why `endpoint` cannot be used with this style; `None` when it can be used. `host`
    /// is the value of the origin's key `host`.
    pub(super) fn mismatch(self, endpoint: &Endpoint, host: Option<&str>) -> Option<Mismatch> {
        match self {
            Self::VirtualHost if is_private_link(endpoint) => Some(Mismatch::PathOnly),
            Self::VirtualHost if is_ip(endpoint) && host.is_none() => {
                Some(Mismatch::AddressWithoutHost)
            }
            Self::Path if endpoint.kind().is_some() && !is_private_link(endpoint) => {
                Some(Mismatch::VirtualHostOnly)
            }
            Self::VirtualHost | Self::Path => None,
        }
    }
}

fn is_private_link(endpoint: &Endpoint) -> bool {
    endpoint.kind() == Some(HostKind::PrivateLink)
}

fn is_ip(endpoint: &Endpoint) -> bool {
    matches!(endpoint.host, EndpointHost::Ip(_))
}
