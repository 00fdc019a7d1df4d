//! Decides which requests are signed for clients that did not sign. Does no I/O.
//!
//! A signature gives a request the rights of the bucket's owner. Therefore only reads of one object are signed,
//! and everything that could turn a read into another operation is refused. Refused query names are compared
//! after percent-decoding and without case, because OSS may recognize a name in each of these forms.
//!
//! Three kinds of requests are sent as they are: requests that the client has signed, form uploads, whose
//! signature is in the body, and preflights, which OSS accepts without a signature.

use http::header::{CONTENT_TYPE, DATE, HeaderName};
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

use crate::http::signing::{Admission, NotSigned, ToSign};
use crate::oss::signature::signed_in;
use crate::oss::subresource::known;

/// The query name of image processing. A request with this name is signed only if [`check_process`] accepts
/// the value.
const PROCESS: &str = "x-oss-process";

/// The beginnings of those operations of `x-oss-process` that only convert the object. Other operations may
/// store objects, or return URLs that are signed with the key of the proxy.
const CONVERSIONS: [&str; 3] = ["image/", "style/", "video/snapshot,"];

/// The query names that are a part of a client's signature. If a request has only some of these names, it
/// counts as unsigned. Such a request is not signed for the client, because OSS refuses a request with two
/// signatures, even if one of them is incomplete.
const OF_SIGNATURES: [&str; 4] = [
    "Signature",
    "OSSAccessKeyId",
    "AWSAccessKeyId",
    "security-token",
];

/// The prefixes of the query names and header fields that are instructions to OSS.
const PREFIXES: [&str; 2] = ["x-oss-", "x-amz-"];

/// The only header field of the client that is kept although it has one of the [`PREFIXES`]. It selects the
/// rules for a range that is longer than the object.
const KEPT: HeaderName = HeaderName::from_static("x-oss-range-behavior");

const CONTENT_MD5_FIELD: HeaderName = HeaderName::from_static("content-md5");

/// Decides whether a request is signed. `anonymous` contains the methods of the unsigned requests that the proxy
/// signs.
///
/// # Errors
///
/// [`NotSigned`]; every variant can occur.
pub fn admit(anonymous: &[Method], request: &ToSign<'_>) -> Result<Admission, NotSigned> {
    if signed_in(request.headers, request.query).is_some()
        || *request.method == Method::OPTIONS
        || is_form(request)
    {
        return Ok(Admission::Unchanged);
    }
    if !anonymous.contains(request.method) {
        return Err(NotSigned::Method(request.method.clone()));
    }
    // A key that consists of slashes is refused like an empty key: no object has such a key, and a server that
    // joins repeated slashes would read the request as a request for the bucket.
    if request.resource.bucket.is_none() || request.resource.key.iter().all(|byte| *byte == b'/') {
        return Err(NotSigned::NoObject);
    }
    let pairs = request.query.unwrap_or_default().split('&');
    pairs
        .filter(|pair| !pair.is_empty())
        .try_for_each(check_pair)?;
    Ok(Admission::Sign)
}

fn check_pair(pair: &str) -> Result<(), NotSigned> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let name = percent_decode_str(name).decode_utf8_lossy();
    if *name == *PROCESS {
        return check_process(value);
    }
    // Every name that OSS documents consists of these characters. It is unknown how OSS reads a name with other
    // characters.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    if !name.bytes().all(is_plain) {
        return Err(NotSigned::Name(name.into_owned()));
    }
    let is = |known: &str| known.eq_ignore_ascii_case(name.trim());
    if PREFIXES
        .iter()
        .any(|prefix| has_prefix(name.trim_start(), prefix))
        || OF_SIGNATURES.iter().any(|known| is(known))
        || known().any(is)
    {
        return Err(NotSigned::Name(name.into_owned()));
    }
    Ok(())
}

/// Checks that every operation in `value`, the value of [`PROCESS`], only converts the object.
fn check_process(value: &str) -> Result<(), NotSigned> {
    let value = percent_decode_str(value)
        .decode_utf8_lossy()
        .to_ascii_lowercase();
    let converts = |operation: &str| {
        let is_known = CONVERSIONS.iter().any(|known| operation.starts_with(known));
        // The parameter `image_` of a watermark names another object of the bucket.
        is_known && !operation.contains(",image_") && !operation.contains("saveas")
    };
    if value.split('|').all(converts) {
        Ok(())
    } else {
        Err(NotSigned::Process)
    }
}

fn has_prefix(name: &str, prefix: &str) -> bool {
    let start = name.get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Whether the request is an upload by an HTML form, which OSS accepts at the bucket.
fn is_form(request: &ToSign<'_>) -> bool {
    let kind = request.headers.get(CONTENT_TYPE);
    *request.method == Method::POST
        && request.resource.key.is_empty()
        && kind.is_some_and(|kind| {
            let start = kind
                .as_bytes()
                .trim_ascii_start()
                .get(.."multipart/form-data".len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/form-data"))
        })
}

/// Removes the header fields of the client that a signature would cover. Only [`KEPT`] stays, unless it is
/// repeated. A read needs neither `Content-Type` nor `Content-MD5`, and it is not clear which value of a
/// repeated field OSS reads.
pub fn clean(headers: &mut HeaderMap) {
    let is_instruction = |name: &HeaderName| {
        let is_kept = *name == KEPT;
        let name = name.as_str();
        !is_kept
            && (PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || name == "security-token")
    };
    // Usually no field is removed; an empty vector allocates nothing.
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_instruction(name))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
    if headers.get_all(KEPT).iter().nth(1).is_some() {
        headers.remove(KEPT);
    }
    for name in [CONTENT_TYPE, CONTENT_MD5_FIELD, DATE] {
        headers.remove(name);
    }
}
