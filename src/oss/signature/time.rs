//! The times of a V4 signature, in the form `YYYYMMDDTHHMMSSZ`.

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
