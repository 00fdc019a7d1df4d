//! Translates nginx locations to routes.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::cli::import::nginx::enter::Level;
use crate::cli::import::nginx::mapping::{MappingError, Rewrite, mappings};
use crate::cli::import::nginx::matches::Match;
use crate::cli::import::nginx::origin::OriginError;
use crate::cli::import::nginx::path_pattern::PathPattern;
use crate::cli::import::nginx::proxied::Proxied;
use crate::cli::import::nginx::regions::Paths;
use crate::cli::import::nginx::scope::{End, Scope};
use crate::cli::import::nginx::syntax::Directive;
use crate::cli::import::nginx::translation::{Server, Translation};
use crate::cli::import::nginx::unserved::{
    self, Common, Likeness, has_replaced_capture, is_own_file,
};
use crate::cli::import::nginx::variables::Url;

/// What the translation of a location needs to know about the other locations of the server.
struct Others<'a> {
    /// The index document that the location `= /` names.
    index: Option<String>,
    /// The named locations.
    named: HashMap<&'a str, &'a Directive>,
    /// The paths of the prefix locations, and whether each has `^~`. nginx prefers a prefix with `^~` to regular
    /// expressions.
    prefixes: Vec<(String, bool)>,
    /// What the prefix locations have in common. This is computed for the first location without a route.
    common: OnceCell<Common>,
}

impl<'a> Others<'a> {
    fn new(server: &Server<'a>) -> Self {
        let locations = server.directive.block.iter();
        let named = locations.filter(|one| one.first().starts_with('@'));
        let prefixes = server.directive.block.iter().filter_map(|one| {
            let is_location = one.name() == "location";
            match Match::parse(one.rest()) {
                Match::Prefix(path) if is_location => {
                    Some((path, one.rest().iter().any(|word| word.starts_with("^~"))))
                }
                _ => None,
            }
        });
        Self {
            prefixes: prefixes.collect(),
            common: OnceCell::new(),
            index: root_index(&server.directive.block, &server.scope),
            named: named.map(|one| (one.first(), one)).collect(),
        }
    }

    /// Whether nginx and ossgate would choose differently if a location with a regular expression became a route
    /// with this path. ossgate chooses the longest path. nginx prefers an expression to every prefix, except to
    /// prefixes with `^~`.
    fn disagree(&self, path: &str) -> bool {
        self.prefixes.iter().any(|(prefix, is_preferred)| {
            if *is_preferred {
                path.starts_with(prefix)
            } else {
                prefix != "/" && prefix.starts_with(path)
            }
        })
    }

    /// Whether nginx never tries regular expressions, because every request matches a prefix with `^~`.
    fn hide_expressions(&self) -> bool {
        self.prefixes.iter().any(|(path, _)| path == "/")
            && self.prefixes.iter().all(|(_, is_preferred)| *is_preferred)
    }

    /// Returns the location. If its `try_files` leads to a named location, the directives of that location are
    /// appended.
    fn joined<'l>(&self, location: &'l Directive) -> Cow<'l, Directive> {
        let files = location.block.iter().find(|one| one.name() == "try_files");
        let name = files.and_then(|files| files.rest().last());
        match name.and_then(|name| self.named.get(name.as_str())) {
            None => Cow::Borrowed(location),
            Some(named) => {
                let mut joined = location.clone();
                joined.block.extend(named.block.iter().cloned());
                Cow::Owned(joined)
            }
        }
    }
}

impl Translation<'_> {
    /// Translates the locations of a server.
    pub(super) fn locations(&mut self, server: &Server<'_>) {
        let others = Others::new(server);
        self.locations_in(server, &server.directive.block, &server.scope, &others);
    }

    fn locations_in(
        &mut self,
        server: &Server<'_>,
        block: &[Directive],
        outer: &Scope,
        others: &Others<'_>,
    ) {
        for location in block.iter().filter(|one| one.name() == "location") {
            let mut around = outer.clone();
            // A location does not inherit `if`, `rewrite` and `return` from the location around it.
            around.phase = server.scope.phase.clone();
            let matches = Match::parse(location.rest());
            match (&matches, &others.index) {
                (Match::Named, _) => continue,
                (Match::Prefix(path), Some(index)) if path == "/" => {
                    let rewrite = Rewrite::RootIndex(index.clone());
                    around.phase.rewrites.push(rewrite);
                }
                _ => {}
            }
            let joined = others.joined(location);
            let (maps, notes) = (&self.maps, &mut self.notes);
            let scope = around.enter(&joined.block, Level::Location, maps, notes);
            self.location(server, &joined, &matches, &scope, others);
            self.locations_in(server, &location.block, &scope, others);
        }
    }

    fn location(
        &mut self,
        server: &Server<'_>,
        location: &Directive,
        matches: &Match,
        scope: &Scope,
        others: &Others<'_>,
    ) {
        let label = location.rest().join(" ");
        if let Some(loss) = scope.closed() {
            if !is_error_document(matches, scope) {
                let loss = loss.of_location(&label);
                self.add_region(server, matches.paths(), vec![Rc::new(loss)]);
            }
            return;
        }
        if let Some(End::ToHttps) = scope.phase.end {
            if matches!(matches, Match::Prefix(path) if path == "/") {
                self.redirect(server);
            } else {
                let text = "a redirect of some paths only is not carried over";
                self.notes.add(location, text);
                let losses = vec![unserved::loss(location, &label, scope)];
                self.add_region(server, matches.paths(), losses);
            }
            return;
        }
        if has_replaced_capture(matches, location, server.directive) {
            let text = "the location is not carried over: another regular expression may replace the capture that it uses";
            self.notes.add(location, text);
            let losses = vec![unserved::loss(location, &label, scope)];
            return self.add_region(server, matches.paths(), losses);
        }
        let pass = proxy_pass(location, scope);
        let before = self.routes.len();
        match (pass, matches) {
            (None, _) | (_, Match::Named) => {
                let text = format!(
                    "the location `{label}` is not carried over: nothing is proxied there; a route for a shorter path serves it as well"
                );
                self.notes.add(location, &text);
            }
            (Some(pass), matches) => {
                let proxied = Proxied {
                    server,
                    directive: location,
                    pass,
                    scope,
                };
                match matches {
                    Match::Prefix(path) => self.prefix(&proxied, path),
                    Match::Exact(path) if path == "/" && self.root(&proxied) => return,
                    // Routes compare paths with case, so an expression that ignores case cannot become a route.
                    Match::Regex(pattern, false) => self.pattern(&proxied, pattern, others),
                    Match::Exact(_) | Match::Regex(_, true) | Match::Named => {
                        let text = "the location is not carried over: only plain prefixes are";
                        self.notes.add(location, text);
                    }
                }
            }
        }
        if self.routes.len() > before {
            // A route matches whole segments, so `/imgx` does not reach the route of the location `/img`.
            if let Match::Prefix(path) = matches
                && path != "/"
                && !path.ends_with('/')
            {
                let text = format!(
                    "`{path}` matches whole path segments: unlike in nginx, `{path}x` is not served"
                );
                self.notes.add(location, &text);
                let losses = [scope.carried(), scope.losses()].concat();
                self.add_region(server, Paths::Beside(path.clone()), losses);
            }
            return;
        }
        let is_unreached = matches!(matches, Match::Regex(..)) && others.hide_expressions();
        if is_unreached
            || matches!(matches, Match::Named)
            || is_own_file(matches, location, server.directive)
        {
            return;
        }
        let mut losses = [scope.losses(), scope.carried()].concat();
        if losses.is_empty() && is_greeting(location) {
            let text = format!(
                "`location {label}` has a text of its own, but ossgate serves the object of the bucket at this path; if it is the health check of a load balancer, set `health_path` on the listener"
            );
            self.notes.add(location, &text);
            return;
        }
        let common = || Common::of(server.directive, &server.scope, &self.maps);
        let likeness = pass.map_or(Likeness::None, |pass| {
            others.common.get_or_init(common).likeness(pass, scope)
        });
        match likeness {
            Likeness::Rules => return,
            Likeness::Objects => {}
            Likeness::None if losses.is_empty() || answers(location, scope) => {
                losses = vec![unserved::loss(location, &label, scope)];
            }
            Likeness::None => {}
        }
        self.add_region(server, matches.paths(), losses);
    }

    fn prefix(&mut self, proxied: &Proxied<'_>, path: &str) {
        let Some(url) = self.url(proxied) else {
            return;
        };
        match mappings(path, &proxied.scope.phase.rewrites, &url) {
            Ok((mappings, query)) => self.routes_of(proxied, &url, &mappings, query),
            Err(error) => self.report(proxied, error),
        }
    }

    /// Translates a location with a regular expression of the form of [`PathPattern`]. Any other form gets a
    /// note.
    fn pattern(&mut self, proxied: &Proxied<'_>, pattern: &str, others: &Others<'_>) {
        let known = PathPattern::parse(pattern);
        let url = self.url(proxied);
        let found = known.zip(url).and_then(|(known, url)| {
            let routes = known.routes(&url, &proxied.scope.phase.rewrites)?;
            let agree = routes
                .iter()
                .all(|route| !others.disagree(&route.mapping.path));
            agree.then_some((url, routes))
        });
        let Some((url, routes)) = found else {
            let text = "the location is not carried over: only plain prefixes are";
            return self.notes.add(proxied.directive, text);
        };
        for route in routes {
            let url = Url {
                host: route.host,
                ..url.clone()
            };
            let mut scope = proxied.scope.clone();
            scope.variables.extend(route.variables);
            // `proxy_set_header Host` may contain the captures as well, so they are among the variables of this
            // scope.
            let proxied = Proxied {
                scope: &scope,
                ..*proxied
            };
            self.routes_of(&proxied, &url, &[route.mapping], route.query);
        }
    }

    /// Returns whether the location `= /` only names the index document. If it does, a note is added.
    fn root(&mut self, proxied: &Proxied<'_>) -> bool {
        let document = root_index(&proxied.server.directive.block, &proxied.server.scope);
        let has_rules = !proxied.scope.losses().is_empty() || !proxied.scope.carried().is_empty();
        let Some(document) = document.filter(|_| !has_rules) else {
            return false;
        };
        let text = format!(
            "`= /` is not carried over: `index = \"{document}\"` in `website` of the route says the same"
        );
        self.notes.add(proxied.directive, &text);
        true
    }

    fn url(&mut self, proxied: &Proxied<'_>) -> Option<Url> {
        let text = proxied.pass.first();
        let url = Url::parse(text, &proxied.scope.variables);
        if url.is_none() {
            let error = OriginError::NotUrl(text.to_owned());
            self.notes.add(proxied.pass, &error.to_string());
        }
        url
    }

    fn report(&mut self, proxied: &Proxied<'_>, error: MappingError) {
        let text = match error {
            MappingError::Fixed => {
                "the location is not carried over: nginx sends the same URI for every path, because `proxy_pass` has a variable and a URI"
            }
            MappingError::Unknown => {
                "the location is not carried over: the URI of `proxy_pass` has variables of an unknown form"
            }
        };
        self.notes.add(proxied.pass, text);
    }
}

/// Whether nginx responds to every request for the location by itself. The refusals of such a location protect
/// these responses, not objects of a bucket.
fn answers(location: &Directive, scope: &Scope) -> bool {
    let is_status = location.block.iter().any(|one| one.name() == "stub_status");
    is_status || matches!(scope.phase.end, Some(End::Answer))
}

/// Whether nginx responds to every request for the location with a text of its own, by `return 200` or `return
/// 204`. Such a location protects no objects: usually it is a health check.
fn is_greeting(location: &Directive) -> bool {
    location.block.iter().any(|one| {
        let status = one.rest().first().map(String::as_str);
        one.name() == "return" && matches!(status, Some("200" | "204"))
    })
}

/// Whether the location is only for the document of `error_page`. The routes return this document as well, so
/// nothing is lost if nginx refuses direct requests for it.
fn is_error_document(matches: &Match, scope: &Scope) -> bool {
    let document = scope
        .error_page
        .as_ref()
        .and_then(|page| page.rest().last());
    matches!((matches, document), (Match::Exact(path), Some(document)) if path == document)
}

/// Returns the index document that the location `= /` of a server names, by a rewrite or by the URI of its
/// `proxy_pass`.
fn root_index(block: &[Directive], scope: &Scope) -> Option<String> {
    let root = block.iter().find(|one| {
        let is_root = matches!(Match::parse(one.rest()), Match::Exact(path) if path == "/");
        one.name() == "location" && is_root
    })?;
    let pass = root.block.iter().find(|one| one.name() == "proxy_pass")?;
    let rewrite = root.block.iter().find(|one| one.name() == "rewrite");
    let path = match rewrite {
        Some(one) => one.second().to_owned(),
        None => Url::parse(pass.first(), &scope.variables)?.uri,
    };
    let name = path.strip_prefix('/')?;
    let is_name = !name.is_empty() && !name.contains(['/', '$', '?']);
    is_name.then(|| name.to_owned())
}

/// Returns the `proxy_pass` of a location. `None` means that nginx responds to its requests in another way.
fn proxy_pass<'l>(location: &'l Directive, scope: &Scope) -> Option<&'l Directive> {
    let pass = location.block.iter().find(|one| one.name() == "proxy_pass");
    pass.filter(|_| scope.phase.end.is_none())
}
