//! Translates directives about responses and Referers to the policies of a route.

use crate::cli::import::nginx::map::Maps;
use crate::cli::import::nginx::mapping::{Mapping, Rewrite};
use crate::cli::import::nginx::notes::Notes;
use crate::cli::import::nginx::scope::Scope;
use crate::cli::import::nginx::syntax::Directive;
use crate::cli::import::toml_text::{encoded, list, quoted};

/// Whether nginx hides a header field by which OSS makes browsers download objects instead of showing them.
pub(super) fn strips_download(scope: &Scope) -> bool {
    scope.hidden.iter().any(|(name, _)| is_of_download(name))
}

pub(super) fn is_of_download(name: &str) -> bool {
    matches!(name, "x-oss-force-download" | "content-disposition")
}

/// Returns the keys of `referer` for the arguments of `valid_referers`. Arguments that cannot be imported are
/// reported in `notes`.
pub(super) fn referers(valid: &Directive, hosts: &[String], notes: &mut Notes) -> String {
    let mut allow = Vec::new();
    let mut allows_empty = false;
    let mut add = |name: &str| {
        if name.ends_with('*') {
            // With `http*://`, a name that ends in `*` could also match inside the path of another site's URL.
            allow.extend(["http", "https"].map(|scheme| format!("{scheme}://{name}")));
        } else {
            allow.push(format!("http*://{name}"));
        }
    };
    for word in valid.rest() {
        match word.as_str() {
            "none" => allows_empty = true,
            "blocked" => notes.add(
                valid,
                "`blocked` of `valid_referers` is not carried over: a Referer without a scheme is refused",
            ),
            "server_names" => hosts.iter().for_each(|host| add(host)),
            name if name.starts_with('~') => {
                let text = format!(
                    "the Referer `{name}` is not carried over: there are no regular expressions"
                );
                notes.add(valid, &text);
            }
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
    notes.add(
        valid,
        "unlike nginx, `referer` does not check signed requests, form uploads and operations on the bucket itself: OSS decides about these",
    );
    let allow = list(allow.iter().map(String::as_str));
    format!("allow = {allow}, allow_empty = {allows_empty}, strict_host = true")
}

/// Returns the keys of `website`. `None` means that nginx has no index document and no error document to import.
pub(super) fn website(scope: &Scope, mapping: &Mapping, notes: &mut Notes) -> Option<String> {
    let mut keys = Vec::new();
    let mut index = None;
    for rewrite in &scope.phase.rewrites {
        match rewrite {
            Rewrite::RootIndex(name) if mapping.path == "/" => index = Some(name.clone()),
            Rewrite::EachIndex(name) => index = Some(name.clone()),
            Rewrite::Front { .. }
            | Rewrite::Segment
            | Rewrite::Fixed(_)
            | Rewrite::RootIndex(_) => {}
        }
    }
    if let Some(directive) = &scope.index
        && index.is_none()
        && mapping.path == "/"
    {
        let first = directive.first();
        if first.is_empty() || first.contains(['/', '$']) {
            notes.add(directive, &format!("`index {first}` is not carried over"));
        } else {
            let text = "nginx ignores `index` where it proxies: with `website`, a path that ends in `/` now gets the index document";
            notes.add(directive, text);
            index = Some(first.to_owned());
        }
    }
    if let Some(index) = &index {
        keys.push(format!("index = {}", quoted(&encoded(index))));
        keys.push("subdirectories = \"not-found\"".to_owned());
    }
    if let Some(directive) = &scope.error_page {
        match error_document(directive, mapping) {
            Some(more) => {
                keys.extend(more);
                if !scope.intercepts {
                    let text = "without `proxy_intercept_errors on`, nginx passes on the 404 of OSS: with `website`, the client now gets the error document";
                    notes.add(directive, text);
                }
            }
            None => notes.add(directive, "`error_page` is not carried over"),
        }
    }
    (!keys.is_empty()).then(|| keys.join(", "))
}

/// Returns the keys of `website` for an `error_page` for 404. `None` means that the directive cannot be imported.
fn error_document(directive: &Directive, mapping: &Mapping) -> Option<Vec<String>> {
    let (target, before) = directive.rest().split_last()?;
    let path = target.strip_prefix('/')?;
    if path.is_empty() || target.contains(['$', '?']) {
        return None;
    }
    let key = match (mapping.path.as_str(), mapping.strips) {
        ("/", _) => path,
        (front, true) => target.strip_prefix(front)?.trim_start_matches('/'),
        (front, false) => target.starts_with(front).then_some(path)?,
    };
    let status = before.iter().find_map(|word| word.strip_prefix('='));
    let mut keys = vec![format!("error = {}", quoted(&encoded(key)))];
    match status {
        None | Some("404") => {}
        Some("200" | "") => keys.push("error_status = 200".to_owned()),
        Some(_) => return None,
    }
    Some(keys)
}

/// Returns the keys of `cors`. `None` means that nginx permits no cross-origin requests. Parts that cannot be
/// imported are reported in `notes`.
pub(super) fn cors(scope: &Scope, maps: &Maps, notes: &mut Notes) -> Option<String> {
    let mut fields: Vec<(String, &str)> = Vec::new();
    let of_location = scope
        .headers
        .iter()
        .map(|one| (one.name.as_str(), one.value.as_str()));
    let of_preflight = scope
        .phase
        .preflight
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in of_location.chain(of_preflight) {
        let name = name.to_ascii_lowercase();
        if let Some(name) = name.strip_prefix("access-control-") {
            fields.push((name.to_owned(), value));
        }
    }
    let first = scope.headers.iter().find(|one| one.is_of_cors());
    let place: Option<&Directive> = first.map(|one| &*one.directive);
    let mut note = |text: &str| {
        if let Some(place) = place {
            notes.add(place, text);
        }
    };
    let mut origins: Vec<String> = Vec::new();
    let names = |wanted: &str| {
        let mut found: Vec<String> = Vec::new();
        for (_, value) in fields.iter().filter(|(name, _)| name == wanted) {
            for word in value.split([',', ' ']).filter(|word| !word.is_empty()) {
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_*".contains(&byte);
                if word.bytes().all(is_name) && !found.iter().any(|known| known == word) {
                    found.push(word.to_owned());
                }
            }
        }
        found
    };
    let written = names("allow-methods");
    let headers = names("allow-headers");
    let expose = names("expose-headers");
    for (name, value) in &fields {
        match name.as_str() {
            "allow-origin" => add_origins(value, maps, &mut origins, &mut note),
            "allow-credentials" if *value == "true" => {
                note(
                    "`Access-Control-Allow-Credentials` is not carried over: pages get no answers to requests with credentials",
                );
            }
            _ => {}
        }
    }
    if origins.is_empty() {
        if !fields.is_empty() {
            note("the `Access-Control` header fields are not carried over: they permit no origin");
        }
        return None;
    }
    let is_listed = |method: &&str| {
        // Browsers need no permission for GET and HEAD.
        matches!(*method, "GET" | "HEAD")
            || written
                .iter()
                .any(|one| one.eq_ignore_ascii_case(method) || one == "*")
    };
    let methods = ["GET", "HEAD", "PUT", "POST", "DELETE"];
    let methods = list(methods.into_iter().filter(is_listed));
    let origins = list(origins.iter().map(String::as_str));
    let mut rule = format!("origins = {origins}, methods = {methods}");
    if !headers.is_empty() {
        let headers = list(headers.iter().map(String::as_str));
        rule.push_str(&format!(", headers = {headers}"));
    }
    let expose: Vec<&str> = (expose.iter().map(String::as_str))
        .filter(|name| !name.contains('*'))
        .collect();
    if !expose.is_empty() {
        rule.push_str(&format!(", expose = {}", list(expose)));
    }
    let age = fields.iter().find(|(name, _)| name == "max-age");
    if let Some(seconds) = age.and_then(|(_, value)| value.trim().parse::<u32>().ok()) {
        rule.push_str(&format!(", max_age = \"{seconds}s\""));
    }
    Some(format!("rules = [{{ {rule} }}]"))
}

/// Adds the origins that a value of `Access-Control-Allow-Origin` permits.
fn add_origins(value: &str, maps: &Maps, origins: &mut Vec<String>, note: &mut dyn FnMut(&str)) {
    let mut add = |origin: &str, note: &mut dyn FnMut(&str)| {
        let is_origin = origin
            .split_once("://")
            .is_some_and(|(_, host)| !host.is_empty() && !host.contains(['/', '?', '#', '@', '$']));
        if origin != "*" && !is_origin {
            note(&format!(
                "`Access-Control-Allow-Origin: {origin}` is not carried over"
            ));
        } else if !origins.iter().any(|known| known == origin) {
            origins.push(origin.to_owned());
        }
    };
    let Some(variable) = value.strip_prefix('$') else {
        return add(value, note);
    };
    if variable == "http_origin" {
        return add("*", note);
    }
    match maps.get(variable).filter(|map| map.by == "$http_origin") {
        None => note(&format!(
            "`Access-Control-Allow-Origin: {value}` is not carried over"
        )),
        Some(map) => {
            for (key, value) in map.values.iter().filter(|(_, value)| !value.is_empty()) {
                match (key.as_str(), value.as_str()) {
                    ("default", "*" | "$http_origin") => add("*", note),
                    ("default", _) => add(value, note),
                    (key, _) => add(key, note),
                }
            }
        }
    }
}
