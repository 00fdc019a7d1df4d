//! Ten thousand routes, and thousands of certificates: nothing takes time that grows faster than their number.
//!
//! Rows: `check` of correct routes, of routes in a file each, of as many problems, and of certificates without a
//! host of their own; start, reload, a request by host and by path, metrics and status of one process. Times are
//! CPU seconds, so a busy machine does not matter. Left out: the figures of an optimized build, and memory.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::daemon::{Daemon, get};
use crate::support::origin::{RawOrigin, Received, ok};
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
             referer = {{ allow = [\"https://*.example.com\", \"https://example{}.org\"], strict_host = true }}\n\
             origin = {{ bucket = \"bucket-{route}\", endpoint = \"{origin}\", host = \"bucket-{route}.oss.test\", tls = false }}\n",
            // Equal lists are compiled once. Ten thousand different ones take long in a debug build.
            route / 100,
        )
        .unwrap();
    }
    text
}

fn config(count: usize, origin: SocketAddr) -> String {
    format!(
        "[server]\nworkers = 1\nwatch_config = false\n[log]\naccess = \"off\"\n[admin]\naddress = \"unix:admin.sock\"\n\
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
    check_in(dir.path())
}

/// Runs `ossgate check` for the config in `directory` and returns its CPU seconds and its output.
fn check_in(directory: &Path) -> (f64, String) {
    // The shell's `times` is the CPU time of this one process, whatever other tests do.
    let output = Command::new("sh")
        .args(["-c", "\"$0\" check -c ossgate.toml; times"])
        .arg(env!("CARGO_BIN_EXE_ossgate"))
        .current_dir(directory)
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

/// Asserts that ten times the routes take at most 25 times the CPU. Linear work takes 10 times as much, and
/// quadratic work 100 times. The floor keeps out what does not depend on the routes.
fn assert_linear(what: &str, few: f64, many: f64) {
    assert!(
        many < few.max(0.1) * 25.0,
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

/// Writes `count` included files with one route each, and returns the result of `ossgate check`.
fn check_included(count: usize, change: impl Fn(&str) -> String) -> (f64, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("routes.d")).unwrap();
    let main = "include = [\"routes.d/*.toml\"]\n[[listener]]\naddress = \"127.0.0.1:80\"\n";
    std::fs::write(dir.path().join("ossgate.toml"), main).unwrap();
    let text = routes(count, ([127, 0, 0, 1], 1).into());
    for (route, text) in text.split_inclusive("tls = false }\n").enumerate() {
        let path = dir.path().join(format!("routes.d/{route}.toml"));
        std::fs::write(path, change(text)).unwrap();
    }
    check_in(dir.path())
}

#[tokio::test]
async fn included_files_are_read_in_time_in_proportion_to_their_number() {
    let (few, _) = check_included(ROUTES / 10, str::to_owned);
    let (many, output) = check_included(ROUTES, str::to_owned);
    assert!(output.contains("ossgate.toml: ok\n"), "{output:.500}");
    assert_eq!(output.matches("  route `").count(), ROUTES);
    assert_linear("check of included files", few, many);
    // Each file has a problem, and each problem names another file.
    let same = |text: &str| text.replace("[[route]]", "[[route]]\nname = \"same\"");
    let (few, _) = check_included(300, same);
    let (many, output) = check_included(3000, same);
    assert!(
        output.contains("2999 errors; this would not start"),
        "{output:.500}"
    );
    assert_linear("check of problems in included files", few, many);
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
    let (few, _) = check(&wrong(300));
    let (many, output) = check(&wrong(3000));
    assert!(
        output.contains("3000 errors; this would not start"),
        "{output:.500}"
    );
    assert_linear("check of problems", few, many);
}

#[tokio::test]
async fn problems_in_one_line_are_shown_in_time_in_proportion_to_their_number() {
    let wrong = |count: usize| {
        let hosts: Vec<String> = (0..count).map(|host| format!("\"a b{host}\"")).collect();
        format!(
            "[[listener]]\naddress = \"127.0.0.1:80\"\n[[route]]\nhosts = [{}]\n\
             origin = {{ bucket = \"examplebucket\", region = \"cn-hangzhou\" }}\n",
            hosts.join(", ")
        )
    };
    let (few, _) = check(&wrong(800));
    let (many, output) = check(&wrong(8000));
    assert!(
        output.contains("and 7950 more problems; `ossgate check --format json` prints all\n"),
        "{output:.500}"
    );
    assert!(output.contains("8000 errors; this would not start"));
    assert_linear("check of problems in one line", few, many);
}

/// Returns a config with as many certificates as routes. If `fits`, each route has a host of one certificate;
/// otherwise no certificate has a host, and no host has a certificate. All certificates have one key.
fn certificates(count: usize, fits: bool, dir: &Path) -> String {
    let key = KeyPair::generate().unwrap();
    std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    let mut text = "[[listener]]\naddress = \"127.0.0.1:443\"\ntls = true\n".to_owned();
    for index in 0..count {
        let names = vec![
            format!("c{index}.example.com"),
            format!("*.w{index}.example.com"),
        ];
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key);
        let file = dir.join(format!("{index}.pem"));
        std::fs::write(&file, certificate.unwrap().pem()).unwrap();
        let host = if fits { "c" } else { "d" };
        write!(
            text,
            "[[certificate]]\ncert = {file:?}\nkey = {:?}\n[[route]]\nhosts = [\"{host}{index}.example.com\"]\n\
             origin = {{ bucket = \"bucket-{index}\", region = \"cn-hangzhou\" }}\n",
            dir.join("key.pem"),
        )
        .unwrap();
    }
    text
}

#[tokio::test]
async fn certificates_are_compared_with_hosts_in_time_in_proportion_to_their_number() {
    let dir = tempfile::tempdir().unwrap();
    for (fits, warnings) in [(true, 0), (false, 2)] {
        let (few, _) = check(&certificates(300, fits, dir.path()));
        let (many, output) = check(&certificates(3000, fits, dir.path()));
        assert!(output.contains("ossgate.toml: ok"), "{output:.500}");
        assert_eq!(
            output.matches("warning: ").count(),
            (warnings * 3000).min(50)
        );
        assert_eq!(output.contains("6000 warnings"), !fits, "{output:.500}");
        assert_linear("check of certificates", few, many);
    }
}

/// Starts a process with `count` routes, sends it requests, reloads its config and reads its state. Returns
/// the CPU seconds of each step.
async fn serve(count: usize) -> [(&'static str, f64); 3] {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let mut daemon = Daemon::start(&config(count, origin.address));
    let pid = daemon.child.id();
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    // Without a limit: a busy machine takes long, and the assertions are about CPU.
    while !daemon.events().contains(" listening ") {
        pace.tick().await;
        assert_eq!(daemon.child.try_wait().unwrap(), None);
    }
    let listener = daemon.addresses(1).await[0];
    assert_eq!(status(&get(listener).await), 404);
    let start = cpu_of(pid);
    let [by_host, by_path] = [count - 2, count - 1];
    for (host, path, bucket) in [
        (format!("h{by_host}.example.com"), "/k".to_owned(), by_host),
        (
            "paths.example.com".to_owned(),
            format!("/p{by_path}/k"),
            by_path,
        ),
    ] {
        let answer = ask(listener, &host, &path).await;
        assert_eq!(status(&answer), 200, "{answer}");
        let expected = format!("bucket-{bucket}.oss.test");
        let is_sent = |one: &Received| one.header("host") == [expected.as_bytes()];
        assert!(origin.received().iter().any(is_sent), "{expected}");
    }
    let before = cpu_of(pid);
    let reload = daemon.ask("reload");
    assert!(reload.status.success(), "{reload:?}");
    let reloaded = cpu_of(pid) - before;
    let before = cpu_of(pid);
    let shown = daemon.ask("status");
    assert!(shown.status.success(), "{shown:?}");
    let metrics = daemon.metrics("admin.sock").await;
    assert_eq!(metrics.matches("ossgate_origin_tier{").count(), count);
    let read = cpu_of(pid) - before;
    [
        ("start", start),
        ("reload", reloaded),
        ("status and metrics", read),
    ]
}

#[tokio::test]
async fn ten_thousand_routes_start_reload_and_serve() {
    let few = serve(ROUTES / 10).await;
    let many = serve(ROUTES).await;
    for ((what, few), (_, many)) in few.into_iter().zip(many) {
        assert_linear(what, few, many);
    }
}
