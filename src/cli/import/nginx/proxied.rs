//! Makes routes from locations with `proxy_pass`.

use std::rc::Rc;

use crate::cli::import::nginx::fields::{request_fields, response_rules};
use crate::cli::import::nginx::loss::Loss;
use crate::cli::import::nginx::map::Hosts;
use crate::cli::import::nginx::mapping::{Mapping, Query};
use crate::cli::import::nginx::origin::{OriginError, ProxyPass, Target};
use crate::cli::import::nginx::output::{Addresses, Policies, Route};
use crate::cli::import::nginx::regions::Paths;
use crate::cli::import::nginx::rules::{cors, referers, strips_download, website};
use crate::cli::import::nginx::scope::{RealIp, Scope, cut_query};
use crate::cli::import::nginx::syntax::Directive;
use crate::cli::import::nginx::translation::{Server, Translation};
use crate::cli::import::nginx::variables::{Part, Url, Value, expand, shown};
use crate::cli::import::toml_text::{encoded, quoted};

/// A location with `proxy_pass`.
pub(super) struct Proxied<'a> {
    pub(super) server: &'a Server<'a>,
    pub(super) directive: &'a Directive,
    /// The `proxy_pass` directive.
    pub(super) pass: &'a Directive,
    pub(super) scope: &'a Scope,
}

/// One target of a location, and the hosts whose requests go to it.
struct Choice {
    hosts: Vec<String>,
    target: Target,
    /// The value of `Host` that nginx sends to the target.
    sent: String,
}

impl Translation<'_> {
    /// Returns the targets of a location, each with the hosts whose requests go to it.
    fn choices(&mut self, proxied: &Proxied<'_>, url: &Url) -> Vec<Choice> {
        let Proxied {
            server,
            pass,
            scope,
            ..
        } = proxied;
        let names = match (
            &scope.phase.only_host,
            &server.names.hosts,
            &scope.captured_hosts,
        ) {
            (Some((host, _)), ..) if !self.reaches(server, host) => {
                let text = format!(
                    "the location is not carried over: `{host}`, the only host that is not refused, is not a name of this server"
                );
                self.notes.add(pass, &text);
                return Vec::new();
            }
            (Some((host, _)), ..) => vec![host.clone()],
            (None, hosts, captured) if hosts.is_empty() => captured.clone(),
            (None, hosts, _) => hosts.clone(),
        };
        let hosts = Hosts {
            names: &names,
            is_default: server.is_default && scope.phase.only_host.is_none(),
        };
        let variable = url.host.iter().find_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Text(_) => None,
        });
        let written = scope.host.as_deref().unwrap_or("$proxy_host");
        let with = |value: &str, text: &[Part], name: &str| {
            shown(text).replace(&format!("${name}"), value)
        };
        let sent = |value: &str, name: &str| {
            let parts = expand(written, &scope.variables);
            with(value, &parts, name)
        };
        let Some(name) = variable else {
            return vec![Choice {
                hosts: names,
                target: Target::Host(shown(&url.host)),
                sent: sent("", "-"),
            }];
        };
        if let Some(map) = scope.maps.get(name).or_else(|| self.maps.get(name)) {
            let mut notes = Vec::new();
            let targets = map.by_host(name, hosts, &mut notes);
            // A request for a host that another server names does not reach this server.
            let of_server = targets.into_iter().filter_map(|(mut hosts, value)| {
                let is_for_all = hosts.is_empty();
                hosts.retain(|host| self.reaches(server, host));
                (is_for_all || !hosts.is_empty()).then_some((hosts, value))
            });
            let choices = of_server.map(|(hosts, value)| Choice {
                hosts,
                target: Target::Host(with(&value, &url.host, name)),
                sent: sent(&value, name),
            });
            let choices = choices.collect();
            self.notes.add_all(pass, &notes);
            return choices;
        }
        let rest = match url.host.as_slice() {
            [Part::Variable(_), Part::Text(rest)] => rest.strip_prefix('.'),
            _ => None,
        };
        match (scope.variables.get(name), rest) {
            (Some(Value::Label(patterns)), Some(endpoint)) => vec![Choice {
                hosts: names,
                target: Target::Buckets(patterns.clone(), endpoint.to_owned()),
                sent: "$proxy_host".to_owned(),
            }],
            _ if matches!(name, "host" | "http_host") && url.host.len() == 1 => {
                self.choices_by_host(proxied, &names)
            }
            (Some(_), _) => {
                let text = format!("the value of `${name}` cannot be carried over");
                self.notes.add(pass, &text);
                Vec::new()
            }
            (None, _) => {
                let text = format!("the variable `${name}` is not defined in these files");
                self.notes.add(pass, &text);
                Vec::new()
            }
        }
    }

    /// Whether requests for `host` reach the server: it has the name, or it is the default and no other server has
    /// the name.
    fn reaches(&self, server: &Server<'_>, host: &str) -> bool {
        let has_name = |name: &String| {
            name.eq_ignore_ascii_case(host)
                || name
                    .strip_prefix('*')
                    .is_some_and(|end| host.ends_with(end))
        };
        if self.named.contains(&host.to_ascii_lowercase()) {
            return server
                .names
                .hosts
                .iter()
                .any(|name| name.eq_ignore_ascii_case(host));
        }
        server.is_default || server.names.hosts.iter().any(has_name)
    }

    /// Returns the targets of a location with `proxy_pass` to `$host`. Each host of the server is a target.
    fn choices_by_host(&mut self, proxied: &Proxied<'_>, names: &[String]) -> Vec<Choice> {
        if names.is_empty() {
            let text =
                "`$host` is not carried over: anybody could reach any host through this server";
            self.notes.add(proxied.pass, text);
        }
        let choices = names.iter().map(|host| Choice {
            hosts: vec![host.clone()],
            target: match host.strip_prefix("*.") {
                Some(endpoint) => Target::Buckets(Vec::new(), endpoint.to_owned()),
                None => Target::Host(host.clone()),
            },
            sent: "$proxy_host".to_owned(),
        });
        choices.collect()
    }

    /// Adds the routes of a location.
    pub(super) fn routes_of(
        &mut self,
        proxied: &Proxied<'_>,
        url: &Url,
        mappings: &[Mapping],
        query: Query,
    ) {
        let Proxied { pass, scope, .. } = proxied;
        let mut losses = scope.losses();
        if query == Query::Cut {
            losses.push(Rc::new(cut_query(pass)));
        }
        for (name, loss) in &scope.phase.needed {
            // If the same map also chooses the target, a host without an entry has no route, so nothing is lost.
            if !url.host.contains(&Part::Variable(name.clone())) {
                losses.push(Rc::clone(loss));
            }
        }
        if let (None, Some((_, loss))) = (
            &proxied.server.scope.phase.only_host,
            &scope.phase.only_host,
        ) && mappings.iter().any(|mapping| mapping.path != "/")
        {
            // Requests for other hosts may reach a route with a shorter path.
            losses.push(Rc::clone(loss));
        }
        let is_mapped = url.host.iter().any(|part| {
            matches!(part, Part::Variable(name) if self.maps.contains_key(name) || scope.maps.contains_key(name))
        });
        if is_mapped {
            for mapping in mappings.iter().filter(|mapping| mapping.path != "/") {
                let refused = "hosts without an entry in the map, and another route serves them";
                let remedy = "write an entry for each host of the server";
                let loss = Rc::new(Loss::new(pass, refused, remedy));
                let paths = Paths::Beside(mapping.path.clone());
                self.add_region(proxied.server, paths, vec![loss]);
            }
        }
        for choice in self.choices(proxied, url) {
            let proxy_pass = ProxyPass {
                upstreams: &self.upstreams,
                scheme: &url.scheme,
                hosts: &choice.hosts,
                sent: &choice.sent,
                buckets: &self.buckets,
            };
            let mut notes = Vec::new();
            let origins = proxy_pass.origins(&choice.target, &mut notes);
            self.notes.add_all(pass, &notes);
            let origins = match origins {
                Ok(origins) => origins,
                Err(error) => {
                    self.lacks_buckets |= matches!(error, OriginError::NoBucket(_));
                    self.notes.add(pass, &error.to_string());
                    continue;
                }
            };
            for origin in origins {
                for mapping in mappings {
                    let route = self.route(proxied, &origin.hosts, &origin.lines, mapping);
                    self.routes.push(Route {
                        losses: [
                            losses.clone(),
                            refused_hosts(scope, &origin.hosts),
                            route.losses.clone(),
                        ]
                        .concat(),
                        ..route
                    });
                }
            }
        }
    }

    /// Returns the route for one mapping of a location. It has only the losses of this mapping; the caller adds
    /// the others.
    fn route(
        &mut self,
        proxied: &Proxied<'_>,
        hosts: &[String],
        lines: &[String],
        mapping: &Mapping,
    ) -> Route {
        let Proxied {
            server,
            pass,
            scope,
            ..
        } = proxied;
        let referer = scope.phase.referer.as_ref();
        let mut losses = Vec::new();
        if referer.is_some() && mapping.strips && mapping.prefix.is_empty() {
            // A request for exactly the path of the route is for the bucket itself, and `referer` does not check
            // such requests.
            let name = format!("valid_referers for {}", mapping.path);
            let refused = "to list the objects of the bucket at this path to pages of other sites";
            let remedy = "let a bucket policy refuse the list, or put the objects below a prefix";
            losses.push(Rc::new(Loss::named(pass, &name, refused, remedy)));
        }
        let mut origin = lines.to_vec();
        if mapping.strips {
            origin.push("strip_path = true".to_owned());
        }
        if !mapping.prefix.is_empty() {
            origin.push(format!("prefix = {}", quoted(&encoded(&mapping.prefix))));
        }
        origin.extend(timeouts(scope));
        if !scope.has_body_limit {
            let text = "without `client_max_body_size`, nginx refuses bodies of more than 1 MiB: only OSS limits the size of uploads now";
            self.notes.push(text.to_owned());
        }
        let cors = cors(scope, &self.maps, &mut self.notes);
        let headers = response_rules(scope, cors.as_deref(), &mut self.trials, &mut self.notes);
        let request_fields = request_fields(scope, &mut self.trials, &mut self.notes);
        Route {
            hosts: hosts.to_vec(),
            path: mapping.path.clone(),
            methods: scope.methods(),
            origin,
            request_fields,
            hsts: scope.hsts.clone(),
            clear_text: scope.phase.clear_text,
            policies: Policies {
                cors,
                headers,
                ip: addresses(scope),
                referer: referer.map(|valid| referers(valid, &server.names.hosts, &mut self.notes)),
                referer_loss: scope
                    .phase
                    .carried
                    .last()
                    .filter(|_| referer.is_some())
                    .cloned(),
                website: website(scope, mapping, &mut self.notes),
                strips_download: strips_download(scope),
            },
            losses,
            rules: scope.carried(),
            listens: server.listens.clone(),
            place: pass.place(),
        }
    }
}

/// Returns which client addresses a route serves. `None` means that the route has no table `ip`.
fn addresses(scope: &Scope) -> Option<Addresses> {
    let is_known = scope.trusted.is_empty() || scope.real_ip != RealIp::Other;
    let trusted = (is_known && !scope.lacks_trusted).then(|| scope.trusted.clone());
    Some(Addresses {
        keys: scope.ip()?,
        losses: scope.refused_addresses(),
        trusted,
        has_proxy_header: scope.real_ip == RealIp::ProxyHeader,
    })
}

/// Returns the losses for those hosts of the route that an `if` refuses.
fn refused_hosts(scope: &Scope, hosts: &[String]) -> Vec<Rc<Loss>> {
    let serves = |host: &str| {
        hosts.is_empty()
            || hosts.iter().any(|name| {
                name == host
                    || name
                        .strip_prefix('*')
                        .is_some_and(|end| host.ends_with(end))
            })
    };
    let refused = scope.phase.refused_hosts.iter();
    refused
        .filter(|(host, _)| serves(host))
        .map(|(_, loss)| Rc::clone(loss))
        .collect()
}

/// Returns the line `timeouts` of an origin.
fn timeouts(scope: &Scope) -> Option<String> {
    let connect = scope
        .connect
        .iter()
        .map(|time| format!("connect = {}", quoted(time)));
    let read = scope
        .read
        .iter()
        .flat_map(|time| ["first_byte", "idle"].map(|key| format!("{key} = {}", quoted(time))));
    let times: Vec<String> = connect.chain(read).collect();
    (!times.is_empty()).then(|| format!("timeouts = {{ {} }}", times.join(", ")))
}
