//! V4: HMAC-SHA256 with a key derived from date, region and product.
//!
//! The signature covers every query parameter, `x-oss-*`, `Content-Type`, `Content-MD5` and the additional
//! headers that the signer names. It never covers the body: the payload hash in the signed text is always
//! `UNSIGNED-PAYLOAD`, and a request with any other payload hash is refused.

use std::borrow::Cow;

use aws_lc_rs::digest;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::keys::Keys;
use super::mac::{is_same, mac};
use super::request::Signable;
use super::time::{basic_time, read_time};
use super::verifier::{MAX_SKEW, Verifier, check_token};

const ALGORITHM: &str = "OSS4-HMAC-SHA256";
const PAYLOAD_HASH: &str = "x-oss-content-sha256";
/// The only accepted payload hash.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// The accepted products: OSS, and OSS on a cloud box.
const PRODUCTS: [&str; 2] = ["oss", "oss-cloudbox"];
/// The maximum lifetime of a query signature, in seconds: seven days.
const LONGEST: u64 = 604_800;

/// The characters that are percent-encoded in a query name or value.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// The characters that are percent-encoded in a path: the characters of [`QUERY`] without the slash.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// The scope of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The date as `YYYYMMDD`.
    pub date: &'a str,
    /// The region id.
    pub region: &'a str,
    /// The product: `oss` or `oss-cloudbox`.
    pub product: &'a str,
}

/// Parses a credential into the access key id and the scope.
///
/// # Errors
///
/// [`Failure::Malformed`] when the credential does not have its five parts.
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

/// Returns the canonical request. `additional` holds the names of the additional headers in lower case; names
/// of headers that are always signed are ignored.
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

/// Returns the string to sign. `time` has the form `YYYYMMDDTHHMMSSZ`.
#[must_use]
pub fn string_to_sign(time: &str, scope: &Scope<'_>, canonical: &[u8]) -> String {
    // Joined without the machinery of `format!`, because every signed request needs this text.
    let digest = hex(digest::digest(&digest::SHA256, canonical).as_ref());
    let parts = [
        ALGORITHM,
        "\n",
        time,
        "\n",
        scope.date,
        "/",
        scope.region,
        "/",
        scope.product,
        "/aliyun_v4_request\n",
        &digest,
    ];
    parts.concat()
}

/// The key that signs the requests of one scope. It is derived from the secret of an access key with four
/// keyed hashes, so a program that signs many requests keeps it.
pub struct SigningKey(hmac::Key);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// Derives the key of `scope` from the secret of an access key.
    #[must_use]
    pub fn derive(secret: &str, scope: &Scope<'_>) -> Self {
        let secret = Zeroizing::new(format!("aliyun_v4{secret}"));
        let mut key = mac(HMAC_SHA256, secret.as_bytes(), scope.date.as_bytes());
        for part in [scope.region, scope.product, "aliyun_v4_request"] {
            key = mac(HMAC_SHA256, key.as_ref(), part.as_bytes());
        }
        Self(hmac::Key::new(HMAC_SHA256, key.as_ref()))
    }

    /// Returns the signature of `text`, in lower-case hexadecimal.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        hex(hmac::sign(&self.0, text.as_bytes()).as_ref())
    }
}

/// Returns the signature of `text`, in lower-case hexadecimal.
#[must_use]
pub fn signature(keys: &Keys, scope: &Scope<'_>, text: &str) -> String {
    SigningKey::derive(&keys.access_key_secret, scope).sign(text)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
    let mut text = Vec::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    // The digits are ASCII, so this never fails.
    String::from_utf8(text).unwrap_or_default()
}

/// The signature that a request carries, in its header or in its query.
struct ClaimedSignature<'a> {
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
    let claimed = ClaimedSignature {
        credential: credential.ok_or(Failure::Malformed("no Credential"))?,
        signature: signature.ok_or(Failure::Malformed("no Signature"))?,
        additional,
        time: time.ok_or(Failure::Missing("a valid date"))?,
        token: request.header_text("x-oss-security-token"),
    };
    let time = read_time(&claimed.time).ok_or(Failure::Missing("a valid date"))?;
    verifier.check_time(time)?;
    verify(verifier, request, &claimed)
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
    let claimed = ClaimedSignature {
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
    let time = read_time(&claimed.time).ok_or(Failure::Malformed("x-oss-date is no time"))?;
    if time + life < verifier.now {
        return Err(Failure::Expired);
    }
    if time > verifier.now + MAX_SKEW {
        return Err(Failure::Skewed);
    }
    verify(verifier, request, &claimed)
}

fn verify(
    verifier: &Verifier<'_>,
    request: &Signable<'_>,
    claimed: &ClaimedSignature<'_>,
) -> Result<String, Failure> {
    // Most requests with a signature in the query have no payload hash, so it may be absent here.
    let payload = request.header(PAYLOAD_HASH);
    if !payload.is_empty() && payload != UNSIGNED.as_bytes() {
        return Err(Failure::PayloadHash);
    }
    let (id, scope) = credential(claimed.credential)?;
    let is_accepted_region = verifier.region.is_none_or(|region| region == scope.region);
    if !is_accepted_region
        || !claimed.time.starts_with(scope.date)
        || !PRODUCTS.contains(&scope.product)
    {
        return Err(Failure::Scope);
    }
    for name in &claimed.additional {
        if name.contains('_') || !request.headers.contains_key(*name) {
            return Err(Failure::Additional);
        }
    }
    let keys = verifier.find(id)?;
    check_token(&keys, claimed.token)?;
    let canonical = canonical_request(request, &claimed.additional);
    let string_to_sign = string_to_sign(&claimed.time, &scope, &canonical);
    if is_same(
        signature(&keys, &scope, &string_to_sign).as_bytes(),
        claimed.signature.as_bytes(),
    ) {
        Ok(id.to_owned())
    } else {
        Err(Failure::Mismatch {
            string_to_sign: string_to_sign.into_bytes(),
        })
    }
}
