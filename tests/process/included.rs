//! A process whose config includes files.
//!
//! Rows: reload by command, with a new, a changed, a removed and a broken file; a watched config; an upgrade.
//! Left out: the contents of included files (`config/include.rs`).

use crate::support::daemon::{self, Daemon, get, wait_for};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::{bucket_at, status};

/// A main file without routes, and the text of a route for every host.
fn texts(origin: std::net::SocketAddr, server: &str) -> (String, String) {
    let config = daemon::config(origin, "");
    let (listener, _) = config.split_once("[[route]]").unwrap();
    let main = format!(
        "include = [\"routes.d/*.toml\"]\n[admin]\naddress = \"unix:admin.sock\"\n{server}{listener}"
    );
    (main, format!("[[route]]\n{}\n", bucket_at(origin)))
}

/// Starts a process whose only route is in `routes.d/a.toml`.
fn start(main: &str, route: &str) -> Daemon {
    Daemon::start_with(main, |command| {
        let directory = command.get_current_dir().unwrap().join("routes.d");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("a.toml"), route).unwrap();
    })
}

/// Waits until the log has `count` events that contain `text`.
async fn events(daemon: &Daemon, text: &str, count: usize) {
    wait_for(text, || {
        (daemon.events().matches(text).count() >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_reload_reads_included_files_again() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let (main, route) = texts(origin.address, "");
    let daemon = start(&main, &route);
    let address = *daemon.addresses(1).await.last().unwrap();
    assert_eq!(status(&get(address).await), 200);
    let other = route.replace("[[route]]\n", "[[route]]\nhosts = [\"b.cn\"]\n");
    std::fs::write(daemon.path("routes.d/b.toml"), &other).unwrap();
    let reload = daemon.ask("reload");
    assert!(reload.status.success(), "{reload:?}");
    assert!(String::from_utf8_lossy(&reload.stdout).contains("reloaded; routes: 2"));
    std::fs::write(daemon.path("routes.d/b.toml"), "[[route]]\ncolour = 1\n").unwrap();
    let reload = daemon.ask("reload");
    let why = String::from_utf8_lossy(&reload.stderr).into_owned();
    assert_eq!(reload.status.code(), Some(1));
    assert!(
        why.contains("routes.d/b.toml:2:1: route[0].colour: unknown key"),
        "{why}"
    );
    assert_eq!(status(&get(address).await), 200, "the old config");
    std::fs::remove_file(daemon.path("routes.d/a.toml")).unwrap();
    std::fs::write(daemon.path("routes.d/b.toml"), &other).unwrap();
    let reload = daemon.ask("reload");
    assert!(reload.status.success(), "{reload:?}");
    assert_eq!(status(&get(address).await), 404, "the route of a.toml");
    // Only the main file has the address for commands, and it alone need be valid for them.
    std::fs::write(daemon.path("routes.d/b.toml"), "[[").unwrap();
    assert!(daemon.ask("status").status.success());
}

#[tokio::test]
async fn a_watched_config_is_loaded_when_an_included_file_appears_changes_or_vanishes() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let (main, route) = texts(origin.address, "[server]\nwatch_config = true\n");
    let daemon = start(&main, &route);
    let address = *daemon.addresses(1).await.last().unwrap();
    let file = |name: &str| daemon.path("routes.d").join(name);
    daemon.event("ready").await;
    let other = route.replace(
        "[[route]]\n",
        "[[route]]\nhosts = [\"x\"]\nmethods = [\"PUT\"]\n",
    );
    std::fs::write(file("b.toml"), &other).unwrap();
    events(&daemon, "config reloaded", 1).await;
    assert_eq!(status(&get(address).await), 405, "the new file");
    std::fs::write(file("b.toml"), other.replace("PUT", "GET")).unwrap();
    events(&daemon, "config reloaded", 2).await;
    assert_eq!(status(&get(address).await), 200, "the changed file");
    std::fs::remove_file(file("a.toml")).unwrap();
    std::fs::write(file("b.toml"), other.replace("\"x\"", "\"y\"")).unwrap();
    events(&daemon, "config reloaded", 3).await;
    assert_eq!(status(&get(address).await), 404, "the removed file");
    // A main file with an error may name other files: their correction is noticed too.
    std::fs::create_dir(daemon.path("more.d")).unwrap();
    std::fs::write(daemon.path("more.d/c.toml"), "[[route]]\n").unwrap();
    daemon.write(&main.replace("routes.d", "more.d"));
    events(&daemon, "config not reloaded", 1).await;
    std::fs::write(daemon.path("more.d/c.toml"), &route).unwrap();
    events(&daemon, "config reloaded", 4).await;
    assert_eq!(status(&get(address).await), 200);
}

#[tokio::test]
async fn the_new_process_of_an_upgrade_reads_included_files() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let (main, route) = texts(origin.address, "");
    let mut daemon = start(&main, &route);
    let address = *daemon.addresses(1).await.last().unwrap();
    assert_eq!(status(&get(address).await), 200);
    let other = route.replace("[[route]]\n", "[[route]]\nhosts = [\"y\"]\n");
    std::fs::write(daemon.path("routes.d/a.toml"), other).unwrap();
    let upgrade = daemon.ask("upgrade");
    assert!(upgrade.status.success(), "{upgrade:?}");
    assert_eq!(daemon.ended().await, Some(0));
    assert_eq!(
        status(&get(address).await),
        404,
        "the new process has the new routes"
    );
    let drained = daemon.ask("status");
    assert!(drained.status.success(), "{drained:?}");
    let status: serde_json::Value = serde_json::from_slice(&drained.stdout).unwrap();
    let pid = status["pid"].as_u64().unwrap();
    Daemon::signal("TERM", u32::try_from(pid).unwrap());
}
