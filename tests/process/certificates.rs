//! Certificates of a running process.
//!
//! Rows: the warnings of a config in the log, at start and at a reload, and in `status`; their maximum number; the
//! certificates in `status` and in the metrics; a renewed certificate that expires soon, and one that no longer does.
//! Left out: which warnings there are (`config/certificates`), how renewed files are read (`lifecycle`).

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use crate::support::certificates::{self, Leaf};
use crate::support::daemon::{Daemon, wait_for};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::bucket_at;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[expect(
    clippy::disallowed_methods,
    reason = "the program under test reads the same clock"
)]
fn now() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
}

/// Makes a certificate that expires in `left`.
fn expiring(names: &[&str], left: Duration) -> Leaf {
    let key = KeyPair::generate().unwrap();
    certificates::leaf_with(names, &key, |params: &mut CertificateParams| {
        params.not_after = date_time_ymd(1970, 1, 1) + (now() + left);
    })
}

fn config(origin: SocketAddr, leaves: &[&Leaf], hosts: &str) -> String {
    let certificates: String = leaves
        .iter()
        .map(|leaf| {
            format!(
                "[[certificate]]\ncert = {:?}\nkey = {:?}\n",
                leaf.cert, leaf.key
            )
        })
        .collect();
    format!(
        "[server]\nworkers = 1\n[admin]\naddress = \"unix:admin.sock\"\n[[listener]]\naddress = \"127.0.0.1:0\"\ntls = true\n\
         {certificates}[[route]]\nhosts = [{hosts}]\n{}\n",
        bucket_at(origin)
    )
}

fn status_of(daemon: &Daemon) -> Value {
    let shown = daemon.ask("status");
    assert!(shown.status.success(), "{shown:?}");
    serde_json::from_slice(&shown.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn warnings_are_logged_at_start_and_reload_and_shown_by_status() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let ecdsa = expiring(&["a.example", "*.b.example"], DAY * 3 + DAY / 2);
    let rsa = certificates::rsa_leaf(&["a.example", "*.b.example"]);
    let both = [&ecdsa, &rsa];
    let text = config(origin.address, &both, "\"a.example\", \"c.example\"");
    let daemon = Daemon::start(&text);
    daemon.addresses(1).await;
    daemon.event("admin listener").await;
    let soon = "ossgate.toml:9:8: warning: certificate[0].cert: expires in 3 days, on ";
    let uncovered =
        "ossgate.toml:15:23: warning: route[0].hosts: `c.example` is in no certificate: ";
    wait_for("a ready process", || {
        daemon.ask("status").status.success().then_some(())
    })
    .await;
    let (status, events) = (status_of(&daemon), daemon.events());
    let warnings = status["config"]["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 2, "{status}");
    for (warning, expected) in warnings.iter().zip([soon, uncovered]) {
        assert!(warning.as_str().unwrap().starts_with(expected), "{warning}");
        assert!(
            events.contains(&format!(" WARN ossgate::supervise::warnings: {expected}")),
            "{events}"
        );
    }
    let shown = status["certificates"].as_array().unwrap();
    for (found, leaf, key, warning) in [
        (&shown[0], &ecdsa, "ECDSA P-256", json!("expires in 3 days")),
        (&shown[1], &rsa, "RSA", json!(null)),
    ] {
        assert_eq!(found["names"], json!(["a.example", "*.b.example"]));
        assert_eq!(found["file"], json!(leaf.cert));
        assert_eq!(found["key"], key);
        assert_eq!(found["default"], true);
        assert_eq!(found["warning"], warning);
    }
    assert_eq!(shown[0]["days_left"], 3);
    let expires = shown[0]["expires"].as_str().unwrap();
    assert!(
        expires.starts_with("20") && expires.ends_with('Z') && expires.len() == 20,
        "{expires}"
    );
    let metrics = daemon.metrics("admin.sock").await;
    let row = metrics.lines().find_map(|line| {
        line.strip_prefix("ossgate_certificate_not_after_timestamp_seconds{name=\"a.example\"} ")
    });
    let at: u64 = row.unwrap().parse().unwrap();
    assert_eq!((at - now().as_secs()).div_ceil(3600), 84, "{at}");

    // A reload logs its own warnings, and status shows only these.
    daemon.write(&config(
        origin.address,
        &both,
        "\"a.example\", \"d.example\"",
    ));
    assert!(daemon.ask("reload").status.success());
    let reloaded = uncovered.replace("c.example", "d.example");
    daemon.event(&reloaded).await;
    let status = status_of(&daemon);
    let warnings = status["config"]["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 2, "{status}");
    assert!(warnings[1].as_str().unwrap().starts_with(&reloaded));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_warnings_only_the_first_are_logged() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let leaf = certificates::leaf(&["a.example"]);
    let mut text = config(origin.address, &[&leaf], "\"a.example\"");
    for route in 0..50 {
        let origin = bucket_at(origin.address);
        text.push_str(&format!(
            "[[route]]\nhosts = [\"h{route}.example\"]\n{origin}\n"
        ));
    }
    let daemon = Daemon::start(&text);
    daemon.addresses(1).await;
    let events = daemon.events();
    assert_eq!(
        events.matches(" is in no certificate").count(),
        20,
        "{events}"
    );
    assert!(
        events.contains("further warnings; `ossgate check --format json` prints all more=30"),
        "{events}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_that_expires_soon_is_logged() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let (old, new) = (
        expiring(&["a.example"], DAY * 100),
        expiring(&["a.example"], DAY + DAY / 2),
    );
    let daemon = Daemon::start(&config(origin.address, &[&old], "\"a.example\""));
    daemon.addresses(1).await;
    daemon.event("admin listener").await;
    wait_for("a ready process", || {
        daemon.ask("status").status.success().then_some(())
    })
    .await;
    assert!(!daemon.events().contains("expires"), "{}", daemon.events());
    std::fs::rename(&new.key, &old.key).unwrap();
    std::fs::rename(&new.cert, &old.cert).unwrap();
    let file = old.cert.display();
    daemon
        .event(&format!(
            "certificate `a.example` ({file}) expires in 1 day"
        ))
        .await;
    assert_eq!(status_of(&daemon)["certificates"][0]["days_left"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_has_no_warnings_of_the_old_one() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let (old, new) = (
        expiring(&["a.example"], DAY * 2 + DAY / 2),
        expiring(&["a.example"], DAY * 100 + DAY / 2),
    );
    let hosts = "\"a.example\", \"b.example\"";
    let daemon = Daemon::start(&config(origin.address, &[&old], hosts));
    daemon.addresses(1).await;
    wait_for("a ready process", || {
        daemon.ask("status").status.success().then_some(())
    })
    .await;
    let warnings = |status: &Value| status["config"]["warnings"].as_array().unwrap().len();
    assert_eq!(warnings(&status_of(&daemon)), 2);
    std::fs::rename(&new.key, &old.key).unwrap();
    std::fs::rename(&new.cert, &old.cert).unwrap();
    daemon.event("certificates renewed").await;
    let status = status_of(&daemon);
    assert_eq!(warnings(&status), 1, "{status}");
    assert_eq!(status["certificates"][0]["days_left"], 100);
    assert_eq!(status["certificates"][0]["warning"], Value::Null);
}
