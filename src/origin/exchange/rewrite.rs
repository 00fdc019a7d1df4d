//! Determines the bucket of a request and the target that is sent to OSS. No I/O.
//!
//! The module implements path style, virtual-host style and requests to a bare IP address. It returns only
//! buckets that the config permits. The bytes of path and query are unchanged, except that the route's path
//! may be removed at the front and a prefix may be added.

use std::borrow::Cow;
use std::fmt;

use crate::config::{Addressing, BucketPattern, Buckets};
use crate::origin::error::Error;
use crate::oss::addressing::{PathRest, is_bucket_name, label_before, split_path_style};

/// The rewriting rules of a route.
#[derive(Clone, Debug)]
pub(crate) struct Rewrite {
    /// The buckets that the route serves.
    pub(crate) buckets: Buckets,
    /// The suffixes of the route's wildcard hosts: `oss.example.com` for `*.oss.example.com`.
    pub(crate) suffixes: Vec<String>,
    /// The addressing style of the target that is sent to OSS.
    pub(crate) addressing: Addressing,
    /// The prefix that is added to every key; may be empty.
    pub(crate) prefix: String,
    /// The route's path, if it is removed from the target.
    pub(crate) strip: Option<String>,
}

/// The rewritten request: its bucket and target.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mapped<'a> {
    /// The bucket of the request.
    pub(crate) bucket: Cow<'a, str>,
    /// The path and query for OSS; borrowed if they equal the client's.
    pub(crate) target: Cow<'a, str>,
}

/// The destination to which a request would be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The bucket of the request. `None` stands for the service itself.
    pub bucket: Option<String>,
    /// The host name of the endpoint.
    pub endpoint: String,
    /// The `Host` header that is sent to OSS.
    pub host: String,
    /// The path and query that are sent to OSS.
    pub target: String,
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
        let target = match &self.strip {
            None => target,
            Some(path) => {
                let path = path.strip_suffix('/').unwrap_or(path);
                target.strip_prefix(path).unwrap_or(target)
            }
        };
        let target = if target.starts_with('/') {
            Cow::Borrowed(target)
        } else {
            Cow::Owned(format!("/{target}"))
        };
        let (bucket, target) = match &self.buckets {
            Buckets::One(bucket) => (Cow::Borrowed(bucket.as_str()), target),
            Buckets::Many(patterns) => self.choose(patterns, host(), target)?,
        };
        let target = if self.prefix.is_empty() {
            target
        } else {
            Cow::Owned(format!(
                "/{}{}",
                self.prefix,
                target.strip_prefix('/').unwrap_or(&target)
            ))
        };
        let target = match self.addressing {
            Addressing::VirtualHost => target,
            Addressing::Path => Cow::Owned(format!("/{bucket}{target}")),
        };
        Ok(Mapped { bucket, target })
    }

    /// Returns the path at which a client reaches the OSS path `location`, or `None` if no client path
    /// leads there. This is the inverse of [`Rewrite::map`] for the response to a request for `received`.
    #[must_use]
    pub(crate) fn unmap(&self, bucket: &str, location: &str, received: &str) -> Option<String> {
        let rest = match self.addressing {
            Addressing::VirtualHost => location,
            Addressing::Path => location.strip_prefix('/')?.strip_prefix(bucket)?,
        };
        let key = rest.strip_prefix('/')?.strip_prefix(self.prefix.as_str())?;
        let front = self.strip.as_deref().unwrap_or("/").trim_end_matches('/');
        // In path style the client's path begins with the bucket.
        let inside = received.strip_prefix(front)?.strip_prefix('/')?;
        let is_in_path = matches!(self.buckets, Buckets::Many(_))
            && inside
                .strip_prefix(bucket)
                .is_some_and(|after| after.is_empty() || after.starts_with(['/', '?']));
        Some(if is_in_path {
            format!("{front}/{bucket}/{key}")
        } else {
            format!("{front}/{key}")
        })
    }

    fn choose<'a>(
        &self,
        patterns: &[BucketPattern],
        host: &'a str,
        target: Cow<'a, str>,
    ) -> Result<(Cow<'a, str>, Cow<'a, str>), Error> {
        let label = self
            .suffixes
            .iter()
            .find_map(|suffix| label_before(host, suffix));
        if let Some(label) = label {
            let bucket = if label.bytes().any(|byte| byte.is_ascii_uppercase()) {
                Cow::Owned(label.to_ascii_lowercase())
            } else {
                Cow::Borrowed(label)
            };
            return if is_served(patterns, &bucket) {
                Ok((bucket, target))
            } else {
                Err(Error::NoSuchBucket)
            };
        }
        // The rest must outlive `target`, which is owned only if a slash had to be added after the strip.
        let (bucket, rest) = match target {
            Cow::Borrowed(target) => {
                let (bucket, rest) = split_path_style(target).ok_or(Error::NoBucket)?;
                let rest = match rest {
                    PathRest::Piece(rest) => Cow::Borrowed(rest),
                    PathRest::Root { query } => Cow::Owned(format!("/{query}")),
                };
                (Cow::Borrowed(bucket), rest)
            }
            Cow::Owned(target) => {
                let (bucket, rest) = split_path_style(&target).ok_or(Error::NoBucket)?;
                let rest = match rest {
                    PathRest::Piece(rest) => rest.to_owned(),
                    PathRest::Root { query } => format!("/{query}"),
                };
                (Cow::Owned(bucket.to_owned()), Cow::Owned(rest))
            }
        };
        if is_served(patterns, &bucket) {
            Ok((bucket, rest))
        } else {
            Err(Error::NoSuchBucket)
        }
    }
}

fn is_served(patterns: &[BucketPattern], bucket: &str) -> bool {
    is_bucket_name(bucket) && patterns.iter().any(|pattern| pattern.matches(bucket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single() -> Rewrite {
        Rewrite {
            buckets: Buckets::One("examplebucket".into()),
            suffixes: Vec::new(),
            addressing: Addressing::VirtualHost,
            prefix: String::new(),
            strip: None,
        }
    }

    fn gateway() -> Rewrite {
        Rewrite {
            buckets: Buckets::Many(vec![
                BucketPattern::Exact("examplebucket".into()),
                BucketPattern::Glob {
                    prefix: "team-".into(),
                    suffix: String::new(),
                },
            ]),
            suffixes: vec!["proxy.example.com".into()],
            ..single()
        }
    }

    const IP: &str = "203.0.113.7";

    fn mapped(
        rewrite: &Rewrite,
        host: &str,
        target: &str,
    ) -> Result<(String, String), &'static str> {
        rewrite
            .map(|| host, target)
            .map(|mapped| (mapped.bucket.into_owned(), mapped.target.into_owned()))
            .map_err(|error| error.kind())
    }

    /// The cases of the rewriting table in the OSS documentation. Row 12 is omitted: rows 11 and 12 (a
    /// bound domain) equal row 1 here, because the domain only changes the `Host` that is sent to OSS.
    #[test]
    fn every_style_leads_to_the_bucket_and_keeps_the_bytes() {
        let ok = |bucket: &str, target: &str| Ok((bucket.to_owned(), target.to_owned()));
        let eb = "examplebucket";
        for (row, rewrite, host, target, expected) in [
            (1, single(), IP, "/a/b.jpg", ok(eb, "/a/b.jpg")),
            (
                2,
                gateway(),
                IP,
                "/examplebucket/a/b.jpg",
                ok(eb, "/a/b.jpg"),
            ),
            (3, gateway(), IP, "/examplebucket/", ok(eb, "/")),
            (4, gateway(), IP, "/examplebucket", ok(eb, "/")),
            (5, gateway(), IP, "/", Err("no_bucket")),
            (
                6,
                single(),
                IP,
                "/examplebucket%2Fa.jpg",
                ok(eb, "/examplebucket%2Fa.jpg"),
            ),
            (7, single(), IP, "/a//b/../c", ok(eb, "/a//b/../c")),
            (
                7,
                gateway(),
                IP,
                "/examplebucket/a//b/../c",
                ok(eb, "/a//b/../c"),
            ),
            (8, single(), IP, "/a%2Fb", ok(eb, "/a%2Fb")),
            (9, gateway(), IP, "/other/a.jpg", Err("no_such_bucket")),
            (
                10,
                gateway(),
                "examplebucket.proxy.example.com",
                "/k",
                ok(eb, "/k"),
            ),
            (11, single(), "img.example.com", "/k", ok(eb, "/k")),
            (
                13,
                Rewrite {
                    addressing: Addressing::Path,
                    ..single()
                },
                IP,
                "/k",
                ok(eb, "/examplebucket/k"),
            ),
        ] {
            assert_eq!(mapped(&rewrite, host, target), expected, "row {row}");
        }
    }

    #[test]
    fn queries_and_patterns_are_kept_and_matched() {
        assert_eq!(
            mapped(&gateway(), IP, "/examplebucket?uploads"),
            Ok(("examplebucket".into(), "/?uploads".into()))
        );
        assert_eq!(
            mapped(&gateway(), IP, "/team-a/k?x=/y"),
            Ok(("team-a".into(), "/k?x=/y".into()))
        );
        assert_eq!(
            mapped(&gateway(), "EXAMPLEBUCKET.proxy.example.com", "/k"),
            Ok(("examplebucket".into(), "/k".into()))
        );
    }

    #[test]
    fn a_location_of_oss_becomes_the_path_that_the_client_uses() {
        let site = Rewrite {
            prefix: "site/".into(),
            strip: Some("/img/".into()),
            ..single()
        };
        let by_path = Rewrite {
            addressing: Addressing::Path,
            ..single()
        };
        for (rewrite, location, asked, expected) in [
            (single(), "/docs/?x", "/docs", Some("/docs/?x")),
            (site.clone(), "/site/docs/", "/img/docs", Some("/img/docs/")),
            (site, "/other/docs/", "/img/docs", None),
            (by_path, "/examplebucket/docs/", "/docs", Some("/docs/")),
            (
                gateway(),
                "/docs/",
                "/examplebucket/docs",
                Some("/examplebucket/docs/"),
            ),
            (gateway(), "/docs/", "/docs", Some("/docs/")),
        ] {
            let found = rewrite.unmap("examplebucket", location, asked);
            assert_eq!(found.as_deref(), expected, "{location} for {asked}");
        }
    }

    #[test]
    fn no_path_or_label_leads_to_another_host() {
        for target in [
            "/evil@host/k",
            "/team-a:80/k",
            "/../k",
            "/team-%00/k",
            "/team-a%2e/k",
            "/TEAM-A/k",
            "/team-a.evil.com/k",
            "//examplebucket/k",
            "/team-a#/k",
            "/./examplebucket/k",
        ] {
            assert!(mapped(&gateway(), IP, target).is_err(), "{target}");
        }
        for host in [
            "a.b.proxy.example.com",
            "evil.proxy.example.com",
            ".proxy.example.com",
        ] {
            assert!(mapped(&gateway(), host, "/k").is_err(), "{host}");
        }
    }

    #[test]
    fn prefix_and_strip_change_the_front_only() {
        let rewrite = Rewrite {
            prefix: "site/".into(),
            strip: Some("/img/".into()),
            ..single()
        };
        assert_eq!(
            mapped(&rewrite, IP, "/img/a//b?x"),
            Ok(("examplebucket".into(), "/site/a//b?x".into()))
        );
        assert_eq!(
            mapped(&rewrite, IP, "/img"),
            Ok(("examplebucket".into(), "/site/".into()))
        );
    }
}
