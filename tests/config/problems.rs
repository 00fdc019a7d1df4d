//! Problems in general: all of them at once, with hints, and without secrets.
//!
//! Rows: documents that are no config; hints; many problems in one file; strings from the environment and from
//! files; a secret at every string of the reference. Left out: the problems of single keys (`tables`, `origins`,
//! `policies`).

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
