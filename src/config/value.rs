//! Values that several tables use: durations, sizes, address ranges and encoded paths.
//!
//! Parsing is strict: a unit must be written, and nothing is guessed. Errors never contain the parsed text,
//! because it may contain an interpolated secret.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::Serializer;

/// The reason why a text is not a valid value. `Display` writes only the predicate of a sentence; the caller
/// writes the text before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// The text is not a duration.
    Duration,
    /// The text is not a size.
    Size,
    /// The text is neither a host name nor an IP address.
    Host,
    /// The text is `_`, which nginx uses for every host.
    Underscore,
    /// The text has a `*`, but is not `*.` followed by a host name.
    Wildcard,
    /// The text is not the name of a bucket.
    BucketName,
    /// The text has a `*`, but is not a bucket pattern, which has one `*` and otherwise only characters of a
    /// bucket name.
    BucketPattern,
    /// The text is a bucket pattern that matches every bucket name.
    OpenRelay,
    /// The text is not a path.
    Path,
    /// The text is a path with characters that must be percent-encoded in a request.
    Unencoded,
    /// The text is neither an IP address nor a range of addresses.
    Range,
    /// The text is not the address of a name server.
    NameServer,
    /// The text is not a method that OSS supports.
    Method,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Duration => {
                "is not a duration; write for example \"500ms\", \"30s\", \"2m\", \"1h\""
            }
            Self::Size => "is not a size; write for example \"64KiB\", \"16MiB\"",
            Self::Host => "is not a host name or address; write it without scheme, port and path",
            Self::Underscore => "is not a host; it stands for every host only in nginx",
            Self::Wildcard => "is not a host pattern: `*` stands for exactly one first label",
            Self::BucketName => "is not a bucket name: 3 to 63 of `a-z`, `0-9` and `-`",
            Self::BucketPattern => {
                "is not a bucket pattern: one `*` among the characters of a bucket name"
            }
            Self::OpenRelay => {
                "matches every bucket, so anybody could reach any bucket of the region through this proxy"
            }
            Self::Path => "is not a path; it begins with `/`",
            Self::Unencoded => "has characters that must be percent-encoded",
            Self::Range => "is not an address, or a range such as `10.0.0.0/8`",
            Self::NameServer => "is not a name server; write `ip` or `ip:port`",
            Self::Method => {
                "is not a method of OSS: `GET`, `HEAD`, `PUT`, `POST`, `DELETE` or `OPTIONS`"
            }
        })
    }
}

/// Checks that a part of a path is percent-encoded as in a request (RFC 3986, `pchar` and `/`).
///
/// # Errors
///
/// [`Invalid::Unencoded`] when a character is not encoded.
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

/// Parses a duration: `"500ms"`, `"30s"`, `"2m"`, `"1h"`, `"365d"` or `"0"`; at most 100 years.
///
/// # Errors
///
/// [`Invalid::Duration`] for any other text.
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
        // The limit is 100 years: longer than any useful value, but short enough that adding it to a clock
        // cannot overflow.
        .filter(|millis| *millis <= 3_153_600_000_000)
        .map(Duration::from_millis)
        .ok_or(Invalid::Duration)
}

/// Returns the shortest exact form of a duration that [`parse_duration`] accepts.
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

/// Parses a size: `"512B"`, `"64KiB"`, `"64MiB"`, `"1GiB"` or `"0"`. Returns bytes.
///
/// # Errors
///
/// [`Invalid::Size`] for any other text.
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

/// Returns the shortest exact form of a size that [`parse_size`] accepts.
#[must_use]
pub fn format_size(size: usize) -> String {
    for (unit, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if size > 0 && size.is_multiple_of(factor) {
            return format!("{}{unit}", size / factor);
        }
    }
    format!("{size}B")
}

/// Parses an IP address, or a range of addresses such as `10.0.0.0/8`.
///
/// # Errors
///
/// [`Invalid::Range`] for any other text.
pub(crate) fn parse_range(text: &str) -> Result<IpNet, Invalid> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    // The parser of `IpNet` is not used, because it accepts `010.0.0.0/8`, which other programs read as octal.
    let address: IpAddr = address.parse().map_err(|_| Invalid::Range)?;
    let Some(bits) = bits else {
        return Ok(canonical(address.into()));
    };
    let is_number = bits == "0" || bits.starts_with(|first: char| matches!(first, '1'..='9'));
    let bits = Some(bits).filter(|_| is_number);
    let bits = bits.and_then(|bits| bits.parse().ok());
    let range = bits.and_then(|bits| IpNet::new(address, bits).ok());
    range.map(canonical).ok_or(Invalid::Range)
}

/// Converts a range of IPv4-mapped IPv6 addresses to the range of the IPv4 addresses, because peer addresses
/// are compared in IPv4 form.
fn canonical(range: IpNet) -> IpNet {
    let (address, bits) = (range.network().to_canonical(), range.prefix_len());
    match (range, address) {
        (IpNet::V6(_), IpAddr::V4(_)) if bits >= 96 => {
            IpNet::new(address, bits - 96).unwrap_or(range)
        }
        _ => range,
    }
}

/// Serializes a duration as it is written in the config.
pub(crate) fn serialize_duration<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_duration(*duration))
}

/// Serializes a size as it is written in the config.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde requires"
)]
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
    fn a_range_is_an_address_with_or_without_the_length_of_its_prefix() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:a00:1", "10.0.0.1/32"),
        ] {
            assert_eq!(parse_range(text), Ok(expected.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            "10",
            "10.0.0",
            "010.0.0.0/8",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/8/8",
            " 10.0.0.1",
            "10.0.0.1 ",
            "::/129",
            "[::1]",
            "fe80::1%lo",
            "a/8",
        ] {
            assert_eq!(parse_range(text), Err(Invalid::Range), "{text}");
        }
    }

    #[test]
    fn only_a_percent_encoded_path_is_valid() {
        for text in ["", "a/b", "/a%2Fb/", "a+b@c;d=e"] {
            assert_eq!(check_encoded(text), Ok(()), "{text}");
        }
        for text in ["a b", "a?b", "a#b", "\u{e9}", "%2", "%zz", "a\\b", "a\nb"] {
            assert_eq!(check_encoded(text), Err(Invalid::Unencoded), "{text}");
        }
    }
}
