//! TLS towards clients: certificates by server name, protocol and cipher choice.
//!
//! A name is looked up exactly, then with its first label replaced by a wildcard (one label only, as
//! in certificates). Without a match the default certificate is used; without a default the handshake
//! fails. rustls has no key exchange without forward secrecy, so a client needs TLS 1.2 with ECDHE or
//! TLS 1.3.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::CipherSuite;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::Certificate;

/// Returns the aws-lc-rs provider with AES-128-GCM first: with AES hardware it is the cheapest suite
/// per byte, and no client of a fixed-IP proxy is known to need more.
#[must_use]
pub fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        !matches!(
            suite.suite(),
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    });
    provider
}

/// The certificates of one config, by name.
#[derive(Debug, Default)]
pub struct CertificateTable {
    exact: HashMap<String, Arc<CertifiedKey>>,
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
}

impl CertificateTable {
    /// Creates the table of `certificates`. When several have the same name, the first one is used.
    #[must_use]
    pub fn new(certificates: &[Certificate]) -> Self {
        let mut table = Self::default();
        for certificate in certificates {
            let key = &certificate.certified;
            for name in &certificate.names {
                let (group, name) = match name.strip_prefix("*.") {
                    Some(suffix) => (&mut table.wildcard, suffix),
                    None => (&mut table.exact, name.as_str()),
                };
                group
                    .entry(name.to_owned())
                    .or_insert_with(|| Arc::clone(key));
            }
            if certificate.is_default && table.default.is_none() {
                table.default = Some(Arc::clone(key));
            }
        }
        table
    }

    /// Returns the certificate for `name`, which is in lower case; `None` is a client without SNI.
    #[must_use]
    pub fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let named = name.and_then(|name| {
            let wildcard = || self.wildcard.get(name.split_once('.')?.1);
            self.exact.get(name).or_else(wildcard)
        });
        named.or(self.default.as_ref()).map(Arc::clone)
    }
}

/// The current certificate table of all listeners, which can be replaced while they serve.
#[derive(Debug, Default)]
pub struct Certificates(RwLock<Arc<CertificateTable>>);

impl Certificates {
    /// Starts with `table`.
    #[must_use]
    pub fn new(table: CertificateTable) -> Self {
        Self(RwLock::new(Arc::new(table)))
    }

    /// Uses `table` for all handshakes from now on.
    pub fn replace(&self, table: CertificateTable) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        // rustls has converted the name to lower case.
        table.find(hello.server_name())
    }
}

/// Creates the TLS settings of a listener. With `has_http2` it offers `h2` by ALPN.
///
/// # Errors
///
/// [`rustls::Error::General`] when the provider supports neither TLS 1.2 nor 1.3, or fails to create
/// the key of the session tickets.
pub fn server_config(
    certificates: Arc<Certificates>,
    has_http2: bool,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    if has_http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    config.ignore_client_order = true;
    // Stateless tickets: a session cache would take memory per client.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Arc::new(config))
}
