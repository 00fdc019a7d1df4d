//! Removes header fields that must not be forwarded: hop-by-hop fields (RFC 9110 section 7.6.1), and
//! fields in which proxies describe the client.
//!
//! All other fields keep their bytes, their repetitions and their order.

use http::header::{self, HeaderMap, HeaderName};

/// The fields that belong to one connection. [`header::CONNECTION`] is the first.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Whether the field `name` is protected: without it, a message would have another meaning. A proxy
/// removes the fields that `Connection` names. So if the `Connection` of a request names a protected
/// field, the request is an attack or a mistake, and it is refused.
fn is_protected(name: &[u8]) -> bool {
    const PROTECTED: [&str; 18] = [
        "host",
        "content-length",
        "content-type",
        "content-md5",
        "content-encoding",
        "authorization",
        "cookie",
        "date",
        "expect",
        "range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "origin",
        "referer",
        "forwarded",
    ];
    let has_prefix = |prefix: &str| {
        name.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    PROTECTED
        .iter()
        .any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
        || has_prefix("x-oss-")
        || has_prefix("x-forwarded-")
}

/// The error for a `Connection` field that names a protected field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtectedFieldNamed;

/// The hop-by-hop fields of a header map. Each entry of [`HOP_BY_HOP`] has one bit.
#[derive(Clone, Copy)]
struct Present(u16);

/// Whether the field `name` describes the client. Such fields are removed: OSS does not use them, a
/// forged value must not look genuine, and a genuine value is private.
fn is_about_client(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded-") || name == "x-real-ip" || name == "forwarded"
}

impl Present {
    /// Returns the hop-by-hop fields, and whether `is_other` is true for any other field. Most requests
    /// have no hop-by-hop field, so one loop over the names is cheaper than one lookup for each entry of
    /// [`HOP_BY_HOP`].
    fn in_map(headers: &HeaderMap, is_other: impl Fn(&HeaderName) -> bool) -> (Self, bool) {
        let (mut present, mut has_other) = (0, false);
        for name in headers.keys() {
            if let Some(place) = HOP_BY_HOP.iter().position(|hop| hop == name) {
                present |= 1 << place;
            } else {
                has_other |= is_other(name);
            }
        }
        (Self(present), has_other)
    }

    fn has_connection(self) -> bool {
        self.0 & 1 != 0
    }

    fn remove_from(self, headers: &mut HeaderMap) {
        for (place, name) in HOP_BY_HOP.iter().enumerate() {
            if self.0 & (1 << place) != 0 {
                headers.remove(name);
            }
        }
    }
}

/// Removes the hop-by-hop fields of a request and the fields that describe its client.
///
/// # Errors
///
/// [`ProtectedFieldNamed`] when `Connection` names a field without which the request would have another
/// meaning, such as `Host`. The request must not be forwarded.
pub fn strip_request(headers: &mut HeaderMap) -> Result<(), ProtectedFieldNamed> {
    let (present, describes_client) = Present::in_map(headers, is_about_client);
    if present.has_connection() {
        for name in nominated(headers) {
            if is_protected(name.as_str().as_bytes()) {
                return Err(ProtectedFieldNamed);
            }
            headers.remove(&name);
        }
    }
    present.remove_from(headers);
    if describes_client {
        let names: Vec<HeaderName> = headers
            .keys()
            .filter(|name| is_about_client(name))
            .cloned()
            .collect();
        for name in names {
            headers.remove(name);
        }
    }
    Ok(())
}

/// Removes the hop-by-hop fields of a response. The fields that `Connection` names are also removed,
/// except fields without which the response would have another meaning.
pub fn strip_response(headers: &mut HeaderMap) {
    let (present, _) = Present::in_map(headers, |_| false);
    if present.has_connection() {
        for name in nominated(headers) {
            if !is_protected(name.as_str().as_bytes()) {
                headers.remove(&name);
            }
        }
    }
    present.remove_from(headers);
}

/// Returns the fields that `Connection` names. The options `close` and `keep-alive` are left out, because
/// they are not fields.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|name| name.trim_ascii())
        .filter(|name| {
            !name.eq_ignore_ascii_case(b"close") && !name.eq_ignore_ascii_case(b"keep-alive")
        })
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn hop_by_hop_fields_are_removed_and_all_others_stay() {
        let mut headers = map(&[
            ("connection", "close, X-Custom"),
            ("x-custom", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic eA=="),
            ("x-oss-meta-a", "1"),
        ]);
        assert_eq!(strip_request(&mut headers), Ok(()));
        assert_eq!(headers, map(&[("x-oss-meta-a", "1")]));
    }

    #[test]
    fn fields_about_the_client_are_removed_from_requests_only() {
        let fields = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-clientcert-subjectdn", "cn"),
            ("x-real-ip", "6.6.6.6"),
            ("forwarded", "for=6.6.6.6"),
            ("x-oss-meta-a", "1"),
        ];
        let mut headers = map(&fields);
        assert_eq!(strip_request(&mut headers), Ok(()));
        assert_eq!(headers, map(&[("x-oss-meta-a", "1")]));
        let mut headers = map(&fields);
        strip_response(&mut headers);
        assert_eq!(headers, map(&fields));
    }

    #[test]
    fn a_connection_field_cannot_remove_a_protected_field() {
        for name in [
            "Host",
            "content-length",
            "Authorization",
            "x-oss-date",
            "X-Forwarded-For",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONNECTION, HeaderValue::from_static(name));
            assert_eq!(
                strip_request(&mut headers),
                Err(ProtectedFieldNamed),
                "{name}"
            );
        }
    }
}
