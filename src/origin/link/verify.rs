//! Verifies the certificate of an endpoint, and explains why one is rejected.
//!
//! rustls decides whether a certificate is accepted. When rustls rejects one, its error says too little
//! for an operator: for example, it is the same for a self-signed certificate and for a certificate of
//! an unknown CA. Therefore the error is replaced by an error that contains a [`RejectedCertificate`].

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

use crate::origin::connect_error::{CertificateFault, RejectedCertificate};

/// The maximum number of characters of a text that is copied from a certificate.
const LONGEST_TEXT: usize = 120;

/// The verifier of rustls, with errors that contain a [`RejectedCertificate`].
#[derive(Debug)]
pub(super) struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
}

impl Verifier {
    /// Creates a verifier that decides like `inner`.
    pub(super) fn new(inner: Arc<WebPkiServerVerifier>) -> Self {
        Self { inner }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        verified.map_err(|error| match error {
            Error::InvalidCertificate(reason) => match describe(end_entity, &reason) {
                Some(rejected) => Error::InvalidCertificate(CertificateError::Other(OtherError(
                    Arc::new(rejected),
                ))),
                None => Error::InvalidCertificate(reason),
            },
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.inner.requires_raw_public_keys()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.inner.root_hint_subjects()
    }
}

/// Describes a certificate that was rejected for `reason`. Returns `None` if the certificate is not
/// X.509.
fn describe(der: &CertificateDer<'_>, reason: &CertificateError) -> Option<RejectedCertificate> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let is_self_signed = certificate.subject().as_raw() == certificate.issuer().as_raw();
    let is_ca = certificate.is_ca();
    let validity = certificate.validity();
    let fault = match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature if is_self_signed => {
            CertificateFault::SelfSigned { is_ca }
        }
        // rustls reports `Other` when a server uses the certificate of a CA as its own.
        CertificateError::Other(_) if is_self_signed && is_ca => {
            CertificateFault::SelfSigned { is_ca }
        }
        CertificateError::UnknownIssuer => CertificateFault::UnknownIssuer,
        CertificateError::BadSignature => CertificateFault::OtherIssuerKey,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::WrongName
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            CertificateFault::Expired(date(&validity.not_after))
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateFault::NotYetValid(date(&validity.not_before))
        }
        other => CertificateFault::Other(shown(&other.to_string())),
    };
    Some(RejectedCertificate {
        fault,
        subject: shown(&certificate.subject().to_string()),
        issuer: shown(&certificate.issuer().to_string()),
        names: names(&certificate),
    })
}

fn date(time: &ASN1Time) -> Option<String> {
    time.to_rfc2822().ok()
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(shown(name)),
            GeneralName::IPAddress([a, b, c, d]) => Some(format!("{a}.{b}.{c}.{d}")),
            _ => None,
        });
    names.take(RejectedCertificate::NAMES).collect()
}

/// Returns `text` without control characters and backquotes, and shortened. Characters that end a line or
/// change the direction of the text in some programs are also removed.
fn shown(text: &str) -> String {
    let is_harmless = |one: &char| {
        !one.is_control()
            && !matches!(one, '`' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
    };
    let harmless = text.chars().filter(is_harmless);
    harmless.take(LONGEST_TEXT).collect()
}
