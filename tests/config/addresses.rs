//! `[route.ip]` in the config: its problems, and what `explain` and `show` make of it.
//!
//! Rows: each problem of the keys and of the file, at its place; files that are accepted; one file of many routes;
//! `explain` with and without a client, and the line that it names; `show`.

use std::process::Command;
use std::sync::Arc;

use ossgate::cli::explain::{RequestArguments, explain_request};
use ossgate::cli::show::show;
use ossgate::route::build::{SharedRules, policies};
use tokio::time::Instant;

use crate::support::config::{Files, LISTENER, ROUTE, expect, expect_rows, lines};

#[test]
fn lists_without_a_meaning_are_reported_at_their_place() {
    expect_rows(
        ROUTE,
        LISTENER,
        &[
            (
                "ip = { allow = [\"203.0.113.0/24\", \"2001:db8::7\"], deny = [\"203.0.113.9\"] }",
                "",
            ),
            (
                "ip = { allow = [\"10.0.0.0/8\", \"10.1.0.0/16\", \"10.0.0.0/8\"] }",
                "",
            ),
            ("ip = { deny = [\"0.0.0.0/1\"] }", ""),
            (
                "ip = {}",
                "3:6: warning: route[0].ip: has no effect without `allow`, `deny` or `file`",
            ),
            (
                "ip = { deny = [] }",
                "3:6: warning: route[0].ip: has no effect without `allow`, `deny` or `file`",
            ),
            (
                "ip = { allow = [] }",
                "3:16: route[0].ip.allow: is empty: every client would be refused",
            ),
            (
                "ip = { allow = [], deny = [\"10.0.0.1\"] }",
                "3:16: route[0].ip.allow: is empty: every client would be refused",
            ),
            (
                "ip = { alow = [] , deny = [\"10.0.0.1\"] }",
                "3:8: route[0].ip.alow: unknown key `alow`",
            ),
            (
                "ip = { allow = \"10.0.0.1\" }",
                "3:16: route[0].ip.allow: must be a list of strings, not a string",
            ),
            (
                "ip = { allow = [\"10.0.0.1\", \"203.0.113.300\"] }",
                "3:29: route[0].ip.allow: `203.0.113.300` is not an address, or a range such as `10.0.0.0/8`",
            ),
            (
                "ip = { deny = [\"010.0.0.0/8\"] }",
                "3:16: route[0].ip.deny: `010.0.0.0/8` is not an address, or a range such as `10.0.0.0/8`",
            ),
            (
                "ip = { deny = [\"fe80::1%eth0\"] }",
                "3:16: route[0].ip.deny: `fe80::1%eth0` is not an address, or a range such as `10.0.0.0/8`",
            ),
            (
                "ip = { allow = [\"203.0.113.7/24\"] }",
                "3:17: warning: route[0].ip.allow: `203.0.113.7/24` has bits after its prefix, which have no effect",
            ),
            (
                "ip = { deny = [\"::ffff:203.0.113.7/120\"] }",
                "3:16: warning: route[0].ip.deny: `::ffff:203.0.113.7/120` has bits after its prefix, which have no effect",
            ),
            (
                "ip = { allow = [\"0.0.0.0/0\"] }",
                "3:17: warning: route[0].ip.allow: `0.0.0.0/0` allows every IPv4 address",
            ),
            (
                "ip = { allow = [\"::ffff:0:0/96\"] }",
                "3:17: warning: route[0].ip.allow: `::ffff:0:0/96` allows every IPv4 address",
            ),
            (
                "ip = { allow = [\"10.0.0.1\"], deny = [\"::/0\"] }",
                "3:38: warning: route[0].ip.deny: `::/0` refuses every IPv6 address, those of `allow` included; leave it out: `allow` already refuses all others",
            ),
            (
                "ip = { deny = [\"::/0\"] }",
                "3:16: warning: route[0].ip.deny: `::/0` refuses every IPv6 address",
            ),
        ],
    );
}

#[test]
fn a_file_is_read_with_the_config_and_its_problems_name_file_and_line() {
    let files = Files::new();
    let path = files.path("partners.txt");
    let place = path.display();
    let text = format!("{ROUTE}ip = {{ file = \"partners.txt\" }}\n{LISTENER}");
    let with_allow = text.replace("file =", "allow = [\"10.0.0.1\"], file =");
    let empty = "3:15: warning: route[0].ip.file: lists no network and `allow` has none: every client is refused";
    for (content, expected) in [
        ("203.0.113.0/24\n", vec![]),
        (
            "\u{feff}# partners\r\n203.0.113.0/24 # a\r\n\r\n2001:db8::/32",
            vec![],
        ),
        ("", vec![empty.to_owned()]),
        ("# nobody\n", vec![empty.to_owned()]),
        (
            "10.0.0.1\n203.0.113.7/24\n0.0.0.0/0\n",
            vec![
                format!(
                    "3:15: warning: route[0].ip.file: {place}:2: the network has bits after its prefix, which have no effect"
                ),
                format!(
                    "3:15: warning: route[0].ip.file: {place}:3: the network allows every IPv4 address"
                ),
            ],
        ),
        (
            "10.0.0.1\nhunter2\n${SECRET}\n",
            vec![format!(
                "3:15: route[0].ip.file: {place}:2: the line is not an address, or a range such as `10.0.0.0/8`; also wrong: lines 3"
            )],
        ),
    ] {
        std::fs::write(&path, content).unwrap();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        expect(&files, &text, &expected);
        if expected == [empty] {
            expect(&files, &with_allow, &[]);
        }
    }
    // The path is a string like any other; only the content is read as it is.
    expect(
        &files,
        &text.replace("partners.txt", "${EMPTY}partners.txt"),
        &[&format!(
            "3:15: route[0].ip.file: {place}:2: the line is not an address, or a range such as `10.0.0.0/8`; also wrong: lines 3"
        )],
    );
    std::fs::remove_file(&path).unwrap();
    let absent = format!(
        "3:15: route[0].ip.file: {place} cannot be read: No such file or directory (os error 2)"
    );
    expect(&files, &text, &[&absent]);
    let directory = files.path("");
    let message = format!(
        "3:15: route[0].ip.file: {} is not a regular file",
        directory.display()
    );
    expect(
        &files,
        &text.replace("partners.txt", "."),
        &[&message.replace("/ is", "/. is")],
    );
}

#[test]
fn a_thousand_routes_share_the_list_of_one_file() {
    let files = Files::new();
    let list: String = (0..10_000)
        .map(|n| format!("10.{}.{}.0/25\n", n / 256, n % 256))
        .collect();
    std::fs::write(files.path("partners.txt"), list + "x\n").unwrap();
    let mut text = LISTENER.to_owned();
    for route in 0..1000 {
        let route = ROUTE.replace(
            "[[route]]",
            &format!("[[route]]\nhosts = [\"h{route}.cn\"]"),
        );
        text.push_str(&format!(
            "{route}ip = {{ file = \"partners.txt\", allow = [\"127.0.0.1\"] }}\n"
        ));
    }
    let problems = files.read(&text).unwrap_err();
    assert_eq!(lines(&problems).len(), 1, "a wrong file is reported once");
    std::fs::write(files.path("partners.txt"), "10.0.0.0/8\n".repeat(10_000)).unwrap();
    let begin = Instant::now();
    let config = files.read(&text).unwrap().config;
    // Reading the file for each route would take minutes.
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    let lists = config
        .routes
        .iter()
        .map(|route| route.policies.ip.as_ref().unwrap().file.as_ref().unwrap());
    let first = lists.clone().next().unwrap();
    assert!(lists.clone().all(|list| Arc::ptr_eq(list, first)));
}

#[test]
fn routes_with_equal_lists_share_the_compiled_sets() {
    let files = Files::new();
    std::fs::write(files.path("partners.txt"), "10.0.0.0/8\n").unwrap();
    let mut text = LISTENER.to_owned();
    for (host, lists) in [
        ("a", "allow = [\"127.0.0.1\"]"),
        ("b", "allow = [\"::ffff:127.0.0.1\"]"),
        ("c", "allow = [\"127.0.0.2\"]"),
    ] {
        let route = ROUTE.replace("[[route]]", &format!("[[route]]\nhosts = [\"{host}.cn\"]"));
        text.push_str(&format!(
            "{route}ip = {{ file = \"partners.txt\", {lists} }}\n"
        ));
    }
    let config = files.read(&text).unwrap().config;
    let reports = ossgate::policy::referer::Reports::default();
    let mut shared = SharedRules::new(&reports);
    let routes = config.routes.iter();
    let built: Vec<_> = routes
        .map(|route| policies(route, &mut shared).unwrap().ip.unwrap())
        .collect();
    let allow = |route: usize| built[route].allow.as_ref().unwrap();
    assert!(Arc::ptr_eq(&allow(0).written, &allow(1).written));
    assert_ne!(allow(0).written, allow(2).written);
    for other in [1, 2] {
        let files = [0, other].map(|route| allow(route).file.as_ref().unwrap());
        assert!(Arc::ptr_eq(files[0], files[1]));
        assert!(Arc::ptr_eq(&built[0].deny, &built[other].deny));
    }
}

/// Returns the exit code of `explain` for a client, and the line about its address.
fn explained(files: &Files, client: Option<&str>) -> (u8, String) {
    let arguments = RequestArguments {
        url: "http://img.example.com/k",
        method: "GET",
        headers: &["X-Forwarded-For: 203.0.113.7".to_owned()],
        client: client.map(|client| client.parse().unwrap()),
        named_files: ossgate::config::NamedFiles::Read,
    };
    let mut out = Vec::new();
    let code = explain_request(&files.path("ossgate.toml"), &arguments, &|_| None, &mut out);
    let out = String::from_utf8(out).unwrap();
    let line = out.lines().find(|line| line.starts_with("  ip "));
    let line = line
        .unwrap_or_else(|| panic!("{out}"))
        .trim_start_matches("  ip")
        .trim_start();
    let shown = line.replace(&files.path("").display().to_string(), "");
    if code.as_ref().is_ok_and(|code| *code == 3) {
        assert!(
            out.ends_with(
                "the proxy would answer 403, x-ossgate-error: ip; nothing would be sent to OSS\n"
            ),
            "{out}"
        );
        assert!(!out.contains("  cors"), "{out}");
    }
    (code.unwrap(), shown)
}

#[test]
fn explain_names_the_line_that_decides_about_a_client() {
    let files = Files::new();
    std::fs::write(
        files.path("partners.txt"),
        "# partners\n198.51.100.0/24\n198.51.100.7\n",
    )
    .unwrap();
    let config = |rules: &str| {
        let text = format!(
            "{LISTENER}{ROUTE}cors = {{ rules = [{{ origins = [\"*\"], methods = [\"GET\"] }}] }}\n[route.ip]\n{rules}\n"
        );
        std::fs::write(files.path("ossgate.toml"), text).unwrap();
    };
    config(
        "allow = [\n  \"203.0.113.0/24\",\n  \"2001:db8::7\",\n]\ndeny = [\"203.0.113.9\"]\nfile = \"partners.txt\"",
    );
    for (client, code, expected) in [
        (
            "203.0.113.7",
            0,
            "203.0.113.7 is allowed by `203.0.113.0/24`  (ossgate.toml:8)",
        ),
        (
            "::ffff:203.0.113.7",
            0,
            "203.0.113.7 is allowed by `203.0.113.0/24`  (ossgate.toml:8)",
        ),
        (
            "2001:DB8:0::7",
            0,
            "2001:db8::7 is allowed by `2001:db8::7`  (ossgate.toml:9)",
        ),
        (
            "203.0.113.9",
            3,
            "203.0.113.9 is refused by `203.0.113.9`  (ossgate.toml:11)",
        ),
        (
            "198.51.100.7",
            0,
            "198.51.100.7 is allowed by `198.51.100.0/24`  (partners.txt:2)",
        ),
        (
            "198.51.101.7",
            3,
            "198.51.101.7 is refused: no network allows it",
        ),
    ] {
        assert_eq!(explained(&files, Some(client)), (code, expected.to_owned()));
    }
    let open = "depends on the address of the client: name one with `--client`";
    assert_eq!(explained(&files, None), (0, open.to_owned()));
    config("deny = [\"203.0.113.9\"]");
    let passes = "203.0.113.7 passes: no network denies it";
    assert_eq!(
        explained(&files, Some("203.0.113.7")),
        (0, passes.to_owned())
    );
}

#[test]
fn show_writes_the_lists_and_the_path_of_the_file() {
    let files = Files::new();
    std::fs::write(files.path("partners.txt"), "198.51.100.7\n").unwrap();
    let path = files.path("ossgate.toml");
    let rules =
        "ip = { allow = [\"::ffff:203.0.113.7\", \"10.1.2.3/8\"], file = \"partners.txt\" }";
    std::fs::write(&path, format!("{LISTENER}{ROUTE}{rules}\n")).unwrap();
    let mut out = Vec::new();
    assert_eq!(show(&path, &|_| None, &mut out).unwrap(), 0);
    let shown: toml::Table = String::from_utf8(out).unwrap().parse().unwrap();
    let ip = &shown["route"][0]["ip"];
    assert_eq!(ip["allow"], vec!["203.0.113.7", "10.0.0.0/8"].into());
    assert_eq!(ip["file"].as_str(), files.path("partners.txt").to_str());
    assert_eq!(ip.get("deny"), None);
}

#[test]
fn the_program_takes_the_client_as_an_option_of_explain() {
    let files = Files::new();
    let path = files.path("ossgate.toml");
    let rules = "ip = { allow = [\"203.0.113.7\"] }";
    std::fs::write(&path, format!("{LISTENER}{ROUTE}{rules}\n")).unwrap();
    for (client, code) in [
        ("203.0.113.7", 0),
        ("::ffff:203.0.113.7", 0),
        ("203.0.113.8", 3),
        ("203.0.113.7%lo", 2),
        ("localhost", 2),
    ] {
        let run = Command::new(env!("CARGO_BIN_EXE_ossgate"))
            .args([
                "explain",
                "--client",
                client,
                "http://img.example.com/k",
                "-c",
            ])
            .arg(&path)
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(code), "{client}: {run:?}");
    }
}
