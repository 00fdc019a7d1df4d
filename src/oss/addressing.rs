//! How a request names a bucket and an object: virtual-host, path and bare-IP style.
//!
//! The parts of a target are found in what OSS reads (see [`spelling`]), and returned as the client spells
//! them, because a signature covers them. Nothing is collapsed or re-encoded: `..` and `//` are ordinary
//! parts of a key. A bucket name is only compared with configured names, so no path can lead to a host
//! that the config does not name.

use std::borrow::Cow;

use memchr::memchr;

use crate::oss::spelling;

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

/// Where the key begins in the requests of a route, and what is put in front of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The path prefix that belongs to the route and not to the key, as OSS reads it and without a slash
    /// at its end. Empty: none.
    pub strip: Box<[u8]>,
    /// Suffixes of the hosts whose first label is the bucket. Absent: the route has one bucket, which the
    /// request does not name.
    pub suffixes: Option<Vec<String>>,
    /// What the route puts in front of each key, percent-encoded. May be empty.
    pub prefix: String,
}

/// What a request is for, as OSS reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The service: the request names no bucket.
    Service,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
}

/// Where a request names its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBucket<'t> {
    /// Nowhere: the route has one bucket.
    OfRoute,
    /// In the first label of its host, as received.
    Label(&'t str),
    /// In the first segment of its path, as received.
    Segment(&'t str),
}

impl<'t> NamedBucket<'t> {
    /// Returns the bucket that the request names: a label in lower case, a segment decoded. `None` when it
    /// names none. The name is not checked.
    #[must_use]
    pub fn name(self) -> Option<Cow<'t, str>> {
        match self {
            Self::OfRoute => None,
            Self::Label(label) if label.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Some(Cow::Owned(label.to_ascii_lowercase()))
            }
            Self::Label(label) => Some(Cow::Borrowed(label)),
            Self::Segment(segment) => Some(match spelling::decode(segment) {
                Cow::Borrowed(_) => Cow::Borrowed(segment),
                // Bytes that are no text are no name of a bucket, and neither is the spelling.
                Cow::Owned(name) => {
                    String::from_utf8(name).map_or(Cow::Borrowed(segment), Cow::Owned)
                }
            }),
        }
    }
}

/// A target in its parts. Joined in this order, `front`, `key` and `query` are the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'t> {
    /// The text before the key: the path of the route and the bucket, where the target has them. Ends in
    /// a slash, written as `/` or `%2F`, unless the target ends before it.
    pub front: &'t str,
    /// The key as received, without a slash in front, and without the prefix of the route.
    pub key: &'t str,
    /// The query as received: empty, or beginning with `?`.
    pub query: &'t str,
    /// The bucket.
    pub bucket: NamedBucket<'t>,
}

impl Layout {
    /// Splits the path and query `target` into its parts. `None` means that the request names no bucket
    /// and is for the service itself. `host` (without port) is called only where the host can name the
    /// bucket.
    #[must_use]
    pub fn split<'t>(&self, host: impl FnOnce() -> &'t str, target: &'t str) -> Option<Parts<'t>> {
        let (path, _) = split_query(target);
        let query = target.get(path.len()..).unwrap_or_default();
        let stripped = if self.strip.is_empty() {
            path
        } else {
            spelling::strip_prefix(path, &self.strip).unwrap_or(path)
        };
        let mut key = match stripped.strip_prefix('/') {
            Some(key) => key,
            None => spelling::strip_prefix(stripped, b"/").unwrap_or(stripped),
        };
        let bucket = match &self.suffixes {
            None => NamedBucket::OfRoute,
            Some(suffixes) => {
                let host = if suffixes.is_empty() { "" } else { host() };
                let label = suffixes
                    .iter()
                    .find_map(|suffix| label_before(host, suffix));
                if let Some(label) = label {
                    NamedBucket::Label(label)
                } else {
                    let (segment, after) = spelling::split_segment(key);
                    if segment.is_empty() {
                        return None;
                    }
                    key = after.unwrap_or_default();
                    NamedBucket::Segment(segment)
                }
            }
        };
        Some(Parts {
            front: path.get(..path.len() - key.len()).unwrap_or_default(),
            key,
            query,
            bucket,
        })
    }

    /// Returns what a request with these parts is for. A prefix makes every key one of an object: OSS
    /// reads `/` as the object `site/` where the prefix is `site/`.
    #[must_use]
    pub fn level(&self, parts: Option<&Parts<'_>>) -> Level {
        match parts {
            None => Level::Service,
            Some(parts) if parts.key.is_empty() && self.prefix.is_empty() => Level::Bucket,
            Some(_) => Level::Object,
        }
    }
}

#[cfg(test)]
mod tests;
