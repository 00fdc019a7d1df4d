//! Every way in which the connection to OSS can fail, and what client and operator are told about it.
//!
//! Each row is one route of one process, with an origin that fails in one way. The response, the access line,
//! the event and the metric must name the same cause, and the response must say what to change. Rows: DNS,
//! TCP, certificates, the TLS handshake, and the exchange after it. Left out: a process without free
//! descriptors (`process/descriptors`), an address that disappears during a request (`uploads`), and a machine
//! without a route (a unit test of `connect_error`), because a test cannot remove the routes of the machine.

use std::net::SocketAddr;

use ossgate::demo::dns::DnsAnswer;

use crate::support::acting::{Act, acting};
use crate::support::black_hole::black_hole;
use crate::support::certificates::{self, Leaf};
use crate::support::daemon::{self, Daemon, wait_for};
use crate::support::proxy::{header, status};
use crate::support::tiers::{closed, dns};
use crate::support::tls::tls_origin;

/// One way to fail: the cause, status and `Code` that are expected, the origin, and parts of the message.
struct Row {
    cause: &'static str,
    status: u16,
    code: &'static str,
    origin: String,
    message: &'static [&'static str],
}

fn row(
    cause: &'static str,
    (status, code): (u16, &'static str),
    origin: String,
    message: &'static [&'static str],
) -> Row {
    Row {
        cause,
        status,
        code,
        origin,
        message,
    }
}

/// Returns the settings of an origin with TLS that trusts the CA of `leaf`.
fn trusting(address: SocketAddr, leaf: &Leaf) -> String {
    format!(
        "endpoint = \"{address}\"\nca = {:?}\nserver_name = \"oss.test\"\n",
        leaf.ca
    )
}

const REFUSED: (u16, &str) = (502, "UpstreamConnectRefused");
const CONNECT_TIMEOUT: (u16, &str) = (504, "UpstreamConnectTimeout");
const DNS: (u16, &str) = (502, "UpstreamDnsFailure");
const TLS: (u16, &str) = (502, "UpstreamTlsFailure");
const BAD: (u16, &str) = (502, "UpstreamBadAnswer");

fn dns_rows(dns: &ossgate::demo::dns::Dns) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |cause, (name, answer), code, message| {
        dns.set_for(&format!("examplebucket.{name}"), answer);
        rows.push(row(
            cause,
            code,
            format!("endpoint = \"{name}\"\ntls = false\n"),
            message,
        ));
    };
    let internal = "oss-cn-beijing-internal.aliyuncs.com";
    add(
        "dns_nxdomain",
        ("nxdomain.test", DnsAnswer::NxDomain),
        DNS,
        &[
            "`examplebucket.nxdomain.test:80` cannot be resolved",
            "does not exist",
            "Check the region and the endpoint",
        ],
    );
    add(
        "dns_server_failure",
        ("servfail.test", DnsAnswer::ServFail),
        DNS,
        &["the name server failed", "`dns.servers`"],
    );
    add(
        "dns_timeout",
        (internal, DnsAnswer::Silent),
        DNS,
        &["no name server answered", "100.100.2.136"],
    );
    add(
        "dns_empty",
        ("empty.test", DnsAnswer::Empty),
        DNS,
        &["has no address", "`dns.family`"],
    );
    let forged = DnsAnswer::Addresses {
        ips: vec![[100, 100, 100, 200].into()],
        ttl: 60,
    };
    add(
        "dns_forbidden",
        ("forged.test", forged),
        (502, "UpstreamAddressForbidden"),
        &["must not have", "forged"],
    );
    rows
}

async fn connect_rows(closed: u16, hole: SocketAddr) -> Vec<Row> {
    let plain = |endpoint: &str| format!("endpoint = \"{endpoint}\"\ntls = false\n");
    vec![
        row(
            "refused",
            REFUSED,
            plain(&format!("127.0.0.1:{closed}")),
            &["`127.0.0.1:", "refused the proxy", "Check host and port"],
        ),
        row(
            "refused",
            REFUSED,
            plain(&format!("oss-cn-hangzhou-internal.aliyuncs.com:{closed}")),
            &[
                "`examplebucket.oss-cn-hangzhou-internal.aliyuncs.com:",
                "internal endpoint",
                "(cn-hangzhou)",
                "`network = \"public\"`",
                "100.118.28.0/24",
            ],
        ),
        row(
            "refused",
            REFUSED,
            plain(&format!("oss-cn-hangzhou.aliyuncs.com:{closed}")),
            &[
                "This endpoint is on the internet",
                "public IP or a NAT gateway",
            ],
        ),
        row(
            "refused",
            REFUSED,
            plain(&format!("oss-accelerate.aliyuncs.com:{closed}")),
            &["This endpoint is on the internet"],
        ),
        row(
            "connect_timeout",
            CONNECT_TIMEOUT,
            plain(&format!(
                "oss-cn-shanghai-internal.aliyuncs.com:{}",
                hole.port()
            )),
            &[
                "did not accept the proxy's TCP connection within 400ms",
                "`timeouts.connect`",
                "(cn-shanghai)",
                "`network = \"public\"`",
            ],
        ),
    ]
}

async fn tls_rows() -> Vec<Row> {
    let own = certificates::self_signed(&["oss.test"], false);
    let own_ca = certificates::self_signed(&["oss.test"], true);
    let (good, other) = (
        certificates::leaf(&["oss.test"]),
        certificates::leaf(&["a.test", "b.test"]),
    );
    // A CA with the name of that of `good`, and with another key.
    let again = certificates::leaf(&["oss.test"]);
    let old = certificates::leaf_with(&["oss.test"], &rcgen::KeyPair::generate().unwrap(), |one| {
        one.not_before = rcgen::date_time_ymd(2020, 1, 1);
        one.not_after = rcgen::date_time_ymd(2021, 2, 3);
    });
    let young =
        certificates::leaf_with(&["oss.test"], &rcgen::KeyPair::generate().unwrap(), |one| {
            one.not_before = rcgen::date_time_ymd(2098, 1, 1);
            one.not_after = rcgen::date_time_ymd(2099, 1, 1);
        });
    let behind = |address| trusting(address, &good);
    const ALERT: &[u8] = b"\x15\x03\x03\x00\x02\x02\x28";
    vec![
        row(
            "tls_self_signed",
            TLS,
            trusting(tls_origin(&own).await, &good),
            &["is self-signed.", "name its file in `ca`"],
        ),
        row(
            "tls_self_signed",
            TLS,
            trusting(tls_origin(&own_ca).await, &own_ca),
            &["self-signed and marked as a CA", "CA:FALSE"],
        ),
        row(
            "tls_unknown_issuer",
            TLS,
            behind(tls_origin(&other).await),
            &["which is not a trusted CA", "in `ca` of the route"],
        ),
        row(
            "tls_unknown_issuer",
            TLS,
            behind(tls_origin(&again).await),
            &[
                "not with the key of the trusted CA of this name",
                "made anew",
            ],
        ),
        row(
            "tls_wrong_name",
            TLS,
            trusting(tls_origin(&other).await, &other),
            &[
                "for `a.test`, `b.test`, and must be for `oss.test`",
                "`server_name`",
            ],
        ),
        row(
            "tls_expired",
            TLS,
            trusting(tls_origin(&old).await, &old),
            &["expired on", "03 Feb 2021", "Check the clock"],
        ),
        row(
            "tls_not_yet_valid",
            TLS,
            trusting(tls_origin(&young).await, &young),
            &["not valid before", "2098", "Check the clock"],
        ),
        row(
            "tls_not_tls",
            TLS,
            behind(acting(Act::Send(b"HTTP/1.1 400 Bad Request\r\n\r\n")).await),
            &["something that is not TLS", "`tls = false`"],
        ),
        row(
            "tls_closed",
            TLS,
            behind(acting(Act::Close).await),
            &[
                "closed the connection during the TLS handshake",
                "the name sent is `oss.test`",
            ],
        ),
        row(
            "tls_reset",
            TLS,
            behind(acting(Act::Reset).await),
            &["reset the connection during the TLS handshake"],
        ),
        row(
            "tls_timeout",
            CONNECT_TIMEOUT,
            behind(acting(Act::Nothing).await),
            &[
                "accepted the proxy's TCP connection, but did not complete the TLS handshake within 400ms",
            ],
        ),
        row(
            "tls_alert",
            TLS,
            behind(acting(Act::Send(ALERT)).await),
            &["the alert HandshakeFailure"],
        ),
    ]
}

async fn exchange_rows() -> Vec<Row> {
    let plain = |address: SocketAddr| format!("endpoint = \"{address}\"\ntls = false\n");
    vec![
        row(
            "reset",
            (502, "UpstreamReset"),
            plain(acting(Act::Reset).await),
            &[
                "closed the connection before it answered",
                "If this port expects TLS",
                "may or may not have acted",
            ],
        ),
        row(
            "reset",
            (502, "UpstreamReset"),
            plain(acting(Act::Close).await),
            &["closed the connection before it answered"],
        ),
        row(
            "speaks_tls",
            BAD,
            plain(acting(Act::Send(b"\x15\x03\x01\x00\x02\x02\x46")).await),
            &["responded with TLS", "`tls = true`"],
        ),
        row(
            "bad_answer",
            BAD,
            plain(acting(Act::Send(b"220 mail.test ESMTP\r\n")).await),
            &["not valid HTTP", "Check that host and port"],
        ),
        row(
            "first_byte_timeout",
            (504, "UpstreamTimeout"),
            plain(acting(Act::Nothing).await),
            &["did not answer in time", "`timeouts.first_byte`"],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_names_its_cause_everywhere_and_says_what_to_change() {
    let dns = dns().await;
    let closed = closed().await;
    let (listener, _full) = black_hole(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut rows = dns_rows(&dns);
    rows.extend(connect_rows(closed, listener.local_addr().unwrap()).await);
    rows.extend(tls_rows().await);
    rows.extend(exchange_rows().await);
    let mut config = format!(
        "[server]\nworkers = 1\n[dns]\nservers = [\"{}\"]\ntimeout = \"200ms\"\nallow = [\"127.0.0.0/8\"]\n\
         [admin]\naddress = \"unix:admin.sock\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n",
        dns.addr()
    );
    for (number, row) in rows.iter().enumerate() {
        config.push_str(&format!(
            "[[route]]\nname = \"r{number}\"\nhosts = [\"r{number}.test\"]\n[route.origin]\nbucket = \"examplebucket\"\n{}\
             timeouts = {{ connect = \"400ms\", first_byte = \"500ms\" }}\n",
            row.origin
        ));
    }
    let daemon = Daemon::start(&config);
    let address = daemon.addresses(1).await[0];
    for (number, row) in rows.iter().enumerate() {
        let answer = daemon::get_from(address, &format!("r{number}.test")).await;
        let about = format!("r{number} {}: {answer}", row.cause);
        assert_eq!(status(&answer), row.status, "{about}");
        assert!(
            answer.contains(&format!("<Code>{}</Code>", row.code)),
            "{about}"
        );
        let text = answer.replace("&apos;", "'").replace("&quot;", "\"");
        for part in row.message {
            assert!(text.contains(part), "{part}: {about}");
        }
        let is_internal = row.origin.contains("-internal");
        assert_eq!(
            text.contains("nternal endpoint"),
            is_internal && !row.cause.starts_with("dns"),
            "{about}"
        );
        let id = header(&answer, "x-ossgate-request-id")[0].to_owned();
        let line = wait_for("the access line", || daemon.access_line(&id)).await;
        println!("{}\n{answer}\n{line}\n", row.cause);
        assert_eq!(line["cause"], row.cause, "{line}");
        let took = line["ms_connect"].as_f64().unwrap() + line["ms_tls"].as_f64().unwrap();
        if row.status == 504 && row.cause != "first_byte_timeout" {
            assert!(took >= 390.0, "{line}");
        }
        if row.cause == "tls_timeout" {
            assert!(line["ms_tls"].as_f64().unwrap() >= 300.0, "{line}");
        }
        let has_address = !row.cause.starts_with("dns");
        assert_eq!(line.get("upstream").is_some(), has_address, "{line}");
        let event = wait_for("the event", || {
            let events = daemon.events();
            let mut found = events
                .lines()
                .filter(|line| line.contains("got no response from OSS") && line.contains(&id));
            found.next().map(str::to_owned)
        })
        .await;
        println!("{event}\n");
        let (route, cause) = (
            format!("route=\"r{number}\""),
            format!("cause=\"{}\"", row.cause),
        );
        for part in [
            route.as_str(),
            cause.as_str(),
            "endpoint=\"",
            "address=\"",
            "advice=\"",
        ] {
            assert!(event.contains(part), "{part}: {event}");
            assert!(!event.contains("advice=\"\""), "{event}");
        }
    }
    let metrics = daemon.metrics("admin.sock").await;
    for (number, row) in rows.iter().enumerate() {
        let series = format!(
            "ossgate_upstream_failures_total{{route=\"r{number}\",cause=\"{}\"}} 1\n",
            row.cause
        );
        assert!(metrics.contains(&series), "{series}");
    }
}
