//! Cross-origin requests whose fields are unusual: Private Network Access, and fields that occur several times.

use crate::support::origin::{RawOrigin, Reply, ok};
use crate::support::proxy::{header, proxy, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_private_network_is_permitted_by_the_rule_that_says_so() {
    let origin = RawOrigin::start(|_| {
        Reply::Bytes(
            b"HTTP/1.1 200 OK\r\naccess-control-allow-private-network: true\r\ncontent-length: 1\r\n\r\nx"
                .to_vec(),
        )
    })
    .await;
    let rule = |origin: &str, more: &str| {
        format!("{{ origins = [\"{origin}\"], methods = [\"GET\"]{more} }}")
    };
    let proxy = proxy(
        origin.address,
        &format!(
            "cors = {{ rules = [{}, {}, {}] }}",
            rule("https://a.example", ", private_network = true"),
            rule("https://b.example", ", private_network = false"),
            rule("https://c.example", "")
        ),
    );
    let name = "access-control-request-private-network";
    for (origin, lines, expected) in [
        (
            "https://a.example",
            format!("{name}: true\r\n"),
            Some("true"),
        ),
        (
            "https://a.example",
            "Access-Control-Request-Private-Network:true\r\n".to_owned(),
            Some("true"),
        ),
        ("https://a.example", String::new(), None),
        ("https://a.example", format!("{name}: false\r\n"), None),
        ("https://a.example", format!("{name}:\r\n"), None),
        (
            "https://a.example",
            format!("{name}: true\r\n{name}: false\r\n"),
            None,
        ),
        ("https://b.example", format!("{name}: true\r\n"), None),
        ("https://c.example", format!("{name}: true\r\n"), None),
    ] {
        let answer = proxy
            .text(&format!(
                "OPTIONS /k HTTP/1.1\r\nhost: x\r\norigin: {origin}\r\naccess-control-request-method: GET\r\n\
                 {lines}connection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(status(&answer), 200, "{origin} {lines}: {answer}");
        let found = header(&answer, "access-control-allow-private-network")
            .first()
            .copied();
        assert_eq!(found, expected, "{origin} {lines}: {answer}");
    }
    let answer = proxy
        .text(&format!(
            "OPTIONS /k HTTP/1.1\r\nhost: x\r\norigin: https://d.example\r\naccess-control-request-method: GET\r\n\
             {name}: true\r\nconnection: close\r\n\r\n"
        ))
        .await;
    assert_eq!(status(&answer), 403, "{answer}");
    assert!(
        header(&answer, "access-control-allow-private-network").is_empty(),
        "{answer}"
    );
    let answer = proxy.get("x", "/k").await;
    assert!(
        header(&answer, "access-control-allow-private-network").is_empty(),
        "the field of OSS is removed: {answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rule_is_for_a_request_with_several_origins() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let rules = "cors = { rules = [{ origins = [\"https://a.example\"], methods = [\"GET\"], headers = [\"x-a\"] }] }";
    let proxy = proxy(origin.address, rules);
    let two = "origin: https://a.example\r\norigin: https://evil.example\r\n";
    let one = "origin: https://a.example\r\n";
    let get = "access-control-request-method: GET\r\n";
    for (method, lines, is_allowed) in [
        ("GET", one.to_owned(), true),
        ("GET", two.to_owned(), false),
        ("OPTIONS", format!("{one}{get}"), true),
        ("OPTIONS", format!("{two}{get}"), false),
        (
            "OPTIONS",
            format!("{one}{get}access-control-request-method: PUT\r\n"),
            false,
        ),
        (
            "OPTIONS",
            format!(
                "{one}{get}access-control-request-headers: x-a\r\naccess-control-request-headers: x-a\r\n"
            ),
            true,
        ),
        (
            "OPTIONS",
            format!(
                "{one}{get}access-control-request-headers: x-a\r\naccess-control-request-headers: x-b\r\n"
            ),
            false,
        ),
    ] {
        let answer = proxy
            .text(&format!(
                "{method} /k HTTP/1.1\r\nhost: x\r\n{lines}connection: close\r\n\r\n"
            ))
            .await;
        let found = !header(&answer, "access-control-allow-origin").is_empty();
        assert_eq!(found, is_allowed, "{method} {lines}: {answer}");
    }
}
