//! The mode `report` of hotlink protection: what is counted and logged.
//!
//! Rows: the access line of requests that would and would not be refused; the metric and the log event, across
//! reloads. Left out: which requests the rules refuse (`referer`); the time between two events, which is tested
//! beside its code.

use std::time::Duration;

use tokio::time::{Instant, interval};

use crate::support::daemon::{Daemon, get, wait_for};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{bucket_at, proxy, status};

const REPORT: &str = "referer = { allow = [\"https://good.example\"], deny = [\"*evil*\"], allow_empty = false, mode = \"report\" }";

#[tokio::test(flavor = "multi_thread")]
async fn the_access_line_names_requests_that_would_be_refused() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(origin.address, REPORT);
    let rows = [
        ("GET /k HTTP/1.1\r\n", true),
        (
            "GET /k HTTP/1.1\r\nreferer: https://evil.example/?token=s3cret\r\n",
            true,
        ),
        (
            "HEAD /%6B HTTP/1.1\r\nREFERER:https://other.example\r\n",
            true,
        ),
        (
            "GET /k HTTP/1.1\r\nreferer: https://good.example/\r\nreferer: https://evil.example/\r\n",
            true,
        ),
        (
            "GET /k HTTP/1.1\r\nreferer: https://good.example/\r\n",
            false,
        ),
        ("GET /k HTTP/1.1\r\nauthorization: OSS a:b\r\n", false),
        ("GET /?acl HTTP/1.1\r\n", false),
    ];
    for (request, _) in rows {
        let answer = proxy
            .text(&format!("{request}host: x\r\nconnection: close\r\n\r\n"))
            .await;
        assert!([200, 400].contains(&status(&answer)), "{request}: {answer}");
    }
    let request = http::Request::get("http://x/k").header("referer", "https://evil.example/");
    assert_eq!(proxy.http2(request, "").await, (200, String::new()));
    let lines = proxy.stop();
    let expected = rows.iter().map(|(_, is_refused)| *is_refused).chain([true]);
    for (line, is_refused) in lines.iter().zip(expected) {
        // A request with two Referers may be refused before it reaches a route.
        let verdict = (is_refused && line["status"] != 400).then_some("would_refuse");
        assert_eq!(line["referer_verdict"].as_str(), verdict, "{line}");
        assert!(line["error"].is_null() || line["status"] == 400, "{line}");
    }
    assert_eq!(lines.len(), rows.len() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metric_counts_across_reloads_and_the_event_log_stays_short() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let config = |turn: usize| {
        format!(
            "[server]\nworkers = 1\n[admin]\naddress = \"unix:admin.sock\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
             [[route]]\nname = \"img\"\n{}\n{REPORT}\n\
             [[route]]\nname = \"other\"\nhosts = [\"turn-{turn}.cn\"]\n{}\n{REPORT}\n",
            bucket_at(origin.address),
            bucket_at(origin.address)
        )
    };
    let daemon = Daemon::start(&config(0));
    let admin = daemon.path("admin.sock");
    let address = daemon.addresses(1).await[0];
    wait_for("the admin listener", || admin.exists().then_some(())).await;
    for turn in 1..=3 {
        for _ in 0..10 {
            assert_eq!(status(&get(address).await), 200);
        }
        let line = format!(
            "\nossgate_referer_reports_total{{route=\"img\"}} {}\n",
            turn * 10
        );
        // The worker counts finished requests in batches, a few times a second.
        let (begin, mut pace) = (Instant::now(), interval(Duration::from_millis(50)));
        loop {
            pace.tick().await;
            let text = daemon.metrics("admin.sock").await;
            if text.contains(&line) {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "{text}");
        }
        daemon.write(&config(turn));
        let reloaded = daemon.ask("reload");
        assert!(reloaded.status.success(), "{reloaded:?}");
    }
    let events = daemon.events();
    let reports: Vec<&str> = events
        .lines()
        .filter(|line| line.contains("would refuse"))
        .collect();
    let [report] = reports[..] else {
        panic!("one event: {events}");
    };
    assert!(
        report.contains(" INFO ") && report.contains("route=img requests=1"),
        "{report}"
    );
}
