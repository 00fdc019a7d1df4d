//! Checks the form of a request, because hyper accepts some requests that the proxy must not forward.
//!
//! hyper has already rejected requests that it cannot parse, such as those with a bare CR, NUL, blanks
//! before the colon, differing `Content-Length` fields or bad chunk sizes. This module refuses every form
//! that two HTTP parsers could read as different requests. The response has the status
//! [`Malformed::status`], mostly 400. The connection is closed, because the bytes that follow may not be a
//! request.

use http::header::{self, HeaderMap};
use http::{Method, Uri, Version};
use memchr::memchr;

use crate::http::authority::Authority;
use crate::http::malformed::{Malformed, SingleField};
use crate::http::message::Target;

/// Checks the form of `request` and returns its authority, or `None` for an HTTP/1.0 request without an
/// authority. `target` is the parsed target of the same request.
///
/// If the listener could not read a request or has found a reason to refuse it, the request has a
/// [`Malformed`] as an extension.
///
/// # Errors
///
/// The [`Malformed`] attached by the listener. Otherwise the first of these that applies: `BadMethod`,
/// `BadTarget`, `BadTransferEncoding`, for HTTP/2 only also `BadLength`, `BadFieldName` and
/// `BadFieldValue`, then `RepeatedField`, `BadExpectation`, and the errors of [`Target::authority`].
pub fn check<'r, B>(
    request: &http::Request<B>,
    target: &Target<'r>,
) -> Result<Option<Authority<'r>>, Malformed> {
    if let Some(why) = request.extensions().get::<Malformed>() {
        return Err(*why);
    }
    if request.method() == Method::TRACE || request.method() == Method::CONNECT {
        return Err(Malformed::BadMethod);
    }
    check_target(request.uri())?;
    let headers = request.headers();
    check_transfer_encoding(headers)?;
    if request.version() == Version::HTTP_2 {
        check_http2(headers)?;
    }
    check_single_fields(headers)?;
    let mut expects = headers.get_all(header::EXPECT).iter();
    if let Some(expect) = expects.next()
        && (expects.next().is_some() || !expect.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(Malformed::BadExpectation);
    }
    target.authority()
}

/// Checks that no field of [`SingleField`] has more than one line.
fn check_single_fields(headers: &HeaderMap) -> Result<(), Malformed> {
    // In the usual case no field is repeated.
    if headers.len() == headers.keys_len() {
        return Ok(());
    }
    let repeated = SingleField::ALL.into_iter().find(|field| {
        let mut lines = headers.get_all(field.name()).iter();
        lines.nth(1).is_some()
    });
    repeated.map_or(Ok(()), |field| Err(Malformed::RepeatedField(field)))
}

fn check_target(uri: &Uri) -> Result<(), Malformed> {
    match uri.scheme_str() {
        None => {}
        Some(scheme)
            if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") => {}
        Some(_) => return Err(Malformed::BadTarget),
    }
    if !uri.path().starts_with('/') {
        return Err(Malformed::BadTarget);
    }
    Ok(())
}

fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), Malformed> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (Some(_), _) => Err(Malformed::BadTransferEncoding),
    }
}

/// Whether `value` is a length: one or more digits, and nothing else (RFC 9110 section 8.6).
#[must_use]
pub fn is_length(value: &header::HeaderValue) -> bool {
    !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
}

/// Checks header fields that hyper refuses in HTTP/1.1 but accepts in HTTP/2.
fn check_http2(headers: &HeaderMap) -> Result<(), Malformed> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next()
        && (lengths.next().is_some() || !is_length(length))
    {
        return Err(Malformed::BadLength);
    }
    // A field name must be a token, and a token has no double quote (RFC 9110 section 5.6.2). hyper
    // refuses all other bytes that a token may not have.
    let has_quote = |name: &header::HeaderName| memchr(b'"', name.as_str().as_bytes()).is_some();
    if headers.keys().any(has_quote) {
        return Err(Malformed::BadFieldName);
    }
    // Blanks at the ends of a value are not allowed (RFC 9113 section 8.2.1). A client's signature could
    // cover them, but the HTTP/1.1 request to OSS cannot transmit them.
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let has_blanks = |value: &header::HeaderValue| {
        let bytes = value.as_bytes();
        is_blank(bytes.first()) || is_blank(bytes.last())
    };
    if headers.values().any(has_blanks) {
        return Err(Malformed::BadFieldValue);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(
        build: impl FnOnce(http::request::Builder) -> http::request::Builder,
    ) -> http::Request<()> {
        build(http::Request::builder()).body(()).unwrap()
    }

    fn check_shape(request: &http::Request<()>) -> Result<Option<Authority<'_>>, Malformed> {
        check(request, &Target::parse(request))
    }

    fn refusal(
        build: impl FnOnce(http::request::Builder) -> http::request::Builder,
    ) -> Option<Malformed> {
        check_shape(&request(build)).err()
    }

    #[test]
    fn plain_requests_pass_with_their_host() {
        let plain = request(|r| {
            r.uri("/a//b/../c?x=%2F")
                .header("host", "img.example.com:80")
        });
        let host = |request| check_shape(request).unwrap().unwrap().host.to_owned();
        assert_eq!(host(&plain), "img.example.com");
        let absolute = request(|r| {
            r.uri("http://img.example.com/k")
                .header("host", "img.example.com")
        });
        assert_eq!(host(&absolute), "img.example.com");
        let old = request(|r| r.uri("/").version(Version::HTTP_10));
        assert_eq!(check_shape(&old), Ok(None));
    }

    #[test]
    fn every_ambiguous_shape_is_refused() {
        use Malformed::{
            BadExpectation, BadHost, BadMethod, BadTarget, BadTransferEncoding, MissingHost,
        };
        assert_eq!(refusal(|r| r.uri("/")), Some(MissingHost));
        assert_eq!(
            refusal(|r| r.uri("/").header("host", "a, b")),
            Some(BadHost)
        );
        assert_eq!(
            refusal(|r| r.uri("ftp://a/").header("host", "a")),
            Some(BadTarget)
        );
        assert_eq!(
            refusal(|r| r.uri("*").method("OPTIONS").header("host", "a")),
            Some(BadTarget)
        );
        assert_eq!(
            refusal(|r| r.uri("/").method("TRACE").header("host", "a")),
            Some(BadMethod)
        );
        assert_eq!(
            refusal(|r| r.uri("a:443").method("CONNECT").header("host", "a")),
            Some(BadMethod)
        );
        for coding in [
            "gzip",
            "chunked, chunked",
            "gzip, chunked",
            "identity",
            "xchunked",
            "",
        ] {
            let got = refusal(|r| {
                r.uri("/")
                    .header("host", "a")
                    .header("transfer-encoding", coding)
            });
            assert_eq!(got, Some(BadTransferEncoding), "{coding}");
        }
        let twice = refusal(|r| {
            r.uri("/")
                .header("host", "a")
                .header("transfer-encoding", "chunked")
                .header("transfer-encoding", "chunked")
        });
        assert_eq!(twice, Some(BadTransferEncoding));
        for field in SingleField::ALL {
            for (one, other) in [("a", "b"), ("a", "a"), ("", "b"), ("a", "")] {
                let got = refusal(|r| {
                    let r = r.uri("/").header("host", "a").header(field.name(), one);
                    r.header(field.name(), other)
                });
                assert_eq!(got, Some(Malformed::RepeatedField(field)));
            }
            let lists = refusal(|r| {
                let r = r.uri("/").header("host", "a").header(field.name(), "a");
                r.header("accept", "a").header("accept", "b")
            });
            assert_eq!(lists, None);
        }
        assert_eq!(
            refusal(|r| r.uri("/").header("host", "a").header("expect", "200-ok")),
            Some(BadExpectation)
        );
    }
}
