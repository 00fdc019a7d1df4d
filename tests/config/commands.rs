//! The commands that read or write configs: `check`, `show`, `schema` and `init`.
//!
//! Rows: `check` of good and bad configs, as text and as JSON; `show` of every example; `init` for every region and
//! for bad arguments; relative paths. Left out: `explain` and `import`, which have their own files.

use std::path::Path;

use ossgate::cli::check::{Format, check};
use ossgate::cli::show::{init, schema, show};
use ossgate::config::{NamedFiles, from_str, load};
use ossgate::oss::endpoint::{self, Network, regions};

use crate::support::config::{Files, example, examples};

fn text(write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<u8>) -> (u8, String) {
    let mut out = Vec::new();
    let code = write(&mut out).unwrap();
    (code, String::from_utf8(out).unwrap())
}

#[test]
fn check_lists_listeners_and_routes() {
    let files = Files::new();
    let path = files.path("good.toml");
    std::fs::write(&path, example("multi-bucket.toml")).unwrap();
    let (code, out) = text(|out| check(&path, Format::Text, NamedFiles::Read, &|_| None, out));
    assert_eq!(code, 0);
    for part in [
        "good.toml: ok",
        "listens on 0.0.0.0:80 (http)",
        "route `sdk-hosts`: *.oss.example.com, path / -> buckets examplebucket, team-* at \
         https://oss-cn-hangzhou-internal.aliyuncs.com:443",
        "route `sdk-paths`: every host",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
}

#[test]
fn check_names_every_endpoint_in_order() {
    let files = Files::new();
    let path = files.path("tiers.toml");
    let origin =
        "bucket = \"abc\", region = \"cn-hangzhou\", fallback = [{ network = \"public\" }]";
    let text_of = "[[listener]]\naddress = \"127.0.0.1:80\"\n[[route]]\norigin = { ORIGIN }\n";
    std::fs::write(&path, text_of.replace("ORIGIN", origin)).unwrap();
    let (code, out) = text(|out| check(&path, Format::Text, NamedFiles::Read, &|_| None, out));
    assert_eq!(code, 0);
    let expected = "bucket abc at https://oss-cn-hangzhou-internal.aliyuncs.com:443\n    \
                    while that cannot be connected to: https://oss-cn-hangzhou.aliyuncs.com:443\n";
    assert!(out.contains(expected), "{out}");
}

#[test]
fn check_shows_every_problem_with_a_caret_and_a_hint() {
    let files = Files::new();
    let path = files.path("bad.toml");
    std::fs::write(&path, "[sever]\n[log]\nlevel = \"warm\"\n").unwrap();
    let (code, out) = text(|out| check(&path, Format::Text, NamedFiles::Read, &|_| None, out));
    let path = path.display();
    assert_eq!(code, 78);
    for part in [
        format!("{path}:1:2: sever: unknown key `sever`\n"),
        "1 | [sever]\n  |  ^^^^^\n".to_owned(),
        "hint: did you mean `server`?".to_owned(),
        format!("{path}:3:9: log.level: `warm` is none of"),
        "3 | level = \"warm\"\n  |         ^^^^^^\n".to_owned(),
        "hint: did you mean `warn`?".to_owned(),
        format!("{path}: 4 errors; this would not start"),
    ] {
        assert!(out.contains(&part), "{part}\n{out}");
    }
}

#[test]
fn check_writes_json_for_programs() {
    let files = Files::new();
    let path = files.path("bad.toml");
    let (code, out) = text(|out| check(&path, Format::Json, NamedFiles::Read, &|_| None, out));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, json["ok"].as_bool()), (78, Some(false)));
    assert!(json["problems"][0]["line"].is_null());
    std::fs::write(&path, "[log]\nlevel = \"warm\"\n").unwrap();
    let (_, out) = text(|out| check(&path, Format::Json, NamedFiles::Read, &|_| None, out));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let problems = json["problems"].as_array().unwrap();
    let problem = problems
        .iter()
        .find(|problem| problem["path"] == "log.level")
        .unwrap();
    assert_eq!(
        (problem["line"].as_u64(), problem["column"].as_u64()),
        (Some(2), Some(9))
    );
    assert_eq!(problem["level"], "error");
    assert_eq!(problem["hint"], "did you mean `warn`?");
}

#[test]
fn show_writes_an_equal_config() {
    let files = Files::new();
    for (name, content) in examples() {
        let path = files.path(&name);
        std::fs::write(&path, files.place(&content)).unwrap();
        let (code, first) = text(|out| show(&path, &|_| None, out));
        assert_eq!(code, 0, "{first}");
        let first = first.split_once('\n').unwrap().1.to_owned();
        std::fs::write(&path, &first).unwrap();
        let (_, second) = text(|out| show(&path, &|_| None, out));
        assert_eq!(second.split_once('\n').unwrap().1, first, "{name}");
    }
}

#[test]
fn an_endpoint_by_name_equals_the_same_one_by_region_and_network() {
    let files = Files::new();
    for region in regions() {
        // Several endpoints may share a region id. The id stands for the first.
        let by_id = endpoint::region(region.id);
        if by_id.is_none_or(|first| first.internal != region.internal) {
            continue;
        }
        for (name, network) in [("internal", Network::Internal), ("public", Network::Public)] {
            let Some(host) = region.endpoint(network) else {
                continue;
            };
            let head = "[[listener]]\naddress = \"127.0.0.1:80\"\n[[route]]\norigin = ";
            let id = region.id;
            let by_region =
                format!("{head}{{ bucket = \"abc\", region = \"{id}\", network = \"{name}\" }}\n");
            let by_host = format!("{head}{{ bucket = \"abc\", endpoint = \"{host}\" }}\n");
            let [one, other] = [by_region, by_host].map(|text| {
                let config = files
                    .read(&text)
                    .unwrap_or_else(|problems| panic!("{problems}"));
                config.config.routes[0].origin.endpoint.clone()
            });
            assert_eq!(one, other, "{id}");
        }
    }
}

#[test]
fn show_reports_why_a_config_is_bad() {
    let files = Files::new();
    let (code, out) = text(|out| show(&files.path("absent.toml"), &|_| None, out));
    assert_eq!(code, 78);
    assert!(out.contains("cannot read the file"), "{out}");
}

#[test]
fn a_config_written_by_init_can_be_served() {
    for region in regions()
        .iter()
        .filter(|region| !region.internal.is_empty())
    {
        let (code, out) = text(|out| {
            init(
                "examplebucket",
                region.id,
                "internal",
                out,
                &mut std::io::sink(),
            )
        });
        assert_eq!(code, 0, "{out}");
        let loaded = from_str("new", &out, Path::new("/"), &|_| None).unwrap();
        assert_eq!(loaded.config.routes.len(), 1);
        assert_eq!(loaded.warnings.iter().count(), 0);
    }
    for (bucket, region, network) in [
        ("Bad", "cn-hangzhou", "internal"),
        ("examplebucket", "nowhere", "internal"),
        ("examplebucket", "cn-hangzhou", "intern"),
        ("a\"\n[x]\n", "cn-hangzhou", "internal"),
        ("a\u{1b}[31m${HOME}", "cn-hangzhou", "internal"),
    ] {
        let mut errors = Vec::new();
        let (code, out) = text(|out| init(bucket, region, network, out, &mut errors));
        assert_eq!(code, 78, "{bucket} {region} {network}");
        assert_eq!(out, "", "bad arguments write no config");
        assert!(errors.starts_with(b"--"), "{bucket} {region} {network}");
    }
}

#[test]
fn the_schema_is_printed_as_json() {
    let (_, out) = text(schema);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["type"], "object");
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let files = Files::new();
    let path = files.path("ossgate.toml");
    let content = example("minimal.toml").replace("/etc/ossgate/tls/", "");
    std::fs::write(&path, content).unwrap();
    let config = load(&path, &|_| None).unwrap().config;
    assert_eq!(config.certificates[0].cert, files.path("fullchain.pem"));
}
