//! Chooses the authority of a request: from its target, or from its `Host` line.

use http::{HeaderValue, Uri, Version};

use crate::http::authority::{self, AuthoritySpan};
use crate::http::malformed::Malformed;

/// The authority of a request as byte positions in its text; `Ok(None)` for an HTTP/1.0 request without an
/// authority.
pub type ParsedAuthority = Result<Option<AuthoritySpan>, Malformed>;

/// Parses the authorities in the request target and in the `Host` line `line`. When a request has both,
/// they must name the same host and port, and the authority in the target is returned (RFC 9112 section
/// 3.2.2).
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
            if !target.is_same_place(&line, uri.scheme_str()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(target: &str, host: &'static str) -> Option<Malformed> {
        let line = HeaderValue::from_static(host);
        parse(&target.parse().unwrap(), Some(&line), Version::HTTP_11).err()
    }

    #[test]
    fn equal_authorities_may_be_written_differently() {
        for (target, host) in [
            ("http://host:80/", "host"),
            ("http://host/", "host:80"),
            ("http://host/", "host:"),
            ("HTTP://host:/", "host:80"),
            ("https://host:443/", "host"),
            ("https://host/", "HOST.:443"),
            ("https://host.:0443/", "hOsT:"),
            ("http://[::1]:80/", "[0:0::1]"),
            ("http://203.0.113.7:80/", "203.0.113.7"),
        ] {
            assert_eq!(refusal(target, host), None, "{target} {host}");
        }
        for (target, host) in [
            ("http://host:443/", "host"),
            ("https://host:80/", "host"),
            ("http://host:80/", "host:81"),
            ("http://host:8080/", "host"),
            ("http://host/", "host.example"),
            ("http://host/", "host.host"),
            ("http://[::1]/", "[::2]"),
            ("http://[::1]:80/", "[::1]:81"),
        ] {
            let found = refusal(target, host);
            assert_eq!(found, Some(Malformed::HostsDiffer), "{target} {host}");
        }
        assert_eq!(refusal("http://host/", "host.."), Some(Malformed::BadHost));
    }
}
