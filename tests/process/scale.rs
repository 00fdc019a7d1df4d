//! Ten thousand routes: nothing takes time that grows faster than the number of routes.
//!
//! Rows: `check` of correct routes, and of as many problems; start, reload, a request by host and by path,
//! metrics and status of one process. Times are CPU seconds, so a busy machine does not matter. Left out: the
//! figures of an optimized build, and memory.

use std::fmt::Write;
use std::net::SocketAddr;
use std::process::Command;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::daemon::{Daemon, get, wait_for};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::status;

const ROUTES: usize = 10_000;

/// Returns routes with rules: one half by host, one half by path on one host.
fn routes(count: usize, origin: SocketAddr) -> String {
    let mut text = String::new();
    for route in 0..count {
        let place = if route % 2 == 0 {
            format!("hosts = [\"h{route}.example.com\"]")
        } else {
            format!("hosts = [\"paths.example.com\"]\npath = \"/p{route}/\"")
        };
        write!(
            text,
            "[[route]]\n{place}\nguard = {{ preset = \"data-plane\" }}\n\
             referer = {{ allow = [\"https://*.example.com\", \"https://example{route}.org\"] }}\n\
             cors = {{ rules = [{{ origins = [\"https://www.example.com\"], methods = [\"GET\"] }}] }}\n\
             origin = {{ bucket = \"bucket-{route}\", endpoint = \"{origin}\", host = \"bucket-{route}.oss.test\", tls = false }}\n",
        )
        .unwrap();
    }
    text
}

fn config(count: usize, origin: SocketAddr) -> String {
    format!(
        "[server]\nworkers = 1\nwatch_config = false\n[log]\naccess = \"off\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n{}",
        routes(count, origin)
    )
}

/// Returns the CPU seconds of a process so far.
fn cpu_of(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // User and system time are the fields 14 and 15, in hundredths of a second; `rest` begins with the third.
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

/// Runs `ossgate check` and returns its CPU seconds and its output.
fn check(text: &str) -> (f64, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ossgate.toml"), text).unwrap();
    // The shell's `times` is the CPU time of this one process, whatever other tests do.
    let output = Command::new("sh")
        .args(["-c", "\"$0\" check -c ossgate.toml; times"])
        .arg(env!("CARGO_BIN_EXE_ossgate"))
        .current_dir(dir.path())
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    // The last line is the children: `0m1.230000s 0m0.020000s`.
    let seconds = |text: &str| -> f64 {
        let (minutes, seconds) = text.trim_end_matches('s').split_once('m').unwrap();
        minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
    };
    let last = output.lines().last().unwrap();
    (last.split(' ').map(seconds).sum(), output)
}

async fn ask(address: SocketAddr, host: &str, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

fn print(what: &str, seconds: f64) {
    #[allow(clippy::print_stdout, reason = "shown by `--nocapture`")]
    {
        println!("{what}: {seconds:.2} s of CPU");
    }
}

/// Asserts that ten times the routes take at most 20 times the CPU: 10 times is linear, 100 times is
/// quadratic. The floor keeps the rest of the program out of the comparison.
fn assert_linear(what: &str, few: f64, many: f64) {
    print(what, many);
    assert!(
        many < few.max(0.1) * 20.0,
        "{what}: {few} s, and {many} s for ten times as many"
    );
}

#[tokio::test]
async fn check_takes_time_in_proportion_to_the_routes() {
    let origin = ([127, 0, 0, 1], 1).into();
    let (few, _) = check(&config(ROUTES / 10, origin));
    let (many, output) = check(&config(ROUTES, origin));
    assert!(output.contains("ossgate.toml: ok\n"), "{output:.500}");
    assert_linear("check", few, many);
}

#[tokio::test]
async fn problems_are_shown_in_time_in_proportion_to_their_number() {
    let wrong = |count| {
        let text = routes(count, ([127, 0, 0, 1], 1).into());
        format!(
            "[[listener]]\naddress = \"127.0.0.1:80\"\n{}",
            text.replace("preset", "present")
        )
    };
    let (few, _) = check(&wrong(ROUTES / 10));
    let (many, output) = check(&wrong(ROUTES));
    assert!(
        output.contains(&format!("{ROUTES} errors; this would not start")),
        "{output:.500}"
    );
    assert_linear("check of problems", few, many);
}

#[tokio::test]
async fn ten_thousand_routes_start_reload_and_serve() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let daemon = Daemon::start(&config(ROUTES, origin.address));
    let pid = daemon.child.id();
    let addresses = daemon.addresses(2).await;
    assert_eq!(status(&get(addresses[1]).await), 404);
    let start = cpu_of(pid);
    for (host, path, bucket) in [
        ("h9998.example.com", "/k", "bucket-9998.oss.test"),
        ("paths.example.com", "/p9999/k", "bucket-9999.oss.test"),
    ] {
        let answer = ask(addresses[1], host, path).await;
        assert_eq!(status(&answer), 200, "{answer}");
        let received = origin.received();
        let host = received.last().unwrap().header("host");
        assert_eq!(host, [bucket.as_bytes().to_vec()]);
    }
    wait_for("readiness", || {
        let ready = daemon.ask("status").stdout;
        String::from_utf8_lossy(&ready)
            .contains("\"ready\": true")
            .then_some(())
    })
    .await;
    let before = cpu_of(pid);
    let reload = daemon.ask("reload");
    assert!(reload.status.success(), "{reload:?}");
    let reloaded = cpu_of(pid) - before;
    let before = cpu_of(pid);
    let shown = daemon.ask("status");
    assert!(shown.status.success(), "{shown:?}");
    let metrics = ask(addresses[0], "x", "/metrics").await;
    assert_eq!(metrics.matches("ossgate_origin_tier{").count(), ROUTES);
    let read = cpu_of(pid) - before;
    for (what, seconds, bound) in [
        ("start", start, 20.0),
        ("reload", reloaded, 20.0),
        ("status and metrics", read, 5.0),
    ] {
        print(what, seconds);
        assert!(seconds < bound, "{what}: {seconds} s");
    }
}
