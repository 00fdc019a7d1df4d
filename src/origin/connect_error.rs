//! Why no connection to an upstream address could be established.
//!
//! Each fault has a cause: one word, which the access log, the log events and the metrics use alike.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

/// A failed connect to one address.
#[derive(Debug)]
pub struct ConnectError {
    /// The step that failed, and how.
    pub fault: ConnectFault,
    /// The address that was connected to.
    pub address: SocketAddr,
    /// The time from the start of the TLS handshake until it failed; zero if no handshake was started.
    pub tls: Duration,
}

/// The step of a connect that failed, and how.
#[derive(Debug)]
pub enum ConnectFault {
    /// The address refused the TCP connection.
    Refused,
    /// This machine has no route to the address, or its firewall forbids the connection.
    NoRoute(io::Error),
    /// The address did not accept the TCP connection in time.
    TimedOut,
    /// The TCP connection failed for another reason.
    Tcp(io::Error),
    /// The TCP connection was established, but the TLS handshake failed.
    Tls(TlsFault),
}

/// How a TLS handshake with an endpoint failed.
#[derive(Debug)]
pub enum TlsFault {
    /// The certificate of the endpoint was rejected.
    Certificate(Box<RejectedCertificate>),
    /// The endpoint responded with bytes that are not TLS.
    NotTls,
    /// The endpoint closed the connection.
    Closed,
    /// The endpoint reset the connection.
    Reset,
    /// The endpoint did not complete the handshake in time.
    TimedOut,
    /// The endpoint ended the handshake with this alert.
    Alert(AlertDescription),
    /// The proxy and the endpoint have no TLS version or no cipher suite in common.
    Incompatible,
    /// Any other failure.
    Other(io::Error),
}

/// A certificate that was rejected, with the fields that explain the reason. The texts are shortened and
/// contain no control characters, because a machine that is not OSS may have sent any text.
#[derive(Clone, Debug)]
pub struct RejectedCertificate {
    /// Why the certificate was rejected.
    pub fault: CertificateFault,
    /// The subject, such as `CN=example.com`.
    pub subject: String,
    /// The name of the CA that issued the certificate.
    pub issuer: String,
    /// The host names of the certificate, at most [`RejectedCertificate::NAMES`] of them.
    pub names: Vec<String>,
}

impl RejectedCertificate {
    /// The maximum number of names in [`RejectedCertificate::names`].
    pub const NAMES: usize = 4;
}

impl std::error::Error for RejectedCertificate {}

/// Why a certificate was rejected.
#[derive(Clone, Debug)]
pub enum CertificateFault {
    /// The certificate is self-signed: its issuer is its own subject. Either it is not trusted, or it is the
    /// certificate of a CA.
    SelfSigned {
        /// Whether the certificate is marked as the certificate of a CA. Such a certificate is never
        /// accepted for a server, even if it is trusted.
        is_ca: bool,
    },
    /// No trusted CA has issued the certificate.
    UnknownIssuer,
    /// A trusted CA has the name of the issuer, but another key. This happens when a CA was created again with
    /// the same name.
    OtherIssuerKey,
    /// The certificate does not contain the name of the endpoint.
    WrongName,
    /// The certificate has expired. The value is the time of expiry, if it is known.
    Expired(Option<String>),
    /// The certificate is not valid yet. The value is the time from which it is valid, if this time is known.
    NotYetValid(Option<String>),
    /// Any other reason.
    Other(String),
}

impl ConnectError {
    /// Whether the failure was in the TLS handshake, after the TCP connection had been established.
    pub(super) fn has_connected(&self) -> bool {
        matches!(self.fault, ConnectFault::Tls(_))
    }

    /// Whether the address did not respond in time.
    pub(super) fn is_timeout(&self) -> bool {
        matches!(
            self.fault,
            ConnectFault::TimedOut | ConnectFault::Tls(TlsFault::TimedOut)
        )
    }

    /// Returns the error kind, as [`Error::kind`](super::error::Error::kind) does.
    pub(super) fn kind(&self) -> &'static str {
        match self.fault {
            ConnectFault::TimedOut | ConnectFault::Tls(TlsFault::TimedOut) => {
                "upstream_connect_timeout"
            }
            ConnectFault::Refused | ConnectFault::NoRoute(_) | ConnectFault::Tcp(_) => {
                "upstream_connect_refused"
            }
            ConnectFault::Tls(_) => "upstream_tls",
        }
    }

    /// Returns the `Code` in the XML of the error response.
    pub(super) fn code(&self) -> &'static str {
        match self.fault {
            ConnectFault::TimedOut | ConnectFault::Tls(TlsFault::TimedOut) => {
                "UpstreamConnectTimeout"
            }
            ConnectFault::Refused | ConnectFault::NoRoute(_) | ConnectFault::Tcp(_) => {
                "UpstreamConnectRefused"
            }
            ConnectFault::Tls(_) => "UpstreamTlsFailure",
        }
    }
}

impl ConnectFault {
    /// Classifies the error of a TCP connect.
    #[must_use]
    pub(super) fn from_tcp(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::PermissionDenied => Self::NoRoute(error),
            _ => Self::Tcp(error),
        }
    }

    /// Returns the cause: the word for the access log, the log events and the metrics.
    #[must_use]
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::NoRoute(_) => "no_route",
            Self::TimedOut => "connect_timeout",
            Self::Tcp(_) => "connect_failed",
            Self::Tls(fault) => fault.cause(),
        }
    }
}

impl TlsFault {
    /// Classifies the error of a TLS handshake.
    #[must_use]
    pub(super) fn from_handshake(error: io::Error) -> Self {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) => {
                match other.0.downcast_ref::<RejectedCertificate>() {
                    Some(rejected) => Self::Certificate(Box::new(rejected.clone())),
                    None => Self::Other(error),
                }
            }
            Some(rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge
                | InvalidMessage::InvalidEmptyPayload,
            )) => Self::NotTls,
            Some(rustls::Error::AlertReceived(alert)) => Self::Alert(*alert),
            Some(rustls::Error::PeerIncompatible(_)) => Self::Incompatible,
            Some(_) => Self::Other(error),
            None => match error.kind() {
                io::ErrorKind::UnexpectedEof => Self::Closed,
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Reset,
                _ => Self::Other(error),
            },
        }
    }

    fn cause(&self) -> &'static str {
        match self {
            Self::Certificate(rejected) => match rejected.fault {
                CertificateFault::SelfSigned { .. } => "tls_self_signed",
                CertificateFault::UnknownIssuer | CertificateFault::OtherIssuerKey => {
                    "tls_unknown_issuer"
                }
                CertificateFault::WrongName => "tls_wrong_name",
                CertificateFault::Expired(_) => "tls_expired",
                CertificateFault::NotYetValid(_) => "tls_not_yet_valid",
                CertificateFault::Other(_) => "tls_certificate",
            },
            Self::NotTls => "tls_not_tls",
            Self::Closed => "tls_closed",
            Self::Reset => "tls_reset",
            Self::TimedOut => "tls_timeout",
            Self::Alert(AlertDescription::ProtocolVersion) | Self::Incompatible => {
                "tls_incompatible"
            }
            Self::Alert(_) => "tls_alert",
            Self::Other(_) => "tls_failed",
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            ConnectFault::Refused => f.write_str("the TCP connection was refused"),
            ConnectFault::NoRoute(error) => write!(f, "no route: {error}"),
            ConnectFault::TimedOut => f.write_str("the TCP connection timed out"),
            ConnectFault::Tcp(error) => write!(f, "the TCP connection failed: {error}"),
            ConnectFault::Tls(fault) => write!(f, "the TLS handshake failed: {fault}"),
        }
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(rejected) => rejected.fmt(f),
            Self::NotTls => f.write_str("the response is not TLS"),
            Self::Closed => f.write_str("the endpoint closed the connection"),
            Self::Reset => f.write_str("the endpoint reset the connection"),
            Self::TimedOut => f.write_str("it timed out"),
            Self::Alert(alert) => write!(f, "the endpoint sent the alert {alert:?}"),
            Self::Incompatible => f.write_str("no common TLS version or cipher suite"),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for RejectedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            CertificateFault::SelfSigned { is_ca } => {
                let Self { subject, .. } = self;
                let more = if *is_ca { " and marked as a CA" } else { "" };
                write!(f, "the certificate (`{subject}`) is self-signed{more}")
            }
            CertificateFault::UnknownIssuer => {
                let Self { issuer, .. } = self;
                write!(
                    f,
                    "the certificate is issued by `{issuer}`, which is not a trusted CA"
                )
            }
            CertificateFault::OtherIssuerKey => {
                let Self { issuer, .. } = self;
                write!(
                    f,
                    "the certificate is issued by `{issuer}`, but not with the key of the trusted CA of this name"
                )
            }
            CertificateFault::WrongName if self.names.is_empty() => {
                write!(f, "the certificate (`{}`) names no host", self.subject)
            }
            CertificateFault::WrongName => {
                write!(f, "the certificate is for `{}`", self.names.join("`, `"))
            }
            CertificateFault::Expired(None) => f.write_str("the certificate has expired"),
            CertificateFault::Expired(Some(at)) => write!(f, "the certificate expired on {at}"),
            CertificateFault::NotYetValid(None) => f.write_str("the certificate is not valid yet"),
            CertificateFault::NotYetValid(Some(from)) => {
                write!(f, "the certificate is not valid before {from}")
            }
            CertificateFault::Other(reason) => write!(f, "the certificate was rejected: {reason}"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            ConnectFault::NoRoute(error)
            | ConnectFault::Tcp(error)
            | ConnectFault::Tls(TlsFault::Other(error)) => Some(error),
            ConnectFault::Tls(TlsFault::Certificate(rejected)) => Some(&**rejected),
            ConnectFault::Refused | ConnectFault::TimedOut | ConnectFault::Tls(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_tcp_connect_are_told_apart() {
        // Values of errno(3) on Linux.
        for (number, cause) in [
            (111, "refused"),
            (110, "connect_timeout"),
            (101, "no_route"),
            (113, "no_route"),
            (100, "no_route"),
            (13, "no_route"),
            (1, "no_route"),
            (104, "connect_failed"),
            (22, "connect_failed"),
        ] {
            let fault = ConnectFault::from_tcp(io::Error::from_raw_os_error(number));
            assert_eq!(fault.cause(), cause, "errno {number}");
        }
    }

    #[test]
    fn errors_of_a_handshake_are_told_apart() {
        let tls = |error: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let incompatible = rustls::PeerIncompatible::NoCipherSuitesInCommon;
        for (error, cause) in [
            (io::ErrorKind::UnexpectedEof.into(), "tls_closed"),
            (io::ErrorKind::ConnectionReset.into(), "tls_reset"),
            (io::ErrorKind::BrokenPipe.into(), "tls_reset"),
            (io::ErrorKind::Other.into(), "tls_failed"),
            (
                tls(InvalidMessage::InvalidContentType.into()),
                "tls_not_tls",
            ),
            (tls(InvalidMessage::InvalidCcs.into()), "tls_failed"),
            (tls(incompatible.into()), "tls_incompatible"),
            (
                tls(rustls::Error::AlertReceived(
                    AlertDescription::ProtocolVersion,
                )),
                "tls_incompatible",
            ),
            (
                tls(rustls::Error::AlertReceived(AlertDescription::AccessDenied)),
                "tls_alert",
            ),
            (tls(rustls::Error::DecryptError), "tls_failed"),
        ] {
            let shown = error.to_string();
            let fault = ConnectFault::Tls(TlsFault::from_handshake(error));
            assert_eq!(fault.cause(), cause, "{shown}");
        }
    }
}
