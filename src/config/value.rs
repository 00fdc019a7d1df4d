//! Values the tables share: durations, sizes, host and bucket patterns, secrets.
//!
//! Reading is strict: a unit is always written, and nothing is guessed.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::oss::addressing::is_bucket_name;

/// A host a route serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// One host, lower case, without port; may be an IP address.
    Exact(String),
    /// `*.suffix`, kept as `suffix`: exactly one label stands for the `*`.
    Wildcard(String),
}

impl HostPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in one sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(suffix) = lower.strip_prefix("*.") {
            return match host_name(suffix) {
                Some(suffix) => Ok(Self::Wildcard(suffix)),
                None => Err(format!(
                    "`{text}` is not a host pattern: `*` stands for exactly one first label"
                )),
            };
        }
        host_name(&lower).map(Self::Exact).ok_or_else(|| {
            format!(
                "`{text}` is not a host name or address; write it without scheme, port and path"
            )
        })
    }
}

/// A host name or IP literal in canonical form, without port; `None` when it is neither.
pub(crate) fn host_name(text: &str) -> Option<String> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Ok(ip) = bare.unwrap_or(text).parse::<std::net::IpAddr>() {
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
        /// Before the `*`.
        prefix: String,
        /// After the `*`.
        suffix: String,
    },
}

impl BucketPattern {
    /// Reads a name or pattern.
    ///
    /// # Errors
    ///
    /// What is wrong with it and why it matters.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((prefix, suffix)) = text.split_once('*') else {
            return if is_bucket_name(text) {
                Ok(Self::Exact(text.to_owned()))
            } else {
                Err(format!("`{text}` is not a bucket name"))
            };
        };
        if prefix.is_empty() && suffix.is_empty() {
            return Err(
                "a lone `*` would make this an open relay to every bucket of everybody in the region".to_owned(),
            );
        }
        let is_part = |part: &str| {
            part.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
            })
        };
        if suffix.contains('*') || !is_part(prefix) || !is_part(suffix) {
            return Err(format!(
                "`{text}` is not a bucket pattern: one `*` among the characters of a bucket name"
            ));
        }
        Ok(Self::Glob {
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
        })
    }

    /// Whether `name`, which must be a bucket name, is one of them.
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

/// Reads `"30s"`, `"500ms"`, `"2m"`, `"1h"`, `"365d"`, or `"0"`.
///
/// # Errors
///
/// What a duration looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" if digits == "0" => 0,
        _ => {
            return Err(format!(
                "`{text}` is not a duration; write for example \"500ms\", \"30s\", \"2m\", \"1h\""
            ));
        }
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(millis))
        // A century: far beyond any use, and safe to add to any clock.
        .filter(|millis| *millis <= 3_153_600_000_000)
        .map(Duration::from_millis)
        .ok_or_else(|| {
            format!(
                "`{text}` is not a duration; write for example \"500ms\", \"30s\", \"2m\", \"1h\""
            )
        })
}

/// The shortest exact form [`parse_duration`] reads.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, size) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
    ] {
        if millis > 0 && millis.is_multiple_of(size) {
            return format!("{}{unit}", millis / size);
        }
    }
    if millis == 0 {
        "0s".to_owned()
    } else {
        format!("{millis}ms")
    }
}

/// Reads `"64KiB"`, `"64MiB"`, `"1GiB"`, `"512B"`, or `"0"`.
///
/// # Errors
///
/// What a size looks like.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let factor: usize = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "" if digits == "0" => 0,
        _ => 0,
    };
    let is_zero = digits == "0" && unit.is_empty();
    digits
        .parse::<usize>()
        .ok()
        .filter(|_| factor > 0 || is_zero)
        .and_then(|count| count.checked_mul(factor))
        .ok_or_else(|| format!("`{text}` is not a size; write for example \"64KiB\", \"16MiB\""))
}

/// The shortest exact form [`parse_size`] reads.
#[must_use]
pub fn format_size(size: usize) -> String {
    for (unit, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if size > 0 && size.is_multiple_of(factor) {
            return format!("{}{unit}", size / factor);
        }
    }
    format!("{size}B")
}

/// Writes a duration the way the config spells it.
pub(crate) fn serialize_duration<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_duration(*duration))
}

/// Writes a size the way the config spells it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form serde calls")]
pub(crate) fn serialize_size<S: Serializer>(
    size: &usize,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_size(*size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_round_trip() {
        for text in ["500ms", "30s", "2m", "1h", "365d", "1500ms", "0s"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        for text in ["64KiB", "16MiB", "1GiB", "100B", "0B"] {
            assert_eq!(format_size(parse_size(text).unwrap()), text);
        }
        for text in [
            "",
            "30",
            "s",
            "-1s",
            "1.5s",
            "30 s",
            "99999999999999999999s",
            "1w",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        for text in ["", "64", "64KB", "-1KiB", "KiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bucket_patterns() {
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
    fn host_patterns() {
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
            "", "*", "a:80", "http://a", "a/b", "*.*.a", "a.*.b", "a..b", "user@a",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
