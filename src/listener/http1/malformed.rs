//! The response to a request that cannot be parsed, or whose head is not complete in time.
//!
//! hyper's own response has a status and nothing else, and it would be missing from the access log and the
//! metrics. So that response is held back ([`super::hyper_io`]), and the connection's service is called
//! with an empty request whose extension names the error ([`Malformed`]).

use std::convert::Infallible;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, StatusCode, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tower::Service;

use crate::http::malformed::Malformed;
use crate::http::{Received, RequestBody};
use crate::listener::client_io::ClientIo;

/// Returns the error for which hyper responds with `status`.
pub(super) fn reason(status: StatusCode) -> Malformed {
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Malformed::HeadTooLarge,
        StatusCode::URI_TOO_LONG => Malformed::TargetTooLong,
        _ => Malformed::Unreadable,
    }
}

/// Calls `service` with a request that has the error `why`, and writes the response. The caller must then
/// close the connection.
pub(super) async fn answer<S, B>(io: &mut ClientIo, mut service: S, why: Malformed)
where
    S: Service<Received, Response = http::Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    let Ok(response) = service.call(placeholder(why)).await;
    let (mut head, body) = response.into_parts();
    // The proxy itself made this body, so it is small and complete.
    let Ok(body) = body.collect().await else {
        return;
    };
    let body = body.to_bytes();
    let headers = &mut head.headers;
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    #[expect(
        clippy::disallowed_methods,
        reason = "hyper adds a date to its own answers as well"
    )]
    let now = SystemTime::now();
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(now)) {
        headers.insert(header::DATE, date);
    }
    let mut bytes = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(piece);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    // A failed write is ignored, because the connection ends anyway. The caller limits the time.
    if io.write_all(&bytes).await.is_ok() {
        drop(io.flush().await);
    }
}

/// Returns a request with a method and a target that no client can send.
fn placeholder(why: Malformed) -> Received {
    let mut request = http::Request::new(RequestBody::Empty);
    if let Ok(method) = Method::from_bytes(b"-") {
        *request.method_mut() = method;
    }
    *request.uri_mut() = Uri::from_static("*");
    request.extensions_mut().insert(why);
    request
}
