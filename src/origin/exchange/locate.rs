//! Finds the resource that a request is for: a bucket, or the OSS service itself, whose only supported
//! operation is ListBuckets. Does no I/O.

use std::borrow::Cow;
use std::sync::Arc;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::origin::error::Error;
use crate::origin::exchange::rewrite::Rewrite;
use crate::origin::tiers::buckets::{Bucket, BucketTable};
use crate::origin::tiers::group::Tiers;
use crate::oss::addressing::split_query;
use crate::oss::subresource::{is_setting, is_subresource};

/// Query parameters that are allowed in ListBuckets. All other parameters that a V1 signature covers as
/// sub-resources are not allowed.
const PARAMETERS: [&[u8]; 2] = [b"continuation-token", b"security-token"];

/// The settings of a route for ListBuckets, the only supported request to the OSS service itself. Only routes
/// that pass ListBuckets on have these settings.
#[derive(Debug)]
pub(crate) struct Service {
    /// The path that a ListBuckets request must have, decoded and without a final slash. It is the route's
    /// path if the route removes its path, otherwise empty.
    pub(crate) root: Vec<u8>,
    /// The hosts of the endpoints. Their names contain no bucket.
    pub(crate) tiers: Arc<Tiers>,
}

impl Service {
    /// Returns the target that is sent to OSS for a ListBuckets request, or `None` for any other request.
    fn list_buckets<'t>(&self, method: &Method, target: &'t str) -> Option<Cow<'t, str>> {
        let (path, query) = split_query(target);
        let path: Cow<'_, [u8]> = percent_decode_str(path).into();
        let rest = path.strip_prefix(self.root.as_slice())?;
        let is_other = |name: &str| {
            let name: Cow<'_, [u8]> = percent_decode_str(name).into();
            (is_subresource(&*name) && !PARAMETERS.contains(&&*name)) || is_setting(&*name)
        };
        let names = query.unwrap_or_default().split('&');
        let mut names = names.map(|pair| pair.split('=').next().unwrap_or_default());
        if method != Method::GET || !matches!(rest, b"" | b"/") || names.any(is_other) {
            return None;
        }
        if target == "/" || target.starts_with("/?") {
            return Some(Cow::Borrowed(target));
        }
        Some(match query {
            None => Cow::Borrowed("/"),
            Some(query) => Cow::Owned(format!("/?{query}")),
        })
    }
}

/// The resource of a request, and the target that is sent to OSS.
#[derive(Debug)]
pub(super) struct Located<'t> {
    pub(super) bucket: Bucket,
    /// The target that is sent to OSS. It is borrowed if it equals the client's target.
    pub(super) target: Cow<'t, str>,
}

/// Finds the resource of a request with the path and query `target`. `host` is called only if the host name
/// can select the bucket.
///
/// # Errors
///
/// [`Error::NoSuchBucket`] if the route does not serve the bucket; [`Error::NoBucket`] if the request names
/// no bucket, unless it is a ListBuckets request and `service` is given.
pub(super) fn locate<'t>(
    rewrite: &'t Rewrite,
    buckets: &BucketTable,
    service: Option<&Service>,
    method: &Method,
    host: impl FnOnce() -> &'t str,
    target: &'t str,
) -> Result<Located<'t>, Error> {
    match rewrite.map(host, target) {
        Ok(mapped) => Ok(Located {
            bucket: buckets.get(&mapped.bucket).ok_or(Error::NoSuchBucket)?,
            target: mapped.target,
        }),
        Err(Error::NoBucket) => {
            let service = service.ok_or(Error::NoBucket)?;
            let target = service
                .list_buckets(method, target)
                .ok_or(Error::NoBucket)?;
            Ok(Located {
                bucket: Bucket {
                    name: None,
                    tiers: Arc::clone(&service.tiers),
                },
                target,
            })
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::origin::link::host::tests::host;

    #[test]
    fn only_list_buckets_is_an_operation_of_the_service() {
        let service = |root: &str| Service {
            root: root.into(),
            tiers: Arc::new(Tiers::new(
                Arc::new(host("oss.test", None)),
                [],
                Instant::now(),
            )),
        };
        let get = Method::GET;
        for (root, method, target, expected) in [
            ("", &get, "/", Some("/")),
            ("", &get, "/?", Some("/?")),
            (
                "",
                &get,
                "/?prefix=a&max-keys=2",
                Some("/?prefix=a&max-keys=2"),
            ),
            (
                "",
                &get,
                "/?security-token=a&OSSAccessKeyId=b",
                Some("/?security-token=a&OSSAccessKeyId=b"),
            ),
            ("", &Method::HEAD, "/", None),
            ("", &Method::PUT, "/", None),
            ("", &get, "//", None),
            ("", &get, "//bucket/k", None),
            ("", &get, "/bucket", None),
            ("", &get, "/?regions", None),
            ("", &get, "/?%72egions=a", None),
            ("", &get, "/?a=b&publicAccessBlock", None),
            ("/api", &get, "/api", Some("/")),
            ("/api", &get, "/api/", Some("/")),
            ("/api", &get, "/%61pi%2F?prefix=a", Some("/?prefix=a")),
            ("/api", &get, "/", None),
            ("/api", &get, "/apis", None),
        ] {
            let found = service(root).list_buckets(method, target);
            assert_eq!(found.as_deref(), expected, "{method} {target} at {root}");
        }
    }
}
