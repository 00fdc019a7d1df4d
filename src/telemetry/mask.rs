//! Masks the secrets in a request target before it is logged.
//!
//! A presigned URL gives access to the object until it expires, and readers of the log must not get that
//! access. The values of signatures, tokens and policies become `*`; names and their order are unchanged.

/// The names of the query parameters whose values are secrets. The names are in lower case.
const SECRET: [&str; 12] = [
    "signature",
    "x-oss-signature",
    "security-token",
    "x-oss-security-token",
    "x-amz-signature",
    "x-amz-security-token",
    "policy",
    "auth_key",
    "sign",
    "token",
    "access_token",
    "key2",
];

/// Appends `target` to `line`, with the values of secret query parameters masked.
pub fn append_masked(line: &mut Vec<u8>, target: &[u8]) {
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    line.extend_from_slice(parts.next().unwrap_or_default());
    let Some(query) = parts.next() else { return };
    line.push(b'?');
    for (index, pair) in query.split(|byte| *byte == b'&').enumerate() {
        if index > 0 {
            line.push(b'&');
        }
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        if name.len() < pair.len() && is_secret(name) {
            line.extend_from_slice(name);
            line.extend_from_slice(b"=*");
        } else {
            line.extend_from_slice(pair);
        }
    }
}

/// Whether the value of the query parameter `name` is a secret. The name is percent-decoded first, as a
/// server does, and ASCII case is ignored.
fn is_secret(name: &[u8]) -> bool {
    let decoded: Vec<u8> = percent_encoding::percent_decode(name).collect();
    SECRET
        .iter()
        .any(|secret| decoded.eq_ignore_ascii_case(secret.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_stays() {
        for (target, expected) in [
            ("/a/b", "/a/b"),
            ("/a?acl", "/a?acl"),
            (
                "/a?OSSAccessKeyId=AK&Expires=1&Signature=abc%3D",
                "/a?OSSAccessKeyId=AK&Expires=1&Signature=*",
            ),
            (
                "/a?x-oss-signature=1&x-oss-security-token=2&x=3",
                "/a?x-oss-signature=*&x-oss-security-token=*&x=3",
            ),
            ("/a?%53ignature=abc", "/a?%53ignature=*"),
            ("/a?security-token", "/a?security-token"),
            ("/Signature=abc", "/Signature=abc"),
        ] {
            let mut line = Vec::new();
            append_masked(&mut line, target.as_bytes());
            assert_eq!(String::from_utf8_lossy(&line), expected);
        }
    }
}
