//! Requests that are refused before anything looks at them.
//!
//! hyper has already refused what it cannot parse (bare CR, NUL, blanks before the colon, differing
//! Content-Length, bad chunk sizes). Left to us is what parses and must still not be forwarded:
//! every shape in which two readers of the same bytes could see different requests. The answer is
//! 400 and the connection closes, because what follows on it cannot be trusted to be a request.

use http::header::{self, HeaderMap};
use http::{Method, Version};
use memchr::memchr;

use crate::http::authority::{self, Authority};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// HTTP/1.1 without `Host`, or HTTP/2 without an authority.
    MissingHost,
    /// More than one `Host` line.
    RepeatedHost,
    /// `Host` or authority is not one host and an optional port.
    BadHost,
    /// `Host` and the request target name different hosts.
    HostsDiffer,
    /// The request target is not a path, or has a scheme other than http and https.
    BadTarget,
    /// A transfer coding other than exactly `chunked`.
    BadTransferEncoding,
    /// `Connection` names a field that must reach the origin.
    ProtectedFieldNamed,
    /// `Expect` asks for something other than `100-continue`.
    BadExpectation,
    /// `TRACE` or `CONNECT`.
    BadMethod,
    /// More header fields than the listener takes.
    TooManyFields,
    /// More than one `Content-Length`.
    BadLength,
    /// A header name with a character HTTP/1.1 has no place for.
    BadFieldName,
    /// An HTTP/2 field value that begins or ends with a blank.
    BadFieldValue,
    /// Not HTTP/1.1 at all.
    Unreadable,
    /// A head longer than the listener takes.
    HeadTooLarge,
    /// A target longer than can be read.
    TargetTooLong,
    /// A head that did not come in time.
    LateHead,
    /// A target with a `#`.
    Fragment,
}

impl Malformed {
    /// One sentence for the answer and the log.
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

    /// Status of the answer.
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

/// Checks the shape of a request and says which host it is for; `None` only for HTTP/1.0 without
/// `Host`. A request that could not be read carries the reason as an extension.
///
/// # Errors
///
/// The reason for which it must be refused and its connection closed.
pub fn check<B>(request: &http::Request<B>) -> Result<Option<Authority<'_>>, Malformed> {
    if let Some(why) = request.extensions().get::<Malformed>() {
        return Err(*why);
    }
    if request.method() == Method::TRACE || request.method() == Method::CONNECT {
        return Err(Malformed::BadMethod);
    }
    check_target(request)?;
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
    check_host(request)
}

fn check_target<B>(request: &http::Request<B>) -> Result<(), Malformed> {
    let uri = request.uri();
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

/// Whether this is a length: digits, and one at least (RFC 9110 section 8.6).
#[must_use]
pub fn is_length(value: &header::HeaderValue) -> bool {
    !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
}

/// What hyper refuses in HTTP/1.1 and lets through in HTTP/2.
fn check_http2(headers: &HeaderMap) -> Result<(), Malformed> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next()
        && (lengths.next().is_some() || !is_length(length))
    {
        return Err(Malformed::BadLength);
    }
    // The one byte that is allowed in names there and is no token (RFC 9110 section 5.6.2).
    let has_quote = |name: &header::HeaderName| memchr(b'"', name.as_str().as_bytes()).is_some();
    if headers.keys().any(has_quote) {
        return Err(Malformed::BadFieldName);
    }
    // Whoever signs a value signs its blanks; HTTP/1.1 has no way to say them (RFC 9113 section 8.2.1).
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

fn check_host<B>(request: &http::Request<B>) -> Result<Option<Authority<'_>>, Malformed> {
    let mut lines = request.headers().get_all(header::HOST).iter();
    let line = lines.next();
    if lines.next().is_some() {
        return Err(Malformed::RepeatedHost);
    }
    let from_line = match line {
        None => None,
        Some(value) => Some(
            value
                .to_str()
                .ok()
                .and_then(authority::parse)
                .ok_or(Malformed::BadHost)?,
        ),
    };
    let from_target = match request.uri().authority() {
        None => None,
        Some(target) => Some(authority::parse(target.as_str()).ok_or(Malformed::BadHost)?),
    };
    match (from_target, from_line) {
        (Some(target), Some(line)) => {
            if target.host.eq_ignore_ascii_case(line.host) && target.port == line.port {
                Ok(Some(target))
            } else {
                Err(Malformed::HostsDiffer)
            }
        }
        (Some(one), None) | (None, Some(one)) => Ok(Some(one)),
        (None, None) if request.version() <= Version::HTTP_10 => Ok(None),
        (None, None) => Err(Malformed::MissingHost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(
        build: impl FnOnce(http::request::Builder) -> http::request::Builder,
    ) -> http::Request<()> {
        build(http::Request::builder()).body(()).unwrap()
    }

    fn refusal(
        build: impl FnOnce(http::request::Builder) -> http::request::Builder,
    ) -> Option<Malformed> {
        check(&request(build)).err()
    }

    #[test]
    fn plain_requests_pass_and_name_their_host() {
        let plain = request(|r| {
            r.uri("/a//b/../c?x=%2F")
                .header("host", "img.example.com:80")
        });
        assert_eq!(check(&plain).unwrap().unwrap().host, "img.example.com");
        let absolute = request(|r| {
            r.uri("http://img.example.com/k")
                .header("host", "img.example.com")
        });
        assert_eq!(check(&absolute).unwrap().unwrap().host, "img.example.com");
        let old = request(|r| r.uri("/").version(Version::HTTP_10));
        assert_eq!(check(&old), Ok(None));
    }

    #[test]
    fn every_ambiguous_shape_is_refused() {
        use Malformed::{
            BadExpectation, BadHost, BadMethod, BadTarget, BadTransferEncoding, HostsDiffer,
            MissingHost, RepeatedHost,
        };
        assert_eq!(refusal(|r| r.uri("/")), Some(MissingHost));
        assert_eq!(
            refusal(|r| r.uri("/").header("host", "a").header("host", "a")),
            Some(RepeatedHost)
        );
        assert_eq!(
            refusal(|r| r.uri("/").header("host", "a, b")),
            Some(BadHost)
        );
        assert_eq!(refusal(|r| r.uri("/").header("host", "u@a")), Some(BadHost));
        assert_eq!(
            refusal(|r| r.uri("http://u@a/").header("host", "a")),
            Some(BadHost)
        );
        assert_eq!(
            refusal(|r| r.uri("http://b/").header("host", "a")),
            Some(HostsDiffer)
        );
        assert_eq!(
            refusal(|r| r.uri("http://a:81/").header("host", "a")),
            Some(HostsDiffer)
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
