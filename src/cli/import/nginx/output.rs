//! Writes the imported config: listeners, certificates and routes.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::cli::import::toml_text::{list, quoted};

/// One route of the config.
#[derive(Default)]
pub(super) struct Route {
    /// The hosts of the route. Empty means every host.
    pub(super) hosts: Vec<String>,
    pub(super) path: String,
    /// The lines inside the `origin` table.
    pub(super) origin: Vec<String>,
    /// The keys of the `hsts` table, if the route has one.
    pub(super) hsts: Option<String>,
    /// The keys of the `referer` table, if the route has one.
    pub(super) referer: Option<String>,
    /// Whether the nginx server of this route has a listener without TLS.
    pub(super) is_clear: bool,
    /// The position of the directive in the nginx files: `file:line`.
    pub(super) place: String,
}

/// Whether clients of a listener use TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Clear,
    Tls,
}

/// The parts of the config that is written.
#[derive(Default)]
pub(super) struct Output {
    /// The listeners, by address.
    listeners: BTreeMap<String, Transport>,
    /// Pairs of certificate file and key file.
    pub(super) certificates: Vec<(String, String)>,
    pub(super) routes: Vec<Route>,
    /// The hosts of each server that only redirects to HTTPS.
    pub(super) redirected: Vec<Vec<String>>,
}

impl Output {
    /// Adds a listener. If servers on the same address differ in TLS, the listener uses TLS.
    pub(super) fn add_listener(&mut self, address: String, transport: Transport) {
        let known = self.listeners.entry(address).or_insert(transport);
        if transport == Transport::Tls {
            *known = transport;
        }
    }

    /// Returns the config as TOML. Routes that cannot be written are reported in `notes`.
    pub(super) fn write(self, notes: &mut Vec<String>) -> String {
        let mut config = String::new();
        for (address, transport) in &self.listeners {
            let _written = writeln!(config, "[[listener]]\naddress = {}", quoted(address));
            config.push_str(match transport {
                Transport::Tls => "tls = true\n\n",
                Transport::Clear => "\n",
            });
        }
        for (cert, key) in &self.certificates {
            let _written = writeln!(
                config,
                "[[certificate]]\ncert = {}\nkey = {}\n",
                quoted(cert),
                quoted(key)
            );
        }
        for route in merge(self.routes, notes) {
            write_route(&mut config, &route, &self.redirected);
        }
        config.trim_end().to_owned() + "\n"
    }
}

/// Merges routes with the same hosts and path. They usually come from two nginx servers with the same names,
/// one with TLS and one without. ossgate serves both with one route.
fn merge(all: Vec<Route>, notes: &mut Vec<String>) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for route in all {
        let is_same = |known: &&mut Route| known.hosts == route.hosts && known.path == route.path;
        let Some(known) = routes.iter_mut().find(is_same) else {
            routes.push(route);
            continue;
        };
        if known.origin != route.origin {
            notes.push(format!(
                "{}: is left out: {} has the same hosts and path with another origin, and the port does not choose between routes",
                route.place, known.place
            ));
            continue;
        }
        known.is_clear |= route.is_clear;
        // HSTS is sent over TLS only, so usually only one of the two nginx servers sets it.
        known.hsts = known.hsts.take().or(route.hsts);
        if known.referer != route.referer {
            notes.push(format!(
                "{}: its Referer rules differ from those of {}, but one set of rules now holds for both: check `referer`",
                route.place, known.place
            ));
            known.referer = known.referer.take().or(route.referer);
        }
    }
    routes
}

fn write_route(config: &mut String, route: &Route, redirected: &[Vec<String>]) {
    config.push_str("[[route]]\n");
    if !route.hosts.is_empty() {
        let hosts = list(route.hosts.iter().map(String::as_str));
        let _written = writeln!(config, "hosts = {hosts}");
    }
    if route.path != "/" {
        let _written = writeln!(config, "path = {}", quoted(&route.path));
    }
    let _written = writeln!(config, "origin = {{ {} }}", route.origin.join(", "));
    // In nginx, a redirecting server without names does not apply to a host that has its own server without
    // TLS.
    let redirects = redirected.iter().any(|hosts| {
        let is_named = hosts.iter().any(|host| route.hosts.contains(host));
        is_named || (hosts.is_empty() && !route.is_clear)
    });
    let mode = if redirects { "redirect" } else { "off" };
    match &route.hsts {
        Some(hsts) => {
            let _written = writeln!(
                config,
                "https = {{ mode = \"{mode}\", hsts = {{ {hsts} }} }}"
            );
        }
        None if redirects => config.push_str("https = { mode = \"redirect\" }\n"),
        None => {}
    }
    if let Some(referer) = &route.referer {
        let _written = writeln!(config, "referer = {{ {referer} }}");
    }
    config.push('\n');
}

/// Converts an nginx time to a duration of the config. A time without a unit is in seconds.
pub(super) fn seconds(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("{text}s")
    } else {
        text.to_owned()
    }
}

/// Converts a value of `Strict-Transport-Security` to the keys of `hsts`.
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

/// Converts the arguments of `valid_referers` to the keys of `referer`. Arguments that cannot be imported are
/// reported in `notes`.
pub(super) fn referers(words: &[String], hosts: &[String], notes: &mut Vec<String>) -> String {
    let mut allow = Vec::new();
    let mut allows_empty = false;
    let mut add = |name: &str| {
        if name.ends_with('*') {
            // `http*://` cannot be used here: together with the `*` at the end, it would also match the name
            // inside the path of another site's URL.
            allow.extend(["http", "https"].map(|scheme| format!("{scheme}://{name}")));
        } else {
            allow.push(format!("http*://{name}"));
        }
    };
    for word in words {
        match word.as_str() {
            "none" => allows_empty = true,
            "blocked" => notes.push(
                "`blocked` of `valid_referers` is not carried over: a Referer without a scheme is refused"
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
        // An empty list would allow every Referer, so the list gets a pattern that matches no real site.
        allow.push("http://nobody.invalid".to_owned());
    }
    let allow = list(allow.iter().map(String::as_str));
    format!("allow = {allow}, allow_empty = {allows_empty}, strict_host = true")
}
