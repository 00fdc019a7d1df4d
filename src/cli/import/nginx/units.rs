//! Converts times and `Strict-Transport-Security` values of nginx to the notation of the config.

use std::fmt::Write;
use std::time::Duration;

use crate::config::value::format_duration;

/// Converts an nginx time, such as `30`, `500ms` or `1m 30s`, to a duration of the config. A time of more than
/// one day becomes one day. `None` means that the text is not a time, or that the time is zero.
pub(super) fn time(text: &str) -> Option<String> {
    let limit = Duration::from_secs(86_400);
    let millis = millis(text).filter(|millis| *millis > 0)?;
    Some(format_duration(Duration::from_millis(millis).min(limit)))
}

/// Converts an nginx time to whole seconds. `None` means that the text is not a time.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let is_empty = text.trim().is_empty();
    millis(text)
        .filter(|_| !is_empty)
        .map(|millis| millis / 1000)
}

fn millis(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut millis: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|next: char| !next.is_ascii_digit());
        let (count, after) = rest.split_at_checked(digits.unwrap_or(rest.len()))?;
        let unit = after
            .find(|next: char| !next.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit)?;
        let factor: u64 = match unit {
            "ms" => 1,
            "" | "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            "M" => 30 * 86_400_000,
            "y" => 365 * 86_400_000,
            _ => return None,
        };
        millis = millis.checked_add(count.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = after.trim_start();
    }
    Some(millis)
}

/// Converts a value of `Strict-Transport-Security` to the keys of `hsts`. Without a valid `max-age`, the age is
/// one year.
pub(super) fn hsts(value: &str) -> String {
    let lower = value.to_ascii_lowercase().replace([' ', '\t'], "");
    let age = lower
        .split(';')
        .find_map(|part| part.trim().strip_prefix("max-age="))
        .unwrap_or("31536000");
    let age: String = age.chars().filter(char::is_ascii_digit).collect();
    let age: u32 = age.parse().unwrap_or(31_536_000);
    let mut keys = format!("max_age = \"{age}s\"");
    for (word, key) in [
        ("includesubdomains", "include_subdomains"),
        ("preload", "preload"),
    ] {
        if lower.contains(word) {
            let _written = write!(keys, ", {key} = true");
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_converted() {
        for (text, expected) in [
            ("30", Some("30s")),
            ("10s", Some("10s")),
            ("1m30s", Some("90s")),
            ("1h 30m", Some("90m")),
            ("500ms", Some("500ms")),
            ("2w", Some("1d")),
            ("0", None),
            ("x", None),
            ("5x", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(time(text).as_deref(), expected, "{text}");
        }
        assert_eq!(
            hsts("max-age=60; Preload"),
            "max_age = \"60s\", preload = true"
        );
    }
}
