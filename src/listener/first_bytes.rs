//! The protocol of a connection, guessed from its first bytes.
//!
//! A client may send its bytes one by one, so the guess uses only the bytes that have arrived. The guess selects
//! the error response and the text of the log. It never causes a request to be accepted.

use crate::listener::proxy_protocol;

/// The protocol that the first bytes of a connection belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstBytes {
    /// A TLS record with a handshake message (RFC 8446 section 5.1).
    Tls,
    /// A ClientHello of SSL 2.0 (RFC 5246 appendix E.2). A client that sends it supports none of the TLS
    /// versions of the proxy.
    Ssl2,
    /// A request of HTTP/1, or the preface of HTTP/2.
    Http,
    /// A PROXY header.
    ProxyHeader,
    /// None of the protocols above.
    Other,
}

impl FirstBytes {
    /// Guesses the protocol from `bytes`, which has at least one byte.
    pub(super) fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x16] | [0x16, 0x03, ..] => Self::Tls,
            // Two bytes of length, whose first bit is set, and then the message type `client_hello`.
            [0x80..=0xff, _, 0x01, ..] => Self::Ssl2,
            _ if proxy_protocol::begins_like_header(bytes) => Self::ProxyHeader,
            _ if is_http(bytes) => Self::Http,
            _ => Self::Other,
        }
    }
}

/// Whether `bytes` may be the beginning of a request line, after any number of blank lines.
fn is_http(bytes: &[u8]) -> bool {
    // hyper also ignores blank lines before a request (RFC 9112 section 2.2).
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let Some(line) = start.and_then(|start| bytes.get(start..)) else {
        return true;
    };
    let end = line.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let (line, is_whole) = match end {
        Some(end) => (line.get(..end).unwrap_or_default(), true),
        None => (line, false),
    };
    let mut words = line.splitn(2, |byte| *byte == b' ');
    // Only the characters of registered methods are accepted, so that most other text is not taken for HTTP.
    let is_method = |method: &[u8]| {
        (1..=24).contains(&method.len())
            && method
                .iter()
                .all(|byte| byte.is_ascii_alphabetic() || *byte == b'-')
    };
    let has_method = words.next().is_some_and(is_method);
    let rest = words.next();
    let has_version = || rest.is_some_and(|rest| memchr::memmem::find(rest, b" HTTP/").is_some());
    has_method && (!is_whole || has_version())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_is_guessed_from_a_whole_beginning() {
        use FirstBytes::{Http, Other, ProxyHeader, Ssl2, Tls};
        for (bytes, expected) in [
            (&b"\x16\x03\x01\x02\x00\x01"[..], Tls),
            (b"\x16\x02\x00", Other),
            (b"\x80\x2e\x01\x00\x02", Ssl2),
            (b"\x80\x2e\x02\x00\x02", Other),
            (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", Http),
            (b"\r\n\r\nget /k HTTP/1.0\n", Http),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Http),
            (b"M-SEARCH * HTTP/1.1\r\n", Http),
            (b"GET /a-long-path-whose-line-has-not-ended", Http),
            (b"GET /\r\n", Other),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Other),
            (b"EHLO example.com\r\n", Other),
            (b"{\"method\":1}\n", Other),
            (b"\x03\x00\x00\x13", Other),
            (b"\0", Other),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", ProxyHeader),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11", ProxyHeader),
        ] {
            assert_eq!(FirstBytes::of(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn the_guess_for_http_and_tls_holds_for_every_shorter_beginning() {
        for (bytes, expected) in [
            (&b"GET /k HTTP/1.1\r\nhost: a\r\n\r\n"[..], FirstBytes::Http),
            (b"PUT /k HTTP/1.1\r\n", FirstBytes::Http),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", FirstBytes::Http),
            (b"\x16\x03\x01\x02\x00\x01", FirstBytes::Tls),
        ] {
            for length in 1..bytes.len() {
                let part = &bytes[..length];
                assert_eq!(FirstBytes::of(part), expected, "{part:?}");
            }
        }
    }
}
