//! Checks that the head of a response states unambiguously where the body ends, and rewrites its `Location`.

use std::borrow::Cow;

use http::header::{self, HeaderMap, HeaderValue};

use crate::http::context::RequestContext;
use crate::http::framing::is_length;
use crate::origin::error::Error;
use crate::origin::exchange::rewrite::Rewrite;

/// Checks that the headers of a response state unambiguously where its body ends (RFC 9112 section 6.3).
/// hyper is not strict enough: it uses only the last transfer coding, and accepts repeated `Content-Length`
/// fields with equal values.
///
/// # Errors
///
/// [`Error::BadAnswer`] if it is ambiguous where the body ends.
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
    if lengths.next().is_some() || length.is_some_and(|length| !is_length(length)) {
        return Err(Error::BadAnswer("a Content-Length that is not one number"));
    }
    Ok(())
}

/// Rewrites a `Location` that names the OSS host: it then names the host and the path that the client must
/// use. Any other `Location` is unchanged, and so is one to which no client path leads. `received` is the
/// path and query of the request as received.
pub(super) fn rename_location(
    headers: &mut HeaderMap,
    rewrite: &Rewrite,
    (bucket, oss_host): (&str, &HeaderValue),
    received: &str,
    context: &RequestContext,
) {
    let oss_host = oss_host.as_bytes();
    let renamed = headers
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| {
            // The scheme may be missing, and the path after the authority may be empty.
            let (scheme, rest) = location.split_once("//")?;
            let is_http = ["", "http:", "https:"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(scheme));
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (host, path) = rest.split_at_checked(end)?;
            let bare = match scheme.len() {
                5 => host.strip_suffix(":80"),
                6 => host.strip_suffix(":443"),
                _ => None,
            };
            let is_own = |host: &str| host.as_bytes().eq_ignore_ascii_case(oss_host);
            if !is_http || !(is_own(host) || bare.is_some_and(is_own)) {
                return None;
            }
            let path = match path.strip_prefix('/') {
                Some(_) => Cow::Borrowed(path),
                None => Cow::Owned(format!("/{path}")),
            };
            let path = &*path;
            let path = rewrite.unmap(bucket, path, || context.host(), received)?;
            let scheme = if context.is_https { "https" } else { "http" };
            let host = std::str::from_utf8(context.text.host()).ok()?;
            HeaderValue::try_from(format!("{scheme}://{host}{path}")).ok()
        });
    if let Some(location) = renamed {
        headers.insert(header::LOCATION, location);
    }
}
