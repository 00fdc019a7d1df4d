//! Resumes a download after a connection error.
//!
//! The response to a GET can break inside the body: by a reset, by an EOF before the announced length, or by
//! the idle timeout. The rest is then requested with `Range` and `If-Match` on another connection, and from
//! another address if there is one. The client receives one uninterrupted body. A download is resumed only if
//! it is certain that the rest belongs to the same entity ([`super::entity`]). The new response must be a 206
//! with the same entity tag, the same total length and exactly the requested range. Otherwise the body ends
//! with an error, so that it never looks complete. Uploads are not resumed.
//!
//! A request that the proxy signs is signed anew. A client's V1 signature does not cover `Range` or
//! `If-Match`. A V4 signature covers them only if it lists them among its additional headers. With such
//! a V4 signature, or with an expired signature, OSS refuses the request for the rest and the body ends
//! with an error. The client's other conditional header fields are sent again unchanged, because their
//! conditions were true for this entity.
//!
//! # Cost
//!
//! The head of a GET request is copied before it is sent, because a retry may need it. Resuming needs the
//! same copy and keeps it until the end of the response. The copied head shares memory with the client's read
//! buffer (`Bytes`), so that buffer also stays in memory until then. If a response arrives completely with
//! its head, the copy is dropped at once.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{Method, StatusCode, Version, request, response};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::http::context::RequestContext;
use crate::origin::endpoint::address_health::Address;
use crate::origin::error::Error;
use crate::origin::exchange::answer_head::check_framing;
use crate::origin::exchange::attempt::{Deadlines, attempt};
use crate::origin::exchange::entity::{Span, entity, entity_of, is_plain};
use crate::origin::exchange::liveness::Liveness;
use crate::origin::exchange::signing::Signing;
use crate::origin::link::connection::Connection;
use crate::origin::link::host::Host;
use crate::origin::link::reuse::Acceptable;
use crate::origin::link::upload::UploadBody;
use crate::origin::tiers::choice::{self, Chosen};
use crate::origin::tiers::group::Tiers;

/// The maximum number of requests for the rest of one download. If a download breaks more often, another
/// connection does not help.
const ATTEMPTS: u32 = 3;

/// The data needed to request the rest of a download.
pub(super) struct ResumePlan {
    request: request::Parts,
    tiers: Arc<Tiers>,
    /// The host that currently sends the body.
    host: Arc<Host>,
    /// The address that currently sends the body.
    address: Arc<Address>,
    context: Arc<RequestContext>,
    deadlines: Deadlines,
    /// The signer of the request; `None` if the proxy does not sign it.
    signing: Option<Signing>,
    etag: HeaderValue,
    /// The byte range that is still missing.
    span: Span,
    /// Whether the whole object was requested. If so, the rest extends to the end of the object.
    is_whole: bool,
    attempts: u32,
    /// The first missing byte at the previous connection error; `None` if there was no error yet.
    broke_at: Option<u64>,
}

/// The source of a download, and the context of its request.
pub(super) struct DownloadSource<'a> {
    pub(crate) tiers: &'a Arc<Tiers>,
    /// The host that sends the body of the response.
    pub(crate) host: &'a Arc<Host>,
    pub(crate) address: &'a Arc<Address>,
    pub(crate) context: &'a Arc<RequestContext>,
    pub(crate) deadlines: Deadlines,
    pub(super) signing: Option<&'a Signing>,
}

/// A running request for the rest. It returns the plan, and the rest if OSS sent it.
pub(super) type Resuming = Pin<Box<dyn Future<Output = (Box<ResumePlan>, Option<Rest>)> + Send>>;

/// The rest of a body, and the connection that it is read from.
pub(super) type Rest = (Incoming, Connection);

/// Why the rest could not be obtained.
enum NoRest {
    /// No connection could be opened.
    Unreachable(Error),
    /// The connection broke, or no response began in time.
    Broke(Error),
    /// A response arrived, with this status, but it does not contain the requested rest.
    OtherAnswer(StatusCode),
}

impl fmt::Display for NoRest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) | Self::Broke(error) => error.fmt(f),
            Self::OtherAnswer(status) => write!(f, "not the rest: {status}"),
        }
    }
}

impl ResumePlan {
    /// Creates a plan for the response to `request` that has the head `head` and a body of `length` bytes.
    /// Returns `None` if the response must not be resumed.
    pub(super) fn new(
        request: request::Parts,
        head: &response::Parts,
        length: u64,
        source: &DownloadSource<'_>,
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
            tiers: Arc::clone(source.tiers),
            host: Arc::clone(source.host),
            address: Arc::clone(source.address),
            context: Arc::clone(source.context),
            deadlines: Deadlines {
                // While the response is awaited, the client receives nothing, so the wait is also limited by
                // the idle timeout.
                first_byte: source.deadlines.first_byte.min(idle),
                idle,
            },
            signing: source.signing.cloned(),
            // Copied, because a clone of the header value would keep the whole read buffer of the head in
            // memory.
            etag: HeaderValue::from_bytes(etag.as_bytes()).ok()?,
            span,
            is_whole: head.status == StatusCode::OK,
            attempts: 0,
            broke_at: None,
        }))
    }

    /// Records that `bytes` were passed on to the client.
    pub(super) fn note(&mut self, bytes: usize) {
        self.span.next = self
            .span
            .next
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Whether a part of the body is missing.
    pub(super) fn is_short(&self) -> bool {
        self.span.next < self.span.end
    }

    /// Returns the id of the host that sends the body.
    pub(super) fn host_id(&self) -> u64 {
        self.host.id
    }

    /// Starts to request the rest after a connection error. Returns `None` if the download cannot be
    /// resumed.
    pub(super) fn resume(mut self: Box<Self>, now: Instant) -> Option<Resuming> {
        self.address
            .note_break(now, "connection broke inside an answer");
        // Two errors at the same byte show that the connection is not the cause, so the download is not
        // resumed again.
        let is_stuck = self.broke_at.replace(self.span.next) == Some(self.span.next);
        if is_stuck || !self.is_short() || self.attempts >= ATTEMPTS {
            return None;
        }
        Some(Box::pin(async move {
            let rest = self.find().await;
            (self, rest)
        }))
    }

    async fn find(&mut self) -> Option<Rest> {
        // The first attempt does not use the retry budget, for two reasons. It transfers only the missing
        // part. Also, a failing address breaks all its downloads at the same time, which would exhaust the
        // budget.
        while self.attempts < ATTEMPTS && (self.attempts == 0 || self.host.take_retry()) {
            self.attempts += 1;
            let broken = self.address.socket;
            let reason = match self.request_rest().await {
                Ok(rest) => {
                    tracing::debug!(address = %broken, next = %rest.1.address.socket, "download resumed");
                    let mut outcome = self.context.outcome();
                    outcome.resumes += 1;
                    outcome.upstream = Some(rest.1.address.socket);
                    outcome.reused = false;
                    return Some(rest);
                }
                Err(reason) => reason,
            };
            tracing::debug!(address = %broken, %reason, "download not resumed");
            match reason {
                NoRest::Broke(_) => {}
                NoRest::Unreachable(_) | NoRest::OtherAnswer(_) => return None,
            }
        }
        None
    }

    async fn request_rest(&mut self) -> Result<Rest, NoRest> {
        let mut head = self.head().map_err(NoRest::Unreachable)?;
        let chosen = choice::connection(&self.tiers, &head, &self.context, Acceptable::New).await;
        let Chosen {
            host,
            tier,
            mut connection,
        } = chosen.map_err(|failed| NoRest::Unreachable(failed.error))?;
        host.put_host(&mut head.headers);
        if let Some(signing) = &self.signing {
            signing.sign(&mut head).map_err(NoRest::Unreachable)?;
        }
        self.tiers.note_tier(tier, &self.context);
        let request = http::Request::from_parts(head, UploadBody::Empty);
        self.host = host;
        self.address = Arc::clone(&connection.address);
        let now = Instant::now();
        let liveness = Liveness::NotChecked;
        match attempt(
            &mut connection,
            request,
            None,
            self.deadlines,
            liveness,
            now,
        )
        .await
        {
            Ok(answer) if self.is_rest(&answer) => Ok((answer.into_body(), connection)),
            Ok(answer) => Err(NoRest::OtherAnswer(answer.status())),
            Err(failure) => {
                connection
                    .address
                    .note_break(Instant::now(), &failure.error);
                Err(NoRest::Broke(failure.error))
            }
        }
    }

    /// Returns the head of the request for the missing part.
    fn head(&self) -> Result<request::Parts, Error> {
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
        // With `If-Range`, OSS would return the whole object if its condition were false.
        head.headers.remove(header::IF_RANGE);
        Ok(head)
    }

    /// Whether `answer` contains exactly the missing part.
    fn is_rest(&self, answer: &http::Response<Incoming>) -> bool {
        let length = http_body::Body::size_hint(answer.body()).exact();
        answer.status() == StatusCode::PARTIAL_CONTENT
            && answer.version() >= Version::HTTP_11
            && length == Some(self.span.end - self.span.next)
            && check_framing(answer.headers()).is_ok()
            && entity_of(answer.status(), answer.headers())
                .is_some_and(|(span, etag)| span == self.span && etag == self.etag)
    }
}
