//! Random damage to valid messages, config files and addresses.
//!
//! Rows: damaged requests by HTTP/1.1 and HTTP/2; damaged answers of OSS; damaged files for the config and the
//! imports; damaged targets and hosts. Damage ends no connection but its own, and only well-formed requests
//! reach the origin. The seed is fixed, so each run draws the same cases.

use std::path::Path;
use std::time::Duration;

use ossgate::cli::import::{bucket_xml, nginx};
use ossgate::config;
use ossgate::http::authority;
use ossgate::telemetry::mask;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::daemon::{self, Daemon};
use crate::support::frames::{DATA, HEADERS, SETTINGS, WINDOW_UPDATE, frame};
use crate::support::origin::{RawOrigin, Received, Reply, ok};
use crate::support::proxy::{bucket_at, status};

/// Byte sequences that parsers often mishandle.
const PIECES: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"\xff",
    b"%",
    b"\"",
    b"{",
    b"}",
    b"#",
    b"<",
    b"&#0;",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"\r\ncontent-length: 7",
    b"\r\ntransfer-encoding: chunked",
    b"\r\nhost: b",
    b"99999999999999999999",
    b"-1",
    b"chunked, identity",
    b"HTTP/1.0",
];

#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Remove(Index, usize),
    Repeat(Index, usize),
    Insert(Index, usize),
    End(Index),
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let one = prop_oneof![
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        1 => (any::<Index>(), 1_usize..20).prop_map(|(at, length)| Damage::Remove(at, length)),
        1 => (any::<Index>(), 1_usize..60).prop_map(|(at, length)| Damage::Repeat(at, length)),
        3 => (any::<Index>(), 0..PIECES.len()).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        1 => any::<Index>().prop_map(Damage::End),
    ];
    prop::collection::vec(one, 1..4)
}

fn damaged(message: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = message.to_vec();
    for damage in damages {
        let place = |at: &Index| at.index(bytes.len().max(1)).min(bytes.len());
        match damage {
            Damage::Set(at, byte) => {
                let at = place(at);
                bytes.splice(at..(at + 1).min(bytes.len()), [*byte]);
            }
            Damage::Remove(at, length) => {
                let at = place(at);
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Damage::Repeat(at, length) => {
                let at = place(at);
                let again = bytes[at..(at + length).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
            Damage::Insert(at, piece) => {
                let at = place(at);
                bytes.splice(at..at, PIECES[*piece].iter().copied());
            }
            Damage::End(at) => {
                let at = place(at);
                bytes.truncate(at);
            }
        }
    }
    bytes
}

/// Draws `count` damaged copies of `messages`.
fn draw<M: AsRef<[u8]> + Clone>(messages: &[M], count: usize) -> Vec<Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    let tree = (
        prop::sample::select((0..messages.len()).collect::<Vec<_>>()),
        damages(),
    );
    (0..count)
        .map(|_| {
            let (message, damages) = tree.new_tree(&mut runner).unwrap().current();
            damaged(messages[message].as_ref(), &damages)
        })
        .collect()
}

fn daemon(origin: std::net::SocketAddr) -> Daemon {
    let patience = ", timeouts = { first_byte = \"2s\", idle = \"2s\" } }";
    Daemon::start(&format!(
        "[server]\nworkers = 2\n[admin]\naddress = \"unix:admin.sock\"\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\ntimeouts = {{ header = \"2s\", idle = \"2s\", stall = \"2s\" }}\n\
         [[route]]\n{}\n",
        bucket_at(origin).replace(" }", patience)
    ))
}

/// Sends `bytes` and reads the answer to its end. With `leaves`, the client closes its sending side first.
async fn talk(address: std::net::SocketAddr, bytes: &[u8], leaves: bool) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let mut came = Vec::new();
    let talking = async {
        // The connection may end at any point.
        let _sent = socket.write_all(bytes).await;
        if leaves {
            let _said = socket.shutdown().await;
        }
        let _end = socket.read_to_end(&mut came).await;
    };
    tokio::time::timeout(Duration::from_secs(20), talking)
        .await
        .unwrap_or_else(|_| panic!("the connection does not end: {}", bytes.escape_ascii()));
    came
}

/// Whether OSS can read the request in one way only.
fn is_well_formed(request: &Received) -> bool {
    let text = request.head.split(|byte| *byte == b'\n');
    let mut lines = text.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first: Vec<_> = lines.next().unwrap().split(|byte| *byte == b' ').collect();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let are_fields = lines.all(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap();
        name.len() < line.len()
            && !name.is_empty()
            && name.iter().all(is_name)
            && !line.iter().any(|byte| matches!(byte, b'\0' | b'\r'))
    });
    let count = |name| request.header(name).len();
    are_fields
        && matches!(first[..], [method, target, b"HTTP/1.1"]
            if !method.is_empty() && method.iter().all(is_name) && target.starts_with(b"/"))
        && count("host") == 1
        && count("content-length") + count("transfer-encoding") <= 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_request_ends_no_connection_but_its_own() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let daemon = daemon(origin.address);
    let address = daemon.addresses(1).await[0];
    let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let head = b"\x83\x86\x04\x02/k\x01\x01x\x00\x05x-one\x03two";
    for frame in [
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 255, 0]),
        frame(HEADERS, 0x4, 1, head),
        frame(DATA, 0x1, 1, b"hello"),
        frame(HEADERS, 0x5, 3, head),
    ] {
        frames.extend_from_slice(&frame);
    }
    let messages: [&[u8]; 5] = [
        b"GET /a/b?c=d HTTP/1.1\r\nhost: x\r\nrange: bytes=0-\r\nreferer: http://a/\r\norigin: http://a\r\n\r\n",
        b"PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nx-oss-meta-a: b\r\n\r\nhelloGET /l HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PUT /k HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\nGET /l HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http://x/k HTTP/1.1\r\nhost: x\r\nconnection: close, x-a\r\nx-a: b\r\nexpect: 100-continue\r\n\r\n",
        &frames,
    ];
    // Every second client closes its sending side, the others wait for the answer. All run at once.
    for batch in draw(&messages, 1000).chunks(250) {
        let talking = batch.iter().cloned().enumerate();
        let talking: tokio::task::JoinSet<_> = talking
            .map(|(number, bytes)| async move { talk(address, &bytes, number % 2 == 0).await })
            .collect();
        talking.join_all().await;
        assert_eq!(status(&daemon::get(address).await), 200);
    }
    let received = origin.received();
    assert!(
        received.len() > 100,
        "{}: nearly all requests were refused",
        received.len()
    );
    for request in &received {
        let head = request.head.escape_ascii();
        assert!(is_well_formed(request), "{head}");
    }
    let metrics = daemon.metrics("admin.sock").await;
    assert!(metrics.contains("\nossgate_panics_total 0\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_answer_ends_no_connection_but_its_own() {
    let answers: [&[u8]; 5] = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\netag: \"a\"\r\nx-oss-request-id: 1\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-4/9\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\nconnection: close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nhello",
    ];
    let drawn = draw(&answers, 1000);
    let count = drawn.len();
    let origin = RawOrigin::start(move |request| {
        let line = request.line();
        match line.split(['/', ' ']).nth(2).unwrap().parse::<usize>() {
            Ok(number) => Reply::Close(drawn[number].clone()),
            Err(_) => ok("x"),
        }
    })
    .await;
    let daemon = daemon(origin.address);
    let address = daemon.addresses(1).await[0];
    let mut refused = 0;
    for number in 0..count {
        let request = format!("GET /{number} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = talk(address, request.as_bytes(), false).await;
        let (head, body) = match answer.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(at) => (String::from_utf8_lossy(&answer[..at]), &answer[at + 4..]),
            // The connection ended before a head was complete.
            None => (String::from_utf8_lossy(&answer), &[][..]),
        };
        let lines = head.to_ascii_lowercase();
        refused += usize::from(status(&head) == 502);
        assert!(head.is_empty() || head.starts_with("HTTP/1.1 "), "{head}");
        let length = |line: &str| line.strip_prefix("content-length: ")?.parse::<usize>().ok();
        if let Some(length) = lines.lines().find_map(length) {
            assert!(
                body.len() <= length,
                "the body is longer than its content-length: {head}"
            );
        }
        if number % 100 == 0 {
            assert_eq!(status(&daemon::get(address).await), 200);
        }
    }
    assert!((10..count - 10).contains(&refused), "{refused}");
    let metrics = daemon.metrics("admin.sock").await;
    assert!(metrics.contains("\nossgate_panics_total 0\n"), "{metrics}");
}

#[test]
fn a_damaged_file_is_rejected_or_still_valid() {
    let no_files = |_: &str| None;
    let reference = std::fs::read("config/reference.toml").unwrap();
    let mut refused = 0;
    for bytes in draw(&[reference], 300) {
        let text = String::from_utf8_lossy(&bytes);
        if let Err(problems) = config::from_str("t.toml", &text, Path::new("/"), &no_files) {
            refused += 1;
            assert!(problems.to_string().contains("t.toml:"), "{problems}");
        }
    }
    assert!(refused > 100, "{refused}");
    let xml = "<?xml version=\"1.0\"?><RefererConfiguration><AllowEmptyReferer>true</AllowEmptyReferer>\
        <RefererList><Referer>http://a.cn/*</Referer></RefererList></RefererConfiguration>";
    let server = "server { listen 443 ssl; server_name a.cn; ssl_certificate a; ssl_certificate_key b;\n\
        location / { proxy_pass http://b.oss-cn-hangzhou.aliyuncs.com; proxy_set_header Host $host; } }";
    let file = |bytes: &[u8]| [("f".to_owned(), String::from_utf8_lossy(bytes).into_owned())];
    let mut taken = 0;
    for bytes in draw(&[xml, server], 2000) {
        let results = [
            bucket_xml::import(&file(&bytes), "examplebucket", "cn-hangzhou"),
            nginx::import(&file(&bytes)),
        ];
        for imported in results.into_iter().flatten() {
            taken += 1;
            let text = toml::from_str::<toml::Table>(&imported.config);
            assert!(text.is_ok(), "{text:?}\n{}", imported.config);
        }
    }
    assert!(taken > 100, "{taken}");
}

#[test]
fn a_damaged_target_or_host_leaks_no_secret_and_no_odd_character() {
    let target =
        "/k?OSSAccessKeyId=a&Signature=SECRET&security-token=SECRET&x-oss-signature=SECRET";
    for bytes in draw(&[target], 1000) {
        let mut line = Vec::new();
        mask::append_masked(&mut line, &bytes);
        // A damaged parameter name is not a secret's name any more, so its value may be shown.
        for name in ["&Signature=", "&security-token=", "&x-oss-signature="] {
            let (line, bytes) = (
                String::from_utf8_lossy(&line),
                String::from_utf8_lossy(&bytes),
            );
            if bytes
                .split('?')
                .nth(1)
                .is_some_and(|query| query.contains(name))
            {
                let value = line.split(name).nth(1).unwrap_or("*");
                assert!(value.starts_with('*'), "{bytes}: {line}");
            }
        }
    }
    for bytes in draw(
        &["img.example.com:8080", "[2001:db8::1]:443", "203.0.113.7"],
        2000,
    ) {
        let Ok(text) = std::str::from_utf8(&bytes) else {
            continue;
        };
        if let Some(found) = authority::parse(text) {
            assert!(text.contains(found.host), "{text}");
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
            assert!(found.host.bytes().all(is_plain), "{text}");
        }
    }
}
