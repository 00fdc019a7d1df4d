//! From an answer of OSS to one that can be passed on.

use std::sync::Arc;
use std::task::Poll;

use http::header::{self, HeaderName};
use http::uri::PathAndQuery;
use http::{StatusCode, Version};
use http_body::Body;
use tokio::time::Instant;

use crate::http::context::{RequestContext, ShortText};
use crate::http::headers;
use crate::http::{Response, ResponseBody};
use crate::origin::download::{self, Download};
use crate::origin::error::Error;
use crate::origin::prepare::Prepared;
use crate::origin::resume::{Plan, Source};
use crate::origin::upload::Upload;
use crate::origin::{Answered, Shared, answer, pool};

const OSS_REQUEST_ID: HeaderName = HeaderName::from_static("x-oss-request-id");
const OSS_EC: HeaderName = HeaderName::from_static("x-oss-ec");

/// What a socket may hold that its reader has not taken.
const SOCKET: u64 = 64 * 1024;

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
        answer::check_framing(&head.headers)?;
        headers::strip_response(&mut head.headers);
        if head.status.is_redirection() && head.headers.contains_key(header::LOCATION) {
            let asked = prepared.asked.as_ref().map_or("/", PathAndQuery::as_str);
            answer::rename_location(
                &mut head.headers,
                &self.rewrite,
                (&prepared.bucket.name, &upstream.host),
                asked,
                context,
            );
        }
        // hyper would speak HTTP/1.0 on it from now on, which has no chunked uploads. Who refuses what
        // a socket still holds has perhaps not read it, and may close.
        let is_refused = head.status.is_client_error() || head.status.is_server_error();
        let may_be_unread = |upload: &Arc<Upload>| is_refused && upload.sent() > SOCKET;
        connection.is_last =
            head.version < Version::HTTP_11 || prepared.upload.as_ref().is_some_and(may_be_unread);
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
