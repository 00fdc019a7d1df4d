//! Values the tables share: durations, sizes, paths, host and bucket patterns.
//!
//! Reading is strict: a unit is always written, and nothing is guessed. Errors never repeat the text
//! that was read, because it may have been filled in from a secret.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::oss::addressing::is_bucket_name;

/// Why a text is not the value it should be; reads as the end of a sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// Not a duration.
    Duration,
    /// Not a size.
    Size,
    /// Neither a host name nor an address.
    Host,
    /// A `*` that is not the first label of a host.
    Wildcard,
    /// Not the name of a bucket.
    BucketName,
    /// Neither the name of a bucket nor one with a single `*` in it.
    BucketPattern,
    /// The pattern of every bucket there is.
    OpenRelay,
    /// Not a path.
    Path,
    /// A path with bytes a request cannot have.
    Unencoded,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Duration => {
                "is not a duration; write for example \"500ms\", \"30s\", \"2m\", \"1h\""
            }
            Self::Size => "is not a size; write for example \"64KiB\", \"16MiB\"",
            Self::Host => "is not a host name or address; write it without scheme, port and path",
            Self::Wildcard => "is not a host pattern: `*` stands for exactly one first label",
            Self::BucketName => "is not a bucket name: 3 to 63 of `a-z`, `0-9` and `-`",
            Self::BucketPattern => {
                "is not a bucket pattern: one `*` among the characters of a bucket name"
            }
            Self::OpenRelay => {
                "would make this an open relay to every bucket of everybody in the region"
            }
            Self::Path => "is not a path; it begins with `/`",
            Self::Unencoded => "has characters that are percent-encoded in a request",
        })
    }
}

/// Checks that a piece of a path is written as a request carries it (RFC 3986, `pchar` and `/`).
///
/// # Errors
///
/// [`Invalid::Unencoded`].
pub(crate) fn check_encoded(path: &str) -> Result<(), Invalid> {
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
        let is_escape = byte == b'%'
            && (0..2).all(|_| bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit()));
        if !is_plain && !is_escape {
            return Err(Invalid::Unencoded);
        }
    }
    Ok(())
}

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
    /// [`Invalid::Host`] or [`Invalid::Wildcard`].
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let lower = text.to_ascii_lowercase();
        if let Some(suffix) = lower.strip_prefix("*.") {
            return match host_name(suffix) {
                Some(suffix) if suffix.parse::<IpAddr>().is_err() => Ok(Self::Wildcard(suffix)),
                Some(_) | None => Err(Invalid::Wildcard),
            };
        }
        let reason = if lower.contains('*') {
            Invalid::Wildcard
        } else {
            Invalid::Host
        };
        host_name(&lower).map(Self::Exact).ok_or(reason)
    }
}

/// A host name or IP literal in canonical form, without port; `None` when it is neither.
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
    /// [`Invalid::BucketName`], [`Invalid::BucketPattern`] or [`Invalid::OpenRelay`].
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
/// [`Invalid::Duration`].
pub fn parse_duration(text: &str) -> Result<Duration, Invalid> {
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
        _ => return Err(Invalid::Duration),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(millis))
        // A century: far beyond any use, and safe to add to any clock.
        .filter(|millis| *millis <= 3_153_600_000_000)
        .map(Duration::from_millis)
        .ok_or(Invalid::Duration)
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
/// [`Invalid::Size`].
pub fn parse_size(text: &str) -> Result<usize, Invalid> {
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
        _ => return Err(Invalid::Size),
    };
    digits
        .parse::<usize>()
        .ok()
        .and_then(|count| count.checked_mul(factor))
        .ok_or(Invalid::Size)
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
mod tests;
