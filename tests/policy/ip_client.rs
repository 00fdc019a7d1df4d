//! The address by which a client is refused or served.
//!
//! Rows: clients of both families, by the socket, a PROXY header or `X-Forwarded-For`; the same address in other
//! spellings; repeated fields; fields of untrusted peers; HTTP/1.1 and HTTP/2. Left out: what the lists decide (`ip`).

use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::certificates;
use crate::support::client_at::{TRUSTING, connect, get, refusal, send, start};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::status;
use crate::support::tls;

#[tokio::test(flavor = "multi_thread")]
async fn the_client_behind_trusted_proxies_is_judged_however_it_is_spelled() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let allow = "ip = { allow = [\"198.51.100.7\", \"2001:db8::7\"] }";
    let proxy = start(&origin, TRUSTING, allow);
    for (lines, judged) in [
        ("x-forwarded-for: 198.51.100.7\r\n", ""),
        ("X-FORWARDED-FOR:\t198.51.100.7:443\r\n", ""),
        ("x-forwarded-for: ::ffff:198.51.100.7\r\n", ""),
        ("x-forwarded-for: [::FFFF:c633:6407]:1\r\n", ""),
        ("x-forwarded-for: 2001:DB8:0:0::7\r\n", ""),
        ("x-forwarded-for: [2001:db8::0007]\r\n", ""),
        ("x-forwarded-for: 6.6.6.6,198.51.100.7\r\n", ""),
        ("x-forwarded-for: 198.51.100.7, 10.1.2.3\r\n", ""),
        (
            "x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 198.51.100.7\r\n",
            "",
        ),
        (
            "x-forwarded-for: 198.51.100.7\r\nx-forwarded-for: 6.6.6.6\r\n",
            "6.6.6.6",
        ),
        ("x-forwarded-for: 198.51.100.7, 6.6.6.6\r\n", "6.6.6.6"),
        (
            "x-forwarded-for: 198.51.100.7, ::ffff:6.6.6.6\r\n",
            "6.6.6.6",
        ),
        ("x-forwarded-for: 198.51.100.8\r\n", "198.51.100.8"),
        // These are no addresses. The proxy that sent them is judged, never what looks like a client.
        ("x-forwarded-for: 198.51.100.7%eth0\r\n", "127.0.0.1"),
        ("x-forwarded-for: 2001:db8::7%25eth0\r\n", "127.0.0.1"),
        ("x-forwarded-for: 198.51.100.07\r\n", "127.0.0.1"),
        ("x-forwarded-for: 0xc6.51.100.7\r\n", "127.0.0.1"),
        ("x-forwarded-for: 198.51.100.7,\r\n", "127.0.0.1"),
        ("x-forwarded-for: 198.51.100.7, unknown\r\n", "127.0.0.1"),
        ("x-forwarded-for:\r\n", "127.0.0.1"),
        (
            "x-real-ip: 198.51.100.7\r\nforwarded: for=198.51.100.7\r\n",
            "127.0.0.1",
        ),
    ] {
        let answer = send("127.0.0.1", proxy.address, &get(lines)).await;
        let found = refusal(&answer);
        let is_expected = match judged {
            "" => found.is_empty(),
            judged => found.starts_with(&format!("The client address {judged} is not in")),
        };
        assert!(is_expected, "{lines}: {found}");
    }
    // A client that names the field in `Connection` does not hide from its rules.
    let request = "GET /k HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 6.6.6.6\r\nconnection: close, x-forwarded-for\r\n\r\n";
    let answer = send("127.0.0.1", proxy.address, request).await;
    assert_ne!(status(&answer), 200, "{answer}");
    // The same, with a list of refused clients.
    let proxy = start(
        &origin,
        TRUSTING,
        "ip = { deny = [\"198.51.100.0/24\", \"2001:db8::/32\"] }",
    );
    for field in [
        "198.51.100.7",
        "::ffff:198.51.100.7",
        "[::ffff:198.51.100.7]:9",
        "2001:0DB8::1",
        "198.51.100.9, 10.0.0.1",
    ] {
        let answer = send(
            "127.0.0.1",
            proxy.address,
            &get(&format!("x-forwarded-for: {field}\r\n")),
        )
        .await;
        assert!(
            refusal(&answer).ends_with("is in the deny list of this proxy. OSS was not asked."),
            "{field}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_peer_cannot_choose_its_address() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let spoofed = get(
        "x-forwarded-for: 198.51.100.7\r\nX-Forwarded-For: 198.51.100.7\r\nx-real-ip: 198.51.100.7\r\n",
    );
    for listener in ["", "trusted_proxies = [\"127.0.0.2\"]"] {
        let proxy = start(&origin, listener, "ip = { allow = [\"198.51.100.7\"] }");
        let answer = send("127.0.0.3", proxy.address, &spoofed).await;
        assert!(
            refusal(&answer).starts_with("The client address 127.0.0.3 is not in"),
            "{answer}"
        );
        let proxy = start(&origin, listener, "ip = { deny = [\"127.0.0.3\"] }");
        let answer = send("127.0.0.3", proxy.address, &spoofed).await;
        assert!(
            refusal(&answer).starts_with("The client address 127.0.0.3 is in"),
            "{answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_a_proxy_header_is_judged() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let listener = format!("{TRUSTING}proxy_protocol = \"v1\"");
    let proxy = start(
        &origin,
        &listener,
        "ip = { allow = [\"198.51.100.7\", \"2001:db8::/64\"] }",
    );
    let forged = get("x-forwarded-for: 198.51.100.7\r\n");
    for (source, judged) in [
        ("TCP4 198.51.100.7 10.0.0.1 1 2", ""),
        ("TCP6 2001:db8::9 ::1 1 2", ""),
        ("TCP6 ::ffff:198.51.100.7 ::1 1 2", ""),
        ("TCP4 198.51.100.8 10.0.0.1 1 2", "198.51.100.8"),
        ("TCP6 2001:db8:0:1::9 ::1 1 2", "2001:db8:0:1::9"),
        // Without a client in the header, the load balancer itself is the client.
        ("UNKNOWN", "127.0.0.1"),
    ] {
        let request = format!("PROXY {source}\r\n{forged}");
        let answer = send("127.0.0.1", proxy.address, &request).await;
        let found = refusal(&answer);
        let is_expected = match judged {
            "" => found.is_empty(),
            judged => found.starts_with(&format!("The client address {judged} is not in")),
        };
        assert!(is_expected, "{source}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_requests_are_judged_each_by_its_client() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let leaf = certificates::leaf(&["a.example"]);
    let listener = format!(
        "trusted_proxies = [\"127.0.0.5\"]\ntls = true\n[[certificate]]\ncert = {:?}\nkey = {:?}",
        leaf.cert, leaf.key
    );
    let rules = "ip = { allow = [\"198.51.100.7\", \"127.0.0.2\"] }";
    let proxy = start(&origin, &listener, rules);
    for (from, field, expected) in [
        ("127.0.0.2", "", 200),
        ("127.0.0.3", "198.51.100.7", 403),
        ("127.0.0.5", "198.51.100.7", 200),
        ("127.0.0.5", "198.51.100.8", 403),
    ] {
        let socket = connect(from, proxy.address).await;
        let stream = tls::handshake(socket, &leaf, "a.example", &["h2"])
            .await
            .unwrap();
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        for method in ["GET", "PUT", "OPTIONS"] {
            let request = http::Request::builder()
                .method(method)
                .uri("https://a.example/k");
            let request = request.header("x-forwarded-for", field);
            let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!(answer.status(), expected, "{from} {field} {method}");
            let kind = answer.headers().get("x-ossgate-error");
            assert_eq!(kind.is_some_and(|kind| kind == "ip"), expected == 403);
        }
        // One connection of a trusted proxy carries the requests of many clients.
        if from == "127.0.0.5" {
            let other = if expected == 200 {
                "6.6.6.6"
            } else {
                "198.51.100.7"
            };
            let request =
                http::Request::get("https://a.example/k").header("x-forwarded-for", other);
            let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!(answer.status(), if expected == 200 { 403 } else { 200 });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_networks_of_one_family_decide_about_its_clients_only() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    for (rules, over_v4, over_v6) in [
        ("allow = [\"127.0.0.2\"]", true, false),
        ("allow = [\"0.0.0.0/0\"]", true, false),
        ("allow = [\"::1\"]", false, true),
        ("deny = [\"127.0.0.0/8\"]", false, true),
        ("deny = [\"::/0\"]", true, false),
        ("deny = [\"::ffff:127.0.0.2\"]", false, true),
    ] {
        let rules = format!("ip = {{ {rules} }}");
        let proxy = start(&origin, "[[listener]]\naddress = \"[::1]:0\"", &rules);
        let sides = [("127.0.0.2", over_v4), ("::1", over_v6)];
        for ((from, is_served), to) in sides.into_iter().zip(&proxy.addresses) {
            let answer = send(from, to.unwrap(), &get("")).await;
            let found = refusal(&answer);
            assert_eq!(found.is_empty(), is_served, "{rules}: {from}: {found}");
            let is_named = found.contains(&format!(" {from} is "));
            assert!(is_served || is_named, "{found}");
        }
    }
}
