//! Clients that are refused or served by their address.
//!
//! Rows: `allow`, `deny` and `file`, alone and together; a client without an address; the refusal as XML, as HTML,
//! without a body and without the fields of other policies; paths that the listener or another policy exempts; several
//! routes. Left out: which address is judged (`ip_client`), a list that changes (`process/address_lists`), the
//! problems of the config (`config/addresses`).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::support::client_at::{TRUSTING, get, refusal, send, start};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, bucket_at, header, status};

#[tokio::test(flavor = "multi_thread")]
async fn deny_wins_over_allow_and_an_allow_list_refuses_all_others() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(list.path(), "127.0.0.32/28 # partner\n").unwrap();
    let file = format!("file = {:?}", list.path());
    let clients = ["127.0.0.2", "127.0.0.3", "127.0.0.40", "127.0.1.2"];
    for (lists, served) in [
        ("allow = [\"127.0.0.2\"]".to_owned(), [1, 0, 0, 0]),
        ("allow = [\"127.0.0.0/24\"]".to_owned(), [1, 1, 1, 0]),
        (
            "allow = [\"127.0.0.0/24\", \"127.0.0.2\", \"127.0.0.2\", \"127.0.0.0/25\"]".to_owned(),
            [1, 1, 1, 0],
        ),
        ("deny = [\"127.0.0.2/31\"]".to_owned(), [0, 0, 1, 1]),
        (
            "allow = [\"127.0.0.2\"], deny = [\"127.0.0.0/24\"]".to_owned(),
            [0, 0, 0, 0],
        ),
        (
            "allow = [\"127.0.0.0/8\"], deny = [\"127.0.0.3\"]".to_owned(),
            [1, 0, 1, 1],
        ),
        ("allow = [\"127.0.0.7/24\"]".to_owned(), [1, 1, 1, 0]),
        ("allow = [\"::ffff:127.0.0.3\"]".to_owned(), [0, 1, 0, 0]),
        (
            "allow = [\"::ffff:127.0.0.0/120\"]".to_owned(),
            [1, 1, 1, 0],
        ),
        ("allow = [\"::/0\"]".to_owned(), [0, 0, 0, 0]),
        (file.clone(), [0, 0, 1, 0]),
        (format!("{file}, allow = [\"127.0.0.2\"]"), [1, 0, 1, 0]),
        (format!("{file}, allow = []"), [0, 0, 1, 0]),
        (format!("{file}, deny = [\"127.0.0.40\"]"), [0, 0, 0, 0]),
    ] {
        let proxy = start(&origin, "", &format!("ip = {{ {lists} }}"));
        for (client, is_served) in clients.into_iter().zip(served) {
            let answer = send(client, proxy.address, &get("")).await;
            let found = refusal(&answer);
            assert_eq!(
                found.is_empty(),
                is_served == 1,
                "{client}: {lists}: {found}"
            );
            if is_served == 0 {
                let expected = format!("The client address {client} is ");
                assert!(found.starts_with(&expected), "{found}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_which_list_decided_and_nothing_about_the_route() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let rules = "ip = { allow = [\"127.0.0.0/29\"], deny = [\"127.0.0.3\"] }\n\
        https = { hsts = {} }\nmethods = [\"GET\"]\n\
        cors = { rules = [{ origins = [\"*\"], methods = [\"GET\"] }] }\nreferer = { allow = [\"http://a\"], allow_empty = false }";
    let proxy = start(&origin, TRUSTING, rules);
    let page = "origin: https://a.example\r\nx-forwarded-proto: https\r\naccept: text/html\r\n";
    for (client, expected) in [
        (
            "127.0.0.3",
            "The client address 127.0.0.3 is in the deny list of this proxy. OSS was not asked.",
        ),
        (
            "127.0.0.9",
            "The client address 127.0.0.9 is not in the allow list of this proxy. OSS was not asked.",
        ),
    ] {
        let answer = send(client, proxy.address, &get("")).await;
        assert_eq!(refusal(&answer), expected);
        assert!(
            answer.contains("<Code>ProxyAccessDenied</Code>"),
            "{answer}"
        );
        assert!(
            answer.contains("content-type: application/xml\r\n"),
            "{answer}"
        );
        for request in [
            get(page),
            format!(
                "OPTIONS /k HTTP/1.1\r\nhost: x\r\n{page}access-control-request-method: GET\r\nconnection: close\r\n\r\n"
            ),
        ] {
            let answer = send(client, proxy.address, &request).await;
            assert_eq!(status(&answer), 403, "{answer}");
            assert!(
                answer.contains("<h1>403 Forbidden</h1>") && answer.contains(expected),
                "{answer}"
            );
            for name in [
                "strict-transport-security",
                "access-control-allow-origin",
                "vary",
                "x-oss-request-id",
            ] {
                assert_eq!(header(&answer, name), [""; 0], "{name}");
            }
        }
        let head = "HEAD /k HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let answer = send(client, proxy.address, head).await;
        assert_eq!(
            (status(&answer), header(&answer, "x-ossgate-error")),
            (403, vec!["ip"])
        );
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        let put = "PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx";
        assert_eq!(status(&send(client, proxy.address, put).await), 403);
    }
    // The other policies see only clients that may come in.
    let answer = send("127.0.0.2", proxy.address, &get("")).await;
    assert_eq!(header(&answer, "location"), ["https://x/k"], "{answer}");
    let lines = proxy.stop();
    assert_eq!((lines.len(), origin.received().len()), (11, 0));
    for line in &lines[..10] {
        assert_eq!(
            (line["error"].as_str(), line["status"].as_u64()),
            (Some("ip"), Some(403))
        );
        assert_eq!(line["route"], "examplebucket");
    }
    assert_eq!(lines[0]["client"], "127.0.0.3");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_unix_socket_a_client_without_an_address_needs_a_route_without_an_allow_list() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let dir = tempfile::tempdir().unwrap();
    for (index, rules) in [
        "allow = [\"198.51.100.7\", \"0.0.0.0/0\", \"::/0\"]",
        "deny = [\"0.0.0.0/0\", \"::/0\"]",
    ]
    .into_iter()
    .enumerate()
    {
        let path = dir.path().join(format!("{index}.sock"));
        let _proxy = Proxy::start(&format!(
            "[server]\nworkers = 1\n[[listener]]\naddress = \"unix:{}\"\n[[route]]\n{}\nip = {{ {rules} }}\n",
            path.display(),
            bucket_at(origin.address)
        ));
        for (lines, in_list) in [
            ("", false),
            ("x-forwarded-for: unknown\r\n", false),
            ("x-forwarded-for: 198.51.100.7\r\n", true),
        ] {
            let mut socket = UnixStream::connect(&path).await.unwrap();
            socket.write_all(get(lines).as_bytes()).await.unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.unwrap();
            let is_served = (index == 0) == in_list;
            let found = refusal(&answer);
            assert_eq!(found.is_empty(), is_served, "{rules}: {lines}: {found}");
            if !is_served && !in_list {
                assert_eq!(
                    found,
                    "The address of the client is not known, and this proxy has an allow list. OSS was not asked."
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_health_check_is_exempt() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let rules = "path = \"/\"\nip = { allow = [\"127.0.0.2\"] }\nhttps = {}\nwebsite = { subdirectories = \"redirect\" }";
    let proxy = start(&origin, "health_path = \"/health\"", rules);
    for (target, is_exempt) in [
        ("/health", true),
        ("/he%61lth", true),
        ("/health/a", false),
        ("/.well-known/acme-challenge/token", false),
        ("/%2Ewell-known/acme-challenge/token", false),
        ("/docs", false),
        ("/", false),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = send("127.0.0.3", proxy.address, &request).await;
        assert_eq!(status(&answer) != 403, is_exempt, "{target}: {answer}");
        let kind: &[&str] = if is_exempt { &[] } else { &["ip"] };
        assert_eq!(header(&answer, "x-ossgate-error"), kind, "{target}");
    }
    assert_eq!(origin.received().len(), 0);
    let acme =
        "GET /.well-known/acme-challenge/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_eq!(status(&send("127.0.0.2", proxy.address, acme).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_has_its_own_lists() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let bucket = bucket_at(origin.address);
    let proxy = Proxy::start(&format!(
        "[server]\nworkers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\nhosts = [\"a.cn\"]\npath = \"/in\"\n{bucket}\nip = {{ allow = [\"127.0.0.2\"] }}\n\
         [[route]]\nhosts = [\"a.cn\"]\n{bucket}\nip = {{ deny = [\"127.0.0.2\"] }}\n\
         [[route]]\n{bucket}\n"
    ));
    for (host, target, two, three) in [
        ("a.cn", "/in/k", 200, 403),
        ("A.CN:80", "/%69n%2Fk", 200, 403),
        ("a.cn", "/inx", 403, 200),
        ("a.cn.", "/k", 403, 200),
        ("b.cn", "/in/k", 200, 200),
    ] {
        for (client, expected) in [("127.0.0.2", two), ("127.0.0.3", three)] {
            let request =
                format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
            let answer = send(client, proxy.address, &request).await;
            assert_eq!(
                status(&answer),
                expected,
                "{client} {host} {target}: {answer}"
            );
        }
    }
}
