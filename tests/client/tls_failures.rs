//! Failed TLS handshakes: their counters and their log entries.
//!
//! Rows: each reason, caused by a client of its kind; connections that end before their first byte, which are no
//! handshake; many failures of one kind, of which one is logged; a peer with a PROXY header that the listener does
//! not expect; ClientHellos with a wrong byte at each place. Left out: the responses to plain HTTP (`wrong_port`).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ossgate::demo::ca::Ca;
use rustls::pki_types::ServerName;
use rustls::version::TLS12;
use rustls::{ClientConnection, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::certificates::{self, Leaf};
use crate::support::daemon::{Daemon, wait_for};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::bucket_at;
use crate::support::tls::{self, Client};

fn config(origin: SocketAddr, leaf: &Leaf, more: &str) -> String {
    format!(
        "[server]\nworkers = 1\n[log]\nlevel = \"debug\"\n[admin]\naddress = \"unix:admin.sock\"\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\ntls = true\ntimeouts = {{ tls_handshake = \"1s\" }}\n{more}\n\
         [[certificate]]\ncert = {:?}\nkey = {:?}\ndefault = false\n[[route]]\n{}\n",
        leaf.cert,
        leaf.key,
        bucket_at(origin)
    )
}

/// Returns the results of handshakes that are not zero.
async fn results(daemon: &Daemon) -> BTreeMap<String, u64> {
    let metrics = daemon.metrics("admin.sock").await;
    let rows = metrics.lines().filter_map(|line| {
        let row = line.strip_prefix("ossgate_tls_handshakes_total{")?;
        let (labels, count) = row.split_once("} ")?;
        let (_, result) = labels.split_once("result=\"")?;
        Some((
            result.trim_end_matches('"').to_owned(),
            count.parse().unwrap(),
        ))
    });
    rows.filter(|(_, count)| *count > 0).collect()
}

/// Waits until the counters have `expected`, and asserts that they have nothing else.
async fn wait_for_results(daemon: &Daemon, expected: &BTreeMap<String, u64>) {
    let begin = tokio::time::Instant::now();
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(20));
    loop {
        pace.tick().await;
        let found = results(daemon).await;
        if found == *expected {
            return;
        }
        assert!(
            begin.elapsed().as_secs() < 20,
            "{found:?}, not {expected:?}"
        );
    }
}

/// Returns a ClientHello with these versions for the record and the message, and without extensions.
fn old_hello(record: u8, message: u8) -> Vec<u8> {
    let mut hello = vec![0x16, 3, record, 0, 45, 1, 0, 0, 41, 3, message];
    hello.extend_from_slice(&[7; 32]);
    // No session id, one cipher suite (TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA), no compression.
    hello.extend_from_slice(&[0, 0, 2, 0xc0, 0x13, 1, 0]);
    hello
}

/// Returns the ClientHello of a TLS 1.2 client for `a.example`.
fn hello() -> Vec<u8> {
    let client = Client {
        version: Some(&TLS12),
        ..Client::default()
    };
    let name = ServerName::try_from("a.example").unwrap();
    let mut client = ClientConnection::new(client.config(), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// Sends `bytes` on a new connection. If `waits`, reads until the proxy closes; otherwise closes first.
async fn send(address: SocketAddr, bytes: &[u8], waits: bool) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    if !waits {
        socket.shutdown().await.unwrap();
    }
    let _end = socket.read_to_end(&mut Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_is_counted_and_logged_with_its_reason() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let (leaf, unknown) = (
        certificates::leaf(&["a.example"]),
        certificates::leaf(&["a.example"]),
    );
    let daemon = Daemon::start(&config(origin.address, &leaf, ""));
    let address = daemon.addresses(1).await[0];
    let mut expected = BTreeMap::new();
    let mut reset = hello();
    reset.truncate(20);
    for (bytes, waits, reason) in [
        (Vec::new(), false, None),
        (Vec::new(), true, Some("timeout")),
        (reset.clone(), true, Some("timeout")),
        (reset, false, Some("closed")),
        (hello(), true, Some("timeout")),
        (hello(), false, Some("closed")),
        (b"GET / HTTP/1.0\r\n\r\n".to_vec(), true, Some("plain_http")),
        (b"GE".to_vec(), false, Some("plain_http")),
        (
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n".to_vec(),
            true,
            Some("proxy_header"),
        ),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec(),
            true,
            Some("proxy_header"),
        ),
        (b"SSH-2.0-x\r\n".to_vec(), true, Some("not_tls")),
        (b"\0".to_vec(), false, Some("not_tls")),
        (old_hello(1, 1), true, Some("no_common_version")),
        (old_hello(1, 2), true, Some("no_common_version")),
        (old_hello(0, 0), true, Some("no_common_version")),
        (
            b"\x80\x2e\x01\x00\x02\x00\x15\x00".to_vec(),
            false,
            Some("no_common_version"),
        ),
        (
            vec![0x16, 3, 1, 0, 4, 99, 0, 0, 0],
            true,
            Some("bad_message"),
        ),
    ] {
        send(address, &bytes, waits).await;
        if let Some(reason) = reason {
            *expected.entry(reason.to_owned()).or_default() += 1;
        }
        wait_for_results(&daemon, &expected).await;
    }
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(&hello()).await.unwrap();
    socket.read_u8().await.unwrap();
    // The alert `handshake_failure`, in answer to the first messages of the proxy.
    let alert = [0x15, 3, 3, 0, 2, 2, 40];
    socket.write_all(&alert).await.unwrap();
    expected.insert("other_alert".to_owned(), 1);
    wait_for_results(&daemon, &expected).await;
    let rsa = [SignatureScheme::RSA_PSS_SHA256];
    let signature = Client {
        schemes: Some(&rsa),
        ..Client::default()
    };
    let curve = [SignatureScheme::ECDSA_NISTP384_SHA384];
    let old_signature = Client {
        version: Some(&TLS12),
        schemes: Some(&curve),
        ..Client::default()
    };
    let protocol = Client {
        alpn: &["spdy/3"],
        ..Client::default()
    };
    let nameless = Client {
        is_nameless: true,
        ..Client::default()
    };
    for (client, name, reason) in [
        (signature, "a.example", "no_common_cipher"),
        (old_signature, "a.example", "no_common_cipher"),
        (protocol, "a.example", "no_common_alpn"),
        (Client::default(), "B.example", "no_certificate_for_name"),
        (nameless, "a.example", "no_certificate_for_name"),
        (Client::default(), "a.example", "completed"),
    ] {
        let outcome = client.connect(address, name).await;
        assert_eq!(outcome.is_ok(), reason == "completed", "{reason}");
        *expected.entry(reason.to_owned()).or_default() += 1;
        wait_for_results(&daemon, &expected).await;
    }
    // One client does not know the CA. The other one knows a CA of the same name with another key.
    let mut stranger = leaf.clone();
    stranger.ca_pem = Ca::generate().unwrap().certificate().to_owned();
    for ca in [&stranger, &unknown] {
        let refused = tls::connect_to(address, ca, "a.example", &[]).await;
        assert!(refused.unwrap_err().to_string().contains("certificate"));
        *expected
            .entry("certificate_rejected".to_owned())
            .or_default() += 1;
        wait_for_results(&daemon, &expected).await;
    }

    // The first failure of each reason is an entry that the default level shows.
    let events = daemon.events();
    let entries = |level: &str| -> Vec<&str> {
        let level = format!(" {level} ");
        (events.lines())
            .filter(|line| line.contains("tls handshake failed") && line.contains(&level))
            .collect()
    };
    let (warnings, infos) = (entries("WARN"), entries("INFO"));
    assert_eq!(warnings.len() + infos.len(), expected.len() - 1, "{events}");
    for (lines, reason, part) in [
        (
            &warnings,
            "certificate_rejected",
            "sni=a.example error=received fatal alert: UnknownCA ",
        ),
        (&warnings, "no_certificate_for_name", "sni=b.example "),
        (&warnings, "no_common_cipher", "sni=a.example "),
        (
            &warnings,
            "proxy_header",
            "`proxy_protocol` of this listener is \"off\"",
        ),
        (&infos, "no_common_alpn", "sni=a.example "),
        (&infos, "no_common_version", "TLS 1.2 or 1.3"),
        (&infos, "plain_http", "without TLS"),
        (&infos, "timeout", "in time"),
        (&infos, "closed", "closed the connection"),
        (&infos, "other_alert", "HandshakeFailure"),
        (&infos, "not_tls", "no TLS"),
        (&infos, "bad_message", "broke the TLS protocol"),
    ] {
        let entry = (lines.iter()).find(|line| line.contains(&format!("reason=\"{reason}\"")));
        let entry = entry.unwrap_or_else(|| panic!("{reason}\n{events}"));
        let common = format!("listener={address} ");
        let is_whole = [part, &common, "peer=127.0.0.1:", "so_far=1"];
        for part in is_whole {
            assert!(entry.contains(part), "{part}: {entry}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_failures_of_one_kind_are_one_entry_of_the_log() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let leaf = certificates::leaf(&["a.example"]);
    let plain = "[[listener]]\naddress = \"127.0.0.1:0\"";
    let text = config(origin.address, &leaf, plain).replace("\"debug\"", "\"info\"");
    let daemon = Daemon::start(&text);
    let addresses = daemon.addresses(2).await;
    let address = addresses[0];
    for _ in 0..30 {
        send(addresses[1], &hello(), true).await;
        send(address, b"GET / HTTP/1.0\r\n\r\n", true).await;
        send(address, b"SSH-2.0-x\r\n", true).await;
        send(address, b"", false).await;
    }
    let expected =
        ["plain_http", "not_tls", "tls_on_plain_port"].map(|reason| (reason.to_owned(), 30));
    wait_for_results(&daemon, &BTreeMap::from(expected)).await;
    // All log lines before this one have been written.
    Daemon::signal("TERM", daemon.child.id());
    wait_for("the end", || {
        daemon.events().contains(" stopped").then_some(())
    })
    .await;
    let events = daemon.events();
    let entries: Vec<&str> = (events.lines())
        .filter(|line| line.contains("tls handshake failed"))
        .collect();
    assert_eq!(entries.len(), 3, "{events}");
    let of_plain = format!("listener={} reason=\"tls_on_plain_port\"", addresses[1]);
    assert!(
        entries.iter().any(|line| line.contains(&of_plain)),
        "{events}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_client_hello_ends_only_its_own_connection() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let leaf = certificates::leaf(&["a.example"]);
    let text = config(origin.address, &leaf, "").replace("\"debug\"", "\"info\"");
    let daemon = Daemon::start(&text);
    let address = daemon.addresses(1).await[0];
    let hello = hello();
    for place in 0..hello.len() {
        for damage in [0xff, 0x01] {
            let mut damaged = hello.clone();
            damaged[place] ^= damage;
            send(address, &damaged, false).await;
        }
    }
    let outcome = Client::default().connect(address, "a.example").await;
    assert!(outcome.is_ok(), "{outcome:?}");
    let sent = 2 * hello.len() as u64 + 1;
    let begin = tokio::time::Instant::now();
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(20));
    // Every connection has exactly one result.
    while results(&daemon).await.values().sum::<u64>() != sent {
        pace.tick().await;
        let found = results(&daemon).await;
        assert!(begin.elapsed().as_secs() < 20, "{found:?}, not {sent}");
    }
    let found = results(&daemon).await;
    assert_eq!(
        (found.get("completed"), found.get("internal")),
        (Some(&1), None)
    );
    let metrics = daemon.metrics("admin.sock").await;
    assert!(metrics.contains("ossgate_panics_total 0"), "{metrics}");
}
