//! What is looked at in the head of an answer, besides its hop-by-hop fields.

use std::borrow::Cow;

use http::header::{self, HeaderMap, HeaderValue};

use crate::http::context::RequestContext;
use crate::http::framing::is_length;
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
    if lengths.next().is_some() || length.is_some_and(|length| !is_length(length)) {
        return Err(Error::BadAnswer("a Content-Length that is not one number"));
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
            // With or without scheme; what follows the authority may be empty.
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
            let is_own = |host: &str| host.as_bytes().eq_ignore_ascii_case(upstream);
            if !is_http || !(is_own(host) || bare.is_some_and(is_own)) {
                return None;
            }
            let path = match path.strip_prefix('/') {
                Some(_) => Cow::Borrowed(path),
                None => Cow::Owned(format!("/{path}")),
            };
            let path = &*path;
            let path = rewrite.unmap(bucket, path, asked)?;
            let scheme = if context.is_https { "https" } else { "http" };
            let host = std::str::from_utf8(context.text.host()).ok()?;
            HeaderValue::try_from(format!("{scheme}://{host}{path}")).ok()
        });
    if let Some(location) = renamed {
        headers.insert(header::LOCATION, location);
    }
}
