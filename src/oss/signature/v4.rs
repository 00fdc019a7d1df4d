//! V4: HMAC-SHA256 with a key derived from date, region and product.
//!
//! Covers every query parameter, `x-oss-*`, `Content-Type`, `Content-MD5` and whatever other headers
//! the signer names. Never the body: the payload line is `UNSIGNED-PAYLOAD`, and nothing else is taken.

use std::borrow::Cow;

use aws_lc_rs::digest;
use aws_lc_rs::hmac::HMAC_SHA256;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::{Failure, Keys, Signable, Verifier, check_token, is_same, mac};

const ALGORITHM: &str = "OSS4-HMAC-SHA256";
const PAYLOAD_HASH: &str = "x-oss-content-sha256";
/// The only payload hash there is.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// OSS itself, and OSS on a cloud box.
const PRODUCTS: [&str; 2] = ["oss", "oss-cloudbox"];
/// Longest life of a query signature, in seconds.
const LONGEST: u64 = 604_800;

/// What stays as it is in a query name or value.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// In a path the slash stays too.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// The scope of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// `YYYYMMDD`.
    pub date: &'a str,
    /// Region id.
    pub region: &'a str,
    /// `oss`, or `oss-cloudbox`.
    pub product: &'a str,
}

/// Takes a credential apart: the access key id and the scope.
///
/// # Errors
///
/// [`Failure::Malformed`] when it has not the five parts.
pub fn credential(text: &str) -> Result<(&str, Scope<'_>), Failure> {
    let mut parts = text.split('/');
    let mut part = || {
        parts
            .next()
            .ok_or(Failure::Malformed("the credential is incomplete"))
    };
    let id = part()?;
    let scope = Scope {
        date: part()?,
        region: part()?,
        product: part()?,
    };
    if part()? != "aliyun_v4_request" || parts.next().is_some() {
        return Err(Failure::Malformed("the credential has the wrong end"));
    }
    Ok((id, scope))
}

/// The canonical request. `additional` are the names of further signed headers, lower case; names
/// that are signed anyway are dropped from them.
#[must_use]
pub fn canonical_request(request: &Signable<'_>, additional: &[&str]) -> Vec<u8> {
    let is_default =
        |name: &str| name.starts_with("x-oss-") || matches!(name, "content-type" | "content-md5");
    let mut additional: Vec<&str> = additional
        .iter()
        .copied()
        .filter(|name| !is_default(name))
        .collect();
    additional.sort_unstable();
    additional.dedup();
    let mut text = Vec::with_capacity(512);
    text.extend_from_slice(request.method.as_str().as_bytes());
    text.extend_from_slice(b"\n/");
    if let Some(bucket) = request.resource.bucket {
        text.extend_from_slice(bucket.as_bytes());
        text.push(b'/');
        append_encoded(&mut text, request.resource.key, PATH);
    }
    text.push(b'\n');
    append_query(&mut text, request);
    text.push(b'\n');
    let mut headers: Vec<(&str, &[u8])> = request
        .headers
        .iter()
        .filter(|(name, _)| {
            is_default(name.as_str()) || additional.binary_search(&name.as_str()).is_ok()
        })
        .map(|(name, value)| (name.as_str(), value.as_bytes().trim_ascii()))
        .collect();
    headers.sort_unstable();
    for (name, value) in headers {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    text.push(b'\n');
    text.extend_from_slice(additional.join(";").as_bytes());
    text.push(b'\n');
    text.extend_from_slice(UNSIGNED.as_bytes());
    text
}

fn append_encoded(text: &mut Vec<u8>, bytes: &[u8], keep: &'static AsciiSet) {
    for piece in percent_encode(bytes, keep) {
        text.extend_from_slice(piece.as_bytes());
    }
}

fn append_query(text: &mut Vec<u8>, request: &Signable<'_>) {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = request
        .query
        .iter()
        .filter(|(name, _)| name != b"x-oss-signature")
        .map(|(name, value)| {
            let encode = |bytes: &[u8]| {
                let mut encoded = Vec::with_capacity(bytes.len());
                append_encoded(&mut encoded, bytes, QUERY);
                encoded
            };
            (encode(name), encode(value))
        })
        .collect();
    pairs.sort_unstable();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            text.push(b'&');
        }
        text.extend_from_slice(name);
        if !value.is_empty() {
            text.push(b'=');
            text.extend_from_slice(value);
        }
    }
}

/// What is signed; `time` is `YYYYMMDDTHHMMSSZ`.
#[must_use]
pub fn string_to_sign(time: &str, scope: &Scope<'_>, canonical: &[u8]) -> String {
    format!(
        "{ALGORITHM}\n{time}\n{}/{}/{}/aliyun_v4_request\n{}",
        scope.date,
        scope.region,
        scope.product,
        hex(digest::digest(&digest::SHA256, canonical).as_ref())
    )
}

/// The signature of `text`.
#[must_use]
pub fn signature(keys: &Keys, scope: &Scope<'_>, text: &str) -> String {
    let secret = format!("aliyun_v4{}", keys.access_key_secret);
    let mut key = mac(HMAC_SHA256, secret.as_bytes(), scope.date.as_bytes());
    for part in [scope.region, scope.product, "aliyun_v4_request"] {
        key = mac(HMAC_SHA256, key.as_ref(), part.as_bytes());
    }
    hex(mac(HMAC_SHA256, key.as_ref(), text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string does not fail.
            let _written = write!(text, "{byte:02x}");
            text
        })
}

struct Given<'a> {
    credential: &'a str,
    additional: Vec<&'a str>,
    signature: &'a str,
    time: Cow<'a, str>,
    token: Option<&'a str>,
}

pub(super) fn verify_header(
    verifier: &Verifier<'_>,
    request: &Signable<'_>,
    fields: &str,
) -> Result<String, Failure> {
    let (mut credential, mut additional, mut signature) = (None, Vec::new(), None);
    for field in fields.split(',') {
        match field.trim().split_once('=') {
            Some(("Credential", value)) => credential = Some(value),
            Some(("AdditionalHeaders", value)) => additional = value.split(';').collect(),
            Some(("Signature", value)) => signature = Some(value),
            Some(_) | None => return Err(Failure::Malformed("unknown field")),
        }
    }
    if request.header(PAYLOAD_HASH).is_empty() {
        return Err(Failure::Missing("`x-oss-content-sha256`"));
    }
    let time = match request.header_text("x-oss-date") {
        Some(time) => Some(Cow::Borrowed(time)),
        None => match request.header_text("date") {
            Some(date) => basic_time(date),
            None => return Err(Failure::Missing("a date")),
        },
    };
    let given = Given {
        credential: credential.ok_or(Failure::Malformed("no Credential"))?,
        signature: signature.ok_or(Failure::Malformed("no Signature"))?,
        additional,
        time: time.ok_or(Failure::Missing("a valid date"))?,
        token: request.header_text("x-oss-security-token"),
    };
    let time = read_time(&given.time).ok_or(Failure::Missing("a valid date"))?;
    verifier.check_time(time)?;
    verify(verifier, request, &given)
}

pub(super) fn verify_query(
    verifier: &Verifier<'_>,
    request: &Signable<'_>,
) -> Result<String, Failure> {
    let need = |name: &'static str| request.parameter(name).ok_or(Failure::Missing(name));
    if need("x-oss-signature-version")? != ALGORITHM {
        return Err(Failure::Malformed("unknown signature version"));
    }
    let additional = match request.parameter("x-oss-additional-headers") {
        None => Vec::new(),
        Some("") => return Err(Failure::NoAdditional),
        Some(names) => names.split(';').collect(),
    };
    let given = Given {
        credential: need("x-oss-credential")?,
        additional,
        signature: need("x-oss-signature")?,
        time: Cow::Borrowed(need("x-oss-date")?),
        token: request
            .parameter("x-oss-security-token")
            .or_else(|| request.header_text("x-oss-security-token")),
    };
    let life: u64 = need("x-oss-expires")?
        .parse()
        .ok()
        .filter(|life| (1..=LONGEST).contains(life))
        .ok_or(Failure::Malformed("x-oss-expires is not from 1 to 604800"))?;
    let time = read_time(&given.time).ok_or(Failure::Malformed("x-oss-date is no time"))?;
    if time + life < verifier.now {
        return Err(Failure::Expired);
    }
    if time > verifier.now + super::MAX_SKEW {
        return Err(Failure::Skewed);
    }
    verify(verifier, request, &given)
}

fn verify(
    verifier: &Verifier<'_>,
    request: &Signable<'_>,
    given: &Given<'_>,
) -> Result<String, Failure> {
    // It is absent from most query signatures.
    let payload = request.header(PAYLOAD_HASH);
    if !payload.is_empty() && payload != UNSIGNED.as_bytes() {
        return Err(Failure::PayloadHash);
    }
    let (id, scope) = credential(given.credential)?;
    let is_of_here = verifier.region.is_none_or(|region| region == scope.region);
    if !is_of_here || !given.time.starts_with(scope.date) || !PRODUCTS.contains(&scope.product) {
        return Err(Failure::Scope);
    }
    for name in &given.additional {
        if name.contains('_') || !request.headers.contains_key(*name) {
            return Err(Failure::Additional);
        }
    }
    let keys = verifier.find(id)?;
    check_token(&keys, given.token)?;
    let canonical = canonical_request(request, &given.additional);
    let string_to_sign = string_to_sign(&given.time, &scope, &canonical);
    if is_same(
        signature(&keys, &scope, &string_to_sign).as_bytes(),
        given.signature.as_bytes(),
    ) {
        Ok(id.to_owned())
    } else {
        Err(Failure::Mismatch {
            string_to_sign: string_to_sign.into_bytes(),
        })
    }
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The form that is signed, `YYYYMMDDTHHMMSSZ`, of a `Date` in that form or in one of HTTP.
fn basic_time(date: &str) -> Option<Cow<'_, str>> {
    if read_time(date).is_some() {
        return Some(Cow::Borrowed(date));
    }
    // Written again, so that the older forms of HTTP have one shape.
    let date = httpdate::fmt_http_date(httpdate::parse_http_date(date).ok()?);
    let mut words = date.split(' ').skip(1);
    let (day, name, year, clock) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|known| *known == name)? + 1;
    let clock = clock.replace(':', "");
    Some(Cow::Owned(format!("{year}{month:02}{day}T{clock}Z")))
}

/// Seconds since 1970 of `YYYYMMDDTHHMMSSZ`.
fn read_time(text: &str) -> Option<u64> {
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
    // Days since 1970, counting years from March so that the leap day comes last.
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
    fn times_are_read() {
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
