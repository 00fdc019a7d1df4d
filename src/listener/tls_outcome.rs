//! The outcomes of TLS handshakes: why they fail, their counters, and their log entries.
//!
//! A connection that the client closes before its first byte is not counted as a handshake and not logged,
//! because load balancers check a port in this way every few seconds. The counter of accepted connections
//! includes it.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustls::{AlertDescription, PeerIncompatible};

use crate::listener::first_bytes::FirstBytes;
use crate::listener::noted::Noted;

/// The reason why a TLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsFailure {
    /// The handshake was not complete within the listener's `tls_handshake` timeout.
    Timeout,
    /// The client closed the connection during the handshake.
    Closed,
    /// The client sent an HTTP request without TLS.
    PlainHttp,
    /// The peer sent a PROXY header, which the listener does not expect.
    ProxyHeader,
    /// The first bytes of the client are not TLS.
    NotTls,
    /// The client supports neither TLS 1.2 nor 1.3.
    NoCommonVersion,
    /// The client supports no cipher suite, no key exchange or no signature scheme that the proxy can use with
    /// its certificate.
    NoCommonCipher,
    /// The client offers neither `h2` nor `http/1.1` by ALPN.
    NoCommonAlpn,
    /// No certificate has the server name of the client, and there is no default certificate.
    NoCertificateForName,
    /// The client rejected the certificate.
    CertificateRejected,
    /// The client ended the handshake with an alert that no other variant stands for.
    OtherAlert,
    /// The client broke the TLS protocol.
    BadMessage,
    /// The proxy could not continue, because of an error of its own.
    Internal,
    /// The client began TLS on a listener without TLS.
    TlsOnPlainPort,
}

impl TlsFailure {
    /// All variants, in the order of their declaration.
    pub(super) const ALL: [Self; 14] = [
        Self::Timeout,
        Self::Closed,
        Self::PlainHttp,
        Self::ProxyHeader,
        Self::NotTls,
        Self::NoCommonVersion,
        Self::NoCommonCipher,
        Self::NoCommonAlpn,
        Self::NoCertificateForName,
        Self::CertificateRejected,
        Self::OtherAlert,
        Self::BadMessage,
        Self::Internal,
        Self::TlsOnPlainPort,
    ];

    /// Returns the reason for `error`, which ended a handshake. `first` is the protocol that the first bytes of
    /// the client look like. If the client sent no byte, `first` is `None`, and `None` is returned.
    /// `has_certificate` tells whether there is a certificate for the server name.
    pub(super) fn of(
        error: &io::Error,
        first: Option<FirstBytes>,
        has_certificate: bool,
    ) -> Option<Self> {
        match first? {
            FirstBytes::Tls => {}
            FirstBytes::Ssl2 => return Some(Self::NoCommonVersion),
            FirstBytes::Http => return Some(Self::PlainHttp),
            FirstBytes::ProxyHeader => return Some(Self::ProxyHeader),
            FirstBytes::Other => return Some(Self::NotTls),
        }
        let inner: Option<&(dyn Error + Send + Sync)> = error.get_ref();
        let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        Some(tls.map_or(Self::Closed, |error| Self::of_tls(error, has_certificate)))
    }

    fn of_tls(error: &rustls::Error, has_certificate: bool) -> Self {
        match error {
            rustls::Error::AlertReceived(alert) => Self::of_alert(*alert),
            rustls::Error::PeerIncompatible(why) => match why {
                // rustls looks for the extension `signature_algorithms` before it compares versions. Only
                // clients of TLS 1.1 and older omit this extension.
                PeerIncompatible::SignatureAlgorithmsExtensionRequired
                | PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled => Self::NoCommonVersion,
                _ => Self::NoCommonCipher,
            },
            rustls::Error::NoApplicationProtocol => Self::NoCommonAlpn,
            // rustls returns `General` in two cases: there is no certificate, or the key of the certificate
            // supports none of the signature schemes that a client of TLS 1.2 accepts.
            rustls::Error::General(_) if !has_certificate => Self::NoCertificateForName,
            rustls::Error::General(_) => Self::NoCommonCipher,
            rustls::Error::InappropriateMessage { .. }
            | rustls::Error::InappropriateHandshakeMessage { .. }
            | rustls::Error::InvalidMessage(_)
            | rustls::Error::PeerMisbehaved(_)
            | rustls::Error::DecryptError
            | rustls::Error::PeerSentOversizedRecord => Self::BadMessage,
            _ => Self::Internal,
        }
    }

    fn of_alert(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::BadCertificateStatusResponse
            | AlertDescription::BadCertificateHashValue
            // The client sends `DecryptError` if the signature of a CA in the chain is wrong. The alert can
            // also stand for a wrong signature of the proxy, but the proxy does not make wrong signatures.
            | AlertDescription::DecryptError => Self::CertificateRejected,
            AlertDescription::ProtocolVersion => Self::NoCommonVersion,
            // The client closes the connection in an orderly way, or its user has cancelled the request.
            AlertDescription::CloseNotify | AlertDescription::UserCanceled => Self::Closed,
            _ => Self::OtherAlert,
        }
    }

    /// Returns the word for metrics and the log.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::PlainHttp => "plain_http",
            Self::ProxyHeader => "proxy_header",
            Self::NotTls => "not_tls",
            Self::NoCommonVersion => "no_common_version",
            Self::NoCommonCipher => "no_common_cipher",
            Self::NoCommonAlpn => "no_common_alpn",
            Self::NoCertificateForName => "no_certificate_for_name",
            Self::CertificateRejected => "certificate_rejected",
            Self::OtherAlert => "other_alert",
            Self::BadMessage => "bad_message",
            Self::Internal => "internal",
            Self::TlsOnPlainPort => "tls_on_plain_port",
        }
    }

    /// Returns a sentence for the log.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Timeout => "the handshake was not complete in time",
            Self::Closed => "the client closed the connection",
            Self::PlainHttp => "the client sent an HTTP request without TLS",
            Self::ProxyHeader => {
                "the peer sent a PROXY header, but `proxy_protocol` of this listener is \"off\""
            }
            Self::NotTls => "the first bytes of the client are no TLS",
            Self::NoCommonVersion => "the client does not support TLS 1.2 or 1.3",
            Self::NoCommonCipher => {
                "the client supports no cipher suite, key exchange or signature that is possible here"
            }
            Self::NoCommonAlpn => "the client offers no version of HTTP that is served here",
            Self::NoCertificateForName => {
                "no certificate has the name that the client asked for, and none is the default"
            }
            Self::CertificateRejected => "the client rejected the certificate",
            Self::OtherAlert => "the client ended the handshake",
            Self::BadMessage => "the client broke the TLS protocol",
            Self::Internal => "the proxy could not continue",
            Self::TlsOnPlainPort => "the client began TLS, but `tls` of this listener is false",
        }
    }

    /// Whether the operator of the proxy can usually remove the cause. Returns false for the failures that
    /// scanners and broken networks often cause. `has_name` tells whether the client sent a server name; most
    /// scanners send none.
    pub(super) fn is_ours(self, has_name: bool) -> bool {
        match self {
            Self::NoCertificateForName => has_name,
            Self::ProxyHeader
            | Self::NoCommonCipher
            | Self::CertificateRejected
            | Self::Internal => true,
            Self::Timeout
            | Self::Closed
            | Self::PlainHttp
            | Self::NotTls
            | Self::NoCommonVersion
            | Self::NoCommonAlpn
            | Self::OtherAlert
            | Self::BadMessage
            | Self::TlsOnPlainPort => false,
        }
    }
}

/// The outcomes of the TLS handshakes of a listener since it was bound.
#[derive(Debug, Default)]
pub(super) struct TlsOutcomes {
    completed: AtomicU64,
    /// The failures, in the order of [`TlsFailure::ALL`].
    failed: [Noted; TlsFailure::ALL.len()],
}

impl TlsOutcomes {
    /// Counts a handshake that has succeeded.
    pub(super) fn note_completed(&self) {
        self.completed.fetch_add(1, Relaxed);
    }

    /// Returns the counter of `failure`.
    pub(super) fn of(&self, failure: TlsFailure) -> Option<&Noted> {
        self.failed.get(failure as usize)
    }

    /// Returns the counts by result. A listener without TLS has only the result `tls_on_plain_port`, and a
    /// listener with TLS has all the others.
    pub(super) fn all(&self, has_tls: bool) -> Vec<(&'static str, u64)> {
        let completed = ("completed", self.completed.load(Relaxed));
        let failed = TlsFailure::ALL.into_iter().zip(&self.failed);
        let failed = failed
            .filter(|(failure, _)| has_tls != (*failure == TlsFailure::TlsOnPlainPort))
            .map(|(failure, noted)| (failure.as_str(), noted.count()));
        has_tls
            .then_some(completed)
            .into_iter()
            .chain(failed)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_own_counter_and_word() {
        let outcomes = TlsOutcomes::default();
        for (index, failure) in TlsFailure::ALL.into_iter().enumerate() {
            assert_eq!(failure as usize, index, "{failure:?}");
            let now = tokio::time::Instant::now();
            assert_eq!(outcomes.of(failure).unwrap().note(now), Some(1));
        }
        let (with, without) = (outcomes.all(true), outcomes.all(false));
        assert_eq!(with.len(), TlsFailure::ALL.len());
        assert_eq!(with[0], ("completed", 0));
        assert!(with[1..].iter().all(|(_, count)| *count == 1));
        assert_eq!(without, [("tls_on_plain_port", 1)]);
        let mut words: Vec<&str> = with.iter().map(|(word, _)| *word).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), with.len());
    }

    #[test]
    fn a_missing_certificate_concerns_the_operator_only_for_a_client_with_a_name() {
        assert!(TlsFailure::NoCertificateForName.is_ours(true));
        assert!(!TlsFailure::NoCertificateForName.is_ours(false));
        assert!(TlsFailure::CertificateRejected.is_ours(false));
    }

    #[test]
    fn errors_that_no_client_of_the_tests_causes_have_their_reasons() {
        let tls = |error: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let general = || tls(rustls::Error::General("x".to_owned()));
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        let first = Some(FirstBytes::Tls);
        for (error, first, has_certificate, expected) in [
            (reset(), None, true, None),
            (reset(), first, true, Some(TlsFailure::Closed)),
            (
                tls(rustls::Error::FailedToGetRandomBytes),
                first,
                true,
                Some(TlsFailure::Internal),
            ),
            (
                general(),
                first,
                false,
                Some(TlsFailure::NoCertificateForName),
            ),
            (
                reset(),
                Some(FirstBytes::Other),
                true,
                Some(TlsFailure::NotTls),
            ),
            (
                reset(),
                Some(FirstBytes::Ssl2),
                true,
                Some(TlsFailure::NoCommonVersion),
            ),
            (
                tls(rustls::Error::AlertReceived(AlertDescription::CloseNotify)),
                first,
                true,
                Some(TlsFailure::Closed),
            ),
        ] {
            let found = TlsFailure::of(&error, first, has_certificate);
            assert_eq!(found, expected, "{error} {first:?} {has_certificate}");
        }
    }
}
