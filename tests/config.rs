//! The config: examples load, every table refuses unknown keys, every problem has its place.
//!
//! Rows: each file in `config/`; each table of each file; each kind of problem. Certificates are made
//! for the test and their paths put in the place of the examples'.

use std::fs;
use std::path::{Path, PathBuf};

use ossgate::config::spec::{self, Kind, Spec};
use ossgate::config::{self, Loaded, Problems};

use crate::support::certificates;

fn load(text: &str) -> Result<Loaded, Problems> {
    config::from_str("test.toml", text, Path::new("/"), &|name| {
        (name == "SET").then(|| "s3cret".to_owned())
    })
}

/// The one-line forms of the problems of `text`.
fn problems(text: &str) -> Vec<String> {
    let problems = load(text).expect_err("must be refused");
    problems
        .iter()
        .map(|problem| problems.line(problem))
        .collect()
}

fn examples() -> Vec<(PathBuf, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let files = certificates::leaf(&["img.example.com"]);
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let text = text
                .replace(
                    "/etc/ossgate/tls/fullchain.pem",
                    files.cert.to_str().unwrap(),
                )
                .replace("/etc/ossgate/tls/privkey.pem", files.key.to_str().unwrap());
            (path, text)
        })
        .collect()
}

#[test]
fn every_example_loads() {
    let examples = examples();
    assert!(examples.len() >= 3);
    for (path, text) in examples {
        if let Err(problems) = load(&text) {
            panic!("{}: {problems}", path.display());
        }
    }
}

#[test]
fn an_unknown_key_in_any_table_of_any_example_is_refused_at_its_place() {
    let mut tables = 0;
    for (path, text) in examples() {
        for (index, line) in text.lines().enumerate() {
            let is_header = line.starts_with('[');
            let inline = line
                .find("{ ")
                .filter(|_| !line.trim_start().starts_with('#'));
            if !is_header && inline.is_none() {
                continue;
            }
            tables += 1;
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let place = if let Some(at) = inline {
                lines[index].insert_str(at + 2, "unheard_of = 1, ");
                index + 1
            } else {
                lines.insert(index + 1, "unheard_of = 1".into());
                index + 2
            };
            let found = problems(&lines.join("\n"));
            let expected = format!("test.toml:{place}:");
            assert!(
                found
                    .iter()
                    .any(|line| line.starts_with(&expected)
                        && line.contains("unknown key `unheard_of`")),
                "{} line {place}: {found:?}",
                path.display()
            );
        }
    }
    assert!(tables > 15, "{tables}");
}

#[test]
fn the_reference_names_every_key() {
    fn missing(spec: &Spec, reference: &str, found: &mut Vec<String>) {
        for key in spec.keys {
            if !reference.contains(&format!("\n{} = ", key.name))
                && !reference.contains(&format!("\n# {} = ", key.name))
                && !reference.contains(&format!("{}]", key.name))
            {
                found.push(key.name.to_owned());
            }
            if let Kind::Table(inner) | Kind::Tables(inner) = key.kind {
                missing(inner, reference, found);
            }
        }
    }
    let mut found = Vec::new();
    missing(
        &spec::ROOT,
        include_str!("../config/reference.toml"),
        &mut found,
    );
    assert!(found.is_empty(), "{found:?}");
}

const GOOD: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
const ROUTE: &str = "[[route]]\norigin = { bucket = \"abc\", region = \"cn-hangzhou\" }\n";

#[test]
fn each_problem_is_told_with_place_and_key() {
    let origin = |inside: &str| format!("{GOOD}[[route]]\norigin = {{ {inside} }}\n");
    for (text, expected) in [
        (GOOD.to_owned(), "has no [[route]]"),
        (ROUTE.to_owned(), "has no [[listener]]"),
        (format!("{GOOD}{ROUTE}x = "), "test.toml:5:"),
        (
            format!("{GOOD}{GOOD}{ROUTE}").replace(":0", ":81"),
            "listener[1].address: `127.0.0.1:81` is already",
        ),
        (
            format!("[[listener]]\naddress = 80\n{ROUTE}"),
            "test.toml:2:11: listener[0].address: must be a string, not a number",
        ),
        (
            format!("[[listener]]\naddress = \"fd:https\"\n{ROUTE}"),
            "is not an address to listen on",
        ),
        (
            format!("{GOOD}tls = true\n{ROUTE}"),
            "needs a [[certificate]]",
        ),
        (
            format!("{GOOD}{ROUTE}[[certificate]]\ncert = \"/x\"\n"),
            "certificate[0].key: is missing",
        ),
        (
            format!("{GOOD}{ROUTE}[[certificate]]\ncert = \"/x\"\nkey = \"/x\"\n"),
            "cannot read",
        ),
        (
            format!("{GOOD}{ROUTE}{ROUTE}"),
            "claims every host with path `/`, which `route[0]` already serves",
        ),
        (
            origin("bucket = \"abc\", buckets = [\"abc\"], region = \"cn-hangzhou\""),
            "cannot stand beside `bucket`",
        ),
        (origin("region = \"cn-hangzhou\""), "names no `bucket`"),
        (
            origin("buckets = [\"*\"], region = \"cn-hangzhou\""),
            "open relay",
        ),
        (
            origin("buckets = [\"a*b*\"], region = \"cn-hangzhou\""),
            "is not a bucket pattern",
        ),
        (
            origin("bucket = \"A\", region = \"cn-hangzhou\""),
            "is not a bucket name",
        ),
        (
            origin("bucket = \"a@b.evil\", region = \"cn-hangzhou\""),
            "is not a bucket name",
        ),
        (
            origin("bucket = \"abc\", region = \"cn-hangzou\""),
            "`cn-hangzou` is not a region of OSS",
        ),
        (
            origin("bucket = \"abc\", region = \"cn-nanjing\", network = \"dualstack\""),
            "has no such endpoint",
        ),
        (
            origin("bucket = \"abc\""),
            "name a `region` or an `endpoint`",
        ),
        (
            origin("bucket = \"abc\", region = \"cn-hangzhou\", endpoint = \"x.example\""),
            "cannot stand beside `endpoint`",
        ),
        (
            origin("bucket = \"abc\", endpoint = \"http://x\""),
            "is not an endpoint",
        ),
        (
            origin("bucket = \"abc\", endpoint = \"u@x\""),
            "is not an endpoint",
        ),
        (
            origin("bucket = \"abc\", endpoint = \"100.100.100.200\""),
            "metadata service",
        ),
        (
            origin("bucket = \"abc\", endpoint = \"169.254.1.1:80\""),
            "metadata service",
        ),
        (
            origin("buckets = [\"abc\"], endpoint = \"x.example\", host = \"y\""),
            "cannot be one for several",
        ),
        (
            origin("bucket = \"abc\", endpoint = \"x.example\", prefix = \"/a\""),
            "must not begin with `/`",
        ),
        (
            origin("bucket = \"abc\", endpoint = \"x.example\", strip_path = true"),
            "needs a route with a `path`",
        ),
        (
            origin("bucket = \"abc\", endpoint = \"127.0.0.1:1\", addressing = \"virtual-host\""),
            "no host to put a bucket before",
        ),
        (
            origin("bucket = \"abc\", endpoint = \"x.example\", tls = false, ca = \"/x\""),
            "no meaning with `tls = false`",
        ),
        (
            format!("{GOOD}[[route]]\nhosts = [\"a:80\"]\n{}", &ROUTE[10..]),
            "is not a host name or address",
        ),
        (
            format!("{GOOD}[[route]]\nmethods = [\"FETCH\"]\n{}", &ROUTE[10..]),
            "`FETCH` is not a method of OSS",
        ),
        (
            format!("[dns]\nmin_ttl = \"90s\"\n{GOOD}{ROUTE}"),
            "dns.max_ttl: must not be below `min_ttl`",
        ),
        (
            format!("[dns]\ntimeout = \"2\"\n{GOOD}{ROUTE}"),
            "is not a duration",
        ),
        (
            format!("[log]\naccess_file = \"${{UNSET}}\"\n{GOOD}{ROUTE}"),
            "environment variable `UNSET` is not set",
        ),
    ] {
        let found = problems(&text);
        assert!(
            found.iter().any(|line| line.contains(expected)),
            "{expected}: {found:?}"
        );
        assert!(
            found.iter().all(|line| line.starts_with("test.toml")),
            "{found:?}"
        );
    }
}

#[test]
fn all_problems_of_a_file_are_told_at_once_with_hints() {
    let text = "[server]\nworker = 2\n[[listener]]\naddress = \"nowhere\"\n[[route]]\norigin = { bucket = \"X\", region = \"cn-hangzou\" }\n";
    let found = load(text).unwrap_err();
    assert_eq!(found.iter().count(), 4, "{found}");
    let rendered = found.render();
    assert!(rendered.contains("did you mean `workers`?"), "{rendered}");
    assert!(
        rendered.contains("did you mean `cn-hangzhou`?"),
        "{rendered}"
    );
    assert!(rendered.contains("^^^^^^"), "{rendered}");
}

#[test]
fn a_value_from_the_environment_is_filled_in_and_never_told() {
    let good = format!("[log]\naccess_file = \"/tmp/${{SET}}.log\"\n{GOOD}{ROUTE}");
    let loaded = load(&good).unwrap();
    assert_eq!(
        loaded.config.log.access_file,
        config::Sink::File("/tmp/s3cret.log".into())
    );
}

#[test]
fn a_key_that_belongs_to_another_certificate_is_refused() {
    let (one, other) = (
        certificates::leaf(&["a.example"]),
        certificates::leaf(&["b.example"]),
    );
    let text = format!(
        "{GOOD}tls = true\n[[certificate]]\ncert = {:?}\nkey = {:?}\n{ROUTE}",
        one.cert, other.key
    );
    let found = problems(&text);
    assert!(
        found[0].contains("certificate[0].key: does not belong to the certificate"),
        "{found:?}"
    );
}
