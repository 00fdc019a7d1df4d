//! The process from start to end: signals, upgrades, passed sockets, watched files.
//!
//! Rows: SIGHUP with a good and a bad config; a watched config; upgrades under load; upgrades whose new
//! process cannot start or reaches no endpoint; sockets and notifications as systemd provides them; a renewed
//! certificate. Left out: drain (`drain`), the effects of a new config (`reload`). The same under a longer
//! load is in `tests/ha`.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::certificates;
use crate::support::daemon::{self, Daemon, wait_for};
use crate::support::load::{CLIENTS, Tally, finish, load};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::status;
use crate::support::tls;

async fn wait_until_sent(tally: &Tally, requests: u64) {
    while tally.sent.load(Relaxed) < requests {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn sighup_loads_the_config_and_a_bad_one_changes_nothing() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let text = daemon::config(origin.address, "");
    let daemon = Daemon::start(&text);
    let address = daemon.addresses(1).await[0];
    daemon.write(&text.replace("[[route]]\n", "[[route]]\nhosts = [\"a.cn\"]\n"));
    Daemon::signal("HUP", daemon.child.id());
    daemon.event("config reloaded").await;
    let answer = daemon::get(address).await;
    assert_eq!(status(&answer), 404, "the new routes");
    daemon.write("nonsense");
    Daemon::signal("HUP", daemon.child.id());
    daemon.event("config not reloaded").await;
    assert!(
        daemon.events().contains("ossgate.toml:1:"),
        "{}",
        daemon.events()
    );
    let answer = daemon::get(address).await;
    assert_eq!(status(&answer), 404);
}

#[tokio::test]
async fn each_warning_is_logged_at_the_start_and_at_a_reload_and_stops_neither() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let text = daemon::config(origin.address, "")
        .replace("[[route]]\n", "[[route]]\npath = \"/*\"\nhttps = {}\n");
    let daemon = Daemon::start(&text);
    let address = daemon.addresses(1).await[0];
    let warnings = [
        "ossgate.toml:4:8: warning: route[0].path: ",
        "ossgate.toml:5:9: warning: route[0].https.mode: ",
    ];
    let count = |text: &str| daemon.events().matches(text).count();
    assert_eq!(warnings.map(count), [1, 1], "{}", daemon.events());
    daemon.write(&text.replace("\"/*\"", "\"/k*\""));
    Daemon::signal("HUP", daemon.child.id());
    daemon.event("config reloaded").await;
    assert_eq!(warnings.map(count), [2, 2], "{}", daemon.events());
    assert_eq!(status(&daemon::get(address).await), 404);
}

#[tokio::test]
async fn a_watched_config_file_is_loaded_when_it_changes() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let text = daemon::config(origin.address, "[server]\nwatch_config = true\n");
    let daemon = Daemon::start(&text);
    let address = daemon.addresses(1).await[0];
    daemon.event("ready").await;
    daemon.write(&text.replace("[[route]]\n", "[[route]]\nhosts = [\"a.cn\"]\n"));
    daemon.event("config reloaded").await;
    assert_eq!(status(&daemon::get(address).await), 404);
    daemon.write("nonsense");
    daemon.event("config not reloaded").await;
    assert_eq!(status(&daemon::get(address).await), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_under_load_lose_no_request_and_refuse_no_connection() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let server = "[server]\nworkers = 2\ndrain_timeout = \"60s\"\n";
    let mut daemon = Daemon::start(&daemon::config(origin.address, server));
    let address = daemon.addresses(1).await[0];
    let (tally, begin) = (Arc::new(Tally::default()), Instant::now());
    let clients = load(address, &tally);
    let mut upload = TcpStream::connect(address).await.unwrap();
    let head = b"PUT /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n";
    upload.write_all(head).await.unwrap();
    let first = daemon.child.id();
    let mut pid = first;
    for round in 1..=3 {
        wait_until_sent(&tally, CLIENTS * 4 * round).await;
        Daemon::signal("USR2", pid);
        upload.write_all(b".").await.unwrap();
        pid = wait_for("a new process", || {
            let events = daemon.events();
            let upgraded: Vec<&str> = events
                .lines()
                .filter(|line| line.contains("upgraded: process"))
                .collect();
            if (upgraded.len() as u64) < round {
                return None;
            }
            upgraded
                .last()?
                .split("process ")
                .nth(1)?
                .split(' ')
                .next()?
                .parse()
                .ok()
        })
        .await;
        assert_ne!(pid, first);
    }
    wait_until_sent(&tally, CLIENTS * 20).await;
    finish("3 upgrades", &tally, clients, begin).await;
    // The upload begins and ends in the first process.
    upload.write_all(b".").await.unwrap();
    let mut answer = vec![0; 15];
    upload.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200 OK");
    drop(upload);
    assert_eq!(daemon.ended().await, Some(0), "{}", daemon.events());
    Daemon::signal("TERM", pid);
    wait_for("the last one stops", || {
        (daemon.events().matches("stopped").count() == 4).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_whose_process_cannot_start_changes_nothing() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let daemon = Daemon::start(&daemon::config(origin.address, ""));
    let address = daemon.addresses(1).await[0];
    daemon.write("nonsense");
    Daemon::signal("USR2", daemon.child.id());
    daemon.event("not upgraded").await;
    let events = daemon.events();
    assert!(
        events.contains("ended before it served: exit status: 78"),
        "{events}"
    );
    let answer = daemon::get(address).await;
    assert_eq!(status(&answer), 200);
}

#[tokio::test]
async fn an_upgrade_without_a_reachable_endpoint_changes_nothing_and_a_drain_outlives_an_upgrade() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let text = daemon::config(origin.address, "[admin]\naddress = \"unix:admin.sock\"\n");
    let daemon = Daemon::start(&text);
    let address = daemon.addresses(1).await[0];
    daemon.event("ready").await;
    // Port 1 of this machine refuses connections.
    daemon.write(&text.replace(&origin.address.port().to_string(), "1"));
    let output = daemon.ask("upgrade");
    assert_eq!(output.status.code(), Some(1));
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        why.contains("the old process goes on") && why.contains("no endpoint"),
        "{why}"
    );
    assert_eq!(status(&daemon::get(address).await), 200);
    daemon.write(&text);
    assert!(daemon.ask("drain").status.success());
    assert!(daemon.ask("upgrade").status.success());
    let shown = wait_for("the new process", || {
        let shown = String::from_utf8(daemon.ask("status").stdout).unwrap();
        (!shown.contains(&format!("\"pid\": {},", daemon.child.id()))).then_some(shown)
    })
    .await;
    assert!(shown.contains("\"draining\": true"), "{shown}");
    assert_eq!(status(&daemon::get(address).await), 200);
    let pid = shown
        .split("\"pid\": ")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    Daemon::signal("TERM", pid.parse().unwrap());
}

#[tokio::test]
async fn sockets_passed_by_systemd_are_used_and_it_is_notified() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let notify = UnixDatagram::bind(&path).unwrap();
    notify
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let text = daemon::config(origin.address, "").replace("127.0.0.1:0", "fd:http");
    let pass = |command: &mut std::process::Command| {
        use command_fds::{CommandFdExt, FdMapping};
        let mapping = FdMapping {
            parent_fd: listener.try_clone().unwrap().into(),
            child_fd: 3,
        };
        command
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", "http")
            .env("NOTIFY_SOCKET", &path)
            .fd_mappings(vec![mapping])
            .unwrap();
    };
    let notified = |word: &str| {
        let mut text = [0; 512];
        loop {
            let length = notify.recv(&mut text).unwrap();
            let text = String::from_utf8_lossy(&text[..length]).into_owned();
            if text.contains(word) {
                return text;
            }
        }
    };
    let mut daemon = Daemon::start_with(&text, pass);
    assert!(notified("READY=1").contains("STATUS=serving"));
    assert_eq!(status(&daemon::get(address).await), 200);
    Daemon::signal("HUP", daemon.child.id());
    assert!(notified("RELOADING=1").contains("MONOTONIC_USEC="));
    notified("READY=1");
    Daemon::signal("USR2", daemon.child.id());
    let main: u32 = notified("MAINPID=")
        .split("MAINPID=")
        .nth(1)
        .and_then(|rest| rest.lines().next()?.parse().ok())
        .unwrap();
    assert_eq!(daemon.ended().await, Some(0));
    assert_eq!(status(&daemon::get(address).await), 200);
    Daemon::signal("TERM", main);
    notified("STOPPING=1");
    daemon.event("stopped").await;
    // The test still holds the listening socket, so a new connection waits for the next process.
    let waiting = tokio::spawn(daemon::get(address));
    let next = Daemon::start_with(&text, pass);
    assert_eq!(status(&waiting.await.unwrap()), 200);
    drop(next);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_served_once_its_key_is_there_too() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let (old, new) = (
        certificates::leaf(&["a.example"]),
        certificates::leaf(&["a.example"]),
    );
    let text = daemon::config(origin.address, "[log]\nlevel = \"debug\"\n")
        .replace(":0\"\n", ":0\"\ntls = true\n")
        + &format!(
            "[[certificate]]\ncert = {:?}\nkey = {:?}\n",
            old.cert, old.key
        );
    let daemon = Daemon::start(&text);
    let address = daemon.addresses(1).await[0];
    let shows = async |leaf| {
        tls::connect_to(address, leaf, "a.example", &[])
            .await
            .is_ok()
    };
    assert!(shows(&old).await);
    std::fs::copy(&new.cert, &old.cert).unwrap();
    daemon.event("certificate not renewed").await;
    assert!(shows(&old).await, "the new certificate has no key yet");
    std::fs::rename(&new.key, &old.key).unwrap();
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let begin = Instant::now();
    while !shows(&new).await {
        pace.tick().await;
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "{}",
            daemon.events()
        );
    }
    assert!(!shows(&old).await);
}
