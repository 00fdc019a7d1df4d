//! Writes the imported config: listeners, certificates and routes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write;
use std::rc::Rc;

use crate::cli::import::nginx::listeners::{
    Listen, Listener, Listeners, Transport, is_open_to_all,
};
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
    /// The methods of the route. `None` means all methods.
    pub(super) methods: Option<Methods>,
    /// The lines inside the `origin` table.
    pub(super) origin: Vec<String>,
    /// The keys of `headers` of the origin, if nginx changes fields of requests.
    pub(super) request_fields: Option<String>,
    /// The keys of the `hsts` table, if the route has one.
    pub(super) hsts: Option<String>,
    /// The response to requests without TLS, if an `if` decides it.
    pub(super) clear_text: Option<ClearText>,
    /// The policies of the route, such as `cors` and `referer`.
    pub(super) policies: Policies,
    /// The refusals of nginx that the route does not express.
    pub(super) losses: Vec<Rc<Loss>>,
    /// The refusals of nginx that the route expresses by its keys.
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
    /// The keys of each `[[route.headers]]`.
    pub(super) headers: Vec<String>,
    pub(super) ip: Option<Addresses>,
    pub(super) referer: Option<String>,
    /// The loss to report if the route cannot have the table `referer`.
    pub(super) referer_loss: Option<Rc<Loss>>,
    pub(super) website: Option<String>,
    pub(super) strips_download: bool,
}

/// Which clients a route serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    /// The keys of `ip`.
    pub(super) keys: String,
    /// The losses to report if the route cannot have the table `ip`.
    pub(super) losses: Vec<Rc<Loss>>,
    /// The proxies that nginx trusts. `None` means that ossgate cannot find the addresses of clients as nginx
    /// does.
    pub(super) trusted: Option<Vec<String>>,
    /// Whether the addresses of clients are in a PROXY header.
    pub(super) has_proxy_header: bool,
}

impl Addresses {
    /// Whether ossgate finds the same addresses of clients at `listener` as nginx.
    fn are_known_at(&self, listener: &Listener) -> bool {
        let Some(trusted) = &self.trusted else {
            return false;
        };
        let are_same = trusted.len() == listener.trusted.len()
            && trusted.iter().all(|one| listener.trusted.contains(one));
        let is_same_header =
            trusted.is_empty() || self.has_proxy_header == listener.has_proxy_header;
        let is_any_peer = trusted.is_empty() && listener.has_proxy_header;
        are_same && is_same_header && !is_any_peer
    }
}

/// Returns the losses of the table `ip`, if ossgate finds other addresses of clients than nginx at some listener.
pub(super) fn lost_clients(
    route: &Route,
    listeners: &Listeners,
    redirects: &Redirects,
) -> Vec<Rc<Loss>> {
    let Some(ip) = &route.policies.ip else {
        return Vec::new();
    };
    // A listener that refuses or redirects every request does not use the addresses of clients.
    let is_closed = https_mode(route, listeners, redirects) != "off";
    let mut open = listeners
        .0
        .values()
        .filter(|one| one.is_used && !(is_closed && one.transport == Transport::Clear));
    if open.all(|listener| ip.are_known_at(listener)) {
        Vec::new()
    } else {
        ip.losses.clone()
    }
}

/// Servers that redirect every request to HTTPS.
#[derive(Default)]
pub(super) struct Redirects {
    hosts: HashSet<String>,
    /// Whether one of these servers is for every host.
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

/// Returns the loss of a route that nginx serves only on certain addresses of the machine, if ossgate also
/// listens on other addresses.
pub(super) fn lost_address(route: &Route, listeners: &Listeners) -> Option<Loss> {
    let first = route.listens.first()?;
    if route
        .listens
        .iter()
        .any(|listen| is_open_to_all(&listen.address))
    {
        return None;
    }
    let own: HashSet<&str> = route
        .listens
        .iter()
        .map(|listen| listen.address.as_str())
        .collect();
    let is_tls_only = is_tls_only(route, listeners);
    let mut others = listeners.0.iter().filter(|(address, one)| {
        let is_closed = is_tls_only && !listeners.is_tls(address);
        one.is_used && !own.contains(address.as_str()) && !is_closed
    });
    others.next().map(|_| {
        let name = format!("listen {}", first.address);
        let refused = "requests for this server that come by other addresses";
        let remedy = "run a second ossgate for the other listeners";
        Loss::named(&first.directive, &name, refused, remedy)
    })
}

/// Merges routes with the same hosts and path. nginx often has two servers for the same hosts, one with TLS and
/// one without. ossgate has one route for both.
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
                // `known` will also serve the requests of `route`, but without the rules of `route`.
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

/// Merges `route` into `known`, which has the same path and origin. The header fields are those of `known`.
/// If only one of the routes has some other rule, the rule holds for both from then on. If both limit the methods,
/// the common methods remain, if there are any. If their rules for addresses or Referers differ, those of `known`
/// hold, and those of `route` become losses.
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
    if known.request_fields != route.request_fields || old.headers != new.headers {
        notes.push(format!(
            "{}: its header fields differ from those of {}, and those of the latter now hold for both: check `headers`",
            route.place, known.place
        ));
    }
    if old.ip.as_ref().map(|ip| &ip.keys) != new.ip.as_ref().map(|ip| &ip.keys) {
        notes.push(format!(
            "{}: its client addresses differ from those of {}, but one set of rules now holds for both: check `ip`",
            route.place, known.place
        ));
        match (&old.ip, new.ip) {
            (Some(_), Some(new)) => known.losses.extend(new.losses),
            (None, new) => old.ip = new,
            (Some(_), None) => {}
        }
    }
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

/// Returns the mode of `https` of a route.
pub(super) fn https_mode(
    route: &Route,
    listeners: &Listeners,
    redirects: &Redirects,
) -> &'static str {
    let has_clear = listeners
        .0
        .values()
        .any(|one| one.is_used && one.transport == Transport::Clear);
    if route.clear_text == Some(ClearText::Refused) {
        "require"
    } else if redirects.apply_to(route, listeners) || route.clear_text.is_some() {
        "redirect"
    } else if has_clear && is_tls_only(route, listeners) {
        // The clear-text listeners are for other routes, so this route refuses requests over clear text.
        "require"
    } else {
        "off"
    }
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
    let mut origin = route.origin.clone();
    origin.extend((route.request_fields.iter()).map(|fields| format!("headers = {{ {fields} }}")));
    let _written = writeln!(config, "origin = {{ {} }}", origin.join(", "));
    let mode = https_mode(route, listeners, redirects);
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
        ("ip", &policies.ip.as_ref().map(|ip| ip.keys.clone())),
        ("cors", &policies.cors),
        ("referer", &policies.referer),
        ("website", &policies.website),
    ] {
        if let Some(keys) = keys {
            let _written = writeln!(config, "{name} = {{ {keys} }}");
        }
    }
    if !policies.headers.is_empty() {
        let rules: Vec<String> = (policies.headers.iter())
            .map(|keys| format!("{{ {keys} }}"))
            .collect();
        let _written = writeln!(config, "headers = [{}]", rules.join(", "));
    }
    if policies.strips_download {
        config.push_str("preview = { strip_force_download = true }\n");
    }
    config.push('\n');
}
