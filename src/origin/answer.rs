//! What is looked at in the head of an answer, besides its hop-by-hop fields.

use http::header::{self, HeaderMap, HeaderValue};

use crate::http::context::RequestContext;
use crate::origin::error::Error;
use crate::origin::request::Rewrite;

/// Whether an answer says unambiguously where it ends. hyper has taken the last coding for the only
/// one, and equal lengths for one.
pub(super) fn check_framing(headers: &HeaderMap) -> Result<(), Error> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let (coding, length) = (codings.next(), lengths.next());
    if coding.is_some() && length.is_some() {
        return Err(Error::BadAnswer(
            "both Content-Length and Transfer-Encoding",
        ));
    }
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some() || coding.is_some_and(|coding| !is_chunked(coding)) {
        return Err(Error::BadAnswer("a transfer coding other than chunked"));
    }
    let is_number = |length: &HeaderValue| length.as_bytes().iter().all(u8::is_ascii_digit);
    if lengths.next().is_some() || length.is_some_and(|length| !is_number(length)) {
        return Err(Error::BadAnswer("more than one Content-Length"));
    }
    Ok(())
}

/// Gives a `Location` that names OSS's own host the host the client asked; any other is left alone.
/// `asked` is path and query as the client sent them.
pub(super) fn rename_location(
    headers: &mut HeaderMap,
    rewrite: &Rewrite,
    (bucket, upstream): (&str, &HeaderValue),
    asked: &str,
    context: &RequestContext,
) {
    let upstream = upstream.as_bytes();
    let renamed = headers
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| {
            let rest = location
                .strip_prefix("http://")
                .or_else(|| location.strip_prefix("https://"))?;
            let (host, path) = rest.split_at_checked(rest.find('/')?)?;
            if !host.as_bytes().eq_ignore_ascii_case(upstream) {
                return None;
            }
            let path = rewrite.unmap(bucket, path, asked)?;
            let scheme = if context.is_https { "https" } else { "http" };
            let host = std::str::from_utf8(context.text.host()).ok()?;
            HeaderValue::try_from(format!("{scheme}://{host}{path}")).ok()
        });
    if let Some(location) = renamed {
        headers.insert(header::LOCATION, location);
    }
}
