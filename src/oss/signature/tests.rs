use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};

use super::*;

mod v4;

const NOW: u64 = 1_735_787_045;
const DATE: &str = "Thu, 02 Jan 2025 03:04:05 GMT";

fn keys(token: Option<&str>) -> Keys {
    Keys {
        access_key_id: "id".to_owned(),
        access_key_secret: "secret".to_owned(),
        security_token: token.map(str::to_owned),
    }
}

fn map(headers: &[(&'static str, &[u8])]) -> HeaderMap {
    headers
        .iter()
        .map(|(name, value)| {
            let value = http::HeaderValue::from_bytes(value).unwrap();
            (http::HeaderName::from_static(name), value)
        })
        .collect()
}

const RESOURCE: Resource<'_> = Resource {
    bucket: Some("bucket"),
    key: b"key",
};

fn verify_at(
    now: u64,
    token: Option<&str>,
    query: &str,
    headers: &HeaderMap,
) -> Result<Identity, Failure> {
    let find = |id: &str| (id == "id").then(|| keys(token));
    let verifier = Verifier {
        keys: &find,
        region: Some("cn-hangzhou"),
        now,
    };
    verifier.verify(&Method::GET, Some(query), headers, RESOURCE)
}

fn verify(query: &str, headers: &[(&'static str, &[u8])]) -> Result<Identity, Failure> {
    verify_at(NOW, None, query, &map(headers))
}

fn code(result: Result<Identity, Failure>) -> (u16, &'static str) {
    match result {
        Ok(Identity::Anonymous) => (200, "anonymous"),
        Ok(Identity::Signed { .. }) => (200, "signed"),
        Err(failure) => (failure.status(), failure.code()),
    }
}

const SIGNED: (u16, &str) = (200, "signed");
const DENIED: (u16, &str) = (403, "AccessDenied");
const INVALID: (u16, &str) = (400, "InvalidArgument");
const MISMATCH: (u16, &str) = (403, "SignatureDoesNotMatch");
const SKEWED: (u16, &str) = (403, "RequestTimeTooSkewed");
const NO_KEY: (u16, &str) = (403, "InvalidAccessKeyId");
const TOKEN: (u16, &str) = (403, "InvalidSecurityToken");

/// Returns the headers with their V1 signature added.
fn v1(query: &str, date: &str, headers: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut headers = map(headers);
    let request = Signable::new(&Method::GET, Some(query), &headers, RESOURCE);
    let text = v1_string_to_sign(&request, date.as_bytes());
    let value = format!("OSS id:{}", v1_signature(&keys(None), &text));
    headers.insert(AUTHORIZATION, value.parse().unwrap());
    headers
}

#[test]
fn requests_without_a_signature_are_anonymous() {
    for query in ["", "acl", "Expires=1", "x-oss-process=a", "&&=&"] {
        assert_eq!(verify(query, &[]), Ok(Identity::Anonymous), "{query}");
    }
}

#[test]
fn a_v1_header_is_checked_by_date_then_key_then_bytes() {
    let date = DATE.as_bytes();
    for (rule, headers, expected) in [
        ("whole", v1("", DATE, &[("date", date)]), SIGNED),
        (
            "x-oss-date before date",
            v1("", DATE, &[("date", b"never"), ("x-oss-date", date)]),
            SIGNED,
        ),
        (
            "bytes that are no UTF-8 are signed as they are",
            v1("", DATE, &[("date", date), ("x-oss-meta-a", b" \xff\xc3 ")]),
            SIGNED,
        ),
        ("no date", v1("", "", &[]), DENIED),
        ("no valid date", v1("", "x", &[("date", b"x")]), DENIED),
        (
            "another date signed",
            v1("", "x", &[("date", date)]),
            MISMATCH,
        ),
        (
            "an x-oss- header that is not signed",
            {
                let mut headers = v1("", DATE, &[("date", date)]);
                headers.insert("x-oss-meta-a", http::HeaderValue::from_static("1"));
                headers
            },
            MISMATCH,
        ),
    ] {
        assert_eq!(code(verify_at(NOW, None, "", &headers)), expected, "{rule}");
    }
    for (authorization, expected) in [
        ("OSS other:c2lnbmF0dXJl", NO_KEY),
        ("OSS id:c2lnbmF0dXJl", MISMATCH),
        ("OSS id:", MISMATCH),
        ("OSS id", INVALID),
        ("OSS", INVALID),
        ("OSS2 id", INVALID),
        ("Basic aWQ6c2VjcmV0", INVALID),
    ] {
        let result = verify(
            "",
            &[("date", date), ("authorization", authorization.as_bytes())],
        );
        assert_eq!(code(result), expected, "{authorization}");
    }
    let twice: [(&'static str, &[u8]); 2] =
        [("authorization", b"OSS a:b"), ("authorization", b"OSS a:b")];
    assert_eq!(code(verify("", &twice)), INVALID);
    assert_eq!(
        code(verify("", &[("authorization", b"OSS \xff:b")])),
        INVALID
    );
}

#[test]
fn a_clock_may_differ_by_fifteen_minutes() {
    let headers = v1("", DATE, &[("date", DATE.as_bytes())]);
    for (now, expected) in [
        (NOW - MAX_SKEW, SIGNED),
        (NOW + MAX_SKEW, SIGNED),
        (NOW - MAX_SKEW - 1, SKEWED),
        (NOW + MAX_SKEW + 1, SKEWED),
    ] {
        assert_eq!(code(verify_at(now, None, "", &headers)), expected, "{now}");
    }
}

#[test]
fn the_expiry_of_a_v1_query_is_checked_first() {
    let signature = |query: &str, expires: &str| {
        let headers = HeaderMap::new();
        let request = Signable::new(&Method::GET, Some(query), &headers, RESOURCE);
        let text = v1_string_to_sign(&request, expires.as_bytes());
        v1_signature(&keys(None), &text)
            .replace('+', "%2B")
            .replace('/', "%2F")
    };
    let whole = |expires: u64| {
        let expires = expires.to_string();
        let signature = signature("", &expires);
        format!("OSSAccessKeyId=id&Expires={expires}&Signature={signature}")
    };
    let until = NOW + 60;
    let first = signature("acl=a", &until.to_string());
    let plus = signature("x-oss-process=a%2Bb", &until.to_string());
    for (query, expected) in [
        (whole(until), SIGNED),
        (whole(NOW), SIGNED),
        (whole(NOW - 1), DENIED),
        (
            format!("OSSAccessKeyId=other&Expires={}&Signature=x", NOW - 1),
            DENIED,
        ),
        (
            format!("OSSAccessKeyId=other&Expires={until}&Signature=x"),
            NO_KEY,
        ),
        (
            format!("OSSAccessKeyId=id&Expires={until}&Signature=x"),
            MISMATCH,
        ),
        (format!("{}&acl", whole(until)), MISMATCH),
        (format!("{}&prefix=a", whole(until)), SIGNED),
        // Of a query name that occurs twice, only the first value is signed.
        (
            format!("OSSAccessKeyId=id&Expires={until}&Signature={first}&acl=a&acl=b"),
            SIGNED,
        ),
        (
            format!("OSSAccessKeyId=id&Expires={until}&Signature={first}&acl=b&acl=a"),
            MISMATCH,
        ),
        (
            format!("{}&Expires=1&Signature=x&OSSAccessKeyId=y", whole(until)),
            SIGNED,
        ),
        // A plus sign is not decoded into a space.
        (
            format!("OSSAccessKeyId=id&Expires={until}&Signature={plus}&x-oss-process=a+b"),
            SIGNED,
        ),
        ("OSSAccessKeyId=id&Expires=1".to_owned(), DENIED),
        ("OSSAccessKeyId=id&Signature=x".to_owned(), DENIED),
        ("Expires=1&Signature=x".to_owned(), DENIED),
        ("Signature=%FF".to_owned(), DENIED),
        (
            "OSSAccessKeyId=id&Expires=soon&Signature=x".to_owned(),
            INVALID,
        ),
        (
            format!("OSSAccessKeyId=id&Expires={}0&Signature=x", u64::MAX),
            INVALID,
        ),
        (format!("{}&security-token=t", whole(until)), TOKEN),
    ] {
        assert_eq!(code(verify(&query, &[])), expected, "{query}");
    }
    for query in [whole(until), "x-oss-signature=a".to_owned()] {
        let both = verify(&query, &[("authorization", b"OSS id:x")]);
        assert_eq!(both, Err(Failure::Twice), "{query}");
    }
}

#[test]
fn a_temporary_key_needs_its_own_token() {
    let date = DATE.as_bytes();
    for (token, headers, expected) in [
        (Some("t"), vec![("x-oss-security-token", &b"t"[..])], SIGNED),
        // One SDK sends `security-token`. It is accepted although it is not signed.
        (Some("t"), vec![("security-token", &b"t"[..])], SIGNED),
        (Some("t"), vec![("x-oss-security-token", &b"u"[..])], TOKEN),
        (Some("t"), vec![], TOKEN),
        (None, vec![("x-oss-security-token", &b"t"[..])], TOKEN),
    ] {
        let mut all = vec![("date", date)];
        all.extend(&headers);
        let result = verify_at(NOW, token, "", &v1("", DATE, &all));
        assert_eq!(code(result), expected, "{token:?} {headers:?}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?}", keys(Some("token")));
    assert!(
        !shown.contains("secret") && !shown.contains("token"),
        "{shown}"
    );
}
