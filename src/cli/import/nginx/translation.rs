//! Translates nginx servers and locations to listeners, certificates and routes.
//!
//! A directive that cannot be imported gets a note with file and line. Directives that ossgate does not need
//! get no note.

use std::collections::BTreeMap;

use crate::cli::import::nginx::left_out::left_out;
use crate::cli::import::nginx::map::{Map, targets};
use crate::cli::import::nginx::names::{ServerNames, listen_address, server_names};
use crate::cli::import::nginx::origin::{ProxyPass, Settings};
use crate::cli::import::nginx::output::{Output, Route, Transport, hsts, referers, seconds};
use crate::cli::import::nginx::syntax::Directive;

/// The state of a translation.
#[derive(Default)]
pub(super) struct Translation {
    /// The name of the file that is being translated.
    file: String,
    /// Notes for the operator: directives that were not imported, and settings to check.
    pub(super) notes: Vec<String>,
    /// The servers of each `upstream` block, by its name.
    upstreams: BTreeMap<String, Vec<String>>,
    /// Each `map` block, by the variable that it sets.
    maps: BTreeMap<String, Map>,
    /// The translated parts of the config.
    pub(super) output: Output,
}

impl Translation {
    fn note(&mut self, directive: &Directive, text: &str) {
        self.notes
            .push(format!("{}:{}: {text}", self.file, directive.line));
    }

    fn note_all(&mut self, directive: &Directive, texts: Vec<String>) {
        for text in texts {
            self.note(directive, &text);
        }
    }

    /// Collects the upstreams and maps of a file. This is done for all files before their servers are
    /// translated, because a definition may come after its use.
    pub(super) fn add_definitions(&mut self, file: &str, tree: &[Directive]) {
        file.clone_into(&mut self.file);
        self.definitions(tree);
    }

    /// Translates the servers of a file.
    pub(super) fn add_servers(&mut self, file: &str, tree: &[Directive]) {
        file.clone_into(&mut self.file);
        self.servers(tree);
    }

    fn definitions(&mut self, tree: &[Directive]) {
        for directive in tree {
            match directive.name() {
                "http" => self.definitions(&directive.block),
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
                _ => self.leave_out(directive),
            }
        }
    }

    fn leave_out(&mut self, directive: &Directive) {
        if let Some(text) = left_out(directive) {
            self.note(directive, &text);
        }
    }

    fn server(&mut self, server: &Directive) {
        let Some(hosts) = self.hosts(server) else {
            return;
        };
        let (mut settings, mut is_redirect) = (Settings::default(), false);
        let (mut certificate, mut key) = (None, None);
        let mut listens = server.block.iter().filter(|one| one.name() == "listen");
        // A server without `listen` listens on port 80.
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
            && !self.output.certificates.contains(&pair)
        {
            self.output.certificates.push(pair);
        }
        for location in server.block.iter().filter(|one| one.name() == "location") {
            if let Some(redirect) = location.block.iter().find(|one| is_https_redirect(one)) {
                if location.rest() == ["/"] {
                    is_redirect = true;
                } else {
                    let text = "a redirect of some paths only is not carried over";
                    self.note(redirect, text);
                }
                continue;
            }
            self.location(location, &hosts, is_clear, &settings);
        }
        if is_redirect {
            self.output.redirected.push(hosts);
        }
    }

    /// Returns the hosts of a server. Empty means every host; `None` means that the server is not imported.
    fn hosts(&mut self, server: &Directive) -> Option<Vec<String>> {
        let mut hosts = Vec::new();
        let mut is_left_out = false;
        for directive in server
            .block
            .iter()
            .filter(|one| one.name() == "server_name")
        {
            let mut notes = Vec::new();
            match server_names(directive.rest(), &mut notes) {
                ServerNames::Hosts(found) => hosts.extend(found),
                ServerNames::NoneImported => is_left_out = true,
            }
            self.note_all(directive, notes);
        }
        if hosts.is_empty() && is_left_out {
            let text = "the server is left out: none of its names is carried over";
            self.note(server, text);
            return None;
        }
        Some(hosts)
    }

    fn listen(&mut self, directive: &Directive) {
        if directive.rest().iter().any(|word| word == "proxy_protocol") {
            self.note(directive, "`proxy_protocol` is not carried over");
        }
        let address = listen_address(directive.first());
        let transport = if directive.rest().iter().any(|word| word == "ssl") {
            Transport::Tls
        } else {
            Transport::Clear
        };
        self.output.add_listener(address, transport);
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
                self.note_all(directive, notes);
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
            _ => self.leave_out(directive),
        }
    }

    fn header(&mut self, directive: &Directive, settings: &mut Settings) {
        let value = directive.rest().get(1).map_or("", String::as_str);
        match directive.first().to_ascii_lowercase().as_str() {
            "host" => settings.host = Some(value.to_owned()),
            "connection" => {}
            name => {
                if value.contains("$proxy_add_x_forw_for") {
                    let text = "`$proxy_add_x_forw_for` is a mistake of the recipe: `$proxy_add_x_forwarded_for` is meant";
                    self.note(directive, text);
                }
                let text = format!(
                    "the header `{name}` is not carried over: OSS gets only the header fields of the client"
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
            let text = format!(
                "`{path}` matches whole path segments: unlike in nginx, `{path}x` is not served"
            );
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
        self.note_all(pass, notes);
        for (hosts, target) in targets {
            let proxy_pass = ProxyPass {
                upstreams: &self.upstreams,
                settings: &settings,
                hosts: &hosts,
                path,
            };
            let mut notes = Vec::new();
            let origin = proxy_pass.origin(&target, &mut notes);
            self.note_all(pass, notes);
            match origin {
                Ok(origin) => self.output.routes.push(Route {
                    hosts,
                    path: path.clone(),
                    origin,
                    hsts: settings.hsts.clone(),
                    referer: settings.referer.clone(),
                    is_clear,
                    place: format!("{}:{}", self.file, pass.line),
                }),
                Err(error) => self.note(pass, &error.to_string()),
            }
        }
    }
}

/// Whether the directive redirects every request to the same URL with scheme `https`.
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
