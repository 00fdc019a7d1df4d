//! What travels beside a request: who asks, under which id, and what became of it.
//!
//! One [`RequestContext`] is made per request by the access layer. The origin writes into its [`Outcome`]; the access layer reads it once, when the
//! answer's body has ended. It holds copies of the few strings of the access line: references into
//! the request head would keep hyper's read buffer alive and cost an allocation on the next read.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, Version};
use ipnet::IpNet;
use tokio::time::Instant;

use crate::http::authority::{self, Authority};

/// What is the same for every request of a client's connection.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// The listener's address as the config writes it.
    pub listener: Arc<str>,
    /// The socket's other end; absent on a unix socket.
    pub peer: Option<SocketAddr>,
    /// TLS version, `TLSv1.2` or `TLSv1.3`; absent on plain text.
    pub tls: Option<&'static str>,
    /// The server name the client asked for, lower case.
    pub sni: Option<Box<str>>,
    /// The client as the peer's PROXY header says, else the peer; absent on a unix socket.
    pub client: Option<IpAddr>,
    /// The client's VPC, from the PROXY header.
    pub vpc_id: Option<Box<str>>,
    /// The PrivateLink endpoint the client came through, from the PROXY header.
    pub endpoint_id: Option<Box<str>>,
    /// Whether the client's `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub is_trusted: bool,
    /// Whose they are believed of, too, further back.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Most header fields of a request. hyper holds HTTP/1.1 to it by itself.
    pub max_headers: usize,
    /// The path of the listener's health check.
    pub health_path: Option<Arc<str>>,
    /// Whether the listener has no place for it: its requests are answered 503.
    pub is_refused: bool,
}

/// The id of one request: `og-` and sixteen hex digits, which no OSS request id can look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId([u8; 19]);

impl RequestId {
    /// The next id of this process. Ids of one process do not repeat; the seed keeps two processes
    /// apart.
    #[must_use]
    pub fn next(seed: u64) -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        // SplitMix64's finisher: a bijection, so distinct counters stay distinct.
        let mut z = seed.wrapping_add(
            COUNTER
                .fetch_add(1, Ordering::Relaxed)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15),
        );
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let mut id = *b"og-0000000000000000";
        for (place, digit) in id.iter_mut().skip(3).enumerate() {
            let nibble = (z >> (60 - 4 * place)) & 0xf;
            *digit = b"0123456789abcdef"[usize::try_from(nibble).unwrap_or(0)];
        }
        Self(id)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The id as a header value.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_bytes(&self.0).unwrap_or(HeaderValue::from_static("og-"));
        // No two are equal, so HTTP/2 should not put it into its compression table.
        value.set_sensitive(true);
        value
    }
}

/// Copies of the request's strings for the access line, back to back in one allocation.
#[derive(Debug, Default)]
pub struct LineText {
    bytes: Vec<u8>,
    ends: [usize; 4],
}

impl LineText {
    /// Copies the four strings.
    #[must_use]
    pub fn new(parts: [&[u8]; 4]) -> Self {
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        let mut ends = [0; 4];
        for (part, end) in parts.iter().zip(ends.iter_mut()) {
            bytes.extend_from_slice(part);
            *end = bytes.len();
        }
        Self { bytes, ends }
    }

    fn part(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        self.bytes.get(start..self.ends[index]).unwrap_or_default()
    }

    /// Path and query as received.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.part(0)
    }

    /// The Host the request was for.
    #[must_use]
    pub fn host(&self) -> &[u8] {
        self.part(1)
    }

    /// The Referer header; empty when absent.
    #[must_use]
    pub fn referer(&self) -> &[u8] {
        self.part(2)
    }

    /// The User-Agent header; empty when absent.
    #[must_use]
    pub fn user_agent(&self) -> &[u8] {
        self.part(3)
    }
}

/// A copy of a short header value, in place; a reference would keep the read buffer alive.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShortText {
    length: u8,
    bytes: [u8; 32],
}

impl ShortText {
    /// Copies up to 32 bytes of `value`.
    #[must_use]
    pub fn new(value: Option<&HeaderValue>) -> Self {
        let mut text = Self::default();
        for (place, byte) in text
            .bytes
            .iter_mut()
            .zip(value.map_or(&b""[..], HeaderValue::as_bytes))
        {
            *place = *byte;
            text.length += 1;
        }
        text
    }

    /// The copy; empty when there was nothing.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }
}

/// How a request was asked.
#[derive(Clone, Debug)]
pub struct Asked {
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
}

/// One request's facts, from its head to the end of its answer.
#[derive(Debug)]
pub struct RequestContext {
    /// The proxy's own request id.
    pub id: RequestId,
    /// The connection it came on.
    pub connection: Arc<ConnectionInfo>,
    /// Who asks, through all trusted proxies; absent when that cannot be told, on a unix socket.
    pub client: Option<IpAddr>,
    /// When its head had been read.
    pub start: Instant,
    /// Its method.
    pub method: Method,
    /// The client's HTTP version.
    pub version: Version,
    /// Whether it came over TLS: to this proxy, or to a trusted one that says so.
    pub is_https: bool,
    /// Whether the client would rather read HTML than XML.
    pub prefers_html: bool,
    /// Strings for the access line and the proxy's own answers.
    pub text: LineText,
    outcome: Mutex<Outcome>,
}

impl RequestContext {
    /// A context with an empty outcome.
    #[must_use]
    pub fn new(
        id: RequestId,
        connection: Arc<ConnectionInfo>,
        start: Instant,
        asked: Asked,
        text: LineText,
    ) -> Self {
        let Asked {
            client,
            method,
            version,
            is_https,
            prefers_html,
        } = asked;
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
            outcome: Mutex::new(Outcome::default()),
        }
    }

    /// The host it is for; `None` when it names none, or none that could be one.
    #[must_use]
    pub fn authority(&self) -> Option<Authority<'_>> {
        std::str::from_utf8(self.text.host())
            .ok()
            .and_then(authority::parse)
    }

    /// The outcome so far. Held only for field access, never across an await; the lock is taken by
    /// one worker thread at a time, so it is never contended.
    pub fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a request. Times count from the request's start.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Status sent to the client.
    pub status: Option<StatusCode>,
    /// Kind of the proxy's own answer, as in `x-ossgate-error`.
    pub error: Option<&'static str>,
    /// Request body bytes taken from the client.
    pub bytes_in: u64,
    /// Answer body bytes handed to the client's connection.
    pub bytes_out: u64,
    /// The route that served it.
    pub route: Option<Arc<str>>,
    /// The bucket it was for.
    pub bucket: Option<Arc<str>>,
    /// The endpoint host it was sent to.
    pub endpoint: Option<Arc<str>>,
    /// Place of that endpoint among the origin's; 0 is the first.
    pub tier: u32,
    /// The upstream address of the last attempt.
    pub upstream: Option<SocketAddr>,
    /// Whether the last attempt used a kept-alive connection.
    pub reused: bool,
    /// Attempts after the first.
    pub retries: u32,
    /// Times the answer's body broke and went on on another connection.
    pub resumes: u32,
    /// `x-oss-request-id` of the answer.
    pub oss_request_id: ShortText,
    /// `x-oss-ec` of the answer.
    pub oss_ec: ShortText,
    /// Waiting for a place in the pool or for addresses.
    pub wait: Duration,
    /// TCP connect of the upstream connection; zero when reused.
    pub connect: Duration,
    /// TLS handshake of the upstream connection; zero when reused or plain.
    pub tls: Duration,
    /// Until the answer's head was there.
    pub first_byte: Option<Duration>,
    /// Until the answer's end.
    pub total: Duration,
    /// The client went away, or a body broke, before the end.
    pub is_aborted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_differ_and_cannot_be_taken_for_oss_ids() {
        let one = RequestId::next(7);
        let two = RequestId::next(7);
        assert_ne!(one, two);
        assert_eq!(one.as_str().len(), 19);
        assert!(one.as_str().starts_with("og-"));
    }

    #[test]
    fn line_text_gives_back_its_parts() {
        let text = LineText::new([b"/a?b", b"h", b"", b"curl"]);
        assert_eq!(text.path(), b"/a?b");
        assert_eq!(text.host(), b"h");
        assert_eq!(text.referer(), b"");
        assert_eq!(text.user_agent(), b"curl");
    }
}
