//! Decides when an access key is refreshed. Does no I/O and reads no clock.

use std::time::Duration;

/// The time from the refresh of a key to its expiry, in seconds. The SDKs of Alibaba Cloud use the same value.
const LEAD: u64 = 15 * 60;
/// The maximum number of seconds by which a refresh is made earlier, so that many proxies do not refresh their
/// keys at the same time.
const JITTER: u64 = 60;
/// The pause after the first failed attempt. The pause doubles with each further failure, up to
/// [`RETRY_LONGEST`].
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LONGEST: Duration = Duration::from_secs(60);
/// The shortest pause between two attempts, even in the last second before a key expires.
const SHORTEST: Duration = Duration::from_millis(200);

/// Returns the time until the refresh of a key that expires in `remaining` seconds. If `remaining` is less than
/// 30 minutes (twice `LEAD`), the key is refreshed after half of `remaining`. Otherwise `random` spreads the
/// refreshes of several proxies.
#[must_use]
pub fn until_refresh(remaining: u64, random: u64) -> Duration {
    if remaining < 2 * LEAD {
        return Duration::from_millis(remaining * 500).max(SHORTEST);
    }
    Duration::from_secs(remaining - LEAD - random % (JITTER + 1))
}

/// Returns the pause after a failed attempt. `failures` is the number of failed attempts in a row, at least 1.
/// `remaining` is the time in seconds until the key expires; `None` means that there is no key or that it does
/// not expire. Shortly before the expiry, the pauses become shorter.
#[must_use]
pub fn until_retry(failures: u32, remaining: Option<u64>) -> Duration {
    let doubled = RETRY_FIRST.saturating_mul(
        1_u32
            .checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX),
    );
    let pause = doubled.min(RETRY_LONGEST);
    match remaining {
        // `Some(0)` means that the key has expired. More frequent attempts can no longer prevent that.
        None | Some(0) => pause,
        Some(remaining) => pause
            .min(Duration::from_millis(remaining * 250))
            .max(SHORTEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_refreshed_a_quarter_of_an_hour_before_its_expiry() {
        for (remaining, random, expected) in [
            (21_600, 0, 20_700_000),
            (21_600, 60, 20_640_000),
            (21_600, 61, 20_700_000),
            (21_600, u64::MAX, 20_685_000),
            (1800, 0, 900_000),
            (1799, 0, 899_500),
            (10, 7, 5000),
            (0, 7, 200),
        ] {
            let expected = Duration::from_millis(expected);
            assert_eq!(
                until_refresh(remaining, random),
                expected,
                "{remaining} {random}"
            );
        }
    }

    #[test]
    fn attempts_are_spaced_more_and_more_and_less_before_the_expiry() {
        for (failures, remaining, expected) in [
            (1, None, 1000),
            (2, None, 2000),
            (3, Some(3600), 4000),
            (6, None, 32_000),
            (7, None, 60_000),
            (33, Some(900), 60_000),
            (u32::MAX, None, 60_000),
            (7, Some(60), 15_000),
            (7, Some(2), 500),
            (1, Some(1), 250),
            (3, Some(0), 4000),
        ] {
            let expected = Duration::from_millis(expected);
            assert_eq!(
                until_retry(failures, remaining),
                expected,
                "{failures} {remaining:?}"
            );
        }
    }
}
