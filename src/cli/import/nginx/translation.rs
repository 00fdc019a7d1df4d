//! Translates nginx servers to listeners, certificates and routes.
//!
//! Each directive is imported, is not needed, gets a note, or becomes a [`Loss`]. A loss is a directive by which
//! nginx refuses requests that the config would serve.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use crate::cli::import::nginx::enter::Level;
use crate::cli::import::nginx::fields::Trials;
use crate::cli::import::nginx::listeners::{Listen, Listeners};
use crate::cli::import::nginx::loss::Loss;
use crate::cli::import::nginx::map::{Map, Maps};
use crate::cli::import::nginx::names::{ServerNames, TakenNames};
use crate::cli::import::nginx::notes::Notes;
use crate::cli::import::nginx::output::{
    Redirects, Route, https_mode, is_tls_only, lost_address, lost_clients, merge, write,
};
use crate::cli::import::nginx::regions::{Paths, Region, add_losses};
use crate::cli::import::nginx::scope::{ClearText, End, Scope};
use crate::cli::import::nginx::syntax::Directive;
use crate::cli::import::nginx::unserved::CHALLENGES;

/// The state of a translation.
#[derive(Default)]
pub(super) struct Translation<'d> {
    /// The buckets that the operator names.
    pub(super) buckets: Vec<String>,
    /// Whether a location lets the client choose the bucket, but the operator names no buckets.
    pub(super) lacks_buckets: bool,
    pub(super) notes: Notes,
    pub(super) trials: Trials,
    /// The servers of each `upstream` block, by its name.
    pub(super) upstreams: BTreeMap<String, Vec<String>>,
    /// Each `map` block, by the variable that it sets.
    pub(super) maps: Maps,
    /// The directives of `http`.
    http: Scope,
    listeners: Listeners,
    servers: Vec<(&'d Directive, Vec<Listen>)>,
    /// The names of all servers, in lower case.
    pub(super) named: HashSet<String>,
    taken: TakenNames,
    certificates: Vec<(String, String)>,
    redirects: Redirects,
    pub(super) routes: Vec<Route>,
    pub(super) regions: Vec<Region>,
}

/// A server whose locations are translated.
pub(super) struct Server<'d> {
    pub(super) directive: &'d Directive,
    pub(super) names: ServerNames,
    /// Whether nginx uses the server for hosts that no server names.
    pub(super) is_default: bool,
    pub(super) listens: Vec<Listen>,
    /// The directives of the server.
    pub(super) scope: Scope,
}

/// The written config, with its losses and the notes.
pub(super) struct Written {
    pub(super) config: String,
    pub(super) losses: Vec<Rc<Loss>>,
    pub(super) notes: Vec<String>,
}

impl<'d> Translation<'d> {
    /// Creates a translation without files. `buckets` are the buckets that clients may choose.
    pub(super) fn new(buckets: &[String]) -> Self {
        Self {
            buckets: buckets.to_vec(),
            ..Self::default()
        }
    }

    /// Collects the definitions of a file: upstreams, maps, listeners and the directives of `http`. This is done
    /// for all files before their servers are translated, because a definition may come after its use.
    pub(super) fn add_definitions(&mut self, tree: &'d [Directive]) {
        self.http = self
            .http
            .enter(tree, Level::Http, &self.maps, &mut self.notes);
        for directive in tree {
            match directive.name() {
                "http" => self.add_definitions(&directive.block),
                "upstream" => {
                    let servers = directive.block.iter().filter(|one| one.name() == "server");
                    let hosts = servers.map(|one| one.first().to_owned()).collect();
                    self.upstreams.insert(directive.first().to_owned(), hosts);
                }
                "map" => {
                    let values = directive
                        .block
                        .iter()
                        .map(|one| (one.name().to_owned(), one.first().to_owned()));
                    let map = Map {
                        by: directive.first().to_owned(),
                        values: values.collect(),
                    };
                    let variable = directive.second().trim_start_matches('$').to_owned();
                    self.maps.insert(variable, map);
                }
                "server" => {
                    let number = self.servers.len();
                    let listens = self.listeners.add(directive, number, &mut self.notes);
                    self.servers.push((directive, listens));
                    let names = (directive.block.iter()).filter(|one| one.name() == "server_name");
                    let names = names.flat_map(|one| one.rest());
                    self.named
                        .extend(names.map(|name| name.to_ascii_lowercase()));
                }
                _ => {}
            }
        }
    }

    /// Translates the servers of all files.
    pub(super) fn add_servers(&mut self) {
        let servers = std::mem::take(&mut self.servers);
        for (number, (server, listens)) in servers.into_iter().enumerate() {
            self.server(server, number, listens);
        }
    }

    fn server(&mut self, directive: &'d Directive, number: usize, listens: Vec<Listen>) {
        let mut names = ServerNames::default();
        for one in directive
            .block
            .iter()
            .filter(|one| one.name() == "server_name")
        {
            let mut notes = Vec::new();
            names.add(one.rest(), &mut notes);
            self.notes.add_all(one, &notes);
        }
        let had_hosts = !names.hosts.is_empty();
        let addresses: Vec<&str> = (listens.iter()).map(|one| one.address.as_str()).collect();
        let left = self.taken.take_from(&mut names, directive, &addresses);
        self.notes.add_all(directive, &left);
        if had_hosts && names.hosts.is_empty() {
            return;
        }
        if names.lacks_names {
            let of_names = directive
                .block
                .iter()
                .find(|one| one.name() == "server_name");
            let refused = "to serve its other servers to names that are not carried over";
            let remedy = "give the route without `hosts` its hosts";
            let loss = Loss::new(of_names.unwrap_or(directive), refused, remedy);
            self.regions.push(Region {
                hosts: [String::new()].into(),
                paths: Paths::Any,
                listens: listens
                    .iter()
                    .map(|listen| listen.address.clone())
                    .collect(),
                losses: vec![Rc::new(loss)],
            });
        }
        let is_left_out = names.hosts.is_empty() && names.lacks_names;
        if is_left_out {
            let text = "the server is left out: none of its names is carried over";
            self.notes.add(directive, text);
        }
        let is_default_of = |listen: &&Listen| self.listeners.is_default(&listen.address, number);
        let is_default = listens.iter().any(|listen| is_default_of(&listen));
        let listens: Vec<Listen> = if names.hosts.is_empty() && !is_left_out {
            listens.iter().filter(is_default_of).cloned().collect()
        } else {
            listens
        };
        if listens.is_empty() {
            let text = "the server is left out: it has no name, and another server is the default";
            self.notes.add(directive, text);
            return;
        }
        let mut outer = self.http.clone();
        outer.variables.extend(names.variables.clone());
        outer.maps.extend(names.maps.iter().cloned());
        let scope = outer.enter(&directive.block, Level::Server, &self.maps, &mut self.notes);
        let server = Server {
            directive,
            names,
            is_default,
            listens,
            scope,
        };
        let rejects = directive
            .block
            .iter()
            .find(|one| one.name() == "ssl_reject_handshake" && one.first() == "on");
        if let Some(one) = rejects {
            let refused = "every connection for this server";
            let loss = Loss::new(one, refused, "give the route other hosts");
            return self.add_region(&server, Paths::Any, vec![Rc::new(loss)]);
        }
        let to_https = &server.scope.phase.to_https;
        match &server.scope.phase.end {
            // certbot usually writes such a server: a redirect for each host, and a refusal for all others.
            Some(End::Refusal(_)) if !to_https.is_empty() => {
                self.redirects.add(to_https);
                self.listeners
                    .use_for(&server.listens, &server.scope.trusted);
            }
            _ if to_https.is_empty() => {}
            _ => {
                let text = "a redirect of some hosts only is not carried over";
                self.notes.add(directive, text);
            }
        }
        match &server.scope.phase.end {
            Some(End::Refusal(loss)) => {
                let losses = vec![Rc::clone(loss)];
                self.add_region(&server, Paths::Any, losses);
            }
            Some(End::ToHttps) if is_left_out => {}
            Some(End::ToHttps) => self.redirect(&server),
            Some(End::Answer) => {
                let text = "the server is not carried over: nothing is proxied there";
                self.notes.add(directive, text);
                let refused = "to serve objects for this server: it responds by itself";
                let loss = Loss::new(directive, refused, "give the other routes `hosts`");
                self.add_region(&server, Paths::Any, vec![Rc::new(loss)]);
            }
            None if is_left_out => {
                let before = self.routes.len();
                self.locations(&server);
                let routes = self.routes.split_off(before);
                self.add_other_hosts(&server, &routes);
            }
            None => self.serve(&server),
        }
    }

    /// Adds a server that redirects every request to HTTPS.
    pub(super) fn redirect(&mut self, server: &Server<'_>) {
        self.redirects.add(&server.names.hosts);
        self.listeners
            .use_for(&server.listens, &server.scope.trusted);
    }

    /// Translates the locations of a server.
    fn serve(&mut self, server: &Server<'d>) {
        let (before, first_region) = (self.routes.len(), self.regions.len());
        self.locations(server);
        let routes = self.routes.get(before..).unwrap_or_default().to_vec();
        if routes.is_empty() {
            let root = Paths::Prefix("/".to_owned());
            if (self.regions.iter().skip(first_region)).any(|one| one.paths == root) {
                return;
            }
            let refused = "to serve objects for this server: nothing is proxied there";
            let loss = Loss::new(server.directive, refused, "give the other routes `hosts`");
            return self.add_region(server, Paths::Any, vec![Rc::new(loss)]);
        }
        // If a map chooses the target, the routes have the hosts of the map.
        let mut hosts: Vec<String> = server.names.hosts.clone();
        hosts.extend(routes.iter().flat_map(|route| route.hosts.iter().cloned()));
        if server.names.hosts.is_empty() || server.names.lacks_names {
            hosts.push(String::new());
        }
        let mut seen = HashSet::new();
        hosts.retain(|host| seen.insert(host.clone()));
        let hosts: Rc<[String]> = hosts.into();
        for region in self.regions.iter_mut().skip(first_region) {
            region.hosts = Rc::clone(&hosts);
        }
        if !server.names.hosts.is_empty() && !routes.iter().any(|route| route.path == "/") {
            let refused = "paths of this server for which no location proxies";
            let remedy = "add a route with path `/` for the same hosts";
            let loss = Loss::new(server.directive, refused, remedy);
            self.add_region(server, Paths::Elsewhere, vec![Rc::new(loss)]);
        }
        // A wildcard of nginx also stands for several labels, and some names may be missing from the config. So
        // nginx uses the server for more hosts, and requests for them reach no route of the server.
        let has_wildcard = server.names.hosts.iter().any(|host| host.starts_with('*'));
        if has_wildcard || server.names.lacks_names {
            self.add_other_hosts(server, &routes);
        }
        self.listeners
            .use_for(&server.listens, &server.scope.trusted);
        self.certificate(server.directive);
        if server.is_default && !server.names.hosts.is_empty() {
            let text = "nginx also serves hosts that no server names here: ossgate refuses them, unless `hosts` is left out";
            self.notes.add(server.directive, text);
        }
    }

    fn certificate(&mut self, server: &Directive) {
        let value = |name: &str| {
            let found = server.block.iter().filter(|one| one.name() == name);
            found.map(|one| one.first().to_owned()).collect::<Vec<_>>()
        };
        let pairs = value("ssl_certificate")
            .into_iter()
            .zip(value("ssl_certificate_key"));
        self.certificates.extend(pairs);
    }

    /// Adds a region: requests of a server of which nginx refuses some or all. Does nothing if `losses` is empty.
    pub(super) fn add_region(&mut self, server: &Server<'_>, paths: Paths, losses: Vec<Rc<Loss>>) {
        if losses.is_empty() {
            return;
        }
        let listens = server.listens.iter().map(|listen| listen.address.clone());
        let mut hosts = server.names.hosts.clone();
        if server.names.lacks_names {
            // Requests for the names that are not imported reach a route without hosts.
            hosts.push(String::new());
        }
        self.regions.push(Region {
            hosts: hosts.into(),
            paths,
            listens: listens.collect(),
            losses,
        });
    }

    /// Adds regions for the hosts of a server that have no route. Requests for these hosts reach a route without
    /// `hosts`, which does not have the refusals of the server's routes.
    fn add_other_hosts(&mut self, server: &Server<'_>, routes: &[Route]) {
        for route in routes {
            let losses = [route.losses.as_slice(), &route.rules].concat();
            let before = self.regions.len();
            self.add_region(server, Paths::Prefix(route.path.clone()), losses);
            for region in self.regions.iter_mut().skip(before) {
                region.hosts = [String::new()].into();
            }
        }
    }

    /// Returns the config.
    pub(super) fn write(mut self) -> Written {
        let mut routes = merge(std::mem::take(&mut self.routes), &mut self.notes);
        let listeners = &self.listeners;
        let used = |address: &str| listeners.0.get(address).is_some_and(|one| one.is_used);
        add_losses(&self.regions, &mut routes, |region, route| {
            // A route that refuses or redirects clear text serves it only for the paths of `CHALLENGES`.
            let is_exempt = matches!(&region.paths, Paths::Prefix(path) | Paths::Exact(path) if path.starts_with(CHALLENGES));
            let is_closed = |address: &str| {
                !is_exempt
                    && !listeners.is_tls(address)
                    && (is_tls_only(route, listeners)
                        || route.clear_text == Some(ClearText::Refused))
            };
            let mut open = region.listens.iter();
            open.any(|address| used(address) && !is_closed(address))
        });
        for route in &mut routes {
            route
                .losses
                .extend(lost_clients(route, listeners, &self.redirects));
            if let Some(loss) = lost_address(route, &self.listeners) {
                route.losses.push(Rc::new(loss));
            }
        }
        for (address, listener) in &listeners.0 {
            if listener.trusts_all(address) {
                self.notes.push(format!(
                    "`listen {address} proxy_protocol` accepts the PROXY header from every peer, as in nginx: write the addresses of the load balancer in `trusted_proxies`"
                ));
            }
        }
        let mut seen = HashSet::new();
        self.certificates.retain(|pair| seen.insert(pair.clone()));
        let has_tls = listeners
            .0
            .iter()
            .any(|(address, one)| one.is_used && listeners.is_tls(address));
        if has_tls && self.certificates.is_empty() {
            self.notes
                .push("no `ssl_certificate` is in these files: add a [[certificate]]".to_owned());
        }
        if !has_tls {
            self.certificates.clear();
        }
        if let Some(route) = routes
            .iter()
            .find(|route| https_mode(route, listeners, &self.redirects) == "require")
        {
            self.notes.push(format!(
                "{}: `https` refuses requests over clear text, but not for paths below `{CHALLENGES}/`, which certificate authorities read",
                route.place
            ));
        }
        let config = write(listeners, &self.certificates, &routes, &self.redirects);
        let mut seen = HashSet::new();
        let losses = routes.iter().flat_map(|route| &route.losses);
        let losses: Vec<Rc<Loss>> = losses
            .filter(|loss| seen.insert(Rc::clone(loss)))
            .cloned()
            .collect();
        Written {
            config,
            losses,
            notes: self.notes.into_list(),
        }
    }
}
