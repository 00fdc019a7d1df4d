//! `include`: further config files.
//!
//! Rows: order and contents of the files; places of problems, in text and JSON; tables that two files have;
//! tables that an included file cannot have; patterns that match nothing or something unexpected; `explain`,
//! `show` and `check`. Left out: reload and upgrade (`process/included.rs`), ten thousand files (`process/scale.rs`).

use std::path::PathBuf;

use ossgate::cli::check::{Format, check};
use ossgate::cli::explain::{RequestArguments, explain_request};
use ossgate::cli::show::show;
use ossgate::config::{Loaded, NamedFiles, Problems, load};

use crate::support::config::{Files, LISTENER, ROUTE, lines};

const MAIN: &str = "include = [\"routes.d/*.toml\"]\n";

/// A route for `host`.
fn route(host: &str) -> String {
    ROUTE.replace("[[route]]\n", &format!("[[route]]\nhosts = [\"{host}\"]\n"))
}

/// Writes `main` and the files of `routes.d`, and returns the path of the main file.
fn write(files: &Files, main: &str, included: &[(&str, &str)]) -> PathBuf {
    std::fs::create_dir_all(files.path("routes.d")).unwrap();
    for (name, text) in included {
        std::fs::write(files.path("routes.d").join(name), text).unwrap();
    }
    let path = files.path("ossgate.toml");
    std::fs::write(&path, main).unwrap();
    path
}

fn read(files: &Files, main: &str, included: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let env = |name: &str| (name == "ROUTES").then(|| "routes.d".to_owned());
    load(&write(files, main, included), &env)
}

/// Asserts that the config has these problems. `DIR` stands for the directory of the files.
#[track_caller]
fn expect(files: &Files, main: &str, included: &[(&str, &str)], expected: &[&str]) {
    let found = match read(files, main, included) {
        Ok(loaded) => lines(&loaded.warnings),
        Err(problems) => lines(&problems),
    };
    let directory = files.path("").display().to_string();
    let expected: Vec<String> = expected
        .iter()
        .map(|line| line.replace("DIR/", &directory))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_tables_of_included_files_follow_those_of_the_main_file_in_the_order_of_their_names() {
    let files = Files::new();
    // The certificate is relative to the included file.
    std::fs::create_dir_all(files.path("routes.d/tls")).unwrap();
    for name in ["fullchain.pem", "privkey.pem"] {
        std::fs::copy(files.path(name), files.path("routes.d/tls").join(name)).unwrap();
    }
    let listener = "[[listener]]\naddress = \"127.0.0.1:443\"\ntls = true\n";
    let pair = "[[certificate]]\ncert = \"tls/fullchain.pem\"\nkey = \"tls/privkey.pem\"\n";
    let loaded = read(
        &files,
        &format!("{MAIN}{LISTENER}{}", route("main.cn")),
        &[
            ("b.toml", &route("b.cn")),
            (
                "a.toml",
                &format!("{listener}{pair}{}{}", route("a1.cn"), route("a2.cn")),
            ),
            ("10.toml", &route("ten.cn")),
            ("empty.toml", ""),
            (".hidden.toml", "["),
            ("a.toml~", "["),
            (".a.toml.swp", "["),
            ("#a.toml#", "["),
        ],
    );
    let config = loaded
        .unwrap_or_else(|problems| panic!("{problems}"))
        .config;
    let names: Vec<&str> = config.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["main.cn", "ten.cn", "a1.cn", "a2.cn", "b.cn"]);
    let addresses: Vec<String> = config
        .listeners
        .iter()
        .map(|one| one.address.to_string())
        .collect();
    assert_eq!(addresses, ["127.0.0.1:80", "127.0.0.1:443"]);
    assert_eq!(
        config.certificates[0].cert,
        files.path("routes.d/tls/fullchain.pem")
    );
    let places: Vec<(String, usize)> = config
        .routes
        .iter()
        .map(|route| (route.file.to_string(), route.line))
        .collect();
    let place = |name: &str, line| (files.path(name).display().to_string(), line);
    assert_eq!(
        places,
        [
            place("ossgate.toml", 4),
            place("routes.d/10.toml", 1),
            place("routes.d/a.toml", 7),
            place("routes.d/a.toml", 10),
            place("routes.d/b.toml", 1),
        ]
    );
}

#[test]
fn an_included_file_alone_can_have_the_listeners_and_routes() {
    let files = Files::new();
    let both = format!("{LISTENER}{ROUTE}");
    expect(&files, MAIN, &[("a.toml", &both)], &[]);
    // An empty list in one file does not hide the tables of another.
    let empty = format!("{MAIN}listener = []\nroute = []\n");
    expect(&files, &empty, &[("a.toml", &both)], &[]);
    expect(
        &files,
        MAIN,
        &[("a.toml", "")],
        &[
            "DIR/ossgate.toml:1:1: listener: is missing: nothing would be served",
            "DIR/ossgate.toml:1:1: route: is missing: nothing would be served",
        ],
    );
    // The main file has TLS, and the certificate that is not used is in the included file.
    let certificate = "[[certificate]]\ncert = \"../fullchain.pem\"\nkey = \"../privkey.pem\"\n";
    let main = format!("{MAIN}{LISTENER}{ROUTE}");
    let Ok(loaded) = read(&files, &main, &[("a.toml", certificate)]) else {
        panic!()
    };
    let found = lines(&loaded.warnings);
    let place = files.path("routes.d/a.toml").display().to_string();
    let expected =
        format!("{place}:1:1: warning: certificate: is not used: no listener has `tls = true`");
    assert!(found.contains(&expected), "{found:?}");
}

#[test]
fn a_problem_is_shown_at_its_place_in_its_file() {
    let files = Files::new();
    let main = format!("{MAIN}{LISTENER}[server]\nworkers = \"x\"\n");
    let bad = format!("# a comment\n{}colour = \"red\"\n", route("a.cn"));
    let included = [
        ("a.toml", bad.as_str()),
        ("b.toml", "[[route]]\nhosts = [\"a.cn\"]\n"),
    ];
    expect(
        &files,
        &main,
        &included,
        &[
            "DIR/ossgate.toml:5:11: server.workers: must be a whole number, not a string",
            "DIR/routes.d/a.toml:5:1: route[0].colour: unknown key `colour`",
            "DIR/routes.d/b.toml:1:1: route[0].origin: is missing",
        ],
    );
    let path = write(&files, &main, &included);
    let run = |format| {
        let mut out = Vec::new();
        let code = check(&path, format, NamedFiles::Read, &|_| None, &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    };
    let (code, text) = run(Format::Text);
    assert_eq!(code, 78);
    for part in [
        "5 | colour = \"red\"\n  | ^^^^^^\n",
        "1 | [[route]]\n  | ^^^^^^^^^\n",
        ": 3 errors; this",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&run(Format::Json).1).unwrap();
    let problem = &json["problems"][1];
    let file = files.path("routes.d/a.toml").display().to_string();
    assert_eq!(
        (&problem["file"], &problem["line"]),
        (&file.into(), &5.into())
    );
    assert_eq!((&json["errors"], &json["warnings"]), (&3.into(), &0.into()));
}

#[test]
fn two_files_with_one_host_name_or_address_name_each_other() {
    let files = Files::new();
    let named = |host: &str| route(host).replace("hosts", "name = \"n\"\nhosts");
    expect(
        &files,
        &format!("{MAIN}{LISTENER}{}", route("a.cn")),
        &[
            ("a.toml", &format!("{}{}", route("A.cn"), named("b.cn"))),
            (
                "b.toml",
                &format!("\n{}{}{LISTENER}", named("c.cn"), route("b.cn")),
            ),
        ],
        &[
            "DIR/routes.d/a.toml:2:10: route[0].hosts: `A.cn` with path `/` is already served by `route[0]` (DIR/ossgate.toml:4)",
            "DIR/routes.d/b.toml:3:8: route[0].name: is already the name of `route[1]` (DIR/routes.d/a.toml:4)",
            "DIR/routes.d/b.toml:7:10: route[1].hosts: `b.cn` with path `/` is already served by `route[1]` (DIR/routes.d/a.toml:4)",
            "DIR/routes.d/b.toml:10:11: listener[0].address: is already the address of `listener[0]` (DIR/ossgate.toml:2)",
        ],
    );
}

#[test]
fn tables_of_the_process_belong_into_the_main_file() {
    let files = Files::new();
    expect(
        &files,
        &format!("{MAIN}{LISTENER}{ROUTE}"),
        &[(
            "a.toml",
            "include = [\"more/*.toml\"]\ncolour = 1\n[server]\n[dns]\n[log]\n[admin]\n",
        )],
        &[
            "DIR/routes.d/a.toml:1:1: include: an included file cannot include further files",
            "DIR/routes.d/a.toml:2:1: colour: unknown key `colour`",
            "DIR/routes.d/a.toml:3:2: server: `[server]` cannot be in an included file",
            "DIR/routes.d/a.toml:4:2: dns: `[dns]` cannot be in an included file",
            "DIR/routes.d/a.toml:5:2: log: `[log]` cannot be in an included file",
            "DIR/routes.d/a.toml:6:2: admin: `[admin]` cannot be in an included file",
        ],
    );
}

#[test]
fn a_file_that_is_no_toml_hides_no_other_file() {
    let files = Files::new();
    expect(
        &files,
        &format!("colour = 1\n{MAIN}"),
        &[
            ("a.toml", "[[route]\n"),
            ("b.toml", "address = 0.0.0.0:80\n"),
        ],
        &[
            "DIR/ossgate.toml:1:1: colour: unknown key `colour`",
            "DIR/routes.d/a.toml:1:1: the header of the table is not closed",
            "DIR/routes.d/b.toml:1:1: a string must be in quotes",
        ],
    );
}

#[test]
fn each_pattern_that_cannot_be_meant_is_reported() {
    let files = Files::new();
    std::fs::create_dir_all(files.path("dir/sub.toml")).unwrap();
    std::os::unix::fs::symlink("nowhere", files.path("dir/dangling.cfg")).unwrap();
    let rest = format!("{LISTENER}{ROUTE}");
    let itself = "matches this file itself";
    let no_pattern = "is not a pattern: only `*` and `?` are wildcards";
    for (pattern, expected) in [
        ("routes.d/*.toml", String::new()),
        ("routes.d/*/x.toml", String::new()),
        (
            "none.toml",
            "1:12: include: `none.toml` cannot read the file: No such file or directory (os error 2)".to_owned(),
        ),
        (
            "rotes.d/*.toml",
            "1:12: warning: include: `rotes.d/*.toml` matches no file: the directory `DIR/rotes.d` does not exist".to_owned(),
        ),
        (
            "${ROUTES}x/*.toml",
            "1:12: warning: include: `${ROUTES}x/*.toml` matches no file: its directory does not exist".to_owned(),
        ),
        ("routes.d/", "1:12: include: `routes.d/` names a directory".to_owned()),
        ("", "1:12: include: `` is empty".to_owned()),
        ("*.toml", format!("1:12: include: `*.toml` {itself}")),
        ("./ossgate.toml", format!("1:12: include: `./ossgate.toml` {itself}")),
        ("**/*.toml", format!("1:12: include: `**/*.toml` {no_pattern}")),
        ("[ab].toml", format!("1:12: include: `[ab].toml` {no_pattern}")),
        (
            "dir/*.toml",
            "DIR/dir/sub.toml: cannot read the file: it is not a regular file".to_owned(),
        ),
        (
            "dir/dangling.*",
            "DIR/dir/dangling.cfg: cannot read the file: No such file or directory (os error 2)".to_owned(),
        ),
    ] {
        let expected: &[&str] = match expected.as_str() {
            "" => &[],
            line if line.starts_with("DIR") => &[line],
            line => &[&format!("DIR/ossgate.toml:{line}")],
        };
        expect(&files, &format!("include = [{pattern:?}]\n{rest}"), &[], expected);
    }
    // An unreadable directory is only an error for a user who is not root, so a file in its place is the test.
    expect(
        &files,
        &format!("include = \"routes.d/*.toml\"\n{rest}"),
        &[],
        &["DIR/ossgate.toml:1:11: include: must be a list of strings, not a string"],
    );
}

#[test]
fn files_are_found_through_links_variables_and_absolute_paths_and_read_once() {
    let files = Files::new();
    write(&files, "", &[("a.txt", &route("a.cn"))]);
    // As Kubernetes mounts files: a link to a file in another directory.
    std::os::unix::fs::symlink("a.txt", files.path("routes.d/link.toml")).unwrap();
    for patterns in [
        "\"routes.d/*.toml\"".to_owned(),
        "\"routes.d/link.toml\", \"routes.d/*.toml\", \"routes.d/link.toml\"".to_owned(),
        "\"${ROUTES}/l?nk.toml\"".to_owned(),
        "\"r*.d/link.*\"".to_owned(),
        format!("{:?}", files.path("routes.d/*.toml")),
    ] {
        let loaded = read(&files, &format!("include = [{patterns}]\n{LISTENER}"), &[]);
        let config = loaded
            .unwrap_or_else(|problems| panic!("{patterns}\n{problems}"))
            .config;
        let names: Vec<&str> = config.routes.iter().map(|route| &*route.name).collect();
        assert_eq!(names, ["a.cn"], "{patterns}");
    }
}

#[test]
fn explain_show_and_check_cover_included_files() {
    let files = Files::new();
    let guarded = format!(
        "\n\n{}referer = {{ allow = [\"http://b.cn\"] }}\n",
        route("a.cn")
    );
    let path = write(
        &files,
        &format!("{MAIN}{LISTENER}"),
        &[("a.toml", &guarded)],
    );
    let included = files.path("routes.d/a.toml").display().to_string();
    let mut out = Vec::new();
    let headers = ["Referer: http://b.cn/x".to_owned()];
    let arguments = RequestArguments {
        url: "http://a.cn/k",
        method: "GET",
        headers: &headers,
        named_files: NamedFiles::Read,
        client: None,
    };
    explain_request(&path, &arguments, &|_| None, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    for part in [
        format!("route    `a.cn`  ({included}:3)\n"),
        format!("referer  is allowed by `http://b.cn`  ({included}:6)\n"),
    ] {
        assert!(text.contains(&part), "{part}\n{text}");
    }
    let mut shown = Vec::new();
    assert_eq!(show(&path, &|_| None, &mut shown).unwrap(), 0);
    let shown = String::from_utf8(shown).unwrap();
    assert!(
        shown.contains("hosts = [\"a.cn\"]") && !shown.contains("include"),
        "{shown}"
    );
    // What `show` prints is a config of one file.
    std::fs::write(files.path("shown.toml"), &shown).unwrap();
    assert_eq!(
        load(&files.path("shown.toml"), &|_| None)
            .unwrap()
            .config
            .routes
            .len(),
        1
    );
    let mut out = Vec::new();
    assert_eq!(
        check(&path, Format::Text, NamedFiles::Read, &|_| None, &mut out).unwrap(),
        0
    );
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains("  route `a.cn`: a.cn, path / -> bucket examplebucket"),
        "{text}"
    );
}
