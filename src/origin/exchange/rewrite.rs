//! Which bucket a request is for, and the target that OSS is sent. Pure.
//!
//! The rules are those of path style, virtual-host style and bare IP. A bucket is always one that the
//! config permits. Path and query stay the bytes of the client, apart from the route's path and the
//! bucket, which may be removed in front, and a prefix, which may be added. What is removed is found in
//! what OSS reads, so it may be spelled in any way; what OSS is sent begins with a `/` that is no escape.

use std::borrow::Cow;
use std::fmt;

use crate::config::{Addressing, BucketPattern, Buckets};
use crate::origin::error::Error;
use crate::oss::addressing::{Layout, NamedBucket, is_bucket_name};
use crate::oss::spelling;

/// How a route's requests are rewritten.
#[derive(Clone, Debug)]
pub(crate) struct Rewrite {
    /// The buckets that the route serves.
    pub(crate) buckets: Buckets,
    /// The style of the target that OSS is sent.
    pub(crate) addressing: Addressing,
    /// Where bucket and key are in a request.
    pub(crate) layout: Layout,
}

/// The bucket and the target of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mapped<'a> {
    /// The bucket.
    pub(crate) bucket: Cow<'a, str>,
    /// Path and query for OSS; borrowed when they are those of the client.
    pub(crate) target: Cow<'a, str>,
}

/// Where a request would be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The bucket.
    pub bucket: String,
    /// The name of the endpoint's host.
    pub endpoint: String,
    /// The `Host` that OSS is sent.
    pub host: String,
    /// Path and query that OSS is sent.
    pub target: String,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "bucket `{}` at {}: {} with Host {}",
            self.bucket, self.endpoint, self.target, self.host
        )
    }
}

impl Rewrite {
    /// Maps a request with path and query `target`. `host` returns its host without port; it is called
    /// only where the host can name the bucket.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchBucket`] for a bucket the route does not serve, [`Error::NoBucket`] when the
    /// request names none.
    pub(crate) fn map<'a>(
        &'a self,
        host: impl FnOnce() -> &'a str,
        target: &'a str,
    ) -> Result<Mapped<'a>, Error> {
        let parts = self.layout.split(host, target).ok_or(Error::NoBucket)?;
        let bucket = match &self.buckets {
            Buckets::One(bucket) => Cow::Borrowed(bucket.as_str()),
            Buckets::Many(patterns) => {
                let named = parts.bucket.name().ok_or(Error::NoBucket)?;
                if !is_served(patterns, &named) {
                    return Err(Error::NoSuchBucket);
                }
                named
            }
        };
        let is_virtual_host = self.addressing == Addressing::VirtualHost;
        let prefix = &self.layout.prefix;
        let target = if is_virtual_host && prefix.is_empty() && parts.front.ends_with('/') {
            // The usual case: the slash before the key is the client's.
            Cow::Borrowed(target.get(parts.front.len() - 1..).unwrap_or(target))
        } else {
            let bucket = if is_virtual_host { "" } else { &*bucket };
            let slash = if is_virtual_host { "" } else { "/" };
            let (key, query) = (parts.key, parts.query);
            Cow::Owned([slash, bucket, "/", prefix, key, query].concat())
        };
        Ok(Mapped { bucket, target })
    }

    /// Returns the path at which a client reaches the path `location` of OSS: the inverse of
    /// [`Rewrite::map`], for an answer to a request for `received`. `None` when the client cannot reach
    /// it.
    #[must_use]
    pub(crate) fn unmap(&self, bucket: &str, location: &str, received: &str) -> Option<String> {
        let rest = match self.addressing {
            Addressing::VirtualHost => location,
            Addressing::Path => location.strip_prefix('/')?.strip_prefix(bucket)?,
        };
        let prefix = spelling::decode(&self.layout.prefix);
        let key = spelling::strip_prefix(rest.strip_prefix('/')?, &prefix)?;
        // Not the route's path: a request without it is not for this route.
        let inside = spelling::strip_prefix(received, &self.layout.strip)?;
        let front = received.get(..received.len() - inside.len())?;
        // In path style the path of the client begins with the bucket. The host is not looked at: a key
        // of virtual-host style may begin with the name of its bucket as well, which is rare.
        let is_in_path = matches!(self.buckets, Buckets::Many(_))
            && (self.layout.split(|| "", received)).is_some_and(|parts| {
                matches!(parts.bucket, NamedBucket::Segment(_))
                    && parts.bucket.name().as_deref() == Some(bucket)
            });
        Some(if is_in_path {
            format!("{front}/{bucket}/{key}")
        } else {
            format!("{front}/{key}")
        })
    }
}

fn is_served(patterns: &[BucketPattern], bucket: &str) -> bool {
    is_bucket_name(bucket) && patterns.iter().any(|pattern| pattern.matches(bucket))
}

#[cfg(test)]
mod tests;
