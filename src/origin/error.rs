//! Why a request could not be sent to OSS, or why OSS did not respond.
//!
//! Each variant has an HTTP status, a `Code` for the XML of the error response, and two words for logs and
//! metrics: a kind, and a more precise cause. The message for the client is in [`super::message`].

#![deny(clippy::wildcard_enum_match_arm)]

use std::net::SocketAddr;
use std::time::Duration;
use std::{fmt, io};

use http::StatusCode;

use crate::http::signing::{NoCredentials, NotSigned};
use crate::origin::connect_error::{ConnectError, ConnectFault};

/// Error numbers of errno(3). EMFILE: the process has no free descriptor. ENFILE: the system has no free
/// descriptor. ENOBUFS: there is no memory for sockets. EADDRNOTAVAIL: there is no free local port.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
const ENOBUFS: i32 = 105;
const EADDRNOTAVAIL: i32 = 99;

/// Why the last resolution of an endpoint returned no usable address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsFailure {
    /// No query was sent yet, or its answer has not arrived.
    Pending,
    /// The name does not exist.
    NxDomain,
    /// The name server reported a failure or rejected the query.
    ServerFailure,
    /// No name server answered in time.
    Timeout,
    /// The name exists but has no address of the configured family.
    Empty,
    /// The DNS answer contains only addresses that are not permitted for this endpoint
    /// (`endpoint::address_rule`).
    Forbidden,
}

impl DnsFailure {
    /// Returns the word for logs and metrics.
    #[must_use]
    pub fn cause(self) -> &'static str {
        match self {
            Self::Pending => "dns_pending",
            Self::NxDomain => "dns_nxdomain",
            Self::ServerFailure => "dns_server_failure",
            Self::Timeout => "dns_timeout",
            Self::Empty => "dns_empty",
            Self::Forbidden => "dns_forbidden",
        }
    }
}

impl fmt::Display for DnsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "no answer from DNS yet",
            Self::NxDomain => "the endpoint name does not exist",
            Self::ServerFailure => "the name server failed",
            Self::Timeout => "no name server answered",
            Self::Empty => "the endpoint name has no address",
            Self::Forbidden => "DNS gave only addresses an endpoint of this kind must not have; `dns.allow` permits more",
        })
    }
}

/// Why a request got no response from OSS.
#[derive(Debug)]
pub enum Error {
    /// The first path segment or the host label of the request is not a served bucket.
    NoSuchBucket,
    /// The request names no bucket, so OSS would list all buckets.
    NoBucket,
    /// The endpoint has no known address.
    Dns(DnsFailure),
    /// No connection to an address of the endpoint could be established. The payload describes the attempt
    /// that failed last. It is boxed for the same reason as that of [`Error::SignatureBoundToHost`].
    Connect(Box<ConnectError>),
    /// The connection ended before the first byte of the response.
    Reset(hyper::Error),
    /// The endpoint responded with TLS, but the connection is without TLS.
    SpeaksTls,
    /// The response is not valid HTTP or cannot be passed on. The field states the reason.
    BadAnswer(&'static str),
    /// The request was sent, but no response began in time.
    FirstByteTimeout,
    /// The request was sent, but no response began, and new connections to the address or the endpoint fail.
    Gone,
    /// OSS stopped reading the request body.
    UploadStalled,
    /// The client's request body ended early.
    ClientBody,
    /// Every address already has `max_per_address` requests in flight, or the proxy has no free descriptor
    /// or port.
    Busy,
    /// No connection to the endpoint succeeds, and the client's signature is not valid for another
    /// endpoint.
    SignatureBound,
    /// The client's signature covers the `Host` that the client sent, but the request to OSS has another
    /// `Host`. The hosts are boxed to keep this enum small, because every result of an exchange reserves
    /// space for the enum.
    SignatureBoundToHost(Box<BoundHosts>),
    /// The client has not signed the request, and the proxy does not sign such requests. Boxed for the same reason
    /// as [`Error::SignatureBoundToHost`].
    NotSigned(Box<NotSigned>),
    /// The proxy has no valid access key to sign the request with.
    NoCredentials(NoCredentials),
    /// OSS has refused the signature that the proxy made with its own key. The payload is the `Code` of the
    /// response; it can be empty.
    OwnSignature(Box<str>),
    /// The rewritten request is not valid HTTP.
    Rewrite(http::Error),
}

/// The hosts of [`Error::SignatureBoundToHost`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundHosts {
    /// The host that was signed, as the client sent it. It is empty if the client sent no host.
    pub signed: String,
    /// The `Host` header that is sent to OSS.
    pub sent: String,
}

impl Error {
    /// Creates the error of a connect to `address` that failed with `fault`. `tls` is the time from
    /// the start of the TLS handshake until it failed; zero if no handshake was started.
    pub(super) fn connect(fault: ConnectFault, address: SocketAddr, tls: Duration) -> Self {
        Self::Connect(Box::new(ConnectError {
            fault,
            address,
            tls,
        }))
    }

    /// Classifies the error of a TCP connect to `address`. Returns [`Error::Busy`] if this process or machine
    /// has no free descriptor, memory or port, because the address did not cause that.
    pub(super) fn from_connect(error: io::Error, address: SocketAddr) -> Self {
        match error.raw_os_error() {
            Some(EMFILE | ENFILE | ENOBUFS | EADDRNOTAVAIL) => Self::Busy,
            _ => Self::connect(ConnectFault::from_tcp(error), address, Duration::ZERO),
        }
    }

    /// Whether the endpoint is unreachable: it has no address, or no connection to an address could be
    /// established. Another endpoint may be reachable.
    pub(super) fn is_unreachable(&self) -> bool {
        match self {
            Self::Dns(_) | Self::Connect(_) => true,
            Self::NoSuchBucket
            | Self::NoBucket
            | Self::Reset(_)
            | Self::SpeaksTls
            | Self::BadAnswer(_)
            | Self::FirstByteTimeout
            | Self::Gone
            | Self::UploadStalled
            | Self::ClientBody
            | Self::Busy
            | Self::SignatureBound
            | Self::SignatureBoundToHost(_)
            | Self::NotSigned(_)
            | Self::NoCredentials(_)
            | Self::OwnSignature(_)
            | Self::Rewrite(_) => false,
        }
    }

    /// Returns the HTTP status of the error response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchBucket => StatusCode::NOT_FOUND,
            Self::NoBucket | Self::SignatureBoundToHost(_) | Self::NotSigned(_) => {
                StatusCode::FORBIDDEN
            }
            Self::Connect(error) if error.is_timeout() => StatusCode::GATEWAY_TIMEOUT,
            Self::Dns(_)
            | Self::Connect(_)
            | Self::Reset(_)
            | Self::SpeaksTls
            | Self::BadAnswer(_)
            | Self::OwnSignature(_) => StatusCode::BAD_GATEWAY,
            Self::FirstByteTimeout | Self::Gone | Self::UploadStalled => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::ClientBody | Self::Rewrite(_) => StatusCode::BAD_REQUEST,
            Self::Busy | Self::SignatureBound | Self::NoCredentials(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// Returns the error kind used in logs, metrics and the header field `x-ossgate-error`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoSuchBucket => "no_such_bucket",
            Self::NoBucket => "no_bucket",
            Self::Dns(DnsFailure::Forbidden) => "upstream_address_forbidden",
            Self::Dns(_) => "upstream_dns",
            Self::Connect(error) => error.kind(),
            Self::Reset(_) => "upstream_reset",
            Self::SpeaksTls | Self::BadAnswer(_) => "upstream_bad_answer",
            Self::FirstByteTimeout | Self::Gone | Self::UploadStalled => "upstream_timeout",
            Self::ClientBody => "client_body",
            Self::Busy => "proxy_busy",
            Self::SignatureBound => "upstream_signature_bound",
            Self::SignatureBoundToHost(_) => "signature_bound_to_host",
            Self::NotSigned(_) => "sign_refused",
            Self::NoCredentials(_) => "credentials_unavailable",
            Self::OwnSignature(_) => "own_signature_refused",
            Self::Rewrite(_) => "bad_request",
        }
    }

    /// Returns what exactly failed on the way to OSS: one word for the access log, the event and the metric.
    /// `None` if the failure is one of the request, not of the way to OSS.
    #[must_use]
    pub fn cause(&self) -> Option<&'static str> {
        Some(match self {
            Self::Dns(failure) => failure.cause(),
            Self::Connect(error) => error.fault.cause(),
            Self::Reset(_) => "reset",
            Self::SpeaksTls => "speaks_tls",
            Self::BadAnswer(_) => "bad_answer",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::Gone => "gone",
            Self::UploadStalled => "upload_stalled",
            Self::Busy => "busy",
            Self::OwnSignature(_) => "own_signature_refused",
            Self::NoSuchBucket
            | Self::NoBucket
            | Self::ClientBody
            | Self::SignatureBound
            | Self::SignatureBoundToHost(_)
            | Self::NotSigned(_)
            | Self::NoCredentials(_)
            | Self::Rewrite(_) => return None,
        })
    }

    /// Returns the `Code` in the XML of the error response.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchBucket => "NoSuchBucket",
            Self::NoBucket | Self::NotSigned(_) => "ProxyAccessDenied",
            Self::Dns(DnsFailure::Forbidden) => "UpstreamAddressForbidden",
            Self::Dns(_) => "UpstreamDnsFailure",
            Self::Connect(error) => error.code(),
            Self::Reset(_) => "UpstreamReset",
            Self::SpeaksTls | Self::BadAnswer(_) => "UpstreamBadAnswer",
            Self::FirstByteTimeout | Self::Gone | Self::UploadStalled => "UpstreamTimeout",
            Self::ClientBody | Self::Rewrite(_) => "ProxyBadRequest",
            Self::Busy => "ProxyBusy",
            Self::SignatureBound => "UpstreamSignatureBound",
            Self::SignatureBoundToHost(_) => "ProxySignatureBoundToHost",
            Self::NoCredentials(_) => "ProxyCredentialsUnavailable",
            Self::OwnSignature(_) => "ProxySignatureRefused",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchBucket => f.write_str("bucket is not served"),
            Self::NoBucket => f.write_str("request names no bucket"),
            Self::Dns(failure) => write!(f, "endpoint not resolved: {failure}"),
            Self::Connect(error) => error.fmt(f),
            Self::Reset(error) => write!(f, "connection ended before the answer: {error}"),
            Self::SpeaksTls => f.write_str("the endpoint responded with TLS, and `tls` is false"),
            Self::BadAnswer(what) => write!(f, "bad answer: {what}"),
            Self::FirstByteTimeout => f.write_str("no answer in time"),
            Self::Gone => f.write_str("no answer, and the address is gone"),
            Self::UploadStalled => f.write_str("origin stopped reading the body"),
            Self::ClientBody => f.write_str("client's body broke off"),
            Self::Busy => f.write_str("too many requests in flight"),
            Self::SignatureBound => f.write_str("signature allows no other endpoint"),
            Self::SignatureBoundToHost(hosts) => {
                let BoundHosts { signed, sent } = &**hosts;
                write!(f, "signature is for the host `{signed}`, not for `{sent}`")
            }
            Self::NotSigned(why) => write!(f, "request is not signed: {why}"),
            Self::OwnSignature(code) => write!(f, "OSS refused the proxy's signature: {code}"),
            Self::NoCredentials(missing) => {
                write!(f, "no access key from the source `{}`", missing.source)
            }
            Self::Rewrite(error) => write!(f, "request cannot be rewritten: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error) => Some(&**error),
            Self::Reset(error) => Some(error),
            Self::Rewrite(error) => Some(error),
            Self::NoSuchBucket
            | Self::NoBucket
            | Self::Dns(_)
            | Self::SpeaksTls
            | Self::BadAnswer(_)
            | Self::FirstByteTimeout
            | Self::Gone
            | Self::UploadStalled
            | Self::ClientBody
            | Self::Busy
            | Self::SignatureBound
            | Self::SignatureBoundToHost(_)
            | Self::NotSigned(_)
            | Self::NoCredentials(_)
            | Self::OwnSignature(_) => None,
        }
    }
}
