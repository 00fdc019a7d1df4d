//! The syntax of an authority: one host and an optional port.
//!
//! The host is a registered name, an IPv4 address or a bracketed IPv6 address. Any other text is refused
//! and not interpreted: userinfo, lists, percent signs, empty labels, ports that are not numbers (RFC 9110
//! section 7.2, RFC 9112 section 3.2). Policies, the log and the origin all use the host that is parsed
//! here.
//!
//! A request can have an authority in its target and another in its `Host` line.
//! [`request_authority`](super::request_authority) chooses between them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use memchr::memchr;

/// A parsed authority, borrowed from its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host as received, but without port, brackets and one trailing dot. Its case is not changed.
    pub host: &'a str,
    /// The port, 1 to 65535; `None` when the text has none.
    pub port: Option<u16>,
    /// Whether the host is an IP address.
    pub is_ip: bool,
}

impl Authority<'_> {
    /// Whether `self` and `other` name the same host and port for a request with this scheme. Differences
    /// in case, in the notation of an IP address, and in whether a default port is written are ignored
    /// (RFC 9110 section 4.2.3).
    #[must_use]
    pub fn is_same_place(&self, other: &Self, scheme: Option<&str>) -> bool {
        let default = match scheme {
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => 443,
            Some(_) | None => 80,
        };
        let ip = |authority: &Self| authority.host.parse::<IpAddr>().ok();
        self.port.unwrap_or(default) == other.port.unwrap_or(default)
            && (self.host.eq_ignore_ascii_case(other.host)
                || (self.is_ip && other.is_ip && ip(self) == ip(other)))
    }
}

/// A parsed authority as byte positions in its text. It does not borrow the text, so it can be kept longer
/// than the request head. [`AuthoritySpan::of`] returns the [`Authority`] in a copy of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthoritySpan {
    start: usize,
    end: usize,
    port: Option<u16>,
    is_ip: bool,
}

impl AuthoritySpan {
    /// Parses `text`. Returns `None` when `text` is not one host and an optional port.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse(text).map(|authority| authority.span_in(text))
    }

    /// Returns the authority in `text`, which must be a copy of the parsed text.
    #[must_use]
    pub(super) fn of(self, text: &[u8]) -> Option<Authority<'_>> {
        Some(Authority {
            host: std::str::from_utf8(text.get(self.start..self.end)?).ok()?,
            port: self.port,
            is_ip: self.is_ip,
        })
    }
}

impl Authority<'_> {
    /// Returns the position of this authority in `text`, which must be the text from which it was parsed.
    pub(super) fn span_in(self, text: &str) -> AuthoritySpan {
        let start = usize::from(text.starts_with('['));
        AuthoritySpan {
            start,
            end: start + self.host.len(),
            port: self.port,
            is_ip: self.is_ip,
        }
    }
}

/// Parses an authority. Returns `None` when `text` is not one host and an optional port.
#[must_use]
pub fn parse(text: &str) -> Option<Authority<'_>> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']')?;
        inside.parse::<Ipv6Addr>().ok()?;
        let port = match after.strip_prefix(':') {
            Some(port) => parse_port(port)?,
            None if after.is_empty() => None,
            None => return None,
        };
        return Some(Authority {
            host: inside,
            port,
            is_ip: true,
        });
    }
    let colon = memchr(b':', text.as_bytes());
    let (host, port) = match colon.and_then(|at| text.split_at_checked(at)) {
        Some((host, port)) => (host, parse_port(port.strip_prefix(':')?)?),
        None => (text, None),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    // A name whose last label is a number is an IPv4 address in another notation (`127.1`, `0x7f.1`) or a
    // mistake. Only an IPv4 address of four decimal numbers is accepted.
    let is_ip = is_numeric_label(last_label(host)?);
    if is_ip && host.parse::<Ipv4Addr>().is_err() {
        return None;
    }
    Some(Authority { host, port, is_ip })
}

fn is_numeric_label(label: &str) -> bool {
    label.bytes().all(|b| b.is_ascii_digit())
        || label
            .strip_prefix("0x")
            .or_else(|| label.strip_prefix("0X"))
            .is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Parses the text after the colon. Returns `None` when `text` is not a port. An empty text means the same
/// as no colon (RFC 3986 section 3.2.3), so the result is then `Some(None)`.
fn parse_port(text: &str) -> Option<Option<u16>> {
    if text.is_empty() {
        return Some(None);
    }
    if text.len() > 5 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let port = text.parse().ok().filter(|port| *port != 0);
    port.map(Some)
}

/// Returns the last label of a registered name, or `None` when `host` is not a registered name.
fn last_label(host: &str) -> Option<&str> {
    if host.len() > 253 {
        return None;
    }
    let mut start = 0;
    for (place, byte) in host.bytes().enumerate() {
        match byte {
            b'.' if (1..=63).contains(&(place - start)) => start = place + 1,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {}
            _ => return None,
        }
    }
    host.get(start..)
        .filter(|label| (1..=63).contains(&label.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_with_an_optional_port_is_accepted() {
        for (text, host, port, is_ip) in [
            ("img.example.com", "img.example.com", None, false),
            ("Img.Example.com:8443", "Img.Example.com", Some(8443), false),
            ("img.example.com.", "img.example.com", None, false),
            ("img.example.com:", "img.example.com", None, false),
            ("[::1]:", "::1", None, true),
            ("203.0.113.7", "203.0.113.7", None, true),
            ("203.0.113.7:80", "203.0.113.7", Some(80), true),
            ("[::1]", "::1", None, true),
            ("[2001:db8::1]:443", "2001:db8::1", Some(443), true),
            ("localhost", "localhost", None, false),
            (
                "old_bucket.example.com",
                "old_bucket.example.com",
                None,
                false,
            ),
        ] {
            let expected = Some(Authority { host, port, is_ip });
            assert_eq!(parse(text), expected, "{text}");
            let span = AuthoritySpan::parse(text).unwrap();
            assert_eq!(span.of(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a:b",
            "a:0",
            "a:65536",
            "a:-1",
            "a:+80",
            "a:80:80",
            "user@a",
            "a,b",
            "a b",
            "a/b",
            "a%00",
            "a#b",
            "a?b",
            "[::1",
            "[::1]x",
            "[zz]",
            "::1",
            "127.1",
            "0x7f.0x1",
            "2130706433",
            "a\u{e9}",
            "a\\b",
            "a;b",
            "a'b",
            "*",
            "a*",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
