//! Answers the proxy makes itself.
//!
//! They look like OSS's errors, so that an SDK shows code, message and request id; but they never
//! carry `x-oss-request-id`, `x-oss-ec` or `Server: AliyunOSS`, whose presence means that OSS
//! answered. `x-ossgate-error` names the kind, which is also the field of the access line.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::http::context::RequestContext;
use crate::http::framing::Malformed;
use crate::http::{Response, ResponseBody};
use crate::oss::error::ErrorXml;

/// Header with the proxy's request id, on every answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-ossgate-request-id");
/// Header with the kind of an answer the proxy made itself.
pub const ERROR: HeaderName = HeaderName::from_static("x-ossgate-error");

/// What an answer of the proxy's own says.
#[derive(Clone, Copy, Debug)]
pub struct Reason<'a> {
    /// HTTP status.
    pub status: StatusCode,
    /// `Code` of the XML; one OSS does not use, unless it means exactly the same.
    pub code: &'a str,
    /// Fixed word for logs and metrics.
    pub kind: &'static str,
    /// What happened, whose fault it is, whether OSS was reached.
    pub message: &'a str,
    /// OSS's number for the same refusal, for the body only.
    pub ec: Option<&'a str>,
    /// Seconds for `Retry-After`.
    pub retry_after: Option<u16>,
    /// Whether the client's connection ends with this answer.
    pub closes: bool,
}

impl Reason<'_> {
    /// What is the same in most answers.
    pub const DEFAULT: Self = Reason {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "ProxyError",
        kind: "error",
        message: "",
        ec: None,
        retry_after: None,
        closes: false,
    };
}

/// The answer for `reason`.
#[must_use]
pub fn error(context: &RequestContext, reason: &Reason<'_>) -> Response {
    let host = String::from_utf8_lossy(context.text.host());
    let (kind_of_text, text) = if context.prefers_html {
        ("text/html; charset=utf-8", html(context, reason))
    } else {
        let ec = reason.ec.map(|ec| [("EC", ec)]);
        let xml = ErrorXml {
            code: reason.code,
            message: reason.message,
            request_id: context.id.as_str(),
            host_id: &host,
            extra: ec.as_ref().map_or(&[], |extra| &extra[..]),
        };
        ("application/xml", Bytes::from(xml.to_bytes()))
    };
    let body = if context.method == Method::HEAD {
        ResponseBody::Empty
    } else {
        ResponseBody::Full(text)
    };
    let mut response = Response::new(body);
    *response.status_mut() = reason.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind_of_text));
    headers.insert(ERROR, HeaderValue::from_static(reason.kind));
    if let Some(seconds) = reason.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if reason.closes {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    context.outcome().error = Some(reason.kind);
    response
}

fn html(context: &RequestContext, reason: &Reason<'_>) -> Bytes {
    let title = reason.status.canonical_reason().unwrap_or("Error");
    Bytes::from(format!(
        "<!doctype html>\n<title>{status} {title}</title>\n<h1>{status} {title}</h1>\n<p>{message}</p>\n\
         <p>Code: {code}<br>Request id: {id}</p>\n",
        status = reason.status.as_u16(),
        message = reason.message.replace('&', "&amp;").replace('<', "&lt;"),
        code = reason.code,
        id = context.id.as_str(),
    ))
}

/// The request cannot be forwarded safely; its connection closes.
#[must_use]
pub fn malformed(context: &RequestContext, why: Malformed) -> Response {
    let message = format!("{} OSS was not asked.", why.message());
    error(
        context,
        &Reason {
            status: why.status(),
            code: "ProxyBadRequest",
            kind: "bad_request",
            message: &message,
            closes: true,
            ..Reason::DEFAULT
        },
    )
}

/// There is no room for the request now; its connection closes, so that the next one may find
/// another node.
#[must_use]
pub fn busy(context: &RequestContext) -> Response {
    error(
        context,
        &Reason {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "ProxyBusy",
            kind: "proxy_busy",
            message: "The proxy has no room for more requests now. OSS was not asked.",
            retry_after: Some(1),
            closes: true,
            ..Reason::DEFAULT
        },
    )
}

/// The answer of a health check.
#[must_use]
pub fn health(context: &RequestContext, is_ready: bool, is_leaving: bool) -> Response {
    // No more: the public may ask. The reasons are on the admin listener.
    let text = match (is_ready, is_leaving) {
        (true, _) => "ready\n",
        (false, true) => "not ready: draining\n",
        (false, false) => "not ready\n",
    };
    let length = HeaderValue::from(text.len());
    let body = match context.method {
        Method::HEAD => ResponseBody::Empty,
        _ => ResponseBody::Full(Bytes::from_static(text.as_bytes())),
    };
    let mut response = Response::new(body);
    if !is_ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_LENGTH, length);
    response
}

/// No route serves this host and path.
#[must_use]
pub fn unknown_host(context: &RequestContext) -> Response {
    error(
        context,
        &Reason {
            status: StatusCode::NOT_FOUND,
            code: "UnknownHost",
            kind: "unknown_host",
            message: "This proxy serves no bucket under the requested host and path. OSS was not asked.",
            ..Reason::DEFAULT
        },
    )
}
