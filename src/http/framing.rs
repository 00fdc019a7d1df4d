//! The shape of a request: what hyper parses and the proxy must still not forward.
//!
//! hyper has already refused what it cannot parse: a bare CR, NUL, blanks before the colon, differing
//! `Content-Length` fields, bad chunk sizes. This module refuses every shape in which two readers of
//! the same bytes could see different requests. The response is 400 and the connection is closed,
//! because the bytes that follow may not be a request.

use http::header::{self, HeaderMap};
use http::{Method, Uri, Version};
use memchr::memchr;

use crate::http::authority::Authority;
use crate::http::message::Target;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// HTTP/1.1 without `Host`, or HTTP/2 without an authority.
    MissingHost,
    /// More than one `Host` line.
    RepeatedHost,
    /// `Host` or the authority is not one host and an optional port.
    BadHost,
    /// `Host` and the request target name different hosts.
    HostsDiffer,
    /// The request target is not a path, or has a scheme other than http and https.
    BadTarget,
    /// A transfer coding other than exactly `chunked`.
    BadTransferEncoding,
    /// `Connection` names a field that is not hop-by-hop.
    ProtectedFieldNamed,
    /// `Expect` is something other than `100-continue`.
    BadExpectation,
    /// `TRACE` or `CONNECT`.
    BadMethod,
    /// More header fields than the listener accepts.
    TooManyFields,
    /// More than one `Content-Length`, or one that is not a number.
    BadLength,
    /// A header name with a character that HTTP/1.1 does not allow.
    BadFieldName,
    /// An HTTP/2 header value that begins or ends with a blank.
    BadFieldValue,
    /// A head that is not valid HTTP/1.1.
    Unreadable,
    /// A head longer than the listener accepts.
    HeadTooLarge,
    /// A target longer than hyper can parse.
    TargetTooLong,
    /// A head that was not complete within the listener's header timeout.
    LateHead,
    /// A target with a `#`.
    Fragment,
}

impl Malformed {
    /// Returns one sentence for the response and the log.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::MissingHost => "The request names no host.",
            Self::RepeatedHost => "The request has more than one Host header.",
            Self::BadHost => {
                "The Host of the request is not a host name or address with an optional port."
            }
            Self::HostsDiffer => "The request target and the Host header name different hosts.",
            Self::BadTarget => "The request target is not an absolute path.",
            Self::BadTransferEncoding => {
                "The transfer coding of the request is not exactly chunked."
            }
            Self::ProtectedFieldNamed => {
                "The Connection header names a field that is not hop-by-hop."
            }
            Self::BadExpectation => "The request expects something other than 100-continue.",
            Self::BadMethod => "The request method cannot be proxied.",
            Self::TooManyFields => "The request has more header fields than this listener takes.",
            Self::BadLength => "The request has a Content-Length that is not one number.",
            Self::BadFieldName => "A header name of the request is not a token.",
            Self::BadFieldValue => "A header value of the request begins or ends with a blank.",
            Self::Unreadable => "The head of the request is not valid HTTP/1.1.",
            Self::HeadTooLarge => "The head of the request is longer than this listener takes.",
            Self::TargetTooLong => "The request target is too long.",
            Self::LateHead => "The head of the request did not come in time.",
            Self::Fragment => {
                "The request target has a `#`, which must be sent as %23 where it is part of a name."
            }
        }
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status(self) -> http::StatusCode {
        match self {
            Self::BadMethod => http::StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManyFields | Self::HeadTooLarge => {
                http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::TargetTooLong => http::StatusCode::URI_TOO_LONG,
            Self::LateHead => http::StatusCode::REQUEST_TIMEOUT,
            Self::BadExpectation => http::StatusCode::EXPECTATION_FAILED,
            Self::MissingHost
            | Self::RepeatedHost
            | Self::BadHost
            | Self::HostsDiffer
            | Self::BadTarget
            | Self::BadTransferEncoding
            | Self::ProtectedFieldNamed
            | Self::BadLength
            | Self::BadFieldName
            | Self::BadFieldValue
            | Self::Unreadable
            | Self::Fragment => http::StatusCode::BAD_REQUEST,
        }
    }
}

/// Checks the shape of `request` and returns its authority; `None` only for HTTP/1.0 without `Host`.
/// `target` is the parsed target of the same request.
///
/// The listener attaches [`Malformed`] as an extension to a request that it could not read.
///
/// # Errors
///
/// The [`Malformed`] attached by the listener, else the first of these that applies: `BadMethod`,
/// `BadTarget`, `BadTransferEncoding`, `BadLength`, `BadFieldName` and `BadFieldValue` (these three
/// for HTTP/2 only), `BadExpectation`, and those of [`Target::authority`].
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
    let mut expects = headers.get_all(header::EXPECT).iter();
    if let Some(expect) = expects.next()
        && (expects.next().is_some() || !expect.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(Malformed::BadExpectation);
    }
    target.authority()
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

/// Whether `value` is a length: one digit or more, and nothing else (RFC 9110 section 8.6).
#[must_use]
pub fn is_length(value: &header::HeaderValue) -> bool {
    !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
}

/// Checks what hyper refuses in HTTP/1.1 and accepts in HTTP/2.
fn check_http2(headers: &HeaderMap) -> Result<(), Malformed> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next()
        && (lengths.next().is_some() || !is_length(length))
    {
        return Err(Malformed::BadLength);
    }
    // The only byte that hyper accepts in HTTP/2 names although a token cannot have it (RFC 9110
    // section 5.6.2).
    let has_quote = |name: &header::HeaderName| memchr(b'"', name.as_str().as_bytes()).is_some();
    if headers.keys().any(has_quote) {
        return Err(Malformed::BadFieldName);
    }
    // A client's signature covers these blanks, and HTTP/1.1 cannot transmit them (RFC 9113 section
    // 8.2.1).
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
        assert_eq!(
            refusal(|r| r.uri("/").header("host", "a").header("expect", "200-ok")),
            Some(BadExpectation)
        );
    }
}
