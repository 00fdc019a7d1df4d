//! Converts a client's request into the request for OSS, before a connection is chosen.
//!
//! HTTP/2 requests are converted to HTTP/1.1. The rules of the route may change the path; apart from that,
//! the bytes of path, query and header values are unchanged.

use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri, Version};
use http_body::Body;

use crate::http::Received;
use crate::http::context::RequestContext;
use crate::origin::error::Error;
use crate::origin::exchange::locate::{Service, locate};
use crate::origin::exchange::repeat::RequestKind;
use crate::origin::exchange::rewrite::Rewrite;
use crate::origin::exchange::signing::Signing;
use crate::origin::link::upload::{Gate, Retention, Upload, UploadBody};
use crate::origin::tiers::buckets::{Bucket, BucketTable};

/// A request in the form in which it is sent to OSS.
pub(super) struct Outgoing {
    /// The effect of sending the request twice.
    pub(crate) kind: RequestKind,
    /// The head of the request. The first attempt takes it.
    pub(crate) head: Option<http::request::Parts>,
    /// The body of the request; `None` if there is none.
    pub(crate) upload: Option<Arc<Upload>>,
    /// The bucket of the request.
    pub(crate) bucket: Bucket,
    /// The signer of the request; `None` if the proxy does not sign it.
    pub(crate) signing: Option<Signing>,
    /// The path and query as received from the client.
    pub(crate) received: Option<PathAndQuery>,
}

impl Outgoing {
    /// Combines `head` with the body. A held body is released when OSS sends `100 Continue`.
    pub(super) fn build(&self, head: http::request::Parts) -> http::Request<UploadBody> {
        let body = match &self.upload {
            None => UploadBody::Empty,
            Some(upload) => UploadBody::Stream(Arc::clone(upload)),
        };
        let mut request = http::Request::from_parts(head, body);
        if let Some(upload) = self.upload.as_ref().filter(|upload| upload.is_held()) {
            let upload = Arc::clone(upload);
            hyper::ext::on_informational(&mut request, move |answer| {
                if answer.status() == StatusCode::CONTINUE {
                    upload.open_gate();
                }
            });
        }
        request
    }
}

/// Determines the bucket of `request`, and converts the request into the form in which it is sent to OSS.
///
/// # Errors
///
/// [`Error::NoSuchBucket`] if the bucket is not served; [`Error::NoBucket`] if the request names none;
/// [`Error::Rewrite`] if the rewritten target is not valid.
pub(super) fn prepare(
    rewrite: &Rewrite,
    buckets: &BucketTable,
    service: Option<&Service>,
    request: Received,
    context: &RequestContext,
) -> Result<Outgoing, Error> {
    let (mut head, body) = request.into_parts();
    let (bucket, target) = {
        let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let host = || context.host();
        let located = locate(rewrite, buckets, service, &head.method, host, target)?;
        let is_same =
            located.target.as_ptr() == target.as_ptr() && located.target.len() == target.len();
        let target = if is_same {
            None
        } else {
            Some(
                PathAndQuery::try_from(located.target.as_ref())
                    .map_err(|error| Error::Rewrite(error.into()))?,
            )
        };
        (located.bucket, target)
    };
    let received = head.uri.path_and_query().cloned();
    // A target without a path (`http://host`) means `/`, but `Uri` writes such a path as an empty string.
    let target = target
        .or_else(|| received.clone())
        .filter(|target| target.as_str() != "/")
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    head.uri = Uri::from(target);
    let had_expect = head.headers.contains_key(header::EXPECT);
    let is_old = head.version < Version::HTTP_11;
    let has_body = !body.is_end_stream();
    if head.version == Version::HTTP_2 {
        from_http2(&mut head, has_body);
    }
    head.version = Version::HTTP_11;
    head.extensions.clear();
    let is_read = head.method == Method::GET || head.method == Method::HEAD;
    if has_body && is_read && !head.headers.contains_key(header::CONTENT_LENGTH) {
        // For GET and HEAD, hyper sends a body only if a header field announces it.
        let chunked = HeaderValue::from_static("chunked");
        head.headers.insert(header::TRANSFER_ENCODING, chunked);
    }
    let is_held = had_expect && has_body && !is_old;
    if had_expect && !is_held {
        head.headers.remove(header::EXPECT);
    }
    {
        let mut outcome = context.outcome();
        outcome.bucket.clone_from(&bucket.name);
        outcome.endpoint = Some(Arc::clone(&bucket.tiers.first().endpoint));
    }
    let gate = if is_held { Gate::Held } else { Gate::Open };
    let kind = RequestKind::of(&head.method, &head.headers, has_body);
    let retention = match kind {
        RequestKind::Read | RequestKind::Idempotent => Retention::Kept,
        RequestKind::Once => Retention::Discarded,
    };
    Ok(Outgoing {
        kind,
        head: Some(head),
        upload: has_body.then(|| Upload::new(body, gate, retention)),
        bucket,
        signing: None,
        received,
    })
}

/// Changes the header fields of an HTTP/2 request as HTTP/1.1 requires.
fn from_http2(head: &mut http::request::Parts, has_body: bool) {
    let headers = &mut head.headers;
    // An HTTP/2 request without a body needs no `Content-Length`, but OSS rejects an HTTP/1.1 upload without
    // this field.
    if !has_body
        && (head.method == Method::PUT || head.method == Method::POST)
        && !headers.contains_key(header::CONTENT_LENGTH)
    {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    // Several Cookie fields are joined into one (RFC 9113 section 8.2.3).
    let crumbs: Vec<&[u8]> = (headers.get_all(header::COOKIE).iter())
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, cookie);
    }
}
