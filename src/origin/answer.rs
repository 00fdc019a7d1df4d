//! From an answer of OSS to one that can be passed on.

use std::sync::Arc;
use std::task::Poll;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{StatusCode, Version};
use http_body::Body;
use tokio::time::Instant;

use crate::http::context::{RequestContext, ShortText};
use crate::http::headers;
use crate::http::{Response, ResponseBody};
use crate::origin::download::{self, Download};
use crate::origin::error::Error;
use crate::origin::pool;
use crate::origin::prepare::Prepared;
use crate::origin::request::Rewrite;
use crate::origin::resume::{Plan, Source};
use crate::origin::{Answered, Shared};

const OSS_REQUEST_ID: HeaderName = HeaderName::from_static("x-oss-request-id");
const OSS_EC: HeaderName = HeaderName::from_static("x-oss-ec");

impl Shared {
    /// Makes the answer one that can be passed on.
    pub(super) fn accept(
        &self,
        answered: Answered,
        prepared: Prepared,
        context: &Arc<RequestContext>,
        now: Instant,
    ) -> Result<Response, Error> {
        let Answered {
            answer,
            mut connection,
            upstream,
            copy,
        } = answered;
        let (mut head, mut body) = answer.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::BadAnswer("an upgrade nobody asked for"));
        }
        check_framing(&head.headers)?;
        headers::strip_response(&mut head.headers);
        if head.status.is_redirection() && head.headers.contains_key(header::LOCATION) {
            let asked = prepared.asked.as_ref().map_or("/", PathAndQuery::as_str);
            rename_location(
                &mut head.headers,
                &self.rewrite,
                (&prepared.bucket.name, &upstream.host),
                asked,
                context,
            );
        }
        // hyper would speak HTTP/1.0 on it from now on, which has no chunked uploads.
        connection.is_last = head.version < Version::HTTP_11;
        head.version = Version::HTTP_11;
        {
            let mut outcome = context.outcome();
            outcome.oss_request_id = ShortText::new(head.headers.get(OSS_REQUEST_ID));
            outcome.oss_ec = ShortText::new(head.headers.get(OSS_EC));
        }
        let id = upstream.id;
        let upload = prepared.upload.filter(|upload| !upload.is_done());
        let is_empty = body.is_end_stream();
        let length = body.size_hint().exact();
        let early = if is_empty {
            Poll::Pending
        } else {
            // What it leaves behind is polled with the rest of the body, if there is one.
            let driver = &mut connection.driver;
            driver.muted(|| download::poll_early(&mut body))
        };
        let is_over = body.is_end_stream() && upload.is_none();
        let body = if is_over && is_empty {
            pool::check_in(id, connection, now);
            ResponseBody::Empty
        } else if is_over && let Poll::Ready(Some(Ok(frame))) = early {
            pool::check_in(id, connection, now);
            frame
                .into_data()
                .map_or(ResponseBody::Empty, ResponseBody::Full)
        } else {
            let plan = copy.zip(length).and_then(|(request, length)| {
                let source = Source {
                    first: &prepared.bucket.upstream,
                    upstream: &upstream,
                    address: &connection.address,
                    context,
                    deadlines: self.deadlines,
                };
                Plan::new(request, &head, length, &source)
            });
            if plan.is_none() && matches!(early, Poll::Ready(Some(Err(_)))) {
                return Err(Error::BadAnswer("a body that breaks before its first byte"));
            }
            ResponseBody::Stream(Box::pin(Download::new(
                (early, body),
                connection,
                id,
                upload,
                self.idle,
                now,
                plan,
            )))
        };
        Ok(Response::from_parts(head, body))
    }
}

/// Whether an answer says unambiguously where it ends. hyper has taken the last coding for the only
/// one, and equal lengths for one.
pub(super) fn check_framing(headers: &HeaderMap) -> Result<(), Error> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let (coding, length) = (codings.next(), lengths.next());
    if coding.is_some() && length.is_some() {
        return Err(Error::BadAnswer(
            "both Content-Length and Transfer-Encoding",
        ));
    }
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some() || coding.is_some_and(|coding| !is_chunked(coding)) {
        return Err(Error::BadAnswer("a transfer coding other than chunked"));
    }
    let is_number = |length: &HeaderValue| length.as_bytes().iter().all(u8::is_ascii_digit);
    if lengths.next().is_some() || length.is_some_and(|length| !is_number(length)) {
        return Err(Error::BadAnswer("more than one Content-Length"));
    }
    Ok(())
}

/// Gives a `Location` that names OSS's own host the host the client asked; any other is left alone.
/// `asked` is path and query as the client sent them.
pub(super) fn rename_location(
    headers: &mut HeaderMap,
    rewrite: &Rewrite,
    (bucket, upstream): (&str, &HeaderValue),
    asked: &str,
    context: &RequestContext,
) {
    let upstream = upstream.as_bytes();
    let renamed = headers
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| {
            let rest = location
                .strip_prefix("http://")
                .or_else(|| location.strip_prefix("https://"))?;
            let (host, path) = rest.split_at_checked(rest.find('/')?)?;
            if !host.as_bytes().eq_ignore_ascii_case(upstream) {
                return None;
            }
            let path = rewrite.unmap(bucket, path, asked)?;
            let scheme = if context.is_https { "https" } else { "http" };
            let host = std::str::from_utf8(context.text.host()).ok()?;
            HeaderValue::try_from(format!("{scheme}://{host}{path}")).ok()
        });
    if let Some(location) = renamed {
        headers.insert(header::LOCATION, location);
    }
}
