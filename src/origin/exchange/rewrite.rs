//! Determines the bucket of a request and the target that is sent to OSS. Does no I/O.
//!
//! The module implements path style, virtual-host style and requests to a bare IP address. It returns only
//! buckets that the config permits. At the front of the path, the route's path and the bucket may be removed,
//! and a prefix may be added. All other bytes of path and query are unchanged. The part to remove is compared
//! in decoded form, so clients may percent-encode it in any way. The target for OSS always begins with a
//! literal `/`, not with `%2F`.

use std::borrow::Cow;
use std::fmt;

use crate::config::{Addressing, BucketPattern, Buckets};
use crate::http::signing::Admission;
use crate::origin::error::Error;
use crate::oss::addressing::{Layout, NamedBucket, is_bucket_name};
use crate::oss::spelling;

/// The rewriting rules of a route.
#[derive(Clone, Debug)]
pub(crate) struct Rewrite {
    /// The buckets that the route serves.
    pub(crate) buckets: Buckets,
    /// The addressing style of the target that is sent to OSS.
    pub(crate) addressing: Addressing,
    /// The positions of bucket and key in a request.
    pub(crate) layout: Layout,
}

/// The rewritten request: its bucket and target.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mapped<'a> {
    /// The bucket of the request.
    pub(crate) bucket: Cow<'a, str>,
    /// The path and query that are sent to OSS. They are borrowed if they equal a part of the client's
    /// target.
    pub(crate) target: Cow<'a, str>,
}

/// The destination to which a request would be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The bucket of the request, or `None` for ListBuckets.
    pub bucket: Option<String>,
    /// The host name of the endpoint.
    pub endpoint: String,
    /// The `Host` header that is sent to OSS.
    pub host: String,
    /// The path and query that are sent to OSS.
    pub target: String,
    /// Whether the proxy signs the request. `None` if it has no credentials.
    pub admission: Option<Admission>,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.bucket {
            Some(bucket) => write!(f, "bucket `{bucket}`")?,
            None => f.write_str("ListBuckets")?,
        }
        write!(
            f,
            " at {}: {} with Host {}",
            self.endpoint, self.target, self.host
        )
    }
}

impl Rewrite {
    /// Maps a request with the path and query `target`. `host` returns the request's host name without the
    /// port. It is called only if the host name can select the bucket.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchBucket`] if the route does not serve the bucket, [`Error::NoBucket`] if the request
    /// names none.
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
            // The usual case: the slash that the client sent before the key becomes the first byte of the
            // target.
            Cow::Borrowed(target.get(parts.front.len() - 1..).unwrap_or(target))
        } else {
            let bucket = if is_virtual_host { "" } else { &*bucket };
            let slash = if is_virtual_host { "" } else { "/" };
            let (key, query) = (parts.key, parts.query);
            Cow::Owned([slash, bucket, "/", prefix, key, query].concat())
        };
        Ok(Mapped { bucket, target })
    }

    /// Returns the path at which a client reaches the OSS path `location`, or `None` if no client path leads
    /// there. This function is the inverse of [`Rewrite::map`]. `received` is the path and query of the
    /// request to which OSS responded.
    #[must_use]
    pub(crate) fn unmap<'a>(
        &self,
        bucket: &str,
        location: &str,
        host: impl FnOnce() -> &'a str,
        received: &'a str,
    ) -> Option<String> {
        let rest = match self.addressing {
            Addressing::VirtualHost => location,
            Addressing::Path => location.strip_prefix('/')?.strip_prefix(bucket)?,
        };
        let prefix = spelling::decode(&self.layout.prefix);
        let key = spelling::strip_prefix(rest.strip_prefix('/')?, &prefix)?;
        let inside = spelling::strip_prefix(received, &self.layout.strip)?;
        let front = received.get(..received.len() - inside.len())?;
        Some(match self.layout.split(host, received)?.bucket {
            NamedBucket::Segment(_) => format!("{front}/{bucket}/{key}"),
            NamedBucket::OfRoute | NamedBucket::Label(_) => format!("{front}/{key}"),
        })
    }
}

fn is_served(patterns: &[BucketPattern], bucket: &str) -> bool {
    is_bucket_name(bucket) && patterns.iter().any(|pattern| pattern.matches(bucket))
}

#[cfg(test)]
mod tests;
