//! The data that accompanies a request: its connection, its properties, and its outcome.
//!
//! The access layer creates one [`RequestContext`] for each request. The router, the policies and the
//! origin write into its [`Outcome`]. The access layer passes the context to the log and the metrics when
//! the response body has ended.

mod text;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode, Version};
use tokio::time::Instant;

use crate::http::authority::Authority;
use crate::http::request_authority::ParsedAuthority;
use crate::net::ranges::IpRanges;

pub use text::{LineText, RequestId, ShortText};

/// The data that all requests of one client connection share.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// The address of the listener as it appears in logs and metrics.
    pub listener: Arc<str>,
    /// The peer address of the socket; `None` on a unix socket.
    pub peer: Option<SocketAddr>,
    /// The TLS version, `TLSv1.2` or `TLSv1.3`; `None` without TLS.
    pub tls: Option<&'static str>,
    /// The server name of the TLS handshake (SNI), in lower case; `None` without TLS or if the client sent
    /// no server name.
    pub sni: Option<Box<str>>,
    /// The client address from the PROXY header, else the peer address; `None` on a unix socket without
    /// such a header.
    pub client: Option<IpAddr>,
    /// The id of the client's VPC, from the PROXY header.
    pub vpc_id: Option<Box<str>>,
    /// The id of the PrivateLink endpoint through which the client connects, from the PROXY header.
    pub endpoint_id: Option<Box<str>>,
    /// Whether `X-Forwarded-For` and `X-Forwarded-Proto` are used. With the PROXY protocol, the client in
    /// the PROXY header must be a trusted proxy. Without the PROXY protocol, the peer must be a trusted
    /// proxy or a process on a unix socket.
    pub is_trusted: bool,
    /// The addresses of the trusted proxies. An `X-Forwarded-For` entry that one of them added is trusted
    /// even if that proxy is not the direct peer of this connection.
    pub trusted_proxies: Arc<IpRanges>,
    /// The maximum number of header fields of a request. The router enforces it; on HTTP/1.1, hyper
    /// enforces it before the router.
    pub max_headers: usize,
    /// The path of the listener's health check, decoded; `None` when the listener has no health check.
    pub health_path: Option<Arc<[u8]>>,
    /// Whether the connection is over the listener's connection limit. Its requests are answered 503.
    pub is_turned_away: bool,
    /// Whether the client speaks HTTP without TLS on a listener with TLS. Its requests are answered 400.
    pub is_plain_on_tls: bool,
}

/// The data that the access layer reads from a request head.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    /// See [`RequestContext::client`].
    pub client: Option<IpAddr>,
    /// See [`RequestContext::method`].
    pub method: Method,
    /// See [`RequestContext::version`].
    pub version: Version,
    /// See [`RequestContext::is_https`].
    pub is_https: bool,
    /// See [`RequestContext::prefers_html`].
    pub prefers_html: bool,
    /// The authority as byte positions in [`LineText::host`].
    pub authority: ParsedAuthority,
}

/// The data of one request, from its head to the end of its response.
#[derive(Debug)]
pub struct RequestContext {
    /// The proxy's own request id.
    pub id: RequestId,
    /// The data of the client's connection.
    pub connection: Arc<ConnectionInfo>,
    /// The client address behind all trusted proxies; `None` when it is unknown, as on a unix socket.
    pub client: Option<IpAddr>,
    /// The time at which the request head was complete.
    pub start: Instant,
    /// The method.
    pub method: Method,
    /// The HTTP version of the client.
    pub version: Version,
    /// Whether the client used TLS, to this proxy or to a trusted proxy that reports it.
    pub is_https: bool,
    /// Whether the client prefers HTML to XML.
    pub prefers_html: bool,
    /// Copies of request data for the log line and for the proxy's own responses.
    pub text: LineText,
    authority: ParsedAuthority,
    /// How much of the request body has been read: an [`UploadState`] as a number.
    upload: AtomicU8,
    outcome: Mutex<Outcome>,
}

/// The progress of reading the request body from the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum UploadState {
    /// The request has no body.
    #[default]
    None,
    /// Not all of the body has been read.
    Open,
    /// The body has been read to its end.
    Whole,
    /// The body broke off before its end.
    BrokenOff,
}

/// The reason why the client did not get a complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortReason {
    /// The request body broke off, so OSS did not receive the whole upload.
    UploadIncomplete,
    /// The client's connection or HTTP/2 stream ended before the whole response was passed to it.
    ClientGone,
    /// The response body of OSS broke off and could not be continued.
    OriginBroke,
    /// The proxy stopped before the request had ended.
    ProxyStopped,
}

impl AbortReason {
    /// Returns the word for the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UploadIncomplete => "upload_incomplete",
            Self::ClientGone => "client_gone",
            Self::OriginBroke => "origin_broke",
            Self::ProxyStopped => "proxy_stopped",
        }
    }
}

impl RequestContext {
    /// Returns a context with an empty outcome.
    #[must_use]
    pub fn new(
        id: RequestId,
        connection: Arc<ConnectionInfo>,
        start: Instant,
        facts: RequestFacts,
        text: LineText,
    ) -> Self {
        let RequestFacts {
            client,
            method,
            version,
            is_https,
            prefers_html,
            authority,
        } = facts;
        Self {
            id,
            connection,
            client,
            start,
            method,
            version,
            is_https,
            prefers_html,
            text,
            authority,
            upload: AtomicU8::new(UploadState::None as u8),
            outcome: Mutex::new(Outcome::default()),
        }
    }

    /// Returns the authority of the request, as parsed by the access layer. `None` when the request has no
    /// valid authority. The router accepts a request without an authority only in HTTP/1.0.
    #[must_use]
    pub fn authority(&self) -> Option<Authority<'_>> {
        self.authority
            .ok()?
            .and_then(|span| span.of(self.text.host()))
    }

    /// Returns the requested host without port, as received. Empty when [`Self::authority`] is `None`.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority().map_or("", |authority| authority.host)
    }

    /// Returns the authority as byte positions in [`LineText::host`], or the reason why there is none.
    pub(super) fn parsed_authority(&self) -> ParsedAuthority {
        self.authority
    }

    /// Records how much of the request body has been read.
    pub fn set_upload(&self, state: UploadState) {
        self.upload.store(state as u8, Relaxed);
    }

    /// Returns how much of the request body has been read.
    #[must_use]
    pub fn upload(&self) -> UploadState {
        match self.upload.load(Relaxed) {
            0 => UploadState::None,
            1 => UploadState::Open,
            2 => UploadState::Whole,
            // The value is 3, because only `new` and `set_upload` write it, from an `UploadState`.
            _ => UploadState::BrokenOff,
        }
    }

    /// Locks the outcome. The caller must hold the lock only for access to fields and never across an
    /// await. Only one thread at a time uses a context, so the lock is never contended.
    pub fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outcome of a request, for its log line and the metrics.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The status sent to the client; `None` until there is a response.
    pub status: Option<StatusCode>,
    /// The kind of the proxy's own error response, as in `x-ossgate-error`; `None` for any other response.
    pub error: Option<&'static str>,
    /// What exactly failed on the way to OSS, as one word; `None` if nothing did.
    pub cause: Option<&'static str>,
    /// Whether hotlink protection would have refused the request, in its mode `report`.
    pub would_refuse_referer: bool,
    /// The number of request body bytes read from the client.
    pub bytes_in: u64,
    /// The number of response body bytes passed to the client's connection.
    pub bytes_out: u64,
    /// The name of the route.
    pub route: Option<Arc<str>>,
    /// The name of the bucket.
    pub bucket: Option<Arc<str>>,
    /// The host name of the endpoint to which the request was sent.
    pub endpoint: Option<Arc<str>>,
    /// The index of the endpoint in the origin's list of endpoints; 0 is the first.
    pub tier: u32,
    /// The upstream address of the last attempt.
    pub upstream: Option<SocketAddr>,
    /// The upstream address of the last connect that failed; `None` if none failed.
    pub unreachable: Option<SocketAddr>,
    /// Whether the last attempt used a kept-alive connection.
    pub reused: bool,
    /// The number of attempts after the first.
    pub retries: u32,
    /// How often the response body broke and was continued on another connection.
    pub resumes: u32,
    /// The value of `x-oss-request-id` in the response.
    pub oss_request_id: ShortText,
    /// The value of `x-oss-ec` in the response.
    pub oss_ec: ShortText,
    /// The time spent waiting for a permit of the pool or for resolved addresses.
    pub wait: Duration,
    /// The duration of the TCP connect to the upstream address; zero when the connection was reused. When no
    /// connect succeeded, the duration of all of them.
    pub connect: Duration,
    /// The duration of the upstream TLS handshake; zero when the connection was reused or is not
    /// encrypted. When no handshake succeeded, the duration of the last one.
    pub tls: Duration,
    /// The time from the start of the request until the response head of OSS was complete; `None` if OSS
    /// sent no response.
    pub first_byte: Option<Duration>,
    /// The time from the start of the request until the response ended.
    pub total: Duration,
    /// The reason why the client did not get a complete response; `None` when it did.
    pub aborted: Option<AbortReason>,
}

impl Outcome {
    /// If the client is recorded as the reason why the request was aborted, records the stop of the proxy as the
    /// reason instead. Called for requests that end while the proxy stops.
    pub fn blame_stop(&mut self) {
        if let Some(AbortReason::ClientGone | AbortReason::UploadIncomplete) = self.aborted {
            self.aborted = Some(AbortReason::ProxyStopped);
        }
    }

    /// Returns the status for log and metrics. If there is no response, returns 503 if the proxy has stopped,
    /// and otherwise 499, as nginx does for a client that is gone.
    #[must_use]
    pub fn logged_status(&self) -> u16 {
        match (self.status, self.aborted) {
            (Some(status), _) => status.as_u16(),
            (None, Some(AbortReason::ProxyStopped)) => 503,
            (None, _) => 499,
        }
    }
}
