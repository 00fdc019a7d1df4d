//! Queries, percent-encoding and dates for the second implementation of OSS's signatures.

use std::time::UNIX_EPOCH;

type Bytes = Vec<u8>;

pub(super) fn decode_query(raw: &str) -> Vec<(Bytes, Bytes)> {
    let decode_pair = |piece: &str| {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        (decode(name.as_bytes()), decode(value.as_bytes()))
    };
    let pieces = raw.split('&').filter(|piece| !piece.is_empty());
    pieces.map(decode_pair).collect()
}

/// Percent-decodes `text`. A `+` is kept, and so is a `%` without two hex digits.
fn decode(mut text: &[u8]) -> Bytes {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut decoded = Bytes::new();
    while let [first, rest @ ..] = text {
        text = rest;
        decoded.push(*first);
        if let (b'%', [high, low, after @ ..]) = (*first, rest)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            decoded.pop();
            decoded.push(u8::try_from(high * 16 + low).unwrap());
            text = after;
        }
    }
    decoded
}

pub(super) fn encode(bytes: &[u8], also: &[u8]) -> Bytes {
    let mut encoded = Bytes::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) || also.contains(byte) {
            encoded.push(*byte);
        } else {
            encoded.extend(format!("%{byte:02X}").bytes());
        }
    }
    encoded
}

pub(super) fn read_http_date(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// Parses a time such as `20250102T030405Z` to seconds since 1970, by counting years and months.
pub(super) fn read_basic_date(text: &str) -> Option<i64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let digits = format!("{date}{clock}");
    let is_form = date.len() == 8 && clock.len() == 6;
    if !is_form || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| digits[from..to].parse::<i64>().unwrap();
    let (year, month, day) = (number(0, 4), number(4, 6), number(6, 8));
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut months = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    months[1] += i64::from(is_leap(year));
    let month = usize::try_from(month).ok()?;
    let last = *months.get(month.checked_sub(1)?)?;
    if !(1..=last).contains(&day)
        || number(8, 10) > 23
        || number(10, 12) > 59
        || number(12, 14) > 60
    {
        return None;
    }
    let years: i64 = (1970..year)
        .map(|year| 365 + i64::from(is_leap(year)))
        .sum();
    let days = years + months[..month - 1].iter().sum::<i64>() + day - 1;
    Some(((days * 24 + number(8, 10)) * 60 + number(10, 12)) * 60 + number(12, 14))
}
