//! The identity of an OSS host. Two routes with equal identities share a host and its connections.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use http::HeaderValue;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::config::{Endpoint, EndpointHost, Pool};
use crate::origin::link::tls::{Tls, Trust};

/// The identity of a host. It consists of all config values that a host uses. Two routes share a host and its
/// connections only if all these values are equal, so routes with different settings never share a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HostIdentity {
    /// The endpoint of the host.
    pub(crate) endpoint: Endpoint,
    /// The bucket, if its name is part of the host name. `None` in path style, where one host serves all
    /// buckets.
    pub(crate) bucket: Option<Box<str>>,
    /// The `Host` header sent to OSS. If it is `None`, the header is derived from bucket and endpoint.
    pub(crate) host: Option<String>,
    /// The trusted certificates and the certificate name. `None` means a host without TLS.
    pub(crate) tls: Option<TlsIdentity>,
    /// The timeout of one connect, including its TLS handshake.
    pub(crate) connect_timeout: Duration,
    /// The limits on connections.
    pub(crate) pool: Pool,
}

/// The TLS part of a [`HostIdentity`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TlsIdentity {
    /// The trusted root certificates.
    pub(crate) trust: Trust,
    /// The name that the certificate must have. If it is `None`, the certificate must have the host name.
    pub(crate) name: Option<String>,
}

impl HostIdentity {
    /// Returns the host name to resolve. This name is also the default for the certificate name and for
    /// `Host`.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        match (&self.endpoint.host, &self.bucket) {
            (EndpointHost::Ip(ip), _) => ip.to_string(),
            (EndpointHost::Name(name), None) => name.clone(),
            (EndpointHost::Name(name), Some(bucket)) => format!("{bucket}.{name}"),
        }
    }

    /// Returns the `Host` header sent to OSS.
    ///
    /// # Errors
    ///
    /// [`HostError::BadHost`] if the name or the configured `host` is not a valid header value.
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
    /// Returns the TLS settings for the host `name`. `connector` must trust the certificates of this
    /// identity.
    ///
    /// # Errors
    ///
    /// [`HostError::BadTlsName`] if the name is not a valid certificate name.
    pub(crate) fn settings(&self, name: &str, connector: TlsConnector) -> Result<Tls, HostError> {
        let name = self.name.as_deref().unwrap_or(name).to_owned();
        let name = ServerName::try_from(name.clone()).map_err(|_| HostError::BadTlsName(name))?;
        Ok(Tls { connector, name })
    }
}

/// Why no host can be created from an identity.
#[derive(Debug, PartialEq, Eq)]
pub enum HostError {
    /// The text is not valid in a `Host` header.
    BadHost(String),
    /// The text is not valid as a certificate name.
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
