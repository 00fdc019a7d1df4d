//! How a request names a bucket and an object: virtual-host, path and bare-IP style.
//!
//! Paths stay the bytes that the client sent. Nothing is decoded, collapsed or re-encoded: `..`, `//` and
//! `%2F` are ordinary parts of a key, and a signature covers them. A bucket name is only compared with
//! configured names, so no path can lead to a host that the config does not name.

use memchr::memchr;

/// Whether `name` can be the name of a bucket: 3 to 63 characters of `a-z 0-9 -`, the first and the last
/// not `-`. Some old buckets have a `_` inside, which is accepted as well.
#[must_use]
pub fn is_bucket_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let is_end = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (3..=63).contains(&bytes.len())
        && bytes.first().is_some_and(is_end)
        && bytes.last().is_some_and(is_end)
        && bytes
            .iter()
            .all(|byte| is_end(byte) || matches!(byte, b'-' | b'_'))
}

/// Splits a path-style target into its first segment, the bucket, and the rest. Returns `None` when there
/// is no first segment: such a target names the service itself.
///
/// `/b/k?x` gives `b` and the piece `/k?x`; `/b/` gives `b` and the piece `/`. `/b` gives `b` and the root
/// with an empty query; `/b?x` gives `b` and the root with the query `?x`.
#[must_use]
pub fn split_path_style(target: &str) -> Option<(&str, PathRest<'_>)> {
    let inside = target.strip_prefix('/')?;
    let end = inside.find(['/', '?']).unwrap_or(inside.len());
    let (bucket, rest) = inside.split_at_checked(end)?;
    if bucket.is_empty() {
        return None;
    }
    Some((
        bucket,
        if rest.starts_with('/') {
            PathRest::Piece(rest)
        } else {
            PathRest::Root { query: rest }
        },
    ))
}

/// The rest of a path-style target, after the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathRest<'a> {
    /// A piece of the target that begins with `/`, as received.
    Piece(&'a str),
    /// The bucket itself, without a slash after it.
    Root {
        /// The query as received: empty, or beginning with `?`.
        query: &'a str,
    },
}

/// Returns the label before `.suffix` in `host`, compared without case. `None` unless there is exactly one
/// label.
#[must_use]
pub fn label_before<'a>(host: &'a str, suffix: &str) -> Option<&'a str> {
    let dot = host.len().checked_sub(suffix.len() + 1)?;
    let (label, rest) = host.split_at_checked(dot)?;
    let rest = rest.strip_prefix('.')?;
    (rest.eq_ignore_ascii_case(suffix) && !label.is_empty() && !label.contains('.'))
        .then_some(label)
}

/// Splits a target, or a key with the query behind it, at its first `?`.
#[must_use]
pub fn split_query(text: &str) -> (&str, Option<&str>) {
    let split = memchr(b'?', text.as_bytes()).and_then(|at| text.split_at_checked(at));
    match split {
        Some((path, query)) => (path, query.strip_prefix('?')),
        None => (text, None),
    }
}

/// Where the key begins in the requests of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The path prefix that belongs to the route and not to the key. Absent or `/`: none.
    pub strip: Option<String>,
    /// Suffixes of the hosts whose first label is the bucket. Absent: the route has one bucket, which the
    /// request does not name.
    pub suffixes: Option<Vec<String>>,
}

impl Layout {
    /// Returns the key and the query after it, as received and without the leading `/`. For the bucket
    /// itself the result is empty or begins with `?`. `None` means that the request names no bucket and is
    /// for the service itself. `host` (without port) is called only where the host can name the bucket.
    #[must_use]
    pub fn key<'t, 'h>(&self, host: impl FnOnce() -> &'h str, target: &'t str) -> Option<&'t str> {
        let target = match &self.strip {
            None => target,
            Some(path) => target
                .strip_prefix(path.strip_suffix('/').unwrap_or(path))
                .unwrap_or(target),
        };
        let is_in_path = self.suffixes.as_ref().is_some_and(|all| {
            let host = if all.is_empty() { "" } else { host() };
            !all.iter().any(|one| label_before(host, one).is_some())
        });
        if !is_in_path {
            return Some(target.strip_prefix('/').unwrap_or(target));
        }
        match split_path_style(target)?.1 {
            PathRest::Piece(rest) => rest.strip_prefix('/'),
            PathRest::Root { query } => Some(query),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_begins_after_the_first_question_mark() {
        for (text, expected) in [
            ("/k?a?b", ("/k", Some("a?b"))),
            ("/k?", ("/k", Some(""))),
            ("?acl", ("", Some("acl"))),
            ("/k", ("/k", None)),
            ("", ("", None)),
        ] {
            assert_eq!(split_query(text), expected, "{text}");
        }
    }

    #[test]
    fn the_key_begins_after_the_name_of_the_bucket() {
        let one = Layout::default();
        let many = Layout {
            strip: Some("/oss/".into()),
            suffixes: Some(vec!["gate.cn".into()]),
        };
        for (layout, host, target, key) in [
            (&one, "a.cn", "/k/l?x", Some("k/l?x")),
            (&one, "a.cn", "/", Some("")),
            (&one, "a.cn", "/?acl", Some("?acl")),
            (&one, "a.cn", "//k", Some("/k")),
            (&many, "1.2.3.4", "/oss/abc/k?x", Some("k?x")),
            (&many, "1.2.3.4", "/oss/abc", Some("")),
            (&many, "1.2.3.4", "/oss/abc?acl", Some("?acl")),
            (&many, "1.2.3.4", "/oss/", None),
            (&many, "abc.gate.cn", "/oss/k", Some("k")),
            (&many, "abc.gate.cn", "/oss/", Some("")),
        ] {
            assert_eq!(layout.key(|| host, target), key, "{host}{target}");
        }
    }

    #[test]
    fn bucket_names_have_their_characters_and_length() {
        for name in [
            "abc",
            "examplebucket",
            "a-b-c",
            "old_one",
            "0a0",
            &"a".repeat(63),
            "oss-cn-hangzhou",
        ] {
            assert!(is_bucket_name(name), "{name}");
        }
        for name in [
            "",
            "ab",
            "-ab",
            "ab-",
            "Abc",
            "a.b",
            "a/b",
            "a@b",
            "a:b",
            "a%b",
            "..",
            &"a".repeat(64),
            "a b",
        ] {
            assert!(!is_bucket_name(name), "{name}");
        }
    }

    #[test]
    fn path_style_targets_are_split_without_decoding() {
        use PathRest::{Piece, Root};
        for (target, expected) in [
            ("/b/k?x", Some(("b", Piece("/k?x")))),
            ("/b/", Some(("b", Piece("/")))),
            ("/b", Some(("b", Root { query: "" }))),
            ("/b?x=/y", Some(("b", Root { query: "?x=/y" }))),
            ("/b//k/../l", Some(("b", Piece("//k/../l")))),
            ("/b%2Fk", Some(("b%2Fk", Root { query: "" }))),
            ("/", None),
            ("/?x", None),
            ("//b/k", None),
        ] {
            assert_eq!(split_path_style(target), expected, "{target}");
        }
    }

    #[test]
    fn exactly_one_label_stands_before_a_suffix() {
        assert_eq!(
            label_before("b.oss.example.com", "oss.example.com"),
            Some("b")
        );
        assert_eq!(
            label_before("B.OSS.example.com", "oss.example.com"),
            Some("B")
        );
        for host in [
            "oss.example.com",
            "a.b.oss.example.com",
            ".oss.example.com",
            "boss.example.com",
            "example.com",
        ] {
            assert_eq!(label_before(host, "oss.example.com"), None, "{host}");
        }
    }
}
