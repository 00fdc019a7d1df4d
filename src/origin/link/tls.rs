//! TLS to OSS: which certificates are trusted, and which name a certificate must have.
//!
//! Hosts with the same trusted certificates share their TLS settings, because loading the root certificates
//! of the system takes some milliseconds and about 100 KiB of memory.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::origin::link::verify::Verifier;

/// The maximum number of TLS sessions that are kept for resumption. All hosts with the same trusted
/// certificates share them. Sessions are looked up by host name.
const SESSIONS: usize = 1024;

/// The certificates trusted for an endpoint.
#[derive(Clone, Debug, Eq)]
pub(crate) enum Trust {
    /// The root certificates of the system, or Mozilla's bundled ones if the system has none.
    System,
    /// Only these certificates, from the key `ca`.
    Only(Arc<[CertificateDer<'static>]>),
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::System, Self::System) => true,
            // Within one config each file is loaded once, and all routes that use the file share one pointer.
            // The contents are compared only after a reload.
            (Self::Only(one), Self::Only(other)) => Arc::ptr_eq(one, other) || one == other,
            (Self::System | Self::Only(_), _) => false,
        }
    }
}

impl Hash for Trust {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Only the number of certificates and the first one are hashed, because every route causes a lookup
        // and a file with all public CAs has 200 KiB. Files of private CAs differ in their first certificate
        // anyway.
        match self {
            Self::System => 0_usize.hash(state),
            Self::Only(certificates) => {
                certificates.len().hash(state);
                certificates.first().hash(state);
            }
        }
    }
}

/// The TLS settings for one host.
#[derive(Clone)]
pub(crate) struct Tls {
    /// The connector, with the trusted certificates and protocol settings.
    pub(crate) connector: TlsConnector,
    /// The name that the certificate must have; it is also sent as SNI.
    pub(crate) name: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Why TLS settings could not be built.
#[derive(Debug)]
pub enum TlsError {
    /// A certificate of the key `ca` cannot be used as a root.
    Certificate(rustls::Error),
    /// The crypto provider does not support the protocol versions.
    Protocol(rustls::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(error) => {
                write!(f, "a certificate of `ca` cannot be trusted: {error}")
            }
            Self::Protocol(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Certificate(error) | Self::Protocol(error) => Some(error),
        }
    }
}

/// Builds the TLS settings for `trust`. Certificates are always verified.
///
/// # Errors
///
/// [`TlsError::Certificate`] if a certificate cannot be used as a root, [`TlsError::Protocol`] if the
/// provider does not support the protocol versions.
pub(crate) fn client_config(
    trust: &Trust,
    provider: &Arc<CryptoProvider>,
) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::Only(certificates) => {
            for certificate in &**certificates {
                roots
                    .add(certificate.clone())
                    .map_err(TlsError::Certificate)?;
            }
        }
        Trust::System => {
            let (_added, _ignored) =
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
        }
    }
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let verifier = verifier
        .build()
        .map_err(|error| TlsError::Certificate(rustls::Error::General(error.to_string())))?;
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Protocol)?
        .dangerous()
        // This verifier is as strict as the default one: it decides like rustls, and only explains why it
        // rejects a certificate.
        .with_custom_certificate_verifier(Arc::new(Verifier::new(verifier)))
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(config)
}
