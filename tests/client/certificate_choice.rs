//! Certificates with different types of key for one name.
//!
//! Rows: TLS version x signatures that the client can verify x server name (exact, wildcard, unknown, none) x
//! order in the config; cipher suites that fit only one of the keys; a wildcard with another type of key; a
//! default without a name of its own; Hosts on such a connection. Left out: the choice by name alone (`tls`).

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::certificates::{self, Leaf};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, bucket_at, status};
use crate::support::tls::Client;

const ECDSA: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];
const RSA: &[SignatureScheme] = &[
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA256,
];
const BOTH: &[SignatureScheme] = &[
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::ECDSA_NISTP256_SHA256,
];

/// Starts a proxy with `leaves`, each with its value of `default`.
fn start(origin: &RawOrigin, leaves: &[(&Leaf, Option<bool>)]) -> Proxy {
    let mut text = format!(
        "[server]\nworkers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\ntls = true\n[[route]]\n{}\n",
        bucket_at(origin.address)
    );
    for (leaf, default) in leaves {
        let (cert, key) = (&leaf.cert, &leaf.key);
        text.push_str(&format!(
            "[[certificate]]\ncert = {cert:?}\nkey = {key:?}\n"
        ));
        if let Some(default) = default {
            text.push_str(&format!("default = {default}\n"));
        }
    }
    Proxy::start(&text)
}

/// Returns the certificate that `client` gets, as an index of `leaves`; `None` if the handshake fails.
async fn chosen(proxy: &Proxy, client: Client<'_>, name: &str, leaves: &[&Leaf]) -> Option<usize> {
    let client = Client {
        is_nameless: name.is_empty(),
        ..client
    };
    let name = if name.is_empty() {
        "none.example"
    } else {
        name
    };
    let stream = client.connect(proxy.address, name).await.ok()?;
    let sent = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let place = leaves
        .iter()
        .position(|leaf| CertificateDer::from_pem_file(&leaf.cert).unwrap() == sent);
    assert!(place.is_some(), "an unknown certificate for {name}");
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_the_first_type_of_key_that_it_can_verify() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let names = ["a.example", "*.b.example"];
    let (rsa, ecdsa) = (
        certificates::rsa_leaf(&names),
        certificates::leaf(&["*.b.example", "a.example"]),
    );
    let other = certificates::leaf(&["other.example"]);
    let all = [&rsa, &ecdsa, &other];
    for proxy in [
        // Both are the default: they have the same names, and there is no other.
        start(&origin, &[(&rsa, None), (&ecdsa, None)]),
        // The certificate of the other type for the names of the default is also a default.
        start(
            &origin,
            &[(&other, None), (&ecdsa, Some(true)), (&rsa, None)],
        ),
        start(
            &origin,
            &[(&rsa, Some(true)), (&ecdsa, Some(true)), (&other, None)],
        ),
    ] {
        for version in [&TLS12, &TLS13] {
            for (schemes, expected) in [(RSA, 0), (ECDSA, 1), (BOTH, 1)] {
                for name in ["a.example", "x.b.example", "unknown.example", ""] {
                    let client = Client {
                        version: Some(version),
                        schemes: Some(schemes),
                        ..Client::default()
                    };
                    let found = chosen(&proxy, client, name, &all).await;
                    assert_eq!(found, Some(expected), "{version:?} {schemes:?} `{name}`");
                }
            }
        }
        // In TLS 1.2 the cipher suite also names the type of the key.
        for (suite, expected) in [
            (CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, 0),
            (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, 1),
        ] {
            let client = Client {
                version: Some(&TLS12),
                suites: Some(&[suite]),
                ..Client::default()
            };
            let found = chosen(&proxy, client, "a.example", &all).await;
            assert_eq!(found, Some(expected), "{suite:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_the_name_of_the_client_is_no_substitute() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let exact = certificates::leaf(&["a.example"]);
    let (wildcard, other) = (
        certificates::rsa_leaf(&["*.example"]),
        certificates::rsa_leaf(&["other.test"]),
    );
    let all = [&exact, &wildcard, &other];
    let proxy = start(
        &origin,
        &[(&other, Some(true)), (&wildcard, None), (&exact, None)],
    );
    let alone = start(&origin, &[(&other, Some(true)), (&exact, None)]);
    let client = |schemes| Client {
        schemes: Some(schemes),
        ..Client::default()
    };
    for (proxy, schemes, name, expected) in [
        (&proxy, ECDSA, "a.example", Some(0)),
        (&proxy, BOTH, "a.example", Some(0)),
        (&proxy, RSA, "a.example", Some(1)),
        (&proxy, BOTH, "b.example", Some(1)),
        (&proxy, BOTH, "b.test", Some(2)),
        (&proxy, ECDSA, "b.test", None),
        // The default would have another name, so the client could not use it anyway.
        (&alone, RSA, "a.example", None),
    ] {
        let found = chosen(proxy, client(schemes), name, &all).await;
        assert_eq!(found, expected, "{schemes:?} {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_served_if_one_of_the_certificates_of_the_server_name_has_it() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let (rsa, ecdsa) = (
        certificates::rsa_leaf(&["a.example", "b.example"]),
        certificates::leaf(&["a.example"]),
    );
    let other = certificates::leaf(&["c.example"]);
    let leaves = [(&ecdsa, None), (&rsa, None), (&other, None)];
    let proxy = start(&origin, &leaves);
    for (host, expected) in [
        ("a.example", 200),
        ("B.Example", 200),
        ("c.example", 421),
        ("C.EXAMPLE.:443", 421),
        ("d.example", 421),
    ] {
        let client = Client::default();
        let mut stream = client.connect(proxy.address, "a.example").await.unwrap();
        let request = format!("GET /k HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _end = stream.read_to_string(&mut answer).await;
        assert_eq!(status(&answer), expected, "{host}: {answer}");
    }
}
