//! From nginx: the published recipe for OSS in its variants, and common directives around it.

use std::collections::BTreeMap;

use crate::cli::import::Imported;
use crate::cli::import::nginx_origin::{Lead, Settings};
use crate::cli::import::nginx_syntax::{Directive, read};
use crate::cli::import::nginx_write::{Route, hsts, referers, seconds, write};

/// Directives that ask for what ossgate does anyway, or has no use for.
const NOT_NEEDED: [&str; 34] = [
    "access_log",
    "charset",
    "client_body_buffer_size",
    "client_max_body_size",
    "default_type",
    "error_log",
    "gzip",
    "http2",
    "include",
    "keepalive",
    "keepalive_timeout",
    "large_client_header_buffers",
    "log_format",
    "proxy_buffer_size",
    "proxy_buffering",
    "proxy_buffers",
    "proxy_busy_buffers_size",
    "proxy_http_version",
    "proxy_max_temp_file_size",
    "proxy_redirect",
    "proxy_request_buffering",
    "proxy_send_timeout",
    "proxy_ssl_name",
    "proxy_ssl_server_name",
    "resolver",
    "resolver_timeout",
    "sendfile",
    "server_tokens",
    "ssl_ciphers",
    "ssl_prefer_server_ciphers",
    "ssl_protocols",
    "ssl_session_cache",
    "ssl_session_timeout",
    "tcp_nodelay",
];

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
    Ok(Imported {
        config: write(
            &import.listeners,
            &import.certificates,
            import.routes,
            &import.redirected,
        ),
        notes: import.notes,
    })
}

#[derive(Default)]
struct Import {
    file: String,
    notes: Vec<String>,
    /// Servers of each upstream.
    upstreams: BTreeMap<String, Vec<String>>,
    /// Values of each `map`, by the variable it makes.
    maps: BTreeMap<String, Vec<(String, String)>>,
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
                    self.maps.insert(variable, values.collect());
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
                name if NOT_NEEDED.contains(&name) => {}
                name => {
                    let text = format!("`{name}` is not carried over");
                    self.note(directive, &text);
                }
            }
        }
    }

    fn server(&mut self, server: &Directive) {
        let mut hosts = Vec::new();
        let (mut settings, mut is_redirect) = (Settings::default(), false);
        let (mut certificate, mut key) = (None, None);
        for directive in &server.block {
            match directive.name() {
                "listen" => self.listen(directive),
                "server_name" => {
                    for name in directive.rest() {
                        if name.starts_with('~')
                            || name.matches('*').count() > 1
                            || name.ends_with(".*")
                        {
                            self.note(directive, &format!("the name `{name}` is not carried over: only exact names and `*.suffix`"));
                        } else if name != "_" && !name.is_empty() {
                            hosts.push(name.trim_start_matches('.').to_owned());
                        }
                    }
                }
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
            is_redirect |= location.block.iter().any(is_https_redirect);
            self.location(location, &hosts, &settings);
        }
        if is_redirect {
            self.redirected.push(hosts);
        }
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
            "valid_referers" => settings.referer = Some(referers(directive.rest(), hosts)),
            "if" if directive
                .words
                .iter()
                .any(|word| word.contains("$invalid_referer")) => {}
            name if NOT_NEEDED.contains(&name) => {}
            name => {
                let text = format!("`{name}` is not carried over");
                self.note(directive, &text);
            }
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

    fn location(&mut self, location: &Directive, hosts: &[String], server: &Settings) {
        let mut settings = server.clone();
        let mut pass = None;
        for directive in &location.block {
            match directive.name() {
                "proxy_pass" => pass = Some(directive),
                "return" if is_https_redirect(directive) => return,
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
        for (hosts, target) in self.targets(pass, hosts) {
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
                }),
                Err(why) => self.note(pass, &why),
            }
        }
    }

    /// Hosts and targets of a `proxy_pass`: several where a map chooses.
    fn targets(&mut self, pass: &Directive, hosts: &[String]) -> Vec<(Vec<String>, String)> {
        let text = pass.first().to_owned();
        let Some(at) = text.find('$') else {
            return vec![(hosts.to_vec(), text)];
        };
        let (before, variable) = text.split_at_checked(at).unwrap_or((&text, ""));
        let name_end = variable
            .find(|character: char| !matches!(character, '$' | '_' | 'a'..='z' | 'A'..='Z' | '0'..='9'))
            .unwrap_or(variable.len());
        let (name, after) = variable
            .split_at_checked(name_end)
            .unwrap_or((variable, ""));
        let after = if after.contains('$') { "" } else { after };
        let Some(values) = self.maps.get(name).cloned() else {
            self.note(pass, &format!("the variable `{name}` is not known here"));
            return Vec::new();
        };
        let mut targets = Vec::new();
        for (host, value) in values {
            if host == "default" || value.is_empty() {
                continue;
            }
            if host.starts_with('~') || host == "hostnames" {
                self.note(pass, &format!("`{host}` of the map is not carried over"));
                continue;
            }
            targets.push((vec![host], format!("{before}{value}{after}")));
        }
        targets
    }
}

fn is_https_redirect(directive: &Directive) -> bool {
    directive.name() == "return"
        && directive
            .rest()
            .iter()
            .any(|word| word.starts_with("https://$"))
}
