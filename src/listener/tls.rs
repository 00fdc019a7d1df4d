//! TLS towards clients: protocols, cipher suites and the current certificates.
//!
//! [`CertificateTable`] chooses the certificate. rustls supports only key exchanges with forward secrecy, so a
//! client needs TLS 1.2 with ECDHE or TLS 1.3.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::CipherSuite;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::http::authority;
use crate::listener::certificate_table::CertificateTable;

/// Returns the aws-lc-rs provider with the AES-128-GCM suites first. On a CPU with AES instructions, these
/// suites cost least per byte. No client of a fixed-IP proxy is known that needs a stronger suite.
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

/// The current certificate table of all listeners. It can be replaced while they serve.
#[derive(Debug, Default)]
pub struct Certificates(RwLock<Arc<CertificateTable>>);

impl Certificates {
    /// Makes `table` the current table.
    #[must_use]
    pub fn new(table: CertificateTable) -> Self {
        Self(RwLock::new(Arc::new(table)))
    }

    /// Returns the current table.
    fn table(&self) -> Arc<CertificateTable> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there is a certificate for `name`, which is in lower case. `None` stands for a client without
    /// SNI.
    pub(super) fn has(&self, name: Option<&str>) -> bool {
        self.table().has(name)
    }

    /// Replaces the table. All later handshakes use the new one.
    pub fn replace(&self, table: CertificateTable) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls has converted the name to lower case.
        self.table()
            .choose(hello.server_name(), hello.signature_schemes())
    }
}

/// The TLS settings of a listener.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    pub(super) config: Arc<ServerConfig>,
    pub(super) certificates: Arc<Certificates>,
}

impl TlsSettings {
    /// Creates the settings. With `has_http2`, the handshake offers `h2` by ALPN.
    ///
    /// # Errors
    ///
    /// [`rustls::Error::General`] when the provider supports neither TLS 1.2 nor 1.3, or cannot create
    /// the key of the session tickets.
    pub fn new(
        certificates: Arc<Certificates>,
        has_http2: bool,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificates) as Arc<dyn ResolvesServerCert>);
        if has_http2 {
            config.alpn_protocols.push(b"h2".to_vec());
        }
        config.alpn_protocols.push(b"http/1.1".to_vec());
        config.ignore_client_order = true;
        // Tickets are stateless, because a session cache would need memory per client.
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Self {
            config: Arc::new(config),
            certificates,
        })
    }
}

/// The server name (SNI) of a connection. The host of each request is compared with it.
#[derive(Clone, Debug)]
pub(super) struct ServerName {
    name: Box<str>,
    certificates: Arc<Certificates>,
}

impl ServerName {
    /// Stores `name`, the server name that the client sent, in lower case.
    pub(super) fn new(name: &str, certificates: Arc<Certificates>) -> Self {
        Self {
            name: name.into(),
            certificates,
        }
    }

    /// Whether the host of a request does not belong to this connection: the host differs from the server
    /// name, and it has another certificate or none (RFC 9110 section 7.4). Returns false for a malformed
    /// or missing host, which is refused elsewhere.
    pub(super) fn is_misdirected<B>(&self, request: &http::Request<B>) -> bool {
        let text = match request.uri().authority() {
            Some(authority) => authority.as_str(),
            None => {
                let host = request.headers().get(http::header::HOST);
                host.and_then(|host| host.to_str().ok()).unwrap_or_default()
            }
        };
        // In the usual case the host has no port and is the server name, so this comparison is enough.
        if text.eq_ignore_ascii_case(&self.name) {
            return false;
        }
        let Some(authority) = authority::parse(text) else {
            return false;
        };
        !authority.host.eq_ignore_ascii_case(&self.name)
            && !self
                .certificates
                .table()
                .is_one_certificate(&self.name, &authority.host.to_ascii_lowercase())
    }
}
