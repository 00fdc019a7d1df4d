//! Files of certificates and keys that cannot be used, as `check` describes them.
//!
//! Rows: encrypted keys, exchanged files, DER, a chain in the wrong order, a short RSA key, a CN without
//! `subjectAltName`. Left out: files that are missing or of another certificate (`tables`), and names that no
//! route has (`certificates`).

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::certificates;
use crate::support::config::{Files, ROUTE};

/// A key of 1024 bits, made for this test. The library that makes keys for other tests makes none so short.
const SHORT_KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIICeAIBADANBgkqhkiG9w0BAQEFAASCAmIwggJeAgEAAoGBANUfaVIQG1OWUGg4
2NRj1Dqd6aYL7cb3CaIsHB0sTGPNtL4QXdG15pXqVDa26SJvELO+8KyjYIM6AYKT
R60olZqk70FAU2rtLJkulbVkGHkaFMirvwsjk3hc5YNaNJNRySm/THXbpSHH9sAT
DbapKcgb2gLmAF5jfmU5hD//59lTAgMBAAECgYBGXZaid5ruICTwJETC6yr5J4Yr
QqkBFjNiDfpCT4vxL8vLLRAs20gEm1eusPmMWutCzXodJdwJt68j84iozUuHJq4i
8twTD2NwmH62lS5a7vNVonWqAd/zVa59SBefLzJ+BFxurcDrbk+ACGk3iySb/biD
2eYxnSJ6KPDtusrEYQJBAP9n7SxEack8atczMdm71QnLe+xx3bBOzY0ucSkGk+uW
vLxO7Ww+MDCmooUzyQOjw63+LQ7kwsipG7977LEOvykCQQDVnk8Gy7Xgr0awvbHZ
MVyQpmEle4y4IBhS5lYkiI+cIG2j9UlHZPEsnBEPw9QWV6xtDFj+h0CbwUDq+34d
sjAbAkEA5ZVnFha9PN5pb96eHgoBG5flYoqMa7K6hQFNSUKXbvuF1oPgWh+gs+rm
RnRhajsoZ9wGZs/t4/BXeA4Omq4V2QJBALSdqcvhKeLT0D1X5qvxZIaZZsI+eHim
CmrtfiBdpq8nbAyZNGA9JP3G51YhCY3qi0uYiRaMXUBUYgNMqRGKu8kCQQCKumF6
XEITARO3kibGU+z7eSp8FtQBK3diSbTIo6uw7EHJFMtenkRV+rGNeNqaOuaaz5U8
AbNPZ6HfR9sDFnq2
-----END PRIVATE KEY-----
";

const CERTIFICATE_OF_SHORT_KEY: &str = "\
-----BEGIN CERTIFICATE-----
MIICEDCCAXmgAwIBAgIUOO7+HnIya3Lf7J9OOXaHmSYHk9MwDQYJKoZIhvcNAQEL
BQAwDDEKMAgGA1UEAwwBYTAeFw0yNjExMjkwOTQ0NTRaFw0zNTAyMTUwOTQ0NTRa
MAwxCjAIBgNVBAMMAWEwgZ8wDQYJKoZIhvcNAQEBBQADgY0AMIGJAoGBANUfaVIQ
G1OWUGg42NRj1Dqd6aYL7cb3CaIsHB0sTGPNtL4QXdG15pXqVDa26SJvELO+8Kyj
YIM6AYKTR60olZqk70FAU2rtLJkulbVkGHkaFMirvwsjk3hc5YNaNJNRySm/THXb
pSHH9sATDbapKcgb2gLmAF5jfmU5hD//59lTAgMBAAGjbzBtMB0GA1UdDgQWBBTH
iiR5B3TPOHbgePcKeZV5xh/u2jAfBgNVHSMEGDAWgBTHiiR5B3TPOHbgePcKeZV5
xh/u2jAPBgNVHRMBAf8EBTADAQH/MBoGA1UdEQQTMBGCD2ltZy5leGFtcGxlLmNv
bTANBgkqhkiG9w0BAQsFAAOBgQCLnu40nOXQlHtFboSDuoQrmFasK2fmcbYESESg
32C8QxLzjH/zZ7v3aoRw9tff3EZ4z5RRhXzc45ItbWdPGy/LTrGPCxSrByTrIE89
p58zGQaoT0eQawzvSfcMxD0yhI54cfYejPwfq8bwmxaaRJ92qV6yG2vTjWwAEFDr
+s/uMQ==
-----END CERTIFICATE-----
";

/// Returns the problems of the tables `[[certificate]]` of a config, each with its hint.
fn problems(files: &Files, cert: &str, key: &str) -> Vec<String> {
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:443\"\ntls = true\n\
         [[certificate]]\ncert = {cert:?}\nkey = {key:?}\n{ROUTE}"
    );
    let problems = match files.read(&text) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems,
    };
    let shown = problems.iter().map(|problem| {
        let hint = problem.hint.as_deref().unwrap_or("-");
        format!("{}: {}; {hint}", problem.path, problem.message)
    });
    // The clock of the test is before the time of some certificates.
    shown
        .filter(|line| !line.contains("not valid yet"))
        .collect()
}

#[test]
fn a_file_that_is_something_else_is_described() {
    let files = Files::new();
    let read = |name: &str| std::fs::read(files.path(name)).unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(files.path(name), content).unwrap();
    let plain = String::from_utf8(read("privkey.pem")).unwrap();
    let (_, lines) = plain.split_once('\n').unwrap();
    let encrypted = format!(
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{lines}"
    );
    write("old.pem", encrypted.as_bytes());
    let encrypted = plain.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    write("new.pem", encrypted.as_bytes());
    let chain = CertificateDer::from_pem_file(files.path("fullchain.pem")).unwrap();
    write("cert.der", &chain);
    // The keys of other tests are so short that their length takes one byte.
    let rsa = certificates::rsa_leaf(&["img.example.com"]);
    let der = PrivateKeyDer::from_pem_file(&rsa.key).unwrap();
    write("key.der", der.secret_der());
    let swapped = "perhaps `cert` and `key` are swapped";
    for (cert, key, expected) in [
        (
            "fullchain.pem",
            "old.pem",
            vec!["certificate[0].key: `old.pem` is encrypted; decrypt it: `openssl pkey -in old.pem -out decrypted.pem`".to_owned()],
        ),
        (
            "fullchain.pem",
            "new.pem",
            vec!["certificate[0].key: `new.pem` is encrypted; decrypt it: `openssl pkey -in new.pem -out decrypted.pem`".to_owned()],
        ),
        (
            "privkey.pem",
            "fullchain.pem",
            vec![
                format!("certificate[0].cert: `privkey.pem` contains a private key and no certificate; {swapped}"),
                format!("certificate[0].key: `fullchain.pem` contains a certificate and no private key; {swapped}"),
            ],
        ),
        (
            "cert.der",
            "privkey.pem",
            vec!["certificate[0].cert: `cert.der` is in DER format, and PEM is needed; \
                  convert it: `openssl x509 -inform der -in cert.der -out converted.pem`".to_owned()],
        ),
        (
            "fullchain.pem",
            "key.der",
            vec!["certificate[0].key: `key.der` is in DER format, and PEM is needed; \
                  convert it: `openssl pkey -inform der -in key.der -out converted.pem`".to_owned()],
        ),
        (
            "empty.pem",
            "empty.pem",
            vec![
                "certificate[0].cert: `empty.pem` contains no PEM certificate; -".to_owned(),
                "certificate[0].key: `empty.pem` contains no PEM private key; -".to_owned(),
            ],
        ),
        ("fullchain.pem", "privkey.pem", vec![]),
    ] {
        assert_eq!(problems(&files, cert, key), expected, "{cert} {key}");
    }
}

#[test]
fn a_chain_in_the_wrong_order_is_told_from_a_wrong_key() {
    let files = Files::new();
    let leaf = certificates::leaf(&["img.example.com"]);
    let leaf_pem = std::fs::read_to_string(&leaf.cert).unwrap();
    let key = leaf.key.to_str().unwrap();
    for (chain, expected) in [
        (
            format!("{}{leaf_pem}", leaf.ca_pem),
            vec![
                "certificate[0].cert: has the certificate of the key behind another one: \
                  the leaf must be first, and the CAs follow; -",
            ],
        ),
        (
            leaf.ca_pem.clone(),
            vec!["certificate[0].key: does not belong to the certificate in `cert`; -"],
        ),
        (format!("{leaf_pem}{}", leaf.ca_pem), vec![]),
    ] {
        std::fs::write(files.path("chain.pem"), &chain).unwrap();
        assert_eq!(problems(&files, "chain.pem", key), expected);
    }
}

#[test]
fn a_short_rsa_key_is_reported_with_its_length() {
    let files = Files::new();
    std::fs::write(files.path("short.pem"), SHORT_KEY).unwrap();
    std::fs::write(files.path("short-cert.pem"), CERTIFICATE_OF_SHORT_KEY).unwrap();
    assert_eq!(
        problems(&files, "short-cert.pem", "short.pem"),
        [
            "certificate[0].key: is an RSA key of 1024 bits, which is too short: at least 2048 are needed; -"
        ]
    );
}

#[test]
fn a_name_that_is_only_a_cn_is_reported() {
    let files = Files::new();
    let make = |common_name: &str| {
        let key = KeyPair::generate().unwrap();
        let leaf = certificates::leaf_with(&[], &key, |params: &mut CertificateParams| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            if !common_name.is_empty() {
                params
                    .distinguished_name
                    .push(DnType::CommonName, common_name);
            }
        });
        problems(
            &files,
            leaf.cert.to_str().unwrap(),
            leaf.key.to_str().unwrap(),
        )
    };
    for (common_name, expected) in [
        (
            "img.example\u{7}.com",
            "certificate[0].cert: has the name `img.example.com` only as its CN and none in `subjectAltName`, \
             where clients look, so clients reject it; -",
        ),
        (
            "",
            "certificate[0].cert: has no DNS name, so clients reject it; -",
        ),
    ] {
        assert_eq!(make(common_name), [expected]);
    }
}
