//! The responses that the proxy makes itself.
//!
//! An error response has the form of an OSS error, so that an SDK shows code, message and request id. If
//! the client prefers HTML, the error response is an HTML page. The proxy's own responses never have
//! `x-oss-request-id`, `x-oss-ec` or `Server: AliyunOSS`, because these fields mark a response of OSS.
//! `x-ossgate-error` has the kind of the response, which is also a field of the log line.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::http::authority::Authority;
use crate::http::context::RequestContext;
use crate::http::malformed::Malformed;
use crate::http::{Response, ResponseBody};
use crate::oss::error::ErrorXml;

/// The header field with the proxy's request id. Every response has this field.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-ossgate-request-id");
/// The header field with the kind of an error response that the proxy made itself.
pub const ERROR: HeaderName = HeaderName::from_static("x-ossgate-error");

/// The content of an error response.
#[derive(Clone, Copy, Debug)]
pub struct Reason<'a> {
    /// The HTTP status.
    pub status: StatusCode,
    /// The `Code` of the XML. A code of OSS is used only if its meaning is exactly the same.
    pub code: &'a str,
    /// The kind of the response: a fixed word for logs and metrics.
    pub kind: &'static str,
    /// The `Message` of the XML: the event, its cause, and whether OSS was reached.
    pub message: &'a str,
    /// The `EC` of the XML: the number that OSS uses for the same refusal; `None` leaves the element out.
    pub ec: Option<&'a str>,
    /// `Retry-After`, in seconds; `None` leaves the field out.
    pub retry_after: Option<u16>,
    /// Whether the client's connection is closed after this response.
    pub closes: bool,
}

impl Reason<'_> {
    /// The values that most responses have.
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

/// Returns the error response for `reason`, and records the kind of the response in the outcome.
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

/// Returns the response to a request that cannot be forwarded safely. The client's connection is closed.
#[must_use]
pub fn malformed(context: &RequestContext, why: Malformed) -> Response {
    let mut message = why.message().to_owned();
    if why == Malformed::PlainHttp
        && let Some(authority) = context.authority()
    {
        let Authority { host, port, .. } = authority;
        let (open, close) = if host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        message.push_str(&format!(" Use https://{open}{host}{close}{port}/ instead."));
    }
    message.push_str(" OSS was not asked.");
    error(
        context,
        &Reason {
            status: why.status(),
            code: match why {
                Malformed::Misdirected => "ProxyMisdirected",
                Malformed::PlainHttp => "ProxyHttpsRequired",
                _ => "ProxyBadRequest",
            },
            kind: why.kind(),
            message: &message,
            closes: true,
            ..Reason::DEFAULT
        },
    )
}

/// Returns the response to a request that is refused because its connection is over the listener's limit
/// or the proxy is overloaded. The connection is closed, so that the client's next request may reach
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

/// The result of a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The node should get traffic.
    Ready,
    /// The node is draining and should get no new traffic.
    Draining,
    /// The node cannot serve requests.
    NotReady,
}

/// Returns the response to a health check.
#[must_use]
pub fn health(context: &RequestContext, readiness: Readiness) -> Response {
    // The reasons why the node is not ready are shown only on the admin listener, because this response is
    // public.
    let text = match readiness {
        Readiness::Ready => "ready\n",
        Readiness::Draining => "not ready: draining\n",
        Readiness::NotReady => "not ready\n",
    };
    let length = HeaderValue::from(text.len());
    let body = match context.method {
        Method::HEAD => ResponseBody::Empty,
        _ => ResponseBody::Full(Bytes::from_static(text.as_bytes())),
    };
    let mut response = Response::new(body);
    if readiness != Readiness::Ready {
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

/// Returns the response to a request for a host and path that no route serves.
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
