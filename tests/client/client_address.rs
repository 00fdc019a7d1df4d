//! The client address: taken from the PROXY protocol and `X-Forwarded-For` of trusted peers only.
//!
//! Rows: version x family x TLS x header cut into pieces of any size; LOCAL and UNKNOWN headers of health
//! checks; invalid headers; untrusted peers; forwarded fields with and without trust, and both protocols
//! together; forwarded fields do not reach OSS; a real HAProxy in front. Each test reads the logged client.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::certificates;
use crate::support::daemon::wait_for;
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, bucket_at, status};
use crate::support::tls;

/// A request with a client-supplied `X-Forwarded-For`, which a PROXY header overrides.
const GET: &[u8] =
    b"GET /k HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-forwarded-for: 6.6.6.6\r\n\r\n";
const V1: &[u8] = b"PROXY TCP4 198.51.100.7 10.0.0.1 51234 443\r\n";

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend_from_slice(&[command, family]);
    bytes.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn v2_of_v4(more: &[u8]) -> Vec<u8> {
    let addresses = [198, 51, 100, 7, 10, 0, 0, 1, 0xc8, 0x22, 0x01, 0xbb];
    v2(0x21, 0x11, &[&addresses, more].concat())
}

fn v2_of_v6() -> Vec<u8> {
    let mut body = [0; 36];
    body[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    body[15] = 7;
    v2(0x21, 0x21, &body)
}

fn start(origin: &RawOrigin, listener: &str) -> Proxy {
    Proxy::start(&format!(
        "[server]\nworkers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\n{listener}\n[[route]]\n{}\n",
        bucket_at(origin.address)
    ))
}

/// Sends `pieces` one after the other on a connection of its own; returns the answer.
async fn send(address: SocketAddr, pieces: impl IntoIterator<Item = &[u8]>) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    for piece in pieces {
        // A closed connection shows as an empty answer below.
        if socket.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    let _end = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn clients(lines: &[serde_json::Value]) -> Vec<String> {
    lines
        .iter()
        .map(|line| line["client"].as_str().unwrap().to_owned())
        .collect()
}

const TRUSTING: &str = "trusted_proxies = [\"127.0.0.0/8\"]\n";

#[tokio::test]
async fn a_proxy_header_sets_the_client_however_it_is_cut_into_pieces() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = start(&origin, &format!("{TRUSTING}proxy_protocol = \"any\""));
    let mut expected = Vec::new();
    for (header, client) in [
        (V1.to_vec(), "198.51.100.7"),
        (
            b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n".to_vec(),
            "2001:db8::7",
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2_of_v4(&[]), "198.51.100.7"),
        (v2_of_v6(), "2001:db8::7"),
        (v2(0x20, 0, &[]), "127.0.0.1"),
        (v2(0x21, 0, &[]), "127.0.0.1"),
        (v2(0x21, 0x31, &[0; 216]), "127.0.0.1"),
    ] {
        let whole = [&header[..], GET].concat();
        for size in [1, 7, 1000] {
            let answer = send(proxy.address, whole.chunks(size)).await;
            assert_eq!(status(&answer), 200, "{header:x?} by {size}");
            expected.push(client);
        }
    }
    let lines = proxy.stop();
    assert_eq!(clients(&lines), expected);
    assert!(lines[0]["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn tls_and_http2_may_follow_the_proxy_header() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let leaf = certificates::leaf(&["a.example"]);
    let text = format!(
        "{TRUSTING}proxy_protocol = \"v2\"\ntls = true\n[[certificate]]\ncert = {:?}\nkey = {:?}",
        leaf.cert, leaf.key
    );
    let proxy = start(&origin, &text);
    let more = [
        &[0xe1, 0, 10][..],
        b"\x01vpc-2ze1a",
        &[0xe1, 0, 7],
        b"\x02ep-bp1",
    ]
    .concat();
    for (header, alpn) in [(v2_of_v4(&more), &[][..]), (v2_of_v6(), &["h2"])] {
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        socket.write_all(&header).await.unwrap();
        let mut stream = tls::handshake(socket, &leaf, "a.example", alpn)
            .await
            .unwrap();
        if alpn.is_empty() {
            stream.write_all(GET).await.unwrap();
            let mut answer = String::new();
            let _end = stream.read_to_string(&mut answer).await;
            assert_eq!(status(&answer), 200);
            continue;
        }
        let stream = TokioIo::new(stream);
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("https://a.example/k")
            .header("x-forwarded-for", "6.6.6.6")
            .body(Empty::<bytes::Bytes>::new())
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        drop(answer.into_body().collect().await.unwrap());
    }
    let plain = send(proxy.address, [GET]).await;
    assert_eq!(plain, "", "closed: the header is missing");
    let lines = proxy.stop();
    assert_eq!(clients(&lines), ["198.51.100.7", "2001:db8::7"]);
    assert_eq!(lines[1]["http"], "HTTP/2.0");
    assert_eq!(lines[0]["vpc_id"], "vpc-2ze1a");
    assert_eq!(lines[0]["endpoint_id"], "ep-bp1");
}

#[tokio::test]
async fn a_connection_without_a_valid_proxy_header_is_closed_without_an_answer() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    for (expects, headers) in [
        (
            "v1",
            vec![
                v2_of_v4(&[]),
                Vec::new(),
                b"PROXY TCP4 1.2.3.4\r\n".to_vec(),
            ],
        ),
        (
            "v2",
            vec![V1.to_vec(), Vec::new(), v2(0x21, 0x11, &[1, 2, 3])],
        ),
        (
            "any",
            vec![
                b"PROXX TCP4 198.51.100.7 10.0.0.1 51234 443\r\n".to_vec(),
                v2(0x31, 0x11, &[0; 12]),
                v2(0x21, 0x11, &[0; 5000]),
                [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat(),
                v2_of_v4(&[0x03, 0, 4, 1, 2, 3, 4]),
            ],
        ),
    ] {
        let proxy = start(
            &origin,
            &format!("{TRUSTING}proxy_protocol = \"{expects}\""),
        );
        for header in &headers {
            let answer = send(proxy.address, [&header[..], GET]).await;
            assert_eq!(answer, "", "{expects}: {header:x?}");
        }
        assert_eq!(
            proxy.stop().len(),
            0,
            "a connection without a request logs no line"
        );
    }
    assert_eq!(origin.received().len(), 0);
}

#[tokio::test]
async fn an_incomplete_proxy_header_closes_the_connection_at_the_timeout() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let settings = format!("{TRUSTING}proxy_protocol = \"any\"\ntimeouts = {{ header = \"1s\" }}");
    let proxy = start(&origin, &settings);
    for piece in [&b""[..], &V1[..20], &v2_of_v4(&[])[..14]] {
        assert_eq!(send(proxy.address, [piece]).await, "");
    }
}

#[tokio::test]
async fn on_a_unix_socket_the_proxy_header_is_trusted_and_forwarded_fields_are_not() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("front.sock");
    let proxy = Proxy::start(&format!(
        "[server]\nworkers = 1\n[[listener]]\naddress = \"unix:{}\"\nproxy_protocol = \"v1\"\n[[route]]\n{}\n",
        path.display(),
        bucket_at(origin.address)
    ));
    for header in [V1, b"PROXY UNKNOWN\r\n"] {
        let mut socket = tokio::net::UnixStream::connect(&path).await.unwrap();
        socket.write_all(&[header, GET].concat()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert_eq!(status(&answer), 200);
    }
    let lines = proxy.stop();
    assert_eq!(lines[0]["client"], "198.51.100.7");
    assert_eq!(lines[1].get("client"), None);
}

#[tokio::test]
async fn an_untrusted_peer_cannot_set_the_client() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let other = "trusted_proxies = [\"10.0.0.0/8\"]\n";
    // The peer of these tests is 127.0.0.1, which is not in the list.
    let proxy = start(&origin, &format!("{other}proxy_protocol = \"any\""));
    for header in [V1.to_vec(), v2_of_v4(&[]), Vec::new()] {
        assert_eq!(send(proxy.address, [&header[..], GET]).await, "");
    }
    assert_eq!(proxy.stop().len(), 0);
    let spoofed =
        b"GET /k HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-forwarded-for: 10.0.0.1\r\n\
        X-Forwarded-For: 6.6.6.6\r\nx-real-ip: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\n\r\n";
    for settings in ["", other] {
        let proxy = start(&origin, settings);
        // Without `proxy_protocol` the listener reads the header as a request.
        assert_eq!(status(&send(proxy.address, [V1, GET]).await), 400);
        assert_eq!(status(&send(proxy.address, [&spoofed[..]]).await), 200);
        let served: Vec<String> = clients(&proxy.stop());
        assert!(
            served.iter().all(|client| client == "127.0.0.1"),
            "{served:?}"
        );
    }
    for request in origin.received() {
        for name in ["x-forwarded-for", "x-real-ip", "forwarded"] {
            assert_eq!(request.header(name), [b""; 0], "{name} reaches OSS");
        }
    }
}

#[tokio::test]
async fn forwarded_fields_are_read_from_the_right_through_trusted_hops() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let trusting = "trusted_proxies = [\"127.0.0.0/8\", \"100.64.0.0/10\", \"10.0.0.0/8\"]\n";
    let rows = [
        ("198.51.100.7", "198.51.100.7"),
        ("6.6.6.6, 198.51.100.7", "198.51.100.7"),
        ("6.6.6.6, 198.51.100.7, 100.97.1.2", "198.51.100.7"),
        ("198.51.100.7:51234", "198.51.100.7"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("6.6.6.6, evil\"}, 10.0.0.9", "10.0.0.9"),
        ("evil", "127.0.0.1"),
        ("", "127.0.0.1"),
    ];
    let proxy = start(&origin, trusting);
    for (field, _) in rows {
        let request = format!(
            "GET /k HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-forwarded-for: {field}\r\n\r\n"
        );
        assert_eq!(
            status(&send(proxy.address, [request.as_bytes()]).await),
            200
        );
    }
    let expected: Vec<&str> = rows.iter().map(|(_, client)| *client).collect();
    assert_eq!(clients(&proxy.stop()), expected);
    // The first source is a trusted load balancer, the second a client that forges the field.
    let proxy = start(&origin, &format!("{trusting}proxy_protocol = \"v1\""));
    for source in ["10.0.0.5", "203.0.113.9"] {
        let header = format!("PROXY TCP4 {source} 10.0.0.1 1 2\r\n");
        let request = b"GET /k HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-forwarded-for: 198.51.100.7\r\n\r\n";
        let answer = send(proxy.address, [header.as_bytes(), request]).await;
        assert_eq!(status(&answer), 200);
    }
    assert_eq!(clients(&proxy.stop()), ["198.51.100.7", "203.0.113.9"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_in_front_passes_its_client_on() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    for (sends, expects) in [("send-proxy", "v1"), ("send-proxy-v2", "v2")] {
        let proxy = start(
            &origin,
            &format!("{TRUSTING}proxy_protocol = \"{expects}\""),
        );
        let dir = tempfile::tempdir().unwrap();
        let (file, front) = (
            dir.path().join("haproxy.cfg"),
            dir.path().join("front.sock"),
        );
        // HAProxy listens on a unix socket, which needs no free port; it gets the client address by a PROXY
        // header, too.
        let config = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n\
             listen front\n bind unix@{} accept-proxy\n server one {} {sends}\n",
            front.display(),
            proxy.address
        );
        std::fs::write(&file, config).unwrap();
        let mut haproxy = std::process::Command::new("/usr/sbin/haproxy")
            .args(["-db", "-q", "-f"])
            .arg(&file)
            .spawn()
            .expect("haproxy is installed (tests/run installs it)");
        wait_for("haproxy", || {
            std::os::unix::net::UnixStream::connect(&front).ok()
        })
        .await;
        let mut socket = tokio::net::UnixStream::connect(&front).await.unwrap();
        socket.write_all(V1).await.unwrap();
        socket.write_all(GET).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        haproxy.kill().unwrap();
        haproxy.wait().unwrap();
        assert_eq!(status(&answer), 200, "{sends}");
        assert_eq!(clients(&proxy.stop()), ["198.51.100.7"], "{sends}");
    }
}
