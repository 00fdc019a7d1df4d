//! Why a request could not be sent to OSS, or why OSS did not respond.
//!
//! Each variant has an HTTP status, a `Code` for the XML of the error response, and a kind for logs and
//! metrics. The message of a variant says whether the client, the proxy or OSS is at fault, and whether OSS
//! was reached.

#![deny(clippy::wildcard_enum_match_arm)]

use std::{fmt, io};

use http::StatusCode;

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
    /// All tried addresses refused the connection or were unreachable.
    ConnectRefused(io::Error),
    /// No tried address accepted a connection in time.
    ConnectTimeout,
    /// The TLS handshake with the endpoint failed. Possible causes are the certificate name, the trusted CAs,
    /// the clock and the protocol version.
    Tls(io::Error),
    /// The connection ended before the first byte of the response.
    Reset(hyper::Error),
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
    /// Converts the error of a connect. A timeout becomes [`Error::ConnectTimeout`]. If this process or
    /// machine has no free descriptor, memory or port, the result is [`Error::Busy`], because the address did
    /// not cause the error. Every other error becomes [`Error::ConnectRefused`].
    pub(super) fn from_connect(error: io::Error) -> Self {
        match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::TimedOut, _) => Self::ConnectTimeout,
            (_, Some(EMFILE | ENFILE | ENOBUFS | EADDRNOTAVAIL)) => Self::Busy,
            _ => Self::ConnectRefused(error),
        }
    }

    /// Whether the endpoint is unreachable: it has no address, or no connection to an address could be
    /// established. Another endpoint may be reachable.
    pub(super) fn is_unreachable(&self) -> bool {
        match self {
            Self::Dns(_) | Self::ConnectRefused(_) | Self::ConnectTimeout | Self::Tls(_) => true,
            Self::NoSuchBucket
            | Self::NoBucket
            | Self::Reset(_)
            | Self::BadAnswer(_)
            | Self::FirstByteTimeout
            | Self::Gone
            | Self::UploadStalled
            | Self::ClientBody
            | Self::Busy
            | Self::SignatureBound
            | Self::SignatureBoundToHost(_)
            | Self::Rewrite(_) => false,
        }
    }

    /// Returns the HTTP status of the error response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchBucket => StatusCode::NOT_FOUND,
            Self::NoBucket | Self::SignatureBoundToHost(_) => StatusCode::FORBIDDEN,
            Self::Dns(_)
            | Self::ConnectRefused(_)
            | Self::Tls(_)
            | Self::Reset(_)
            | Self::BadAnswer(_) => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout | Self::FirstByteTimeout | Self::Gone | Self::UploadStalled => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::ClientBody | Self::Rewrite(_) => StatusCode::BAD_REQUEST,
            Self::Busy | Self::SignatureBound => StatusCode::SERVICE_UNAVAILABLE,
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
            Self::ConnectRefused(_) => "upstream_connect_refused",
            Self::ConnectTimeout => "upstream_connect_timeout",
            Self::Tls(_) => "upstream_tls",
            Self::Reset(_) => "upstream_reset",
            Self::BadAnswer(_) => "upstream_bad_answer",
            Self::FirstByteTimeout | Self::Gone | Self::UploadStalled => "upstream_timeout",
            Self::ClientBody => "client_body",
            Self::Busy => "proxy_busy",
            Self::SignatureBound => "upstream_signature_bound",
            Self::SignatureBoundToHost(_) => "signature_bound_to_host",
            Self::Rewrite(_) => "bad_request",
        }
    }

    /// Returns the `Code` in the XML of the error response.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchBucket => "NoSuchBucket",
            Self::NoBucket => "ProxyAccessDenied",
            Self::Dns(DnsFailure::Forbidden) => "UpstreamAddressForbidden",
            Self::Dns(_) => "UpstreamDnsFailure",
            Self::ConnectRefused(_) => "UpstreamConnectRefused",
            Self::ConnectTimeout => "UpstreamConnectTimeout",
            Self::Tls(_) => "UpstreamTlsFailure",
            Self::Reset(_) => "UpstreamReset",
            Self::BadAnswer(_) => "UpstreamBadAnswer",
            Self::FirstByteTimeout | Self::Gone | Self::UploadStalled => "UpstreamTimeout",
            Self::ClientBody | Self::Rewrite(_) => "ProxyBadRequest",
            Self::Busy => "ProxyBusy",
            Self::SignatureBound => "UpstreamSignatureBound",
            Self::SignatureBoundToHost(_) => "ProxySignatureBoundToHost",
        }
    }

    /// Returns the message for the client: what happened, whose fault it is, and whether OSS was reached.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::NoSuchBucket => "The request names a bucket this proxy does not serve. OSS was not asked.".into(),
            Self::NoBucket => "The request names no bucket, and ListBuckets is not served by this proxy \
                 (`list_buckets` of its route). OSS was not asked."
                .into(),
            Self::Dns(failure) => format!(
                "The proxy cannot resolve the OSS endpoint: {failure}. Check the endpoint and the name servers of the \
                 proxy. OSS was not reached."
            ),
            Self::ConnectRefused(_) => "The OSS endpoint refused the proxy's connection. Check the port, and that an \
                 internal endpoint is of the proxy's own region. OSS was not reached."
                .into(),
            Self::ConnectTimeout => "The proxy could not connect to the OSS endpoint in time. Check the security group \
                 and routes of the proxy. OSS was not reached."
                .into(),
            Self::Tls(_) => "The TLS handshake between the proxy and the OSS endpoint failed. Check the endpoint name, \
                 the trusted CAs and the clock of the proxy. The request was not sent."
                .into(),
            Self::Reset(_) => "OSS closed the connection before it answered. It may or may not have acted on the request."
                .into(),
            Self::BadAnswer(what) => {
                format!("The endpoint answered with something that cannot be passed on: {what}. The fault is not the client's.")
            }
            Self::FirstByteTimeout => {
                "The request was sent and OSS did not answer in time. It may or may not have acted on it.".into()
            }
            Self::Gone => "The request was sent, and the address of OSS it was sent to can no longer be reached. OSS may or \
                 may not have acted on it."
                .into(),
            Self::UploadStalled => "OSS stopped taking the request body. No object is created by an incomplete upload.".into(),
            Self::ClientBody => "The request body ended before its announced end. The fault is the client's or its network's.".into(),
            Self::Busy => "The proxy has as many requests on their way to OSS as it is allowed. OSS was not asked.".into(),
            Self::SignatureBound => "The OSS endpoint cannot be connected to, and the request's signature is for its \
                 host or for a region the other endpoints are not of, so it cannot be sent to them. A signature without \
                 `host` among its additional headers can. OSS was not reached."
                .into(),
            Self::SignatureBoundToHost(hosts) => {
                let BoundHosts { signed, sent } = &**hosts;
                format!(
                "The request's signature covers the Host header, for which the client sent `{signed}`. The proxy sends OSS \
                 the Host `{sent}`, so OSS would find that the signature does not match. Ways out: bind the domain \
                 `{signed}` to the bucket and set `host` of the proxy's origin to it; let the name `{sent}` resolve to the \
                 proxy, so that the client signs OSS's own name; with OSS V4, sign without `host` among the additional \
                 headers. OSS was not asked."
            )}
            Self::Rewrite(_) => "The request target cannot be sent to OSS. OSS was not asked.".into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchBucket => f.write_str("bucket is not served"),
            Self::NoBucket => f.write_str("request names no bucket"),
            Self::Dns(failure) => write!(f, "endpoint not resolved: {failure}"),
            Self::ConnectRefused(error) => write!(f, "connect failed: {error}"),
            Self::ConnectTimeout => f.write_str("connect timed out"),
            Self::Tls(error) => write!(f, "tls handshake failed: {error}"),
            Self::Reset(error) => write!(f, "connection ended before the answer: {error}"),
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
            Self::Rewrite(error) => write!(f, "request cannot be rewritten: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::ConnectRefused(error) | Self::Tls(error) => Some(error),
            Self::Reset(error) => Some(error),
            Self::Rewrite(error) => Some(error),
            Self::NoSuchBucket
            | Self::NoBucket
            | Self::Dns(_)
            | Self::ConnectTimeout
            | Self::BadAnswer(_)
            | Self::FirstByteTimeout
            | Self::Gone
            | Self::UploadStalled
            | Self::ClientBody
            | Self::Busy
            | Self::SignatureBound
            | Self::SignatureBoundToHost(_) => None,
        }
    }
}
