//! The answer to a client whose request cannot be read, or whose head does not come.
//!
//! hyper would answer by itself, with a status and nothing else, and neither log nor metrics would
//! know of it. So its answer is held back ([`ClientIo::watch_http1`]), and the connection's service
//! is called with an empty request that says what is wrong.

use std::convert::Infallible;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, StatusCode, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tower::Service;

use crate::http::framing::Malformed;
use crate::http::{Received, RequestBody};
use crate::listener::io::ClientIo;

/// What hyper meant by the status of its own answer.
pub(super) fn reason(status: StatusCode) -> Malformed {
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Malformed::HeadTooLarge,
        StatusCode::URI_TOO_LONG => Malformed::TargetTooLong,
        _ => Malformed::Unreadable,
    }
}

/// Writes what `service` has to say to a request refused for `why`; the connection must end then.
pub(super) async fn answer<S, B>(io: &mut ClientIo, mut service: S, why: Malformed)
where
    S: Service<Received, Response = http::Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    let Ok(response) = service.call(stand_in(why)).await;
    let (mut head, body) = response.into_parts();
    // The whole body: the proxy has made it.
    let Ok(body) = body.collect().await else {
        return;
    };
    let body = body.to_bytes();
    let headers = &mut head.headers;
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    #[expect(
        clippy::disallowed_methods,
        reason = "hyper dates its answers by itself, too"
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
    // A client that is gone or takes nothing is not answered; who closes bounds the time.
    if io.write_all(&bytes).await.is_ok() {
        drop(io.flush().await);
    }
}

/// A request of which nothing is known.
fn stand_in(why: Malformed) -> Received {
    let mut request = http::Request::new(RequestBody::Empty);
    if let Ok(method) = Method::from_bytes(b"-") {
        *request.method_mut() = method;
    }
    *request.uri_mut() = Uri::from_static("*");
    request.extensions_mut().insert(why);
    request
}
