//! Which authority of a request counts: that of its target, or that of its `Host` line.

use http::{HeaderValue, Uri, Version};

use crate::http::authority::{self, AuthoritySpan};
use crate::http::malformed::Malformed;

/// The authority of a request as a place in its text; `Ok(None)` when the request may have none.
pub type ParsedAuthority = Result<Option<AuthoritySpan>, Malformed>;

/// Parses the authority of the request target and that of the `Host` line `line`. When a request has
/// both, they must name the same host (RFC 9112 section 3.2.2).
///
/// # Errors
///
/// [`Malformed::BadHost`], [`Malformed::HostsDiffer`] or [`Malformed::MissingHost`].
pub(super) fn parse(uri: &Uri, line: Option<&HeaderValue>, version: Version) -> ParsedAuthority {
    let from_line = match line {
        None => None,
        Some(value) => {
            let text = value.to_str().map_err(|_| Malformed::BadHost)?;
            Some((text, authority::parse(text).ok_or(Malformed::BadHost)?))
        }
    };
    let from_target = match uri.authority() {
        None => None,
        Some(target) => {
            let text = target.as_str();
            Some((text, authority::parse(text).ok_or(Malformed::BadHost)?))
        }
    };
    let (text, authority) = match (from_target, from_line) {
        (Some((text, target)), Some((_, line))) => {
            if !target.host.eq_ignore_ascii_case(line.host) || target.port != line.port {
                return Err(Malformed::HostsDiffer);
            }
            (text, target)
        }
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) if version <= Version::HTTP_10 => return Ok(None),
        (None, None) => return Err(Malformed::MissingHost),
    };
    Ok(Some(authority.span_in(text)))
}
