//! Converts a response of OSS into the response for the client.

use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::uri::PathAndQuery;
use http::{StatusCode, Version, request};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::http::context::{RequestContext, ShortText};
use crate::http::headers;
use crate::http::{Response, ResponseBody};
use crate::origin::error::Error;
use crate::origin::exchange::answer_head::{check_framing, rename_location};
use crate::origin::exchange::attempt::Deadlines;
use crate::origin::exchange::download::{self, Download};
use crate::origin::exchange::outgoing::Outgoing;
use crate::origin::exchange::resume::{DownloadSource, ResumePlan};
use crate::origin::exchange::rewrite::Rewrite;
use crate::origin::link::connection::Connection;
use crate::origin::link::host::Host;
use crate::origin::link::pool;
use crate::origin::link::upload::Upload;

const OSS_REQUEST_ID: HeaderName = HeaderName::from_static("x-oss-request-id");
const OSS_EC: HeaderName = HeaderName::from_static("x-oss-ec");

/// A response whose head has arrived.
pub(super) struct Answered {
    pub(super) answer: http::Response<Incoming>,
    /// The body of the response, if it has been read; `None` otherwise.
    pub(super) document: Option<Bytes>,
    pub(super) connection: Connection,
    /// The host that sent the response.
    pub(super) host: Arc<Host>,
    /// A copy of the request's head; `None` if the download of the response must not be resumed.
    pub(super) copy: Option<request::Parts>,
}

/// Converts a response of OSS into one that can be passed on. If a part of the response's body has not
/// arrived yet, or the request's body is not completely sent, the body of the result owns the connection.
/// Otherwise the connection returns to the pool at once.
///
/// # Errors
///
/// [`Error::BadAnswer`] if the response cannot be passed on. The same error is returned if the body breaks
/// before its first byte and cannot be resumed.
pub(super) fn deliver(
    rewrite: &Rewrite,
    deadlines: Deadlines,
    answered: Answered,
    outgoing: Outgoing,
    context: &Arc<RequestContext>,
    now: Instant,
) -> Result<Response, Error> {
    let Answered {
        answer,
        document,
        mut connection,
        host,
        copy,
    } = answered;
    let (mut head, mut body) = answer.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::BadAnswer("an upgrade nobody asked for"));
    }
    check_framing(&head.headers)?;
    headers::strip_response(&mut head.headers);
    if head.status.is_redirection() && head.headers.contains_key(header::LOCATION) {
        let received = outgoing.received.as_ref();
        rename_location(
            &mut head.headers,
            rewrite,
            (
                outgoing.bucket.name.as_deref().unwrap_or_default(),
                &host.host,
            ),
            received.map_or("/", PathAndQuery::as_str),
            context,
        );
    }
    connection.is_last = is_last(&head, outgoing.upload.as_ref());
    head.version = Version::HTTP_11;
    {
        let mut outcome = context.outcome();
        outcome.oss_request_id = ShortText::new(head.headers.get(OSS_REQUEST_ID));
        outcome.oss_ec = ShortText::new(head.headers.get(OSS_EC));
    }
    let upload = outgoing.upload.filter(|upload| !upload.is_done());
    let is_empty = body.is_end_stream();
    let length = body.size_hint().exact();
    let early = if is_empty {
        Poll::Pending
    } else {
        // The driver does not wake this task during this poll. A wake is not necessary: if the response has
        // more data, the driver is polled later together with the rest of the body.
        let driver = &mut connection.driver;
        driver.muted(|| download::poll_early(&mut body))
    };
    let is_over = body.is_end_stream() && upload.is_none();
    let body = if is_over && is_empty {
        pool::check_in(host.id, connection, now);
        document.map_or(ResponseBody::Empty, ResponseBody::Full)
    } else if is_over && let Poll::Ready(Some(Ok(frame))) = early {
        pool::check_in(host.id, connection, now);
        frame
            .into_data()
            .map_or(ResponseBody::Empty, ResponseBody::Full)
    } else {
        let plan = copy.zip(length).and_then(|(request, length)| {
            let source = DownloadSource {
                tiers: &outgoing.bucket.tiers,
                host: &host,
                address: &connection.address,
                context,
                deadlines,
                signing: outgoing.signing.as_ref(),
            };
            ResumePlan::new(request, &head, length, &source)
        });
        if plan.is_none() && matches!(early, Poll::Ready(Some(Err(_)))) {
            return Err(Error::BadAnswer("a body that breaks before its first byte"));
        }
        ResponseBody::Stream(Box::pin(Download::new(
            (early, body),
            connection,
            host.id,
            upload,
            deadlines.idle,
            now,
            plan,
        )))
    };
    Ok(Response::from_parts(head, body))
}

/// Whether the connection must not carry another request.
fn is_last(head: &http::response::Parts, upload: Option<&Arc<Upload>>) -> bool {
    // After an HTTP/1.0 response, hyper would send later requests on this connection as HTTP/1.0, which has
    // no chunked encoding for uploads.
    let is_old = head.version < Version::HTTP_11;
    // OSS may refuse an upload without reading all of it. OSS would then parse the unread bytes as the next
    // request. The proxy cannot determine how many bytes OSS has read, so the connection is closed.
    let is_refused = head.status.is_client_error() || head.status.is_server_error();
    let may_be_unread = upload.is_some_and(|upload| upload.sent() > 0);
    is_old || (is_refused && may_be_unread)
}
