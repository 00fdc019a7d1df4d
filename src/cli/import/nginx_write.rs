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
}

/// The config as TOML.
pub(super) fn write(
    listeners: &BTreeMap<String, bool>,
    certificates: &[(String, String)],
    all: Vec<Route>,
    redirected: &[Vec<String>],
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
        if !routes
            .iter()
            .any(|known| known.hosts == route.hosts && known.path == route.path)
        {
            routes.push(route);
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
        let redirects = redirected
            .iter()
            .any(|hosts| hosts.is_empty() || hosts.iter().any(|host| route.hosts.contains(host)));
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
    let lower = value.to_ascii_lowercase();
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

/// The keys of `referer` for `valid_referers`.
pub(super) fn referers(words: &[String], hosts: &[String]) -> String {
    let mut allow = Vec::new();
    let mut allows_empty = false;
    for word in words {
        match word.as_str() {
            "none" => allows_empty = true,
            "blocked" => {}
            "server_names" => allow.extend(hosts.iter().map(|host| format!("http*://{host}"))),
            name => allow.push(format!("http*://{name}")),
        }
    }
    let allow = list(allow.iter().map(String::as_str));
    format!("allow = {allow}, allow_empty = {allows_empty}, strict_host = true")
}
