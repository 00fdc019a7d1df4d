//! The data that travels beside a request: its connection, its own facts, and its outcome.
//!
//! The access layer makes one [`RequestContext`] for each request. The router, the policies and the
//! origin write into its [`Outcome`]. The access layer passes it to the log when the response body has
//! ended.

mod text;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode, Version};
use tokio::time::Instant;

use crate::http::authority::Authority;
use crate::http::message::ParsedAuthority;
use crate::net::ranges::IpRanges;

pub use text::{LineText, RequestId, ShortText};

/// The facts that all requests of one client connection share.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// The address of the listener, as the config writes it.
    pub listener: Arc<str>,
    /// The peer address of the socket; `None` on a unix socket.
    pub peer: Option<SocketAddr>,
    /// The TLS version, `TLSv1.2` or `TLSv1.3`; `None` on clear text.
    pub tls: Option<&'static str>,
    /// The server name of the TLS handshake (SNI), in lower case.
    pub sni: Option<Box<str>>,
    /// The client address from the PROXY header, else the peer address; `None` on a unix socket.
    pub client: Option<IpAddr>,
    /// The VPC of the client, from the PROXY header.
    pub vpc_id: Option<Box<str>>,
    /// The PrivateLink endpoint the client came through, from the PROXY header.
    pub endpoint_id: Option<Box<str>>,
    /// Whether the peer is a trusted proxy, whose `X-Forwarded-For` and `X-Forwarded-Proto` count.
    pub is_trusted: bool,
    /// Proxies further back whose `X-Forwarded-For` entries are also believed.
    pub trusted_proxies: Arc<IpRanges>,
    /// The maximum number of header fields of a request. The router enforces it; for HTTP/1.1, hyper
    /// does so first.
    pub max_headers: usize,
    /// The path of the listener's health check, decoded; `None` when it has none.
    pub health_path: Option<Arc<[u8]>>,
    /// Whether the connection is over the listener's limit. Its requests are answered 503.
    pub is_turned_away: bool,
}

/// What the access layer reads from a request's head.
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
    /// The authority, as a place in [`LineText::host`].
    pub authority: ParsedAuthority,
}

/// One request's data, from its head to the end of its response.
#[derive(Debug)]
pub struct RequestContext {
    /// The proxy's own request id.
    pub id: RequestId,
    /// The client's connection.
    pub connection: Arc<ConnectionInfo>,
    /// The client address behind all trusted proxies; `None` when it is unknown, on a unix socket.
    pub client: Option<IpAddr>,
    /// When the request head was complete.
    pub start: Instant,
    /// The method.
    pub method: Method,
    /// The HTTP version of the client.
    pub version: Version,
    /// Whether the client used TLS, to this proxy or to a trusted proxy that reports it.
    pub is_https: bool,
    /// Whether the client prefers HTML to XML.
    pub prefers_html: bool,
    /// Texts for the log line and for the proxy's own responses.
    pub text: LineText,
    authority: ParsedAuthority,
    outcome: Mutex<Outcome>,
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
            outcome: Mutex::new(Outcome::default()),
        }
    }

    /// Returns the authority the request is for. It was parsed by the access layer. `None` when the
    /// request has no valid one; only HTTP/1.0 requests without `Host` pass the router that way.
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

    /// Returns the authority as a place in [`LineText::host`], or why there is none.
    pub(super) fn parsed_authority(&self) -> ParsedAuthority {
        self.authority
    }

    /// Locks the outcome. The lock is held for field access only, never across an await. One worker
    /// thread at a time takes it, so it is never contended.
    pub fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a request was handled and how it ended. All times count from the start of the request.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The status sent to the client; `None` until there is a response.
    pub status: Option<StatusCode>,
    /// The kind of the proxy's own response, as in `x-ossgate-error`.
    pub error: Option<&'static str>,
    /// Request body bytes read from the client.
    pub bytes_in: u64,
    /// Response body bytes handed to the client's connection.
    pub bytes_out: u64,
    /// The route.
    pub route: Option<Arc<str>>,
    /// The bucket.
    pub bucket: Option<Arc<str>>,
    /// The host name of the endpoint the request was sent to.
    pub endpoint: Option<Arc<str>>,
    /// The position of that endpoint among those of the origin; 0 is the first.
    pub tier: u32,
    /// The upstream address of the last attempt.
    pub upstream: Option<SocketAddr>,
    /// Whether the last attempt used a kept-alive connection.
    pub reused: bool,
    /// The number of attempts after the first.
    pub retries: u32,
    /// How often the response body broke and was continued on another connection.
    pub resumes: u32,
    /// `x-oss-request-id` of the response.
    pub oss_request_id: ShortText,
    /// `x-oss-ec` of the response.
    pub oss_ec: ShortText,
    /// The time spent waiting for a permit of the pool or for resolved addresses.
    pub wait: Duration,
    /// The duration of the TCP connect to the upstream address; zero when the connection was reused.
    pub connect: Duration,
    /// The duration of the upstream TLS handshake; zero when reused or on clear text.
    pub tls: Duration,
    /// The time until the response head was complete.
    pub first_byte: Option<Duration>,
    /// The time until the response ended.
    pub total: Duration,
    /// Whether the client disconnected or a body broke before the end.
    pub is_aborted: bool,
}
