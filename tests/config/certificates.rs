//! Warnings about certificates and the hosts of routes.
//!
//! Rows: certificates that cover no host, by exact name, wildcard, address and default; hosts without a
//! certificate; certificates that are never used; certificates that expire soon; the key `default` with several
//! types of keys. Left out: problems of the files (`tables`), ten thousand certificates (`process/scale`).

use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};

use crate::support::certificates::{self, Leaf};
use crate::support::config::{Files, expect, lines};

const TLS: &str = "[[listener]]\naddress = \"127.0.0.1:443\"\ntls = true\n";
const PLAIN: &str = "[[listener]]\naddress = \"127.0.0.1:80\"\n";
const ORIGIN: &str = "origin = { bucket = \"examplebucket\", region = \"cn-hangzhou\" }\n";

fn certificate(leaf: &Leaf, more: &str) -> String {
    format!(
        "[[certificate]]\ncert = {:?}\nkey = {:?}\n{more}",
        leaf.cert, leaf.key
    )
}

fn route(hosts: &str) -> String {
    format!("[[route]]\nhosts = [{hosts}]\n{ORIGIN}")
}

/// Asserts the problems of a config with a listener with TLS, `certificates` and `routes`.
#[track_caller]
fn expect_of(certificates: &[String], routes: &str, expected: &[&str]) {
    let text = format!("{TLS}{}{routes}", certificates.concat());
    expect(&Files::new(), &text, expected);
}

const REJECTED: &str = "clients that use TLS get the default certificate, which they reject";

#[test]
fn a_certificate_that_covers_no_host_is_reported() {
    let exact = certificates::leaf(&[
        "a.example",
        "b.example",
        "c.example",
        "d.example",
        "e.example",
    ]);
    let wildcard = certificates::leaf(&["*.w.example"]);
    let shown =
        "covers no host of any route: it has `a.example`, `b.example`, `c.example` and 2 more";
    let line = |message: &str| format!("5:8: warning: certificate[0].cert: {message}");
    let of_exact = line(shown);
    let of_wildcard = line("covers no host of any route: it has `*.w.example`");
    let other = certificates::leaf(&["other.example"]);
    for (leaf, key, hosts, expected) in [
        (&exact, "", "\"C.Example\"", None),
        (&exact, "", "\"*.example\"", None),
        (&exact, "", "\"*.c.example\"", Some(&of_exact)),
        (&exact, "", "\"other.example\"", Some(&of_exact)),
        // The file says that it is for all other clients.
        (&exact, "default = true\n", "\"other.example\"", None),
        (&wildcard, "", "\"x.w.example\"", None),
        (&wildcard, "", "\"*.w.example\"", None),
        (&wildcard, "", "\"w.example\"", Some(&of_wildcard)),
        (&wildcard, "", "\"x.y.w.example\"", Some(&of_wildcard)),
    ] {
        let hosts = format!("\"other.example\", {hosts}")
            .replace("\"other.example\", \"other.example\"", "\"other.example\"");
        let certificates = [certificate(leaf, key), certificate(&other, "")];
        let text = format!("{TLS}{}{}", certificates.concat(), route(&hosts));
        let loaded = Files::new().read(&text).unwrap();
        let found = lines(&loaded.warnings);
        let found: Vec<&str> = (found.iter())
            .filter(|line| line.contains("covers no host"))
            .map(|line| line.trim_start_matches("t.toml:"))
            .collect();
        let expected: Vec<&str> = expected.into_iter().map(String::as_str).collect();
        assert_eq!(found, expected, "{hosts}");
    }
    // A route for every host needs every certificate.
    let every = format!("[[route]]\n{ORIGIN}");
    expect_of(
        &[certificate(&exact, ""), certificate(&other, "")],
        &every,
        &[],
    );
}

#[test]
fn a_host_without_a_certificate_is_reported_at_its_place() {
    let leaf = certificates::leaf(&["a.example", "*.w.example", "one.u.example"]);
    let hosts = "\"a.example\", \"x.w.example\", \"*.w.example\", \"*.u.example\", \"203.0.113.7\"";
    let own = [certificate(&leaf, "")];
    let routes = format!(
        "{}{}",
        route(&format!(
            "{hosts}, \"b.example\", \"*.v.example\", \"w.example\""
        )),
        // The same host in another route is not reported again.
        route("\"b.example\"").replace("[[route]]", "[[route]]\npath = \"/p\""),
    );
    let tls = |text: &str| format!("{TLS}{}{text}", own.concat());
    let wrong = |consequence: &str| {
        [
            ("8:83", "b.example"),
            ("8:96", "*.v.example"),
            ("8:111", "w.example"),
        ]
        .map(|(place, host)| {
            format!(
                "{place}: warning: route[0].hosts: `{host}` is in no certificate: {consequence}"
            )
        })
    };
    // The only certificate is the default. Without a listener without TLS, clients of an address need TLS.
    let address =
        format!("8:68: warning: route[0].hosts: `203.0.113.7` is in no certificate: {REJECTED}");
    let [b, v, w] = wrong(REJECTED);
    let [b, v, w] = [&*b, &*v, &*w];
    expect(&Files::new(), &tls(&routes), &[&address, b, v, w]);
    expect(
        &Files::new(),
        &format!("{}{PLAIN}", tls(&routes)),
        &[b, v, w],
    );
    // Without a default certificate the handshake fails.
    let text = tls(&routes).replace("[[route]]\nhosts", "default = false\n[[route]]\nhosts");
    let found = wrong("TLS handshakes for it fail").map(|line| line.replace("8:", "9:"));
    let [b, v, w] = [&*found[0], &*found[1], &*found[2]];
    expect(&Files::new(), &format!("{text}{PLAIN}"), &[b, v, w]);
    // Without a listener with TLS, no host needs a certificate.
    expect(&Files::new(), &format!("{PLAIN}{routes}"), &[]);
}

#[test]
fn many_hosts_of_a_route_without_a_certificate_are_reported_together() {
    let leaf = certificates::leaf(&["a.example"]);
    for (count, last) in [
        (3, None),
        (4, Some("`h3.b.example` is")),
        (5, Some("`h3.b.example` and 1 more hosts of this route are")),
        (
            5000,
            Some("`h3.b.example` and 4996 more hosts of this route are"),
        ),
    ] {
        let hosts: Vec<String> = (0..count)
            .map(|host| format!("\"h{host}.b.example\""))
            .collect();
        let hosts = format!("\"a.example\", {}", hosts.join(", "));
        let text = format!("{TLS}{}{}", certificate(&leaf, ""), route(&hosts));
        let found = lines(&Files::new().read(&text).unwrap().warnings);
        let last = last.map(|last| format!("{last} in no certificate: {REJECTED}"));
        let hosts =
            (0..3).map(|host| format!("`h{host}.b.example` is in no certificate: {REJECTED}"));
        let expected: Vec<String> = hosts.chain(last).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                found.ends_with(&format!("route[0].hosts: {expected}")),
                "{found}"
            );
        }
    }
}

#[test]
fn the_address_of_a_certificate_covers_a_route_by_address() {
    let make = |addresses: &[&str]| {
        let key = KeyPair::generate().unwrap();
        certificates::leaf_with(&[], &key, |params: &mut CertificateParams| {
            let addresses = addresses
                .iter()
                .map(|one| SanType::IpAddress(one.parse().unwrap()));
            params.subject_alt_names.extend(addresses);
        })
    };
    let leaf = make(&["203.0.113.7", "2001:db8::7"]);
    let hosts = route("\"203.0.113.7\", \"[2001:DB8:0::7]\"");
    expect_of(&[certificate(&leaf, "")], &hosts, &[]);
    let other = make(&["203.0.113.8"]);
    let expected = [
        "5:8: warning: certificate[0].cert: covers no host of any route: it has no DNS name",
        &format!("8:10: warning: route[0].hosts: `203.0.113.7` is in no certificate: {REJECTED}"),
        &format!(
            "8:25: warning: route[0].hosts: `[2001:DB8:0::7]` is in no certificate: {REJECTED}"
        ),
    ];
    expect_of(&[certificate(&other, "")], &hosts, &expected);
}

#[test]
fn a_certificate_that_is_never_used_is_reported() {
    let (one, two) = (
        certificates::leaf(&["a.example", "b.example"]),
        certificates::leaf(&["c.example"]),
    );
    let both = certificates::leaf(&["c.example", "a.example"]);
    let rsa = certificates::rsa_leaf(&["a.example", "c.example"]);
    let more = certificates::leaf(&["a.example", "d.example"]);
    let nameless = certificates::leaf(&[]);
    let hosts = route("\"a.example\", \"b.example\", \"c.example\", \"d.example\"");
    let owned = "warning: certificate[2].cert: is never used: earlier certificates, such as";
    let why = "have all of its names and the same type of key (ECDSA P-256)";
    for (third, key, expected) in [
        (&both, "", Some(format!("11:8: {owned} `certificate[1]` (line 7), {why}"))),
        (&both, "default = true\n", None),
        (&rsa, "", None),
        (&more, "", None),
        (
            &nameless,
            "",
            Some(
                "11:8: warning: certificate[2].cert: is never used: it has no DNS name, and is not the default"
                    .to_owned(),
            ),
        ),
    ] {
        let text = [certificate(&one, ""), certificate(&two, ""), certificate(third, key)];
        let text = format!("{TLS}{}{hosts}", text.concat());
        let loaded = Files::new().read(&text).unwrap();
        let found: Vec<String> = (lines(&loaded.warnings).into_iter())
            .filter(|line| line.contains("certificate["))
            .map(|line| line.trim_start_matches("t.toml:").to_owned())
            .collect();
        assert_eq!(found, Vec::from_iter(expected), "{text}");
    }
}

#[test]
fn a_certificate_that_expires_soon_is_reported_with_the_days() {
    // The clock of `Files` is at 2025-01-01, a quarter of a day less for each leap year.
    for (day, expected) in [
        (20, None),
        (
            10,
            Some("expires in 9 days, on Jan 10 00:00:00 2025 +00:00"),
        ),
    ] {
        let key = KeyPair::generate().unwrap();
        let leaf =
            certificates::leaf_with(&["a.example"], &key, |params: &mut CertificateParams| {
                params.not_before = date_time_ymd(2020, 1, 1);
                params.not_after = date_time_ymd(2025, 1, day);
            });
        let line = expected.map(|text| format!("5:8: warning: certificate[0].cert: {text}"));
        let expected: Vec<&str> = line.iter().map(String::as_str).collect();
        expect_of(
            &[certificate(&leaf, "")],
            &route("\"a.example\""),
            &expected,
        );
    }
}

#[test]
fn certificates_that_differ_only_in_the_type_of_their_key_are_one_default() {
    let names = ["a.example", "b.example"];
    let (ecdsa, rsa) = (
        certificates::leaf(&names),
        certificates::rsa_leaf(&["b.example", "a.example"]),
    );
    let (other, second) = (
        certificates::leaf(&["c.example"]),
        certificates::leaf(&names),
    );
    for (leaves, expected) in [
        (vec![&ecdsa], vec![true]),
        (vec![&ecdsa, &rsa], vec![true, true]),
        (vec![&ecdsa, &second], vec![false, false]),
        (vec![&ecdsa, &other], vec![false, false]),
        (vec![&ecdsa, &rsa, &other], vec![false, false, false]),
    ] {
        let text: String = leaves.iter().map(|leaf| certificate(leaf, "")).collect();
        let loaded = Files::new().read(&format!("{TLS}{text}[[route]]\n{ORIGIN}"));
        let defaults: Vec<bool> = (loaded.unwrap().config.certificates.iter())
            .map(|certificate| certificate.is_default)
            .collect();
        assert_eq!(defaults, expected);
    }
}
