//! The times of a V4 signature, in the form `YYYYMMDDTHHMMSSZ`, and the expiry times of access keys.

use std::borrow::Cow;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Converts a `Date` to the form that is signed. The date may already have that form, or one of the forms
/// of HTTP. Returns `None` when it has none of these forms.
pub(super) fn basic_time(date: &str) -> Option<Cow<'_, str>> {
    if read_time(date).is_some() {
        return Some(Cow::Borrowed(date));
    }
    // HTTP has three forms of a date. Parsing the date and formatting it again leaves only one form.
    let date = httpdate::fmt_http_date(httpdate::parse_http_date(date).ok()?);
    let mut words = date.split(' ').skip(1);
    let (day, name, year, clock) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|known| *known == name)? + 1;
    let clock = clock.replace(':', "");
    Some(Cow::Owned(format!("{year}{month:02}{day}T{clock}Z")))
}

/// Parses `YYYYMMDDTHHMMSSZ` into seconds since 1970. Returns `None` when the text has another form or is
/// not a valid time.
pub(super) fn read_time(text: &str) -> Option<u64> {
    let rest = text.strip_suffix('Z')?;
    let (date, clock) = rest.split_once('T')?;
    let is_digits = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !is_digits(date, 8) || !is_digits(clock, 6) {
        return None;
    }
    let number = |part: &str, range: std::ops::Range<usize>| part.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (
        number(date, 0..4)?,
        number(date, 4..6)?,
        number(date, 6..8)?,
    );
    let (hour, minute, second) = (
        number(clock, 0..2)?,
        number(clock, 2..4)?,
        number(clock, 4..6)?,
    );
    let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + u64::from(is_leap_year),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let is_date = year >= 1970 && (1..=12).contains(&month) && (1..=last).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 1970. Years are counted from March, so that the leap day is the last day of its year.
    let year_from_march = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let days = 365 * year_from_march + year_from_march / 4 - year_from_march / 100
        + year_from_march / 400
        + (153 * month_from_march + 2) / 5
        + day
        - 1;
    Some((days.checked_sub(719_468)?) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Returns the time `unix`, in seconds since 1970, as `YYYYMMDDTHHMMSSZ`. The first eight characters are the
/// date of the scope. Years after 9999 have no such form; their last second is returned.
#[must_use]
pub fn format_time(unix: u64) -> String {
    let unix = unix.min(253_402_300_799);
    let (days, rest) = (unix / 86_400, unix % 86_400);
    // The inverse of `read_time`: eras of 400 years, which begin in March.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
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
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let mut text = *b"00000000T000000Z";
    let parts = [
        (0..4, year),
        (4..6, month),
        (6..8, day),
        (9..11, rest / 3600),
        (11..13, rest % 3600 / 60),
        (13..15, rest % 60),
    ];
    for (place, mut value) in parts {
        for digit in text.get_mut(place).unwrap_or_default().iter_mut().rev() {
            *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
            value /= 10;
        }
    }
    // The digits are ASCII, so nothing is replaced.
    String::from_utf8_lossy(&text).into_owned()
}

/// Parses a time of RFC 3339, such as `2025-01-02T09:04:05Z`, into seconds since 1970. A fraction of a second is
/// ignored, and an offset from UTC is applied. Returns `None` when the text has another form.
#[must_use]
pub fn read_rfc3339(text: &str) -> Option<u64> {
    let (clock, zone) = text.split_at_checked(19)?;
    let mut basic = String::with_capacity(16);
    for (place, byte) in clock.bytes().enumerate() {
        match (place, byte) {
            (4 | 7, b'-') | (13 | 16, b':') => {}
            (10, b'T' | b't' | b' ') => basic.push('T'),
            (0..4 | 5 | 6 | 8 | 9 | 11 | 12 | 14 | 15 | 17 | 18, b'0'..=b'9') => {
                basic.push(char::from(byte));
            }
            _ => return None,
        }
    }
    basic.push('Z');
    let time = read_time(&basic)?;
    let zone = match zone.strip_prefix('.') {
        None => zone,
        Some(fraction) => {
            let rest = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            (rest.len() < fraction.len()).then_some(rest)?
        }
    };
    if zone.eq_ignore_ascii_case("z") {
        return Some(time);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let number = |part: &str, most: u64| {
        let is_number = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        let value = is_number.then(|| part.parse::<u64>().ok()).flatten()?;
        (value <= most).then_some(value)
    };
    let offset = number(hours, 23)? * 3600 + number(minutes, 59)? * 60;
    match zone.as_bytes().first() {
        Some(b'+') => time.checked_sub(offset),
        Some(b'-') => time.checked_add(offset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_parsed() {
        assert_eq!(read_time("20250102T030405Z"), Some(1_735_787_045));
        assert_eq!(read_time("19700101T000000Z"), Some(0));
        assert_eq!(read_time("20240229T000000Z"), Some(1_709_164_800));
        for text in [
            "",
            "20250102",
            "20251302T000000Z",
            "20250132T000000Z",
            "20250229T000000Z",
            "20250102T240000Z",
            "20250102T036000Z",
            "2025010aT030405Z",
            "20250102T030405",
        ] {
            assert_eq!(read_time(text), None, "{text}");
        }
    }

    #[test]
    fn a_formatted_time_is_parsed_as_the_same_time() {
        assert_eq!(format_time(0), "19700101T000000Z");
        assert_eq!(format_time(1_735_787_045), "20250102T030405Z");
        assert_eq!(format_time(u64::MAX), "99991231T235959Z");
        // The step is no multiple of a day, so days, hours, minutes and seconds all vary.
        for unix in (0..8_000_000_000).step_by(7_654_321) {
            assert_eq!(read_time(&format_time(unix)), Some(unix), "{unix}");
        }
    }

    #[test]
    fn expiry_times_have_the_form_of_rfc_3339() {
        for (text, expected) in [
            ("2025-01-02T03:04:05Z", Some(1_735_787_045)),
            ("2025-01-02t03:04:05z", Some(1_735_787_045)),
            ("2025-01-02T03:04:05.678Z", Some(1_735_787_045)),
            ("2025-01-02T11:04:05+08:00", Some(1_735_787_045)),
            ("2025-01-01T21:34:05.1-05:30", Some(1_735_787_045)),
            ("2025-01-02T03:04:05", None),
            ("2025-01-02T03:04:05.Z", None),
            ("2025-01-02T03:04Z", None),
            ("2025-13-02T03:04:05Z", None),
            ("2025-01-02T03:04:05+0800", None),
            ("2025-01-02T03:04:05+08:60", None),
            ("2025-01-02T03:04:05*08:00", None),
            ("20250102T030405Z", None),
            ("1970-01-01T00:00:00+01:00", None),
            ("2025-01-02T03:04:0\u{e9}Z", None),
            ("", None),
        ] {
            assert_eq!(read_rfc3339(text), expected, "{text}");
        }
    }

    #[test]
    fn a_date_of_http_is_signed_in_the_basic_form() {
        for date in [
            "20250102T030405Z",
            "Thu, 02 Jan 2025 03:04:05 GMT",
            "Thursday, 02-Jan-25 03:04:05 GMT",
            "Thu Jan  2 03:04:05 2025",
        ] {
            assert_eq!(
                basic_time(date).as_deref(),
                Some("20250102T030405Z"),
                "{date}"
            );
        }
        assert_eq!(basic_time("yesterday"), None);
    }
}
