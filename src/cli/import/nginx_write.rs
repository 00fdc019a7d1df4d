//! The config that is written: listeners, certificates, routes.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::cli::import::{list, quoted};

/// One route to be written.
#[derive(Default)]
pub(super) struct Route {
    pub(super) hosts: Vec<String>,
    pub(super) path: String,
    pub(super) origin: Vec<String>,
    pub(super) hsts: Option<String>,
    pub(super) referer: Option<String>,
    /// Whether its server has a listener without TLS.
    pub(super) is_clear: bool,
    /// File and line.
    pub(super) place: String,
}

/// The config as TOML.
pub(super) fn write(
    listeners: &BTreeMap<String, bool>,
    certificates: &[(String, String)],
    all: Vec<Route>,
    redirected: &[Vec<String>],
    notes: &mut Vec<String>,
) -> String {
    let mut config = String::new();
    for (address, is_tls) in listeners {
        let _written = writeln!(config, "[[listener]]\naddress = {}", quoted(address));
        config.push_str(if *is_tls { "tls = true\n\n" } else { "\n" });
    }
    for (cert, key) in certificates {
        let _written = writeln!(
            config,
            "[[certificate]]\ncert = {}\nkey = {}\n",
            quoted(cert),
            quoted(key)
        );
    }
    // Two servers of nginx, one for each scheme, are one route.
    let mut routes: Vec<Route> = Vec::new();
    for route in all {
        let is_same = |known: &&mut Route| known.hosts == route.hosts && known.path == route.path;
        let Some(known) = routes.iter_mut().find(is_same) else {
            routes.push(route);
            continue;
        };
        if known.origin != route.origin {
            notes.push(format!(
                "{}: is left out: {} serves the same names and paths from somewhere else, and routes are not told apart by port",
                route.place, known.place
            ));
            continue;
        }
        known.is_clear |= route.is_clear;
        // HSTS is for TLS only, so one of the two has it.
        known.hsts = known.hsts.take().or(route.hsts);
        if known.referer != route.referer {
            notes.push(format!(
                "{}: its rules for the Referer are not those of {}: one of the two is for both now, see `referer`",
                route.place, known.place
            ));
            known.referer = known.referer.take().or(route.referer);
        }
    }
    for route in routes {
        config.push_str("[[route]]\n");
        if !route.hosts.is_empty() {
            let hosts = list(route.hosts.iter().map(String::as_str));
            let _written = writeln!(config, "hosts = {hosts}");
        }
        if route.path != "/" {
            let _written = writeln!(config, "path = {}", quoted(&route.path));
        }
        let _written = writeln!(config, "origin = {{ {} }}", route.origin.join(", "));
        // A server for all names redirects those that have no clear-text server of their own.
        let redirects = redirected.iter().any(|hosts| {
            let is_named = hosts.iter().any(|host| route.hosts.contains(host));
            is_named || (hosts.is_empty() && !route.is_clear)
        });
        let mode = if redirects { "redirect" } else { "off" };
        match route.hsts {
            Some(hsts) => {
                let _written = writeln!(
                    config,
                    "https = {{ mode = \"{mode}\", hsts = {{ {hsts} }} }}"
                );
            }
            None if redirects => config.push_str("https = { mode = \"redirect\" }\n"),
            None => {}
        }
        if let Some(referer) = route.referer {
            let _written = writeln!(config, "referer = {{ {referer} }}");
        }
        config.push('\n');
    }
    config.trim_end().to_owned() + "\n"
}

/// A time of nginx: seconds unless it says otherwise.
pub(super) fn seconds(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("{text}s")
    } else {
        text.to_owned()
    }
}

/// The keys of `hsts` for a header's value.
pub(super) fn hsts(value: &str) -> String {
    let lower = value.to_ascii_lowercase().replace([' ', '\t'], "");
    let age = lower
        .split(';')
        .find_map(|part| part.trim().strip_prefix("max-age="))
        .unwrap_or("31536000");
    let age: String = age.chars().filter(char::is_ascii_digit).collect();
    let mut keys = format!("max_age = \"{age}s\"");
    for (word, key) in [
        ("includesubdomains", "include_subdomains"),
        ("preload", "preload"),
    ] {
        if lower.contains(word) {
            let _written = write!(keys, ", {key} = true");
        }
    }
    keys
}

/// The keys of `referer` for `valid_referers`; what cannot be carried over goes to `notes`.
pub(super) fn referers(words: &[String], hosts: &[String], notes: &mut Vec<String>) -> String {
    let mut allow = Vec::new();
    let mut allows_empty = false;
    let mut add = |name: &str| {
        if name.ends_with('*') {
            // A `*` in the scheme would find the name in somebody's path.
            allow.extend(["http", "https"].map(|scheme| format!("{scheme}://{name}")));
        } else {
            allow.push(format!("http*://{name}"));
        }
    };
    for word in words {
        match word.as_str() {
            "none" => allows_empty = true,
            "blocked" => notes.push(
                "`blocked` of `valid_referers` is not carried over: a Referer without scheme is refused"
                    .to_owned(),
            ),
            "server_names" => hosts.iter().for_each(|host| add(host)),
            name if name.starts_with('~') => notes.push(format!(
                "the Referer `{name}` is not carried over: there are no regular expressions"
            )),
            name => match name.strip_prefix('.') {
                Some(name) => {
                    add(name);
                    add(&format!("*.{name}"));
                }
                None => add(name),
            },
        }
    }
    if allow.is_empty() {
        // An empty list would let every Referer pass.
        allow.push("http://nobody.invalid".to_owned());
    }
    let allow = list(allow.iter().map(String::as_str));
    format!("allow = {allow}, allow_empty = {allows_empty}, strict_host = true")
}
