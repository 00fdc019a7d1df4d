//! The admin listener, its commands and its pages.
//!
//! Rows: every page by method, with and without token; metrics after known requests, as OpenMetrics;
//! readiness when an endpoint has no address, cannot be connected to, and recovers; the commands with their
//! exit codes and texts; the health path of a listener.

use std::time::Duration;

use ossgate::demo::dns::{Dns, DnsAnswer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::daemon::{Daemon, wait_for};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{Proxy, bucket_at, status};

const TOKEN: &str = "0123456789abcdef0123";

async fn raw(address: std::net::SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

fn config(origin: std::net::SocketAddr, admin: &str) -> String {
    format!(
        "[server]\nworkers = 1\n[admin]\naddress = \"127.0.0.1:0\"\n{admin}[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\nname = \"img\"\nguard = {{ preset = \"read-only\" }}\n{}\n",
        bucket_at(origin)
    )
}

fn request(method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n")
}

#[tokio::test]
async fn each_page_accepts_its_methods_and_needs_the_token() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let daemon = Daemon::start(&config(origin.address, &format!("token = \"{TOKEN}\"\n")));
    let admin = daemon.addresses(2).await[0];
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    for (method, path, more, expected) in [
        ("GET", "/healthz", "", 200),
        ("HEAD", "/healthz", "", 200),
        ("GET", "/metrics", "", 401),
        (
            "GET",
            "/metrics",
            "authorization: Bearer 0123456789abcdef0124\r\n",
            401,
        ),
        ("GET", "/metrics", "authorization: Bearer \r\n", 401),
        ("GET", "/metrics", &bearer, 200),
        ("POST", "/metrics", &bearer, 405),
        ("GET", "/api/status", "", 401),
        ("GET", "/api/status", &bearer, 200),
        ("GET", "/api/reload", &bearer, 405),
        ("POST", "/api/drain", "", 401),
        (
            "POST",
            "/api/drain",
            &format!("{bearer}origin: http://evil.cn\r\n"),
            403,
        ),
        ("POST", "/api/reload", &bearer, 200),
        ("GET", "/nothing", &bearer, 404),
        ("GET", "/nothing", "", 401),
    ] {
        let answer = raw(admin, &request(method, path, more)).await;
        assert_eq!(
            status(&answer),
            expected,
            "{method} {path} {more}: {answer}"
        );
        assert!(!answer.contains(TOKEN));
    }
    assert!(!daemon.events().contains(TOKEN));
}

#[tokio::test]
async fn metrics_count_the_requests() {
    let origin = RawOrigin::start(|_| ok("hello")).await;
    let daemon = Daemon::start(&config(origin.address, ""));
    let addresses = daemon.addresses(2).await;
    let (admin, listener) = (addresses[0], addresses[1]);
    for _ in 0..3 {
        assert_eq!(status(&raw(listener, &request("GET", "/k", "")).await), 200);
    }
    let put = request("PUT", "/k", "content-length: 0\r\n");
    assert_eq!(status(&raw(listener, &put).await), 403);
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    let text = loop {
        pace.tick().await;
        let text = raw(admin, &request("GET", "/metrics", "")).await;
        if text.contains("code=\"403\"") {
            break text;
        }
    };
    for line in [
        "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r",
        "ossgate_requests_total{route=\"img\",method=\"GET\",code=\"200\"} 3",
        "ossgate_requests_total{route=\"img\",method=\"PUT\",code=\"403\"} 1",
        "ossgate_denied_total{reason=\"guard_refused\"} 1",
        "ossgate_upstream_connects_total{route=\"img\"} 1",
        "ossgate_upstream_reuses_total{route=\"img\"} 2",
        "ossgate_request_duration_seconds_count{route=\"img\"} 4",
        "ossgate_request_duration_seconds_bucket{le=\"+Inf\",route=\"img\"} 4",
        "ossgate_ready 1",
        "ossgate_origin_tier{route=\"img\"} 0",
        "ossgate_config_reloads_total{result=\"taken\"} 1",
        &format!("ossgate_connections_accepted_total{{listener=\"{listener}\"}} 4"),
        &format!("ossgate_dns_addresses{{endpoint=\"{}\"}} 1", origin.address),
        "# EOF",
    ] {
        assert!(
            text.lines()
                .any(|found| found == line.trim_end_matches('\r')),
            "{line}\n{text}"
        );
    }
}

/// The same endpoint under several routes: two buckets at one IP address, and one bucket with two limits.
#[tokio::test]
async fn each_endpoint_is_one_series_and_one_entry_of_the_status() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let mut text =
        "[server]\nworkers = 1\n[admin]\naddress = \"127.0.0.1:0\"\n[dns]\nservers = [\"127.0.0.1:1\"]\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n"
            .to_owned();
    for (route, (bucket, endpoint, limit)) in [
        ("one", origin.address.to_string(), 0),
        ("two", origin.address.to_string(), 0),
        ("one", origin.address.to_string(), 7),
        ("one", "[::1]:9".to_owned(), 0),
        ("one", "oss.test:80".to_owned(), 0),
        ("one", "oss.test:80".to_owned(), 7),
        ("one", "oss.test:81".to_owned(), 7),
    ]
    .into_iter()
    .enumerate()
    {
        text.push_str(&format!(
            "[[route]]\nhosts = [\"h{route}\"]\norigin = {{ bucket = \"{bucket}-bucket\", endpoint = \"{endpoint}\", tls = false, \
             addressing = \"path\", pool = {{ max_per_address = {limit} }} }}\n"
        ));
    }
    let daemon = Daemon::start(&text);
    let admin = daemon.addresses(2).await[0];
    let metrics = raw(admin, &request("GET", "/metrics", "")).await;
    let mut series: Vec<&str> = metrics
        .lines()
        .filter(|line| line.starts_with("ossgate_"))
        .filter_map(|line| Some(line.rsplit_once(' ')?.0))
        .collect();
    let all = series.len();
    series.sort_unstable();
    series.dedup();
    assert_eq!(series.len(), all, "{metrics}");
    let shown = raw(admin, &request("GET", "/api/status", "")).await;
    let shown: serde_json::Value =
        serde_json::from_str(shown.split_once("\r\n\r\n").unwrap().1).unwrap();
    let endpoints: Vec<&str> = shown["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["endpoint"].as_str().unwrap())
        .collect();
    let expected = [
        &origin.address.to_string(),
        "[::1]:9",
        "oss.test:80",
        "oss.test:81",
    ];
    assert_eq!(endpoints, expected);
    for endpoint in expected {
        let line = format!("ossgate_dns_addresses{{endpoint=\"{endpoint}\"}}");
        assert!(series.contains(&line.as_str()), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn readiness_follows_the_endpoint() {
    let dns = Dns::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    dns.set(DnsAnswer::NxDomain);
    let origin = RawOrigin::start(|_| ok("x")).await;
    let port = origin.address.port();
    let proxy = Proxy::start(&format!(
        "[server]\nworkers = 1\nprobe = \"100ms\"\n[dns]\nservers = [\"{}\"]\nmin_ttl = \"1s\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\norigin = {{ bucket = \"examplebucket\", endpoint = \"oss.test:{port}\", tls = false }}\n",
        dns.addr()
    ));
    let health = std::sync::Arc::clone(&proxy.state().health);
    let troubles = wait_for("a name that does not exist", || {
        let troubles = health.troubles().join(";");
        troubles.contains("does not exist").then_some(troubles)
    })
    .await;
    assert!(
        troubles.starts_with(&format!("examplebucket.oss.test:{port}: no address")),
        "{troubles}"
    );
    assert!(!health.is_ready());
    dns.set(DnsAnswer::Addresses {
        ips: vec![[127, 0, 0, 1].into()],
        ttl: 1,
    });
    wait_for("ready", || health.is_ready().then_some(())).await;
    // No request is sent, so only the probe can detect the failure.
    drop(origin);
    wait_for("not ready", || (!health.is_ready()).then_some(())).await;
    assert!(
        health.troubles()[0].contains("be connected to"),
        "{:?}",
        health.troubles()
    );
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
        .await
        .unwrap();
    wait_for("ready again", || health.is_ready().then_some(())).await;
    drop(listener);
}

#[tokio::test]
async fn commands_print_the_outcome_and_exit_with_it() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let text = config(origin.address, "");
    let daemon = Daemon::start(&text);
    let admin = daemon.addresses(2).await[0];
    // The commands read the port from the config, so the test chooses a free one before the start.
    let text = text.replace(
        "[admin]\naddress = \"127.0.0.1:0\"",
        &format!("[admin]\naddress = \"{admin}\""),
    );
    daemon.write(&text);
    let output = daemon.ask("reload");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("reloaded; routes: 1"));
    daemon.write(&format!("{text}hostz = [\"a\"]\n"));
    let output = daemon.ask("reload");
    assert_eq!(output.status.code(), Some(1));
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        why.contains("ossgate.toml:11:1: route[0].hostz: unknown key"),
        "{why}"
    );
    daemon.write(&text);
    for (verb, word) in [
        ("drain", "draining"),
        ("undrain", "not draining"),
        ("status", "\"ready\": true"),
    ] {
        let output = daemon.ask(verb);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(out.contains(word), "{verb}: {out}");
    }
    daemon.write("[[listener]]\n");
    assert!(String::from_utf8_lossy(&daemon.ask("status").stderr).contains("no `[admin]` table"));
    daemon.write("[admin]\naddress = \"127.0.0.1:1\"\n");
    let output = daemon.ask("status");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("127.0.0.1:1: no process answers there")
    );
}

#[tokio::test]
async fn the_health_path_of_a_listener_comes_before_every_rule() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = Proxy::start(&format!(
        "[server]\nworkers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\nhealth_path = \"/health\"\n\
         [[route]]\nhosts = [\"img.example.com\"]\nmethods = [\"GET\"]\nhttps = {{ mode = \"redirect\" }}\n\
         referer = {{ allow = [\"http://a.cn\"], allow_empty = false }}\n{}\n",
        bucket_at(origin.address)
    ));
    while !proxy.state().health.is_ready() {
        tokio::task::yield_now().await;
    }
    for (request, expected) in [
        ("GET /health HTTP/1.0\r\n\r\n", 200),
        (
            "GET /health HTTP/1.1\r\nhost: 10.0.0.7\r\nconnection: close\r\n\r\n",
            200,
        ),
        ("HEAD /health HTTP/1.0\r\n\r\n", 200),
        ("GET /health?x=1 HTTP/1.0\r\n\r\n", 200),
        ("POST /health HTTP/1.0\r\n\r\n", 404),
        (
            "GET /healthy HTTP/1.1\r\nhost: img.example.com\r\nconnection: close\r\n\r\n",
            301,
        ),
    ] {
        let answer = proxy.text(request).await;
        assert_eq!(status(&answer), expected, "{request}: {answer}");
        if expected == 200 {
            let body = answer.split("\r\n\r\n").nth(1).unwrap();
            assert_eq!(
                body,
                if request.starts_with("HEAD") {
                    ""
                } else {
                    "ready\n"
                }
            );
        }
    }
    assert_eq!(origin.received().len(), 0);
}

#[tokio::test]
async fn a_bucket_name_made_up_by_a_client_does_not_change_readiness() {
    let dns = Dns::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    dns.set(DnsAnswer::NxDomain);
    let proxy = Proxy::start(&format!(
        "[server]\nworkers = 1\n[dns]\nservers = [\"{}\"]\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\norigin = {{ buckets = [\"team-*\"], endpoint = \"oss.test\", tls = false }}\n",
        dns.addr()
    ));
    let health = std::sync::Arc::clone(&proxy.state().health);
    wait_for("ready", || health.is_ready().then_some(())).await;
    assert_eq!(status(&proxy.get("x", "/team-typo/k").await), 502);
    // During these three pauses the readiness check runs twice.
    let mut pace = tokio::time::interval(Duration::from_millis(600));
    for _ in 0..3 {
        pace.tick().await;
        assert!(health.is_ready(), "{:?}", health.troubles());
    }
}

/// A host that is read from a pipe, which nobody writes to. After that, many problems.
#[tokio::test]
async fn a_reload_neither_waits_for_a_pipe_nor_fills_the_log() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let text = config(origin.address, "");
    let text = text.replacen(
        "address = \"127.0.0.1:0\"",
        "address = \"unix:admin.sock\"",
        1,
    );
    let mut daemon = Daemon::start(&text);
    daemon.event(" listening ").await;
    let made = std::process::Command::new("mkfifo")
        .arg(daemon.path("pipe"))
        .status();
    assert!(made.unwrap().success());
    daemon.write(&format!("{text}hosts = [\"${{file:pipe}}\"]\n"));
    let output = daemon.ask("reload");
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        why.contains("cannot read `pipe`: it is not a regular file"),
        "{why}"
    );
    let keys: String = (0..30).map(|key| format!("k{key} = 1\n")).collect();
    daemon.write(&format!("{text}{keys}"));
    let output = daemon.ask("reload");
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    daemon.event("and 10 more problems").await;
    for shown in [why, daemon.events()] {
        assert_eq!(shown.matches(": unknown key `k").count(), 20, "{shown}");
        assert!(shown.contains("and 10 more problems"), "{shown}");
    }
    Daemon::signal("TERM", daemon.child.id());
    assert_eq!(daemon.ended().await, Some(0));
}
