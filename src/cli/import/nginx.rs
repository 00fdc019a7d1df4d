//! From nginx: the published recipe for OSS in its variants, and common directives around it.

use std::collections::BTreeMap;

use crate::cli::import::Imported;
use crate::cli::import::nginx_known::left_out;
use crate::cli::import::nginx_map::{Map, targets};
use crate::cli::import::nginx_origin::{Lead, Settings};
use crate::cli::import::nginx_syntax::{Directive, read};
use crate::cli::import::nginx_write::{Route, hsts, referers, seconds, write};

/// Reads files by name and text.
///
/// # Errors
///
/// A file that is not nginx's syntax, with the line; or that nothing in it leads to OSS.
pub fn import(files: &[(String, String)]) -> Result<Imported, String> {
    let mut import = Import::default();
    let mut trees = Vec::new();
    for (name, text) in files {
        let tree = read(text).map_err(|(line, why)| format!("{name}:{line}: {why}"))?;
        trees.push((name, tree));
    }
    for (name, tree) in &trees {
        import.file.clone_from(name);
        import.collect(tree);
    }
    for (name, tree) in &trees {
        import.file.clone_from(name);
        import.servers(tree);
    }
    if import.routes.is_empty() {
        return Err(format!(
            "{}nothing here is proxied to a bucket of OSS",
            import
                .notes
                .iter()
                .fold(String::new(), |text, note| text + note + "\n")
        ));
    }
    let mut notes = import.notes;
    let config = write(
        &import.listeners,
        &import.certificates,
        import.routes,
        &import.redirected,
        &mut notes,
    );
    Ok(Imported { config, notes })
}

#[derive(Default)]
struct Import {
    file: String,
    notes: Vec<String>,
    /// Servers of each upstream.
    upstreams: BTreeMap<String, Vec<String>>,
    /// Values of each `map`, by the variable it makes.
    maps: BTreeMap<String, Map>,
    /// TOML by address, in order.
    listeners: BTreeMap<String, bool>,
    certificates: Vec<(String, String)>,
    routes: Vec<Route>,
    /// Hosts whose clear-text server only redirects.
    redirected: Vec<Vec<String>>,
}

impl Import {
    fn note(&mut self, directive: &Directive, text: &str) {
        self.notes
            .push(format!("{}:{}: {text}", self.file, directive.line));
    }

    /// Upstreams and maps, which may stand behind their use.
    fn collect(&mut self, tree: &[Directive]) {
        for directive in tree {
            match directive.name() {
                "http" => self.collect(&directive.block),
                "upstream" => {
                    let servers = directive.block.iter().filter(|one| one.name() == "server");
                    let hosts = servers.map(|one| one.first().to_owned()).collect();
                    self.upstreams.insert(directive.first().to_owned(), hosts);
                }
                "map" => {
                    let variable = directive.words.get(2).cloned().unwrap_or_default();
                    let values = directive
                        .block
                        .iter()
                        .map(|one| (one.name().to_owned(), one.first().to_owned()));
                    let map = Map {
                        by: directive.first().to_owned(),
                        values: values.collect(),
                    };
                    self.maps.insert(variable, map);
                }
                _ => {}
            }
        }
    }

    fn servers(&mut self, tree: &[Directive]) {
        for directive in tree {
            match directive.name() {
                "http" => self.servers(&directive.block),
                "server" => self.server(directive),
                "upstream"
                | "map"
                | "events"
                | "user"
                | "worker_processes"
                | "pid"
                | "worker_rlimit_nofile"
                | "types" => {}
                _ => self.other(directive),
            }
        }
    }

    /// A directive that nothing here is made of.
    fn other(&mut self, directive: &Directive) {
        if let Some(text) = left_out(directive) {
            self.note(directive, &text);
        }
    }

    fn server(&mut self, server: &Directive) {
        let Some(hosts) = self.names(server) else {
            return;
        };
        let (mut settings, mut is_redirect) = (Settings::default(), false);
        let (mut certificate, mut key) = (None, None);
        let mut listens = server.block.iter().filter(|one| one.name() == "listen");
        // Without `listen` it is port 80.
        let is_clear = listens.clone().next().is_none()
            || listens.any(|one| !one.rest().iter().any(|word| word == "ssl"));
        for directive in &server.block {
            match directive.name() {
                "listen" => self.listen(directive),
                "server_name" => {}
                "ssl_certificate" => certificate = Some(directive.first().to_owned()),
                "ssl_certificate_key" => key = Some(directive.first().to_owned()),
                "return" if is_https_redirect(directive) => is_redirect = true,
                "location" => {}
                _ => self.setting(directive, &mut settings, &hosts),
            }
        }
        if let Some(pair) = certificate.zip(key)
            && !self.certificates.contains(&pair)
        {
            self.certificates.push(pair);
        }
        for location in server.block.iter().filter(|one| one.name() == "location") {
            if let Some(redirect) = location.block.iter().find(|one| is_https_redirect(one)) {
                if location.rest() == ["/"] {
                    is_redirect = true;
                } else {
                    self.note(
                        redirect,
                        "a redirect of some paths only is not carried over",
                    );
                }
                continue;
            }
            self.location(location, &hosts, is_clear, &settings);
        }
        if is_redirect {
            self.redirected.push(hosts);
        }
    }

    /// The names of a server, none: it is for all. `None` when it has names and none can be had.
    fn names(&mut self, server: &Directive) -> Option<Vec<String>> {
        let (mut hosts, mut is_for_all) = (Vec::new(), true);
        for directive in server
            .block
            .iter()
            .filter(|one| one.name() == "server_name")
        {
            for name in directive.rest() {
                if name.starts_with('~') || name.matches('*').count() > 1 || name.ends_with(".*") {
                    is_for_all = false;
                    self.note(
                        directive,
                        &format!(
                            "the name `{name}` is not carried over: only exact names and `*.suffix`"
                        ),
                    );
                } else if let Some(suffix) = name.strip_prefix('.') {
                    hosts.extend([suffix.to_owned(), format!("*.{suffix}")]);
                } else if name != "_" && !name.is_empty() {
                    hosts.push(name.clone());
                }
            }
        }
        if hosts.is_empty() && !is_for_all {
            self.note(
                server,
                "the server is left out: none of its names is carried over",
            );
            return None;
        }
        Some(hosts)
    }

    fn listen(&mut self, directive: &Directive) {
        let text = directive.first();
        let address = if let Some(path) = text.strip_prefix("unix:") {
            format!("unix:{path}")
        } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("0.0.0.0:{text}")
        } else {
            match text.strip_prefix("*:") {
                Some(port) => format!("0.0.0.0:{port}"),
                None if text.contains(':') => text.to_owned(),
                None => format!("{text}:80"),
            }
        };
        let is_tls = directive.rest().iter().any(|word| word == "ssl");
        if directive.rest().iter().any(|word| word == "proxy_protocol") {
            self.note(directive, "`proxy_protocol` is not carried over");
        }
        *self.listeners.entry(address).or_default() |= is_tls;
    }

    fn setting(&mut self, directive: &Directive, settings: &mut Settings, hosts: &[String]) {
        match directive.name() {
            "proxy_set_header" => self.header(directive, settings),
            "proxy_connect_timeout" => settings.connect = Some(seconds(directive.first())),
            "proxy_read_timeout" => settings.read = Some(seconds(directive.first())),
            "add_header"
                if directive
                    .first()
                    .eq_ignore_ascii_case("strict-transport-security") =>
            {
                settings.hsts = directive.rest().get(1).map(|value| hsts(value));
            }
            "valid_referers" => {
                let mut notes = Vec::new();
                settings.referer = Some(referers(directive.rest(), hosts, &mut notes));
                for text in notes {
                    self.note(directive, &text);
                }
            }
            "if" if directive
                .words
                .iter()
                .any(|word| word.contains("$invalid_referer")) =>
            {
                settings.refuses = directive.block.iter().any(|one| one.name() == "return");
                if !settings.refuses {
                    let text = "what is done with an invalid Referer is not carried over: it can be refused only";
                    self.note(directive, text);
                }
            }
            _ => self.other(directive),
        }
    }

    fn header(&mut self, directive: &Directive, settings: &mut Settings) {
        let value = directive.rest().get(1).map_or("", String::as_str);
        match directive.first().to_ascii_lowercase().as_str() {
            "host" => settings.host = Some(value.to_owned()),
            "connection" => {}
            name => {
                if value.contains("$proxy_add_x_forw_for") {
                    let text = "`$proxy_add_x_forw_for` is a mistake of the recipe for `$proxy_add_x_forwarded_for`";
                    self.note(directive, text);
                }
                let text = format!(
                    "the header `{name}` is not carried over: what is sent to OSS is the client's own request"
                );
                self.note(directive, &text);
            }
        }
    }

    fn location(
        &mut self,
        location: &Directive,
        hosts: &[String],
        is_clear: bool,
        server: &Settings,
    ) {
        let mut settings = server.clone();
        let mut pass = None;
        for directive in &location.block {
            match directive.name() {
                "proxy_pass" => pass = Some(directive),
                _ => self.setting(directive, &mut settings, hosts),
            }
        }
        let [path] = location.rest() else {
            let text = "the location is not carried over: only plain prefixes are";
            return self.note(location, text);
        };
        let Some(pass) = pass else {
            let text =
                format!("the location `{path}` is not carried over: nothing is proxied there");
            return self.note(location, &text);
        };
        if path != "/" && !path.ends_with('/') {
            let text =
                format!("`{path}` is a whole part of the path here: `{path}x` is not served, too");
            self.note(location, &text);
        }
        if settings.referer.is_some() && !settings.refuses {
            let text =
                "`valid_referers` is not carried over: nothing here refuses an invalid Referer";
            self.note(location, text);
            settings.referer = None;
        }
        let mut notes = Vec::new();
        let targets = targets(&self.maps, pass.first(), hosts, &mut notes);
        for text in notes {
            self.note(pass, &text);
        }
        for (hosts, target) in targets {
            let found = Lead {
                upstreams: &self.upstreams,
                settings: &settings,
                hosts: &hosts,
                path,
            };
            let mut notes = Vec::new();
            let origin = found.origin(&target, &mut notes);
            for text in notes {
                self.note(pass, &text);
            }
            match origin {
                Ok(origin) => self.routes.push(Route {
                    hosts,
                    path: path.clone(),
                    origin,
                    hsts: settings.hsts.clone(),
                    referer: settings.referer.clone(),
                    is_clear,
                    place: format!("{}:{}", self.file, pass.line),
                }),
                Err(why) => self.note(pass, &why),
            }
        }
    }
}

/// Whether this sends everything to the same place with TLS.
fn is_https_redirect(directive: &Directive) -> bool {
    directive.name() == "return"
        && directive.rest().last().is_some_and(|target| {
            let names = ["$host", "$http_host", "$server_name"];
            let rest = names
                .iter()
                .find_map(|name| target.strip_prefix("https://")?.strip_prefix(name));
            rest == Some("$request_uri")
        })
}
