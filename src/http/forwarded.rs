//! The client address and scheme that trusted proxies report in `X-Forwarded-For` and
//! `X-Forwarded-Proto`.
//!
//! Each proxy appends the address of its own peer, so the fields are read from right to left. If an entry
//! is the address of a trusted proxy, that proxy wrote the entry to its left. The first address that is
//! not a trusted proxy is the client. All entries to its left may be forged.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::net::ranges::IpRanges;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Returns the client address from the `X-Forwarded-For` fields of a trusted proxy. An entry that is not
/// an address ends the search, and the entry to its right counts as the client. Returns `None` when the
/// rightmost entry is not an address, or there is no entry.
#[must_use]
pub fn client(headers: &HeaderMap, trusted: &IpRanges) -> Option<IpAddr> {
    let mut client = None;
    // Several lines of one field form one list (RFC 9110 section 5.3).
    let lines = headers.get_all(FOR).iter().rev();
    for entry in lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
        let Some(address) = parse(entry) else {
            return client;
        };
        client = Some(address);
        if !trusted.contains(address) {
            return client;
        }
    }
    client
}

/// Parses `ip`, `ip:port`, `[ipv6]` or `[ipv6]:port`.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let plain = || text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || {
        let inside = text.strip_prefix('[')?.strip_suffix(']')?;
        inside.parse().ok().map(IpAddr::V6)
    };
    plain()
        .or_else(with_port)
        .or_else(bracketed)
        .map(|address| address.to_canonical())
}

/// Whether a trusted proxy reports that its client used HTTPS. Only the last entry counts, because the
/// trusted proxy itself wrote it.
#[must_use]
pub fn is_https(headers: &HeaderMap) -> bool {
    let last = headers.get_all(PROTO).iter().next_back();
    last.map(HeaderValue::as_bytes)
        .and_then(|value| value.rsplit(|byte| *byte == b',').next())
        .is_some_and(|word| word.trim_ascii().eq_ignore_ascii_case(b"https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn the_client_is_the_first_address_from_the_right_that_is_no_trusted_proxy() {
        let trusted = ["100.64.0.0/10", "10.0.0.0/8", "2001:db8:1::/48"];
        let trusted = IpRanges::new(&trusted.map(|range| range.parse().unwrap()));
        for (lines, expected) in [
            (&["198.51.100.7"][..], Some("198.51.100.7")),
            (&["6.6.6.6, 198.51.100.7"], Some("198.51.100.7")),
            (&["6.6.6.6, 198.51.100.7, 10.1.2.3"], Some("198.51.100.7")),
            (
                &["6.6.6.6", "198.51.100.7", "10.1.2.3,100.97.0.1"],
                Some("198.51.100.7"),
            ),
            (&["198.51.100.7:51234"], Some("198.51.100.7")),
            (&["[2001:db8::1]:443"], Some("2001:db8::1")),
            (&["[2001:db8::1]"], Some("2001:db8::1")),
            (&["2001:db8::1"], Some("2001:db8::1")),
            (&["::ffff:198.51.100.7"], Some("198.51.100.7")),
            (&["6.6.6.6, ::ffff:10.0.0.1"], Some("6.6.6.6")),
            (&["10.0.0.1, 10.0.0.2"], Some("10.0.0.1")),
            (&["6.6.6.6, unknown, 10.0.0.2"], Some("10.0.0.2")),
            (&["6.6.6.6, unknown"], None),
            (&["6.6.6.6,"], None),
            (&[""], None),
            (&[], None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(
                client(&headers("x-forwarded-for", lines), &trusted),
                expected,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn the_last_entry_for_the_scheme_counts() {
        for (lines, expected) in [
            (&["https"][..], true),
            (&["HTTPS"], true),
            (&["http, https"], true),
            (&["https, http"], false),
            (&["https", "http"], false),
            (&["httpss"], false),
            (&[], false),
        ] {
            assert_eq!(
                is_https(&headers("x-forwarded-proto", lines)),
                expected,
                "{lines:?}"
            );
        }
    }
}
