//! Files with client addresses that change while the proxy serves.
//!
//! Rows: a list that is replaced, rewritten and emptied; one that is wrong or gone, and then right again; the log, `status`
//! and the metric for each; one with the same networks; edits of the config file that nobody has asked for yet; a reload that reads the list.
//! Left out: what a list may contain (`config/addresses`), which clients it admits (`policy/ip`).

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::client_at::{get, refusal, send};
use crate::support::daemon::{Daemon, wait_for};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::bucket_at;

/// A config with two routes that name one list.
fn config(origin: SocketAddr, rules: &str) -> String {
    let bucket = bucket_at(origin);
    format!(
        "[server]\nworkers = 2\n[admin]\naddress = \"unix:admin.sock\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\n{bucket}\nip = {{ file = \"partners.txt\"{rules} }}\n\
         [[route]]\nhosts = [\"other.cn\"]\n{bucket}\nip = {{ file = \"partners.txt\", allow = [\"127.0.0.9\"] }}\n"
    )
}

/// Starts a process with `config` and a list that has 127.0.0.2.
async fn start(config: &str) -> (Daemon, SocketAddr) {
    let daemon = Daemon::start_with(config, |command| {
        let dir = command.get_current_dir().unwrap().to_owned();
        std::fs::write(dir.join("partners.txt"), "127.0.0.2\n").unwrap();
    });
    let address = daemon.addresses(1).await[0];
    wait_for("a ready process", || {
        daemon.ask("status").status.success().then_some(())
    })
    .await;
    (daemon, address)
}

async fn is_served(address: SocketAddr, client: &str) -> bool {
    refusal(&send(client, address, &get("")).await).is_empty()
}

fn status_of(daemon: &Daemon) -> Value {
    let shown = daemon.ask("status");
    assert!(shown.status.success(), "{shown:?}");
    serde_json::from_slice(&shown.stdout).unwrap()
}

async fn metric(daemon: &Daemon, name: &str) -> String {
    let metrics = daemon.metrics("admin.sock").await;
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    value
        .unwrap_or_else(|| panic!("{name}: {metrics}"))
        .trim()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_list_is_in_use_without_a_reload() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let text = config(origin.address, "");
    let (daemon, address) = start(&text).await;
    assert!(is_served(address, "127.0.0.2").await);
    assert!(!is_served(address, "127.0.0.3").await);
    // An edit of the config that nobody has asked for yet must not come with the list.
    daemon.write(&text.replace("file = \"partners.txt\"", "deny = [\"127.0.0.3\"]"));
    let list = daemon.path("partners.txt");
    std::fs::write(daemon.path("new"), "127.0.0.3\n127.0.0.4\n").unwrap();
    std::fs::rename(daemon.path("new"), &list).unwrap();
    daemon.event("address list reloaded file=").await;
    daemon.event("partners.txt networks=2").await;
    assert!(!is_served(address, "127.0.0.2").await);
    assert!(is_served(address, "127.0.0.3").await);
    let other = get("").replace("host: x", "host: other.cn");
    for (client, expected) in [
        ("127.0.0.2", false),
        ("127.0.0.4", true),
        ("127.0.0.9", true),
    ] {
        let answer = send(client, address, &other).await;
        assert_eq!(refusal(&answer).is_empty(), expected, "{client}");
    }
    // A list without a network refuses everyone on the route that has no other.
    std::fs::write(&list, "# nobody\n").unwrap();
    daemon.event("partners.txt networks=0").await;
    assert!(!is_served(address, "127.0.0.3").await);
    let warning = "partners.txt: lists no network: route `examplebucket` refuses every client";
    daemon.event(warning).await;
    let status = status_of(&daemon);
    let warnings = status["config"]["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{status}");
    assert!(warnings[0].as_str().unwrap().ends_with(warning), "{status}");
    std::fs::write(&list, "127.0.0.5/31\n").unwrap();
    daemon.event("partners.txt networks=1").await;
    assert!(is_served(address, "127.0.0.4").await);
    let status = status_of(&daemon);
    let warning = "partners.txt:1: the network has bits after its prefix, which have no effect";
    let warnings = status["config"]["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{status}");
    assert!(warnings[0].as_str().unwrap().ends_with(warning), "{status}");
    assert_eq!(
        status["config"]["taken"], 1,
        "the config itself is the first one"
    );
    assert_eq!(
        metric(&daemon, "ossgate_denied_total{reason=\"ip\"}").await,
        "4"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_list_changes_nothing_and_is_visible_until_it_is_right_again() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let text = config(origin.address, ", deny = [\"127.0.0.4\"]");
    let (daemon, address) = start(&text).await;
    let list = daemon.path("partners.txt");
    let good = "ossgate_config_last_reload_successful";
    assert_eq!(metric(&daemon, good).await, "1");
    std::fs::write(&list, "127.0.0.3\nhunter2\n").unwrap();
    daemon
        .event("address list not reloaded, the old one stays in use")
        .await;
    let error = "partners.txt:2: the line is not an address, or a range such as `10.0.0.0/8`";
    let events = daemon.events();
    assert!(
        events.contains(error) && !events.contains("hunter2"),
        "{events}"
    );
    assert!(is_served(address, "127.0.0.2").await);
    assert!(!is_served(address, "127.0.0.3").await);
    assert_eq!(metric(&daemon, good).await, "0");
    let config = &status_of(&daemon)["config"];
    assert_eq!(
        (&config["good"], &config["refused"]),
        (&false.into(), &1.into())
    );
    let shown = config["warnings"][0].as_str().unwrap();
    assert!(
        shown.ends_with(&format!("{error}; the previous list is in use")),
        "{shown}"
    );

    std::fs::write(&list, "127.0.0.3\n127.0.0.4\n").unwrap();
    daemon.event("address list reloaded file=").await;
    assert!(!is_served(address, "127.0.0.2").await);
    assert!(is_served(address, "127.0.0.3").await);
    assert!(
        !is_served(address, "127.0.0.4").await,
        "the rest of the rules stays"
    );
    assert_eq!(metric(&daemon, good).await, "1");
    let config = &status_of(&daemon)["config"];
    assert_eq!(
        (&config["good"], &config["warnings"]),
        (&true.into(), &Value::Array(vec![]))
    );

    // A list that is gone is wrong as well.
    std::fs::remove_file(&list).unwrap();
    daemon
        .event("partners.txt cannot be read: No such file")
        .await;
    assert!(is_served(address, "127.0.0.3").await);
    assert_eq!(metric(&daemon, good).await, "0");
    std::fs::write(&list, "127.0.0.3\n").unwrap();
    wait_for("the list", || {
        (status_of(&daemon)["config"]["good"] == true).then_some(())
    })
    .await;

    // A list that is right does not hide that the config file is wrong.
    daemon.write("nonsense");
    Daemon::signal("HUP", daemon.child.id());
    daemon.event("config not reloaded").await;
    std::fs::write(&list, "127.0.0.2\n::1\n::2\n").unwrap();
    daemon.event("partners.txt networks=3").await;
    assert!(is_served(address, "127.0.0.2").await);
    assert_eq!(metric(&daemon, good).await, "0");

    // A reload reads the lists as well.
    std::fs::write(&list, "127.0.0.6\n").unwrap();
    daemon.write(&text);
    assert!(daemon.ask("reload").status.success());
    assert!(is_served(address, "127.0.0.6").await);
    assert_eq!(metric(&daemon, good).await, "1");
}
