//! Dates as text, for logs and signatures.

/// Returns year, month and day for a number of days since 1970-01-01 (proleptic Gregorian calendar).
fn civil(days: u64) -> (u64, u64, u64) {
    // Counted from 0000-03-01, so that the leap day is the last day of a year. 400 years are 146 097
    // days.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Returns `YYYY-MM-DDTHH:MM:SS.mmmZ` for a time in milliseconds since 1970.
pub(super) fn rfc3339(unix_millis: u64) -> String {
    let (seconds, millis) = (unix_millis / 1000, unix_millis % 1000);
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// Returns `YYYY-MM-DDTHH:MM:SSZ` for a time in seconds since 1970.
#[must_use]
pub fn rfc3339_seconds(unix_seconds: u64) -> String {
    let text = rfc3339(unix_seconds.saturating_mul(1000));
    let seconds = text.split('.').next().unwrap_or_default();
    format!("{seconds}Z")
}

/// Returns `YYYYMMDDTHHMMSSZ` for a time in seconds since 1970, the format of signatures.
#[must_use]
pub fn basic_time(unix_seconds: u64) -> String {
    let text = rfc3339(unix_seconds * 1000);
    let digits = text.split('.').next().unwrap_or_default();
    format!("{}Z", digits.replace(['-', ':'], ""))
}

/// Returns the time of the common log format for a time in milliseconds since 1970.
pub(super) fn clf(unix_millis: u64) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = unix_millis / 1000;
    let (year, month, day) = civil(seconds / 86_400);
    let name = usize::try_from(month)
        .ok()
        .and_then(|month| MONTHS.get(month.checked_sub(1)?))
        .copied()
        .unwrap_or("Jan");
    let of_day = seconds % 86_400;
    format!(
        "{day:02}/{name}/{year:04}:{:02}:{:02}:{:02} +0000",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(20_089), (2025, 1, 1));
    }
}
