//! Tests of the dependency rules and of the parser.
//!
//! Rows: each rule, broken by a few synthetic files, with the expected messages; `use` trees, paths outside
//! of `use`, and paths in inline modules.

use super::paths::File;
use super::rules::{MOST_LINES, Sources, long};

fn files(sources: &[(&str, &str)]) -> Vec<File> {
    let file = |(path, text): &(&str, &str)| File {
        path: (*path).to_owned(),
        text: (*text).to_owned(),
    };
    sources.iter().map(file).collect()
}

fn sources(sources: &[(&str, &str)]) -> Sources {
    Sources::new(&files(sources))
}

/// Returns the paths that `text` contains, each as `line path`. `text` is parsed as
/// `src/origin/link/pool.rs`.
fn named(text: &str) -> Vec<String> {
    let file = File {
        path: "origin/link/pool.rs".to_owned(),
        text: text.to_owned(),
    };
    let named = super::paths::parse(&file).named;
    named
        .iter()
        .map(|named| format!("{} {}", named.line, named.path.join("::")))
        .collect()
}

#[test]
fn use_trees_of_any_shape_are_read() {
    let text = "use crate::config::{\n    Origin,\n    route::{self, Route as R},\n};\npub(crate) use super::{host::*, Link};\nuse std::fmt;\nuse super::super::error::Error;\n";
    assert_eq!(
        named(text),
        [
            "2 config::Origin",
            "3 config::route",
            "3 config::route::Route",
            "5 origin::link::host",
            "5 origin::link::Link",
            "7 origin::error::Error",
        ]
    );
}

#[test]
fn paths_written_out_are_read_in_code_and_types_but_not_in_comments() {
    let text = "mod slot;\nuse crate::http;\n/// [`crate::no`]\npub(in crate::origin) fn f(a: &crate::a::A) -> http::body::B<super::C> {\n    // crate::no\n    let _ = \"crate::no\"; slot::new(); Self::go(); fmt::no()\n}\n";
    assert_eq!(
        named(text),
        [
            "2 http",
            "4 a::A",
            "4 http::body::B",
            "4 origin::link::C",
            "6 origin::link::pool::slot::new"
        ]
    );
}

#[test]
fn super_in_an_inline_module_is_the_file_itself() {
    let text = "#[cfg(test)]\nmod tests {\n    use super::*;\n    use super::super::host::Host;\n}\nfn f() { super::after() }\n";
    assert_eq!(
        named(text),
        [
            "3 origin::link::pool",
            "4 origin::link::host::Host",
            "6 origin::link::after"
        ]
    );
}

#[test]
fn a_lower_layer_must_not_use_a_higher_one() {
    let broken = sources(&[
        (
            "http/body.rs",
            "use crate::oss::Fine;\nfn f() { crate::route::go() }",
        ),
        ("route/mod.rs", "use crate::http::body::Fine;"),
        ("oss/mod.rs", ""),
        ("unknown/of.rs", ""),
    ]);
    assert_eq!(
        broken.layers(),
        [
            "src/http/body.rs:2: `http::body` (layer 2) uses `route` (layer 5): a file uses only lower layers, or its own folder",
            "src/unknown/of.rs: `unknown::of` is in no layer",
        ]
    );
}

#[test]
fn a_module_must_not_use_another_folder_of_its_layer() {
    let broken = sources(&[
        ("policy/cors.rs", "use crate::origin::Origin;"),
        ("origin/mod.rs", ""),
    ]);
    assert_eq!(
        broken.layers(),
        [
            "src/policy/cors.rs:1: `policy::cors` (layer 4) uses `origin` (layer 4): a file uses only lower layers, or its own folder"
        ]
    );
}

#[test]
fn a_policy_must_not_use_another_and_its_folder_declares_only() {
    let broken = sources(&[
        (
            "policy/mod.rs",
            "//! Rules.\nmod cors;\npub(crate) mod gate;\nfn shared() {}",
        ),
        ("policy/gate.rs", ""),
        (
            "policy/cors.rs",
            "use super::gate::Gate;\nuse super::https::Https;",
        ),
        ("policy/https.rs", "use crate::policy::gate;"),
    ]);
    assert_eq!(
        broken.policies(),
        [
            "src/policy/mod.rs:4: `policy/mod.rs` holds more than `mod` declarations",
            "src/policy/cors.rs:2: policy `cors` uses policy `https`: policies do not see each other, except `gate`",
        ]
    );
}

#[test]
fn a_module_of_origin_must_not_use_a_module_above_it() {
    let broken = sources(&[
        ("origin/mod.rs", "mod link;\nuse exchange::Exchange;"),
        ("origin/error.rs", "use super::endpoint::Fault;"),
        (
            "origin/endpoint/mod.rs",
            "use super::error::Error;\nuse crate::origin::Origin;",
        ),
        (
            "origin/link/pool.rs",
            "use crate::origin::{endpoint, tiers::Tier};",
        ),
        (
            "origin/tiers/mod.rs",
            "#[cfg(test)]\nuse super::exchange::Exchange;",
        ),
        (
            "origin/exchange/mod.rs",
            "use super::{error, link::pool, tiers};",
        ),
        ("origin/link/mod.rs", ""),
        ("origin/attic.rs", ""),
    ]);
    let rule = "a module of `origin` uses only modules below it (endpoint < link < tiers < exchange < mod.rs)";
    assert_eq!(
        broken.origin_modules(),
        [
            "src/origin/attic.rs: `origin::attic` belongs to no module of `origin`".to_owned(),
            format!("src/origin/error.rs:1: `origin::error` uses `origin::endpoint`: {rule}"),
            format!("src/origin/endpoint/mod.rs:2: `origin::endpoint` uses `origin`: {rule}"),
            format!("src/origin/link/pool.rs:1: `origin::link::pool` uses `origin::tiers`: {rule}"),
        ]
    );
}

#[test]
fn files_of_a_folder_must_not_form_a_circle() {
    let broken = sources(&[
        ("http/mod.rs", "mod a;\nmod b;\nmod c;"),
        ("http/a.rs", "use super::b::B;"),
        ("http/b/mod.rs", ""),
        ("http/b/deep.rs", "use crate::http::c::C;"),
        ("http/c.rs", "fn f(a: super::a::A) {}"),
        ("net/mod.rs", "mod io;\nuse io::Io;"),
        ("net/io.rs", "use super::Socket;"),
        (
            "oss/x.rs",
            "#[cfg(test)]\nmod tests { use crate::oss::y::Y; }",
        ),
        ("oss/y.rs", "use super::x::X;"),
    ]);
    assert_eq!(
        broken.circles(),
        [
            "src/http: these files form a circle: a, b, c: a -> b (src/http/a.rs:1), b -> c (src/http/b/deep.rs:1), c -> a (src/http/c.rs:1)",
            "src/net: these files form a circle: io, mod.rs: io -> mod.rs (src/net/io.rs:1), mod.rs -> io (src/net/mod.rs:2)",
        ]
    );
}

#[test]
fn a_raw_type_must_not_be_named_outside_the_config() {
    let broken = sources(&[
        ("config/route.rs", "struct RawRoute;"),
        (
            "route/mod.rs",
            "use socket2::Socket as RawSocket;\n// RawRoute\nfn f(raw: crate::config::route::RawRoute, s: RawSocket) {}",
        ),
    ]);
    assert_eq!(
        broken.raw_types(),
        ["src/route/mod.rs:3: names `RawRoute`: only `config/` names `Raw` types"]
    );
}

#[test]
fn a_test_file_must_not_use_another() {
    let broken = sources(&[
        ("client/tls.rs", "use crate::support::proxy::Proxy;"),
        ("origin/tiers.rs", "use crate::client::tls::connect;"),
        ("support/proxy.rs", "use super::origin;"),
        ("support/origin.rs", ""),
    ]);
    assert_eq!(
        broken.test_files(),
        ["tests/origin/tiers.rs:1: uses `client::tls`: what test files share is in `support`"]
    );
}

#[test]
fn a_file_must_not_be_longer_than_400_lines() {
    let (most, more) = ("\n".repeat(MOST_LINES), "\n".repeat(MOST_LINES + 1));
    let broken = long(&files(&[("a.rs", &most), ("b.rs", &more)]));
    assert_eq!(broken, ["b.rs: has 401 lines: the most are 400"]);
}
