use super::*;

const TIME: &str = "20250102T030405Z";
const SCOPE: Scope<'_> = Scope {
    date: "20250102",
    region: "cn-hangzhou",
    product: "oss",
};

/// Returns the V4 signature of a request at [`TIME`].
fn v4(query: &str, headers: &HeaderMap, additional: &[&str]) -> String {
    let request = Signable::new(&Method::GET, Some(query), headers, RESOURCE);
    let canonical = v4_canonical_request(&request, additional);
    v4_signature(
        &keys(None),
        &SCOPE,
        &v4_string_to_sign(TIME, &SCOPE, &canonical),
    )
}

#[test]
fn a_v4_header_has_its_fields_in_any_order() {
    let plain: [(&'static str, &[u8]); 3] = [
        ("x-oss-date", TIME.as_bytes()),
        ("x-oss-content-sha256", b"UNSIGNED-PAYLOAD"),
        ("range", b"bytes=0-1"),
    ];
    let (s, r) = (
        v4("", &map(&plain), &[]),
        v4("", &map(&plain), &["range", "x-oss-date"]),
    );
    let c = "Credential=id/20250102/cn-hangzhou/oss/aliyun_v4_request";
    for (fields, expected) in [
        (format!("{c},Signature={s}"), SIGNED),
        (format!(" Signature={s} ,  {c} "), SIGNED),
        (
            format!("{c}, Signature={r}, AdditionalHeaders=range"),
            SIGNED,
        ),
        (
            format!("{c},AdditionalHeaders=x-oss-date;range;range,Signature={r}"),
            SIGNED,
        ),
        (
            format!("{c},AdditionalHeaders=range,Signature={s}"),
            MISMATCH,
        ),
        (format!("{c},AdditionalHeaders=host,Signature={s}"), INVALID),
        (format!("{c},AdditionalHeaders=,Signature={s}"), INVALID),
        (format!("{c},AdditionalHeaders=a_b,Signature={s}"), INVALID),
        (format!("{c},Signature={}", s.to_uppercase()), MISMATCH),
        (c.to_owned(), INVALID),
        (format!("Signature={s}"), INVALID),
        (format!("{c},Signature={s},Other=1"), INVALID),
        (format!("{c},Signature={s},"), INVALID),
        (format!("{c}/x,Signature={s}"), INVALID),
        (format!("Credential=id,Signature={s}"), INVALID),
        (
            format!("{},Signature={s}", c.replace("=id", "=other")),
            NO_KEY,
        ),
        (
            format!("{},Signature={s}", c.replace("hangzhou", "beijing")),
            DENIED,
        ),
        (
            format!("{},Signature={s}", c.replace("/oss/", "/ossx/")),
            DENIED,
        ),
        (
            format!("{},Signature={s}", c.replace("20250102", "20250103")),
            DENIED,
        ),
    ] {
        let mut headers = map(&plain);
        let value = format!("OSS4-HMAC-SHA256 {fields}");
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        assert_eq!(
            code(verify_at(NOW, None, "", &headers)),
            expected,
            "{fields}"
        );
    }
}

#[test]
fn a_v4_header_needs_date_and_payload_hash() {
    let hash: (&'static str, &[u8]) = ("x-oss-content-sha256", b"UNSIGNED-PAYLOAD");
    let time = TIME.as_bytes();
    for (rule, headers, expected) in [
        (
            "date of HTTP",
            vec![hash, ("date", DATE.as_bytes())],
            SIGNED,
        ),
        ("basic date", vec![hash, ("date", time)], SIGNED),
        ("no date", vec![hash], DENIED),
        (
            "x-oss-date of HTTP",
            vec![hash, ("x-oss-date", DATE.as_bytes())],
            DENIED,
        ),
        ("no hash", vec![("x-oss-date", time)], DENIED),
        (
            "a real hash",
            vec![("x-oss-date", time), ("x-oss-content-sha256", b"e3b0c442")],
            INVALID,
        ),
        (
            "too old",
            vec![hash, ("x-oss-date", b"20250102T024904Z")],
            SKEWED,
        ),
    ] {
        let mut headers = map(&headers);
        let signature = v4("", &headers, &[]);
        let value = format!(
            "OSS4-HMAC-SHA256 Credential=id/20250102/cn-hangzhou/oss/aliyun_v4_request,Signature={signature}"
        );
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        assert_eq!(code(verify_at(NOW, None, "", &headers)), expected, "{rule}");
    }
}

#[test]
fn a_v4_query_is_valid_for_a_week_at_most() {
    let base = format!(
        "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-date={TIME}\
         &x-oss-credential=id%2F20250102%2Fcn-hangzhou%2Foss%2Faliyun_v4_request"
    );
    let host: [(&'static str, &[u8]); 1] = [("host", b"h")];
    for (rest, now, expected) in [
        ("&x-oss-expires=60", NOW + 60, SIGNED),
        ("&x-oss-expires=60", NOW + 61, DENIED),
        ("&x-oss-expires=604800", NOW, SIGNED),
        ("&x-oss-expires=604801", NOW, INVALID),
        ("&x-oss-expires=0", NOW, INVALID),
        ("&x-oss-expires=-1", NOW, INVALID),
        ("", NOW, DENIED),
        ("&x-oss-expires=60", NOW - MAX_SKEW - 1, SKEWED),
        ("&x-oss-expires=60&acl&prefix=a+b", NOW, SIGNED),
        ("&x-oss-expires=60&x-oss-additional-headers=", NOW, INVALID),
        (
            "&x-oss-expires=60&x-oss-additional-headers=range",
            NOW,
            INVALID,
        ),
        ("&x-oss-expires=60&x-oss-security-token=t", NOW, TOKEN),
    ] {
        let query = format!("{base}{rest}");
        let signed = format!("{query}&x-oss-signature={}", v4(&query, &map(&host), &[]));
        let result = verify_at(now, None, &signed, &map(&host));
        assert_eq!(code(result), expected, "{rest}");
    }
    let query = format!("{base}&x-oss-expires=60&x-oss-additional-headers=host");
    let signature = v4(&query, &map(&host), &["host"]);
    let signed = format!("{query}&x-oss-signature={signature}");
    assert_eq!(code(verify(&signed, &host)), SIGNED);
    assert_eq!(code(verify(&signed, &[("host", b"i")])), MISMATCH);
    assert_eq!(code(verify(&format!("{signed}&a"), &host)), MISMATCH);
    assert_eq!(code(verify(&query, &host)), DENIED);
    let other = signed.replace("OSS4-HMAC-SHA256", "OSS2");
    assert_eq!(code(verify(&other, &host)), INVALID);
}
