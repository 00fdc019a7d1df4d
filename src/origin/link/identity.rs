//! What makes a host of OSS what it is, and so decides which routes share connections.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use http::HeaderValue;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::config::{Endpoint, EndpointHost, Pool};
use crate::origin::link::tls::{Tls, Trust};

/// Everything that makes a host what it is. Two routes share a host, and with it connections, only when
/// all of this is equal. A host takes nothing else from the config, so a key that is added there later
/// cannot be forgotten here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HostIdentity {
    /// The endpoint.
    pub(crate) endpoint: Endpoint,
    /// The bucket, where it is part of the host name; `None` in path style, where one host serves all
    /// buckets.
    pub(crate) bucket: Option<Box<str>>,
    /// The `Host` sent to OSS. `None`: that of bucket and endpoint.
    pub(crate) host: Option<String>,
    /// Trust and certificate name. `None`: plain HTTP.
    pub(crate) tls: Option<TlsIdentity>,
    /// The longest time for one connect, TLS handshake included.
    pub(crate) connect_timeout: Duration,
    /// Limits on connections.
    pub(crate) pool: Pool,
}

/// The part of a [`HostIdentity`] that concerns TLS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TlsIdentity {
    /// The trusted certificates.
    pub(crate) trust: Trust,
    /// The name in the certificate. `None`: the host name.
    pub(crate) name: Option<String>,
}

impl HostIdentity {
    /// The name that is resolved, and that TLS and `Host` use by default.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        match (&self.endpoint.host, &self.bucket) {
            (EndpointHost::Ip(ip), _) => ip.to_string(),
            (EndpointHost::Name(name), None) => name.clone(),
            (EndpointHost::Name(name), Some(bucket)) => format!("{bucket}.{name}"),
        }
    }

    /// The `Host` sent to OSS.
    ///
    /// # Errors
    ///
    /// [`HostError::BadHost`].
    pub(super) fn host_header(&self, name: &str) -> Result<HeaderValue, HostError> {
        let text = match &self.host {
            Some(host) => host.clone(),
            None => self.default_host(name),
        };
        HeaderValue::from_str(&text).map_err(|_| HostError::BadHost(text))
    }

    fn default_host(&self, name: &str) -> String {
        let default_port = if self.tls.is_some() { 443 } else { 80 };
        let bracketed = match self.endpoint.host {
            EndpointHost::Ip(IpAddr::V6(_)) => format!("[{name}]"),
            EndpointHost::Ip(IpAddr::V4(_)) | EndpointHost::Name(_) => name.to_owned(),
        };
        if self.endpoint.port == default_port {
            bracketed
        } else {
            format!("{bracketed}:{}", self.endpoint.port)
        }
    }
}

impl TlsIdentity {
    /// TLS settings for the host called `name`; `connector` has the trust of this identity.
    ///
    /// # Errors
    ///
    /// [`HostError::BadTlsName`].
    pub(crate) fn settings(&self, name: &str, connector: TlsConnector) -> Result<Tls, HostError> {
        let name = self.name.as_deref().unwrap_or(name).to_owned();
        let name = ServerName::try_from(name.clone()).map_err(|_| HostError::BadTlsName(name))?;
        Ok(Tls { connector, name })
    }
}

/// Why a host cannot be made from its identity.
#[derive(Debug, PartialEq, Eq)]
pub enum HostError {
    /// This text cannot be a `Host` header.
    BadHost(String),
    /// This text cannot be the name in a certificate.
    BadTlsName(String),
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadHost(text) => write!(f, "`{text}` is not a Host"),
            Self::BadTlsName(text) => write!(f, "`{text}` is not a TLS name"),
        }
    }
}

impl std::error::Error for HostError {}
