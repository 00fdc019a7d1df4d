//! Problems in general: all of them at once, with hints, and without secrets.
//!
//! Rows: documents that are no config; hints; many problems in one file; files that are pipes or too large;
//! control characters; strings from the environment and from files; a secret at every string of the reference. Left out: the problems of single keys (`tables`, `origins`,
//! `policies`).

use ossgate::cli::check::{Format, check};
use ossgate::config::NamedFiles;

use crate::support::config::{Files, LISTENER, ROUTE, example, expect, expect_rows, lines};

#[test]
fn a_document_that_is_no_config_is_rejected() {
    let files = Files::new();
    let problems = files.read("a = \nb = 1 2\na = 3\n").unwrap_err();
    assert!(lines(&problems)[0].starts_with("t.toml:1:"), "{problems}");
    assert!(problems.iter().count() >= 2, "{problems}");
    expect(
        &files,
        "",
        &[
            "1:1: listener: is missing: nothing would be served",
            "1:1: route: is missing: nothing would be served",
        ],
    );
    expect(
        &files,
        "listener = []\nroute = []\n",
        &[
            "1:12: listener: is missing: nothing would be served",
            "2:9: route: is missing: nothing would be served",
        ],
    );
    expect(
        &files,
        &format!("listener = 3\n{ROUTE}"),
        &["1:12: listener: must be a list of tables, `[[listener]]`, not a number"],
    );
}

#[test]
fn a_problem_has_a_hint_where_there_is_one() {
    let files = Files::new();
    for (origin, hint) in [
        (
            "bucket = \"abc\", region = \"oss-cn-hangzhou\"",
            "did you mean `cn-hangzhou`?",
        ),
        (
            "bucket = \"abc\", region = \"hangzhou\"",
            "did you mean `cn-hangzhou`?",
        ),
        (
            "bucket = \"abc\", region = \"cn-nanjing\", network = \"dualstack\"",
            "it has: internal, public, accelerate, accelerate-overseas",
        ),
        (
            "bucket = \"team-*\", region = \"cn-hangzhou\"",
            "write patterns in `buckets`",
        ),
        (
            "buket = \"abc\", bucket = \"abc\", region = \"cn-hangzhou\"",
            "did you mean `bucket`?",
        ),
    ] {
        let text = format!("{LISTENER}[[route]]\norigin = {{ {origin} }}\n");
        let problems = files.read(&text).unwrap_err();
        let hints: Vec<_> = problems
            .iter()
            .filter_map(|problem| problem.hint.clone())
            .collect();
        assert_eq!(hints, [hint], "{text}");
    }
}

#[test]
fn all_problems_of_a_file_are_reported_at_once() {
    let files = Files::new();
    let text = "[server]\nworkers = \"many\"\n[[listener]]\naddress = \"nowhere\"\ntls = 1\n\
                [[certificate]]\ncert = \"none.pem\"\ndefault = 1\n\
                [[route]]\nmethods = [\"GET\", 3]\norigin = { bucket = \"A\", region = \"x\", tls = 0 }\n[extra]\n";
    let problems = files.read(text).unwrap_err();
    let paths: Vec<&str> = problems
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    let expected = [
        "server.workers",
        "listener[0].address",
        "listener[0].tls",
        "certificate[0].key",
        "certificate[0].cert",
        "certificate[0].default",
        "route[0].methods",
        "route[0].origin.bucket",
        "route[0].origin.region",
        "route[0].origin.tls",
        "extra",
    ];
    assert_eq!(paths, expected, "{problems}");
}

#[test]
fn strings_are_filled_in_from_environment_and_files() {
    let files = Files::new();
    let text = format!(
        "{LISTENER}[[route]]\nname = \"<${{file:secret}}>\"\n\
         origin = {{ bucket = \"${{BUCKET}}\", region = \"${{REGION:-cn-hangzhou}}\" }}\n"
    );
    let config = files.read(&text).unwrap().config;
    assert_eq!(config.routes[0].name, "<hunter2>");
    assert_eq!(
        config.routes[0].origin.endpoint.region.as_deref(),
        Some("cn-hangzhou")
    );
    expect_rows(
        "[[route]]\n[route.origin]\nregion = \"cn-hangzhou\"\nbucket = ",
        LISTENER,
        &[
            (
                "\"${UNSET}\"",
                "4:10: route[0].origin.bucket: environment variable `UNSET` is not set",
            ),
            (
                "\"${file:none}\"",
                "4:10: route[0].origin.bucket: cannot read `none`: No such file or directory (os error 2)",
            ),
            (
                "\"${BUCKET\"",
                "4:10: route[0].origin.bucket: `${` has no `}`",
            ),
        ],
    );
}

/// Each string of the reference becomes a secret in turn.
#[test]
fn a_secret_never_shows_in_a_problem() {
    let files = Files::new();
    let reference = files.place(&example("reference.toml"));
    let mut refused = 0;
    for (index, line) in reference.lines().enumerate() {
        let Some((key, value)) = line.split_once(" = ") else {
            continue;
        };
        if line.starts_with('#') || !value.contains('"') && value != "[]" {
            continue;
        }
        for secret in ["${SECRET}", "${file:secret} ?"] {
            let value = if value.starts_with('[') {
                format!("[{secret:?}]")
            } else {
                format!("{secret:?}")
            };
            let mut lines: Vec<&str> = reference.lines().collect();
            let line = format!("{key} = {value}");
            lines[index] = &line;
            let Err(problems) = files.read(&lines.join("\n")) else {
                continue;
            };
            refused += 1;
            let shown = [
                problems.to_string(),
                format!("{problems:?}"),
                problems.to_json().to_string(),
            ];
            for text in shown {
                assert!(!text.to_lowercase().contains("hunter2"), "{line}\n{text}");
            }
        }
    }
    assert!(refused > 40, "{refused}");
}

/// Opening a pipe that nobody writes to would wait without end, and the sparse file would fill the memory.
#[test]
fn only_regular_files_of_a_limited_size_are_read() {
    let files = Files::new();
    let made = std::process::Command::new("mkfifo")
        .arg(files.path("pipe"))
        .status();
    assert!(made.unwrap().success());
    let sparse = std::fs::File::create(files.path("huge")).unwrap();
    sparse.set_len(20 << 30).unwrap();
    let reasons = [
        (
            "pipe",
            "it is not a regular file",
            "it is not a regular file",
        ),
        (
            "huge",
            "it is larger than 16 MiB",
            "it is larger than 64 KiB",
        ),
    ];
    let tls = LISTENER.replace("80\"", "443\"\ntls = true");
    for (name, reason, inserted) in reasons {
        let main = ossgate::config::load(&files.path(name), &|_| None).unwrap_err();
        let expected = format!("cannot read the file: {reason}");
        assert_eq!(main.iter().next().unwrap().message, expected);
        for (text, expected) in [
            (
                format!("{LISTENER}{ROUTE}name = \"${{file:{name}}}\"\n"),
                format!("5:8: route[0].name: cannot read `{name}`: {inserted}"),
            ),
            (
                format!("{tls}{ROUTE}[[certificate]]\ncert = \"{name}\"\nkey = \"privkey.pem\"\n"),
                format!("7:8: certificate[0].cert: `{name}` cannot be read: {reason}"),
            ),
            (
                format!(
                    "{tls}{ROUTE}[[certificate]]\ncert = \"fullchain.pem\"\nkey = \"{name}\"\n"
                ),
                format!("8:7: certificate[0].key: `{name}` cannot be read: {reason}"),
            ),
        ] {
            let problems = lines(&files.read(&text).unwrap_err());
            let expected = format!("t.toml:{expected}");
            assert!(problems.contains(&expected), "{problems:?}\n{expected}");
        }
        let include = format!("include = [\"{name}\"]\n{LISTENER}{ROUTE}");
        let problems = files.read(&include).unwrap_err();
        let expected = format!(
            "{}: cannot read the file: {reason}",
            files.path(name).display()
        );
        assert_eq!(lines(&problems), [expected]);
    }
}

#[test]
fn errors_are_shown_before_warnings_if_there_are_many() {
    let files = Files::new();
    let unused = "[[certificate]]\ncert = \"fullchain.pem\"\nkey = \"privkey.pem\"\n";
    let keys = |count: usize| -> String { (0..count).map(|key| format!("k{key} = 1\n")).collect() };
    for (errors, more) in [
        (49, ""),
        (50, "and 1 more problem;"),
        (90, "and 41 more problems;"),
    ] {
        // The warning is before the errors in the file.
        let text = format!("{LISTENER}{unused}{ROUTE}{}", keys(errors));
        let problems = files.read(&text).unwrap_err();
        assert_eq!(problems.counts(), format!("{errors} errors, 1 warning"));
        let shown = problems.render();
        assert_eq!(shown.matches(": unknown key `").count(), errors.min(50));
        assert_eq!(shown.contains("warning: "), errors < 50, "{shown}");
        assert_eq!(shown.contains("more problem"), !more.is_empty());
        assert!(shown.contains(more), "{shown}");
        assert_eq!(problems.to_json().as_array().unwrap().len(), errors + 1);
    }
}

#[test]
fn control_characters_of_names_are_escaped() {
    let files = Files::new();
    let path = files.path("\u{1b}[2J\u{9b}\u{202e}.toml");
    let name = "name = \"\\u001b[2J\\n\\u0085\u{2028}\u{202e}\"\n";
    for (text, expected) in [
        (
            format!("{LISTENER}{ROUTE}{name}"),
            r"route `\u{1b}[2J\n\u{85}\u{2028}\u{202e}`",
        ),
        (
            format!("{LISTENER}{ROUTE}\"\\u001b\u{202e}\" = 1\n"),
            r"unknown key `\u{1b}\u{202e}`",
        ),
        (
            format!("{LISTENER}{ROUTE}x = 1 # \u{85}\u{202e}\n"),
            r"5 | x = 1 # \u{85}\u{202e}",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        for format in [Format::Text, Format::Json] {
            let mut out = Vec::new();
            check(&path, format, NamedFiles::Read, &|_| None, &mut out).unwrap();
            let out = String::from_utf8(out).unwrap();
            let raw =
                |one: char| one != '\n' && one.is_control() || "\u{2028}\u{202e}".contains(one);
            assert!(!out.contains(raw), "{out:?}");
            assert!(format == Format::Json || out.contains(expected), "{out}");
            assert!(format == Format::Text || out.lines().count() == 1, "{out}");
        }
    }
}
