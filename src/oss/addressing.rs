//! Finds the bucket and the object that a request names. The bucket may be in the host (virtual-host style)
//! or in the path (path style, also for requests by IP address).
//!
//! A target is split at its decoded bytes (see [`spelling`]). The parts are returned as the client wrote them,
//! because a signature may cover them. Nothing is collapsed or re-encoded: `..` and `//` are
//! ordinary parts of a key. A bucket name is only compared with configured names, so no path can lead to a
//! host that the config does not name.

use std::borrow::Cow;

use memchr::memchr;

use crate::oss::spelling;

/// Whether `name` can be the name of a bucket: 3 to 63 characters of `a-z 0-9 -`, of which the first and
/// the last are not `-`. Some old buckets have a `_` in the middle, which is also accepted.
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

/// Returns the label of a host that consists of one label and `.suffix`. Returns `None` for any other host.
/// ASCII case is ignored.
#[must_use]
pub fn label_before<'a>(host: &'a str, suffix: &str) -> Option<&'a str> {
    let dot = host.len().checked_sub(suffix.len() + 1)?;
    let (label, rest) = host.split_at_checked(dot)?;
    let rest = rest.strip_prefix('.')?;
    (rest.eq_ignore_ascii_case(suffix) && !label.is_empty() && !label.contains('.'))
        .then_some(label)
}

/// Splits a target, or a key that is followed by the query, at its first `?`.
#[must_use]
pub fn split_query(text: &str) -> (&str, Option<&str>) {
    let split = memchr(b'?', text.as_bytes()).and_then(|at| text.split_at_checked(at));
    match split {
        Some((path, query)) => (path, query.strip_prefix('?')),
        None => (text, None),
    }
}

/// The position of the key in the requests of a route, and the prefix that is added before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The path of the route, if it is not a part of the key: percent-decoded and without a slash at its end.
    /// Otherwise empty.
    pub strip: Box<[u8]>,
    /// The suffixes of the hosts whose first label is the bucket. A request to another host names the bucket
    /// in its path. `None` when the route has only one bucket, which the request does not name.
    pub suffixes: Option<Vec<String>>,
    /// The prefix that the route adds before each key, percent-encoded. May be empty.
    pub prefix: String,
}

/// The kind of resource that a request is for, from the point of view of OSS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The service itself: the request names no bucket.
    Service,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
}

/// The part of a request that names its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBucket<'t> {
    /// The request does not name the bucket, because the route has only one.
    OfRoute,
    /// The first label of the host names the bucket. The label is as received.
    Label(&'t str),
    /// The first segment of the path names the bucket. The segment is as received.
    Segment(&'t str),
}

impl<'t> NamedBucket<'t> {
    /// Returns the bucket that the request names: a label in lower case, a segment decoded. Returns
    /// `None` when the request names no bucket. The name is not checked.
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
                // Bytes that are not UTF-8 cannot be the name of a bucket. The segment as received is
                // returned, which cannot be one either.
                Cow::Owned(name) => {
                    String::from_utf8(name).map_or(Cow::Borrowed(segment), Cow::Owned)
                }
            }),
        }
    }
}

/// A target split into its parts. The target is `front`, `key` and `query` joined in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'t> {
    /// The text before the key: the path of the route and the bucket, if the target has them. It ends in
    /// a slash, written as `/` or `%2F`, unless the target ends before that slash.
    pub front: &'t str,
    /// The key as received, without a leading slash and without the prefix of the route.
    pub key: &'t str,
    /// The query as received: empty, or beginning with `?`.
    pub query: &'t str,
    /// The bucket.
    pub bucket: NamedBucket<'t>,
}

impl Layout {
    /// Splits the path and query `target` into its parts. Returns `None` when the route has several buckets
    /// and the request names no bucket: the request is then for the service itself. `host` returns the host
    /// without a port. It is called only if the host can name the bucket.
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

    /// Returns the kind of resource that a request with these parts is for. If the layout has a prefix, even
    /// an empty key belongs to an object: with the prefix `site/`, a request for `/` is for the object
    /// `site/`.
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
