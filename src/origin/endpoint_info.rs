//! The facts about an endpoint that help to explain why it cannot be reached.

use std::time::Duration;

use crate::oss::endpoint::Network;

/// An endpoint, as error messages describe it.
#[derive(Clone, Debug)]
pub struct EndpointInfo {
    /// The host name that is resolved, or the literal IP address. If the bucket is a part of the host name, it
    /// is included.
    pub name: Box<str>,
    /// The TCP port.
    pub port: u16,
    /// Whether connections to the endpoint use TLS.
    pub tls: bool,
    /// The name that the endpoint's certificate must contain. It is the same as `name`, unless the config sets
    /// another name.
    pub tls_name: Box<str>,
    /// The network of the endpoint; `None` if the endpoint is not a known endpoint of OSS.
    pub network: Option<Network>,
    /// The region of the endpoint, if it is known.
    pub region: Option<Box<str>>,
    /// The timeout of a connect.
    pub connect_timeout: Duration,
}

impl EndpointInfo {
    /// Returns the endpoint as `name:port`; an IPv6 address is in brackets.
    #[must_use]
    pub fn label(&self) -> String {
        if self.name.contains(':') {
            format!("[{}]:{}", self.name, self.port)
        } else {
            format!("{}:{}", self.name, self.port)
        }
    }
}
