//! Going on with a download that broke.
//!
//! A GET whose answer breaks inside the body (reset, early end, silence) asks for the rest with
//! `Range` and `If-Match` on another connection, to another address where there is one, and the
//! client sees one body. Only where the bytes are certain to be the same ones: a known length, a
//! strong entity tag, no content coding, no sub-resource that computes the answer. The rest must come
//! as 206 with the same tag, the same total and the very range asked for; anything else leaves the
//! body broken, and a broken body never looks complete. Uploads never go on.
//!
//! Neither `Range` nor `If-Match` is covered by a client's V1 signature, nor by a V4 one that does
//! not name them; where it does, or where it has expired by now, OSS refuses the rest and the body
//! stays broken. The client's other conditions are sent again: they held for this very entity.
//!
//! # Cost
//!
//! The request's head is copied before it is sent, as it is for a repeat on a kept-alive connection
//! anyway; only a new connection's first GET pays for it. It is kept until the answer ends, together
//! with the client's read buffer it is part of, except for answers that came whole with their head.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{Method, StatusCode, Version, request, response};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use tokio::time::Instant;

use crate::http::context::RequestContext;
use crate::origin::address::Address;
use crate::origin::answer;
use crate::origin::error::Error;
use crate::origin::exchange::{Deadlines, exchange};
use crate::origin::pool::Connection;
use crate::origin::tier::{self, Chosen};
use crate::origin::upload::UploadBody;
use crate::origin::upstream::Upstream;
use crate::oss::subresource::is_subresource;

/// Most attempts per download: one for each address a connect may try. A download that breaks more
/// often meets something another connection does not help against.
const ATTEMPTS: u32 = 3;

/// Sub-resources that leave the answer the object's own bytes. `response-` and a name make headers.
const HARMLESS: [&str; 4] = [
    "security-token",
    "versionId",
    "x-oss-request-payer",
    "x-oss-traffic-limit",
];

/// Part of an object: bytes from `next` to before `end`, of `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    next: u64,
    end: u64,
    total: u64,
}

/// What the rest of a download is asked for with.
pub(super) struct Plan {
    request: request::Parts,
    /// The first tier.
    first: Arc<Upstream>,
    /// The tier the body comes from at present.
    upstream: Arc<Upstream>,
    /// Where the body comes from at present.
    address: Arc<Address>,
    context: Arc<RequestContext>,
    deadlines: Deadlines,
    etag: HeaderValue,
    /// What is missing.
    span: Span,
    /// Whether it is missing up to the object's end because the whole object was asked for.
    is_whole: bool,
    attempts: u32,
    broke_at: Option<u64>,
}

/// Where a download comes from, and for whom.
pub(super) struct Source<'a> {
    /// The first tier.
    pub first: &'a Arc<Upstream>,
    pub upstream: &'a Arc<Upstream>,
    pub address: &'a Arc<Address>,
    pub context: &'a Arc<RequestContext>,
    pub deadlines: Deadlines,
}

/// A download on its way to another connection; gives the plan back, with the rest if there is one.
pub(super) type Going = Pin<Box<dyn Future<Output = (Box<Plan>, Option<Rest>)> + Send>>;

/// The rest of a body and the connection it is read from.
pub(super) type Rest = (Incoming, Connection);

/// Why the rest cannot be had.
enum Stop {
    /// No connection.
    Unreachable(Error),
    /// A connection that broke or was silent before its answer.
    Broke(Error),
    /// An answer that is not the rest.
    Refused(StatusCode),
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(error) | Self::Broke(error) => error.fmt(f),
            Self::Refused(status) => write!(f, "not the rest: {status}"),
        }
    }
}

impl Plan {
    /// A plan for the answer to `request` that begins with `head` and has `length` bytes; `None`
    /// when it must not go on.
    pub(super) fn new(
        request: request::Parts,
        head: &response::Parts,
        length: u64,
        source: &Source<'_>,
    ) -> Option<Box<Self>> {
        if request.method != Method::GET || !is_plain(request.uri.query()) {
            return None;
        }
        let (span, etag) = entity(head)?;
        if span.end - span.next != length {
            return None;
        }
        let idle = source.deadlines.idle;
        Some(Box::new(Self {
            request,
            first: Arc::clone(source.first),
            upstream: Arc::clone(source.upstream),
            address: Arc::clone(source.address),
            context: Arc::clone(source.context),
            deadlines: Deadlines {
                // The client sees this wait as one more silence inside its body.
                first_byte: source.deadlines.first_byte.min(idle),
                idle,
            },
            // A copy: the original keeps the whole read buffer of the head alive.
            etag: HeaderValue::from_bytes(etag.as_bytes()).ok()?,
            span,
            is_whole: head.status == StatusCode::OK,
            attempts: 0,
            broke_at: None,
        }))
    }

    /// Counts `bytes` the client has been given.
    pub(super) fn note(&mut self, bytes: usize) {
        self.span.next = self
            .span
            .next
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Whether the client still waits for bytes.
    pub(super) fn is_short(&self) -> bool {
        self.span.next < self.span.end
    }

    /// The upstream the body comes from.
    pub(super) fn pool(&self) -> u64 {
        self.upstream.id
    }

    /// Starts to look for the rest after a break; gives itself back when that is pointless.
    pub(super) fn go_on(mut self: Box<Self>, now: Instant) -> Result<Going, Box<Self>> {
        self.address
            .note_break(now, "connection broke inside an answer");
        // Two breaks at the same byte: the fault is not the connection's.
        let is_stuck = self.broke_at.replace(self.span.next) == Some(self.span.next);
        if is_stuck || !self.is_short() || self.attempts >= ATTEMPTS {
            return Err(self);
        }
        Ok(Box::pin(async move {
            let rest = self.find().await;
            (self, rest)
        }))
    }

    async fn find(&mut self) -> Option<Rest> {
        // The first is free: it asks for what is missing only, and an address that dies breaks all of
        // its downloads at once.
        while self.attempts < ATTEMPTS && (self.attempts == 0 || self.upstream.take_retry()) {
            self.attempts += 1;
            let broken = self.address.socket;
            let stop = match self.ask().await {
                Ok(rest) => {
                    tracing::debug!(address = %broken, next = %rest.1.address.socket, "download goes on");
                    let mut outcome = self.context.outcome();
                    outcome.resumes += 1;
                    outcome.upstream = Some(rest.1.address.socket);
                    outcome.reused = false;
                    return Some(rest);
                }
                Err(stop) => stop,
            };
            tracing::debug!(address = %broken, %stop, "download cannot go on");
            match stop {
                Stop::Broke(_) => {}
                Stop::Unreachable(_) | Stop::Refused(_) => return None,
            }
        }
        None
    }

    async fn ask(&mut self) -> Result<Rest, Stop> {
        let mut head = self.request().map_err(Stop::Unreachable)?;
        let chosen = tier::connection(&self.first, &head, &self.context, true, false).await;
        let Chosen {
            upstream,
            tier,
            mut connection,
        } = chosen.map_err(Stop::Unreachable)?;
        upstream.put_host(&mut head.headers);
        upstream.note(tier, &self.context);
        let request = http::Request::from_parts(head, UploadBody::Empty);
        self.upstream = upstream;
        self.address = Arc::clone(&connection.address);
        let now = Instant::now();
        match exchange(&mut connection, request, None, self.deadlines, false, now).await {
            Ok(answer) if self.is_rest(&answer) => Ok((answer.into_body(), connection)),
            Ok(answer) => Err(Stop::Refused(answer.status())),
            Err(failure) => {
                connection
                    .address
                    .note_break(Instant::now(), &failure.error);
                Err(Stop::Broke(failure.error))
            }
        }
    }

    fn request(&self) -> Result<request::Parts, Error> {
        let mut head = self.request.clone();
        let Span { next, end, .. } = self.span;
        let range = if self.is_whole {
            format!("bytes={next}-")
        } else {
            format!("bytes={next}-{}", end - 1)
        };
        let range = HeaderValue::try_from(range).map_err(|error| Error::Rewrite(error.into()))?;
        head.headers.insert(header::RANGE, range);
        head.headers.insert(header::IF_MATCH, self.etag.clone());
        // One that did not hold would bring the whole object again.
        head.headers.remove(header::IF_RANGE);
        Ok(head)
    }

    /// Whether `answer` is exactly what is missing.
    fn is_rest(&self, answer: &http::Response<Incoming>) -> bool {
        let length = http_body::Body::size_hint(answer.body()).exact();
        answer.status() == StatusCode::PARTIAL_CONTENT
            && answer.version() >= Version::HTTP_11
            && length == Some(self.span.end - self.span.next)
            && answer::check_framing(answer.headers()).is_ok()
            && entity_of(answer.status(), answer.headers())
                .is_some_and(|(span, etag)| span == self.span && etag == self.etag)
    }
}

/// Whether a GET with this query is for an object's own bytes.
fn is_plain(query: Option<&str>) -> bool {
    query.unwrap_or_default().split('&').all(|pair| {
        let name: Vec<u8> =
            percent_decode_str(pair.split('=').next().unwrap_or_default()).collect();
        !is_subresource(&name)
            || name.starts_with(b"response-")
            || HARMLESS.iter().any(|known| known.as_bytes() == name)
    })
}

/// What of which entity an answer holds; `None` when that cannot be told for certain.
fn entity(head: &response::Parts) -> Option<(Span, &HeaderValue)> {
    entity_of(head.status, &head.headers)
}

fn entity_of(status: StatusCode, headers: &http::HeaderMap) -> Option<(Span, &HeaderValue)> {
    let only = |name| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())
    };
    let is_multipart = || {
        headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/"))
    };
    if headers.contains_key(header::CONTENT_ENCODING) || is_multipart() {
        return None;
    }
    let etag = only(header::ETAG)?;
    // A weak one begins with `W/` (RFC 9110, 8.8.3).
    if !etag.as_bytes().starts_with(b"\"") {
        return None;
    }
    let text = |name| only(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let span = match status {
        StatusCode::OK => {
            let total = number(text(header::CONTENT_LENGTH)?)?;
            Span {
                next: 0,
                end: total,
                total,
            }
        }
        StatusCode::PARTIAL_CONTENT => content_range(text(header::CONTENT_RANGE)?)?,
        _ => return None,
    };
    Some((span, etag))
}

/// `bytes 5-9/10` (RFC 9110, 14.4).
fn content_range(text: &str) -> Option<Span> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let span = Span {
        next: number(first)?,
        end: number(last)?.checked_add(1)?,
        total: number(total)?,
    };
    (span.next < span.end && span.end <= span.total).then_some(span)
}

/// Digits only: `parse` would take a sign.
fn number(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_queries_for_the_objects_own_bytes_go_on() {
        for (query, expected) in [
            ("", true),
            ("versionId=x", true),
            ("response-content-type=text%2Fplain", true),
            (
                "OSSAccessKeyId=a&Expires=1&Signature=b&security-token=c",
                true,
            ),
            ("unknown=1", true),
            ("x-oss-process=image/resize,w_100", false),
            ("x-oss-proces%73=style/a", false),
            ("a=b&acl", false),
            ("uploadId=1", false),
        ] {
            assert_eq!(is_plain(Some(query)), expected, "{query}");
        }
        assert!(is_plain(None));
    }

    #[test]
    fn a_content_range_must_be_whole_and_consistent() {
        let span = |next, end, total| Some(Span { next, end, total });
        for (text, expected) in [
            ("bytes 0-9/10", span(0, 10, 10)),
            ("bytes 5-5/10", span(5, 6, 10)),
            ("bytes 5-4/10", None),
            ("bytes 5-10/10", None),
            ("bytes 0-9/*", None),
            ("bytes */10", None),
            ("bytes +0-9/10", None),
            ("bytes 0-18446744073709551615/18446744073709551615", None),
            ("lines 0-9/10", None),
        ] {
            assert_eq!(content_range(text), expected, "{text}");
        }
    }

    #[test]
    fn only_a_strong_tag_without_content_coding_names_an_entity() {
        let found = |lines: &[(&'static str, &'static str)]| {
            let mut headers = http::HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_static(value));
            }
            entity_of(StatusCode::OK, &headers).map(|(span, _)| span.total)
        };
        let length = ("content-length", "10");
        assert_eq!(found(&[length, ("etag", "\"A\"")]), Some(10));
        assert_eq!(found(&[("etag", "\"A\"")]), None);
        assert_eq!(found(&[length]), None);
        assert_eq!(found(&[length, ("etag", "W/\"A\"")]), None);
        assert_eq!(found(&[length, ("etag", "A")]), None);
        let twice = [length, ("etag", "\"A\""), ("etag", "\"B\"")];
        assert_eq!(found(&twice), None);
        let coded = [length, ("etag", "\"A\""), ("content-encoding", "gzip")];
        assert_eq!(found(&coded), None);
    }
}
