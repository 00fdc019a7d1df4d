//! Patterns of host names and of bucket names.
//!
//! Errors never contain the text of a pattern, because it may contain an interpolated secret.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Serialize, Serializer};

use crate::config::value::Invalid;
use crate::oss::addressing::is_bucket_name;

/// A host that a route serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// One host in lower case, without a port; may be an IP address.
    Exact(String),
    /// `*.suffix`, stored as `suffix`. The `*` stands for exactly one label.
    Wildcard(String),
}

impl HostPattern {
    /// Parses a host name, an IP address or `*.suffix`.
    ///
    /// # Errors
    ///
    /// [`Invalid::Underscore`] for `_`, [`Invalid::Wildcard`] for an invalid text with a `*`, and
    /// [`Invalid::Host`] for any other invalid text.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let lower = text.to_ascii_lowercase();
        if let Some(suffix) = lower.strip_prefix("*.") {
            return match host_name(suffix) {
                Some(suffix) if suffix.parse::<IpAddr>().is_err() => Ok(Self::Wildcard(suffix)),
                Some(_) | None => Err(Invalid::Wildcard),
            };
        }
        if lower == "_" {
            return Err(Invalid::Underscore);
        }
        let reason = if lower.contains('*') {
            Invalid::Wildcard
        } else {
            Invalid::Host
        };
        host_name(&lower).map(Self::Exact).ok_or(reason)
    }
}

/// Returns `text`, a host name or an IP address, in canonical form. Returns `None` for any other text, and
/// for a host with a port.
pub(crate) fn host_name(text: &str) -> Option<String> {
    if let Some(inside) = text.strip_prefix('[') {
        let ip: Ipv6Addr = inside.strip_suffix(']')?.parse().ok()?;
        return Some(ip.to_string());
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_string());
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    (name.len() <= 253
        && name.split('.').all(is_label)
        && !name.rsplit('.').next().is_some_and(is_number))
    .then(|| name.to_ascii_lowercase())
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

impl Serialize for HostPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A bucket, or a pattern of bucket names with one `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BucketPattern {
    /// One bucket.
    Exact(String),
    /// Every bucket whose name begins with `prefix` and ends with `suffix`.
    Glob {
        /// The text before the `*`.
        prefix: String,
        /// The text after the `*`.
        suffix: String,
    },
}

impl BucketPattern {
    /// Parses a bucket name, or a pattern with one `*`.
    ///
    /// # Errors
    ///
    /// - [`Invalid::BucketName`] for a text without `*` that is not a bucket name
    /// - [`Invalid::BucketPattern`] for a text with `*` that is not a valid pattern
    /// - [`Invalid::OpenRelay`] for a lone `*`
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let Some((prefix, suffix)) = text.split_once('*') else {
            return if is_bucket_name(text) {
                Ok(Self::Exact(text.to_owned()))
            } else {
                Err(Invalid::BucketName)
            };
        };
        if prefix.is_empty() && suffix.is_empty() {
            return Err(Invalid::OpenRelay);
        }
        let is_part = |part: &str| {
            part.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
            })
        };
        if suffix.contains('*') || !is_part(prefix) || !is_part(suffix) {
            return Err(Invalid::BucketPattern);
        }
        Ok(Self::Glob {
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
        })
    }

    /// Whether `name` matches. A pattern with `*` matches only valid bucket names.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(bucket) => bucket == name,
            Self::Glob { prefix, suffix } => {
                name.len() > prefix.len() + suffix.len()
                    && name.starts_with(prefix.as_str())
                    && name.ends_with(suffix.as_str())
                    && is_bucket_name(name)
            }
        }
    }
}

impl fmt::Display for BucketPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(bucket) => f.write_str(bucket),
            Self::Glob { prefix, suffix } => write!(f, "{prefix}*{suffix}"),
        }
    }
}

impl Serialize for BucketPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_pattern_has_one_star_and_matches_bucket_names() {
        let team = BucketPattern::parse("team-*").unwrap();
        assert!(team.matches("team-a"));
        for name in [
            "team-",
            "teams-a",
            "team-A",
            "team-a.evil",
            "xteam-a",
            "team-a/",
        ] {
            assert!(!team.matches(name), "{name}");
        }
        for text in ["*", "a*b*c", "Team-*", "ab", "a.b", "team/*"] {
            assert!(BucketPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_pattern_is_a_host_or_has_a_star_as_first_label() {
        assert_eq!(
            HostPattern::parse("Img.Example.com").unwrap(),
            HostPattern::Exact("img.example.com".into())
        );
        assert_eq!(
            HostPattern::parse("*.a.b").unwrap(),
            HostPattern::Wildcard("a.b".into())
        );
        assert_eq!(
            HostPattern::parse("[::1]").unwrap(),
            HostPattern::Exact("::1".into())
        );
        for text in [
            "",
            "*",
            "_",
            "*.1.2.3.4",
            "[1.2.3.4]",
            "a:80",
            "http://a",
            "a/b",
            "*.*.a",
            "a.*.b",
            "a..b",
            "user@a",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
