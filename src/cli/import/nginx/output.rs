//! Writes the imported config: listeners, certificates and routes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write;
use std::rc::Rc;

use crate::cli::import::nginx::listeners::{Listen, Listener, Listeners, Transport};
use crate::cli::import::nginx::loss::Loss;
use crate::cli::import::nginx::methods::Methods;
use crate::cli::import::nginx::notes::Notes;
use crate::cli::import::nginx::scope::ClearText;
use crate::cli::import::toml_text::{encoded, list, quoted};

/// One route of the config.
#[derive(Clone, Default)]
pub(super) struct Route {
    /// The hosts of the route. Empty means every host.
    pub(super) hosts: Vec<String>,
    /// The path, decoded.
    pub(super) path: String,
    /// The methods of the route. `None`: all.
    pub(super) methods: Option<Methods>,
    /// The lines inside the `origin` table.
    pub(super) origin: Vec<String>,
    /// The keys of the `hsts` table, if the route has one.
    pub(super) hsts: Option<String>,
    /// The response to requests without TLS, if an `if` decides it.
    pub(super) clear_text: Option<ClearText>,
    /// The keys of the tables `cors`, `referer`, `website` and `preview`, if the route has them.
    pub(super) policies: Policies,
    /// The refusals of nginx that the route does not have.
    pub(super) losses: Vec<Rc<Loss>>,
    /// The refusals of nginx that the route has as its keys.
    pub(super) rules: Vec<Rc<Loss>>,
    /// The listeners of the nginx servers of this route.
    pub(super) listens: Vec<Listen>,
    /// The position of the directive in the nginx files: `file:line`.
    pub(super) place: String,
}

/// The keys of the policies of a route.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Policies {
    pub(super) cors: Option<String>,
    pub(super) referer: Option<String>,
    /// The directive of `referer`, as a loss for the case that the route cannot have it.
    pub(super) referer_loss: Option<Rc<Loss>>,
    pub(super) website: Option<String>,
    pub(super) strips_download: bool,
}

/// Servers that redirect every request to HTTPS.
#[derive(Default)]
pub(super) struct Redirects {
    hosts: HashSet<String>,
    /// Whether such a server is for every host.
    is_for_all: bool,
}

impl Redirects {
    /// Adds a server. No `hosts` means every host.
    pub(super) fn add(&mut self, hosts: &[String]) {
        self.is_for_all |= hosts.is_empty();
        self.hosts.extend(hosts.iter().cloned());
    }

    /// Whether the route's hosts are redirected. A catch-all redirect server in nginx does not apply to a host
    /// that has its own plain-HTTP server.
    fn apply_to(&self, route: &Route, listeners: &Listeners) -> bool {
        route.hosts.iter().any(|host| self.hosts.contains(host))
            || (self.is_for_all && is_tls_only(route, listeners))
    }
}

/// Whether nginx serves the route over TLS only.
pub(super) fn is_tls_only(route: &Route, listeners: &Listeners) -> bool {
    (route.listens.iter()).all(|listen| listeners.is_tls(&listen.address))
}

/// Merges routes with the same hosts and path. nginx often has two servers for them, one with TLS and one
/// without; ossgate has one route for both.
pub(super) fn merge(all: Vec<Route>, notes: &mut Notes) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    for mut route in all {
        route.hosts = distinct(&route.hosts);
        let path = route.path.trim_end_matches('/').to_owned();
        // Each combination of host and path belongs to one route.
        let key = |host: &str| (host.to_ascii_lowercase(), path.clone());
        let keys: Vec<_> = match route.hosts.as_slice() {
            [] => vec![key("")],
            hosts => hosts.iter().map(|host| key(host)).collect(),
        };
        let known: BTreeSet<usize> = keys
            .iter()
            .filter_map(|key| places.get(key).copied())
            .collect();
        let is_all_known = keys.iter().all(|key| places.contains_key(key));
        for number in known {
            let Some(known) = routes.get_mut(number) else {
                continue;
            };
            if known.origin == route.origin && known.path == route.path {
                join(known, route.clone(), notes);
            } else {
                // The known route also serves the requests of this one, without its rules.
                known.losses.extend(route.losses.iter().cloned());
                known.losses.extend(route.rules.iter().cloned());
                notes.push(format!(
                    "{}: is left out: {} has the same hosts and path with another origin, and the port does not choose between routes",
                    route.place, known.place
                ));
            }
        }
        if is_all_known {
            continue;
        }
        route.hosts.retain(|host| !places.contains_key(&key(host)));
        for key in keys {
            places.entry(key).or_insert(routes.len());
        }
        routes.push(route);
    }
    routes
}

fn distinct(hosts: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    let is_new = |host: &&String| seen.insert(host.to_ascii_lowercase());
    hosts.iter().filter(is_new).cloned().collect()
}

/// Adds to `known` what `route` has in addition. The stricter rule counts.
fn join(known: &mut Route, route: Route, notes: &mut Notes) {
    known.listens.extend(route.listens);
    known.losses.extend(route.losses);
    // HSTS is sent over TLS only, so usually only one of the two nginx servers sets it.
    known.hsts = known.hsts.take().or(route.hsts);
    known.clear_text = known.clear_text.max(route.clear_text);
    if known.methods != route.methods {
        let both = |left: Methods, right| Some(left.and(right)).filter(|both| !both.is_empty());
        known.methods = match (known.methods, route.methods) {
            (Some(left), Some(right)) => both(left, right).or(Some(left)),
            (left, right) => left.or(right),
        };
    }
    let (old, new) = (&mut known.policies, route.policies);
    if old.referer != new.referer {
        notes.push(format!(
            "{}: its Referer rules differ from those of {}, but one set of rules now holds for both: check `referer`",
            route.place, known.place
        ));
        if old.referer.is_some() && new.referer.is_some() {
            known.losses.extend(new.referer_loss);
        } else {
            old.referer = old.referer.take().or(new.referer);
        }
    }
    old.cors = old.cors.take().or(new.cors);
    old.website = old.website.take().or(new.website);
    old.strips_download |= new.strips_download;
}

/// Returns the config as TOML.
pub(super) fn write(
    listeners: &Listeners,
    certificates: &[(String, String)],
    routes: &[Route],
    redirects: &Redirects,
) -> String {
    let mut config = String::new();
    for (address, listener) in listeners.0.iter().filter(|(_, one)| one.is_used) {
        write_listener(&mut config, address, listener);
    }
    for (cert, key) in certificates {
        let _written = writeln!(
            config,
            "[[certificate]]\ncert = {}\nkey = {}\n",
            quoted(cert),
            quoted(key)
        );
    }
    for route in routes {
        write_route(&mut config, route, listeners, redirects);
    }
    config.trim_end().to_owned() + "\n"
}

fn write_listener(config: &mut String, address: &str, listener: &Listener) {
    let _written = writeln!(config, "[[listener]]\naddress = {}", quoted(address));
    if listener.transport == Transport::Tls {
        config.push_str("tls = true\n");
    }
    let mut trusted: Vec<&str> = listener.trusted.iter().map(String::as_str).collect();
    if listener.has_proxy_header {
        config.push_str("proxy_protocol = \"any\"\n");
        if listener.trusts_all(address) {
            trusted = vec!["0.0.0.0/0", "::/0"];
        }
    }
    if !trusted.is_empty() {
        let _written = writeln!(config, "trusted_proxies = {}", list(trusted));
    }
    config.push('\n');
}

fn write_route(config: &mut String, route: &Route, listeners: &Listeners, redirects: &Redirects) {
    let mut seen = HashSet::new();
    for loss in route
        .losses
        .iter()
        .filter(|loss| seen.insert(Rc::clone(loss)))
    {
        let _written = writeln!(config, "# NOT CARRIED OVER: {}", loss.line());
    }
    config.push_str("[[route]]\n");
    if !route.hosts.is_empty() {
        let hosts = list(route.hosts.iter().map(String::as_str));
        let _written = writeln!(config, "hosts = {hosts}");
    }
    if route.path != "/" {
        let _written = writeln!(config, "path = {}", quoted(&encoded(&route.path)));
    }
    if let Some(methods) = route.methods {
        let _written = writeln!(config, "methods = {}", list(methods.names()));
    }
    let _written = writeln!(config, "origin = {{ {} }}", route.origin.join(", "));
    let has_clear = listeners
        .0
        .values()
        .any(|one| one.is_used && one.transport == Transport::Clear);
    let mode = if route.clear_text == Some(ClearText::Refused) {
        "require"
    } else if redirects.apply_to(route, listeners) || route.clear_text.is_some() {
        "redirect"
    } else if has_clear && is_tls_only(route, listeners) {
        // The clear-text listeners are for other routes.
        "require"
    } else {
        "off"
    };
    match &route.hsts {
        Some(hsts) => {
            let _written = writeln!(
                config,
                "https = {{ mode = \"{mode}\", hsts = {{ {hsts} }} }}"
            );
        }
        None if mode != "off" => {
            let _written = writeln!(config, "https = {{ mode = \"{mode}\" }}");
        }
        None => {}
    }
    let policies = &route.policies;
    for (name, keys) in [
        ("cors", &policies.cors),
        ("referer", &policies.referer),
        ("website", &policies.website),
    ] {
        if let Some(keys) = keys {
            let _written = writeln!(config, "{name} = {{ {keys} }}");
        }
    }
    if policies.strips_download {
        config.push_str("preview = { strip_force_download = true }\n");
    }
    config.push('\n');
}
