//! V1: HMAC-SHA1 over method, two headers, a date, `x-oss-*` headers and the resource.
//!
//! Of the query, the signature covers only the sub-resources, decoded. Of the body, it covers only
//! `Content-MD5`.

use aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::failure::Failure;
use super::keys::Keys;
use super::mac::{is_same, mac};
use super::request::Signable;
use super::verifier::{Verifier, check_token};
use crate::oss::subresource::is_subresource;

/// Returns the string to sign. `date` is the value of the date field, or the expiry time of a query
/// signature.
#[must_use]
pub fn string_to_sign(request: &Signable<'_>, date: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    let lines = [
        request.method.as_str().as_bytes(),
        request.header("content-md5"),
        request.header("content-type"),
        date,
    ];
    for line in lines {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    let mut oss: Vec<(&str, &[u8])> = request
        .headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-oss-"))
        .map(|(name, value)| (name.as_str(), value.as_bytes().trim_ascii()))
        .collect();
    oss.sort_unstable();
    for (name, value) in oss {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    append_resource(&mut text, request);
    text
}

fn append_resource(text: &mut Vec<u8>, request: &Signable<'_>) {
    text.push(b'/');
    if let Some(bucket) = request.resource.bucket {
        text.extend_from_slice(bucket.as_bytes());
        text.push(b'/');
        text.extend_from_slice(request.resource.key);
    }
    let mut signed: Vec<(&[u8], &[u8])> = Vec::new();
    for (name, value) in &request.query {
        // Of a query name that occurs twice, only the first value is signed.
        if is_subresource(name) && !signed.iter().any(|(known, _)| known == name) {
            signed.push((name, value));
        }
    }
    signed.sort_unstable();
    for (index, (name, value)) in signed.into_iter().enumerate() {
        text.push(if index == 0 { b'?' } else { b'&' });
        text.extend_from_slice(name);
        if !value.is_empty() {
            text.push(b'=');
            text.extend_from_slice(value);
        }
    }
}

/// Returns the signature of `text`, base64-encoded.
#[must_use]
pub fn signature(keys: &Keys, text: &[u8]) -> String {
    sign(&keys.access_key_secret, text)
}

/// Returns the signature of `text` by the secret of an access key, base64-encoded.
#[must_use]
pub fn sign(secret: &str, text: &[u8]) -> String {
    STANDARD.encode(mac(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes(), text))
}

pub(super) fn verify_header<'r>(
    verifier: &Verifier<'_>,
    request: &Signable<'r>,
    pair: &'r str,
) -> Result<String, Failure> {
    let (id, given) = pair
        .trim()
        .rsplit_once(':')
        .ok_or(Failure::Malformed("no colon"))?;
    // If `x-oss-date` is present, it is signed instead of `Date`. It is also signed as a header, because it
    // has the prefix `x-oss-`.
    let date = match request.header("x-oss-date") {
        b"" => request.header("date"),
        date => date,
    };
    let time = std::str::from_utf8(date)
        .ok()
        .filter(|date| !date.is_empty())
        .ok_or(Failure::Missing("a date"))?;
    let time = httpdate::parse_http_date(time)
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .ok_or(Failure::Missing("a valid date"))?;
    verifier.check_time(time.as_secs())?;
    let keys = verifier.find(id)?;
    let token = request
        .header_text("x-oss-security-token")
        // One SDK sends the token under this name in V1 requests.
        .or_else(|| request.header_text("security-token"));
    check_token(&keys, token)?;
    compare(&keys, request, date, given)?;
    Ok(id.to_owned())
}

pub(super) fn verify_query(
    verifier: &Verifier<'_>,
    request: &Signable<'_>,
) -> Result<String, Failure> {
    let need = |name| request.parameter(name);
    let id = need("OSSAccessKeyId").ok_or(Failure::Missing("`OSSAccessKeyId`"))?;
    let expires = need("Expires").ok_or(Failure::Missing("`Expires`"))?;
    let given = need("Signature").ok_or(Failure::Missing("`Signature`"))?;
    let until: u64 = expires
        .parse()
        .map_err(|_| Failure::Malformed("`Expires` is no number"))?;
    if until < verifier.now {
        return Err(Failure::Expired);
    }
    let keys = verifier.find(id)?;
    let token = request
        .parameter("security-token")
        .or_else(|| request.header_text("x-oss-security-token"));
    check_token(&keys, token)?;
    compare(&keys, request, expires.as_bytes(), given)?;
    Ok(id.to_owned())
}

fn compare(keys: &Keys, request: &Signable<'_>, date: &[u8], given: &str) -> Result<(), Failure> {
    let string_to_sign = string_to_sign(request, date);
    if is_same(
        signature(keys, &string_to_sign).as_bytes(),
        given.as_bytes(),
    ) {
        Ok(())
    } else {
        Err(Failure::Mismatch { string_to_sign })
    }
}
