//! The remaining time of a certificate, in words.

/// A certificate that expires within this many days is reported. ACME clients start to renew a certificate 30
/// days before it expires. If only 14 days are left, the renewal has failed for about two weeks.
pub const SOON: i64 = 14;

const DAY: i64 = 24 * 60 * 60;

/// Returns the number of whole days from `now` until `expires`, both in seconds since 1970. The number is
/// negative if `expires` is in the past.
#[must_use]
pub fn days_left(expires: i64, now: i64) -> i64 {
    expires.saturating_sub(now).div_euclid(DAY)
}

/// Returns `has expired`, `expires in 3 days` or the like. Returns `None` if at least [`SOON`] whole days are
/// left. Both times are in seconds since 1970.
#[must_use]
pub fn warning(expires: i64, now: i64) -> Option<String> {
    match days_left(expires, now) {
        ..0 => Some("has expired".to_owned()),
        0 => Some("expires in less than a day".to_owned()),
        1 => Some("expires in 1 day".to_owned()),
        days @ 2..SOON => Some(format!("expires in {days} days")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_weeks_of_a_certificate_are_reported() {
        let now = 1_700_000_000;
        for (left, expected) in [
            (-1, Some("has expired")),
            (0, Some("expires in less than a day")),
            (DAY - 1, Some("expires in less than a day")),
            (DAY, Some("expires in 1 day")),
            (3 * DAY + 5, Some("expires in 3 days")),
            (SOON * DAY - 1, Some("expires in 13 days")),
            (SOON * DAY, None),
            (i64::MAX, None),
        ] {
            let expires = left.saturating_add(now);
            assert_eq!(warning(expires, now).as_deref(), expected, "{left}");
        }
        assert_eq!(days_left(now - 1, now), -1);
    }
}
