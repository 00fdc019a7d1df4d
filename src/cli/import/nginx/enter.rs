//! Reads the directives of `http`, `server` and `location` blocks. An inner block inherits the directives of the
//! block around it.

use std::rc::Rc;

use crate::cli::import::nginx::access::{Access, Refused};
use crate::cli::import::nginx::branch;
use crate::cli::import::nginx::changed::Changed;
use crate::cli::import::nginx::loss::{CLOSED_REMEDY, Loss};
use crate::cli::import::nginx::map::Maps;
use crate::cli::import::nginx::mapping::{Query, Rewrite};
use crate::cli::import::nginx::methods::Methods;
use crate::cli::import::nginx::notes::Notes;
use crate::cli::import::nginx::redirect::{is_https_redirect, is_redirecting_rewrite};
use crate::cli::import::nginx::scope::{End, RealIp, Scope, cut_query};
use crate::cli::import::nginx::syntax::Directive;
use crate::cli::import::nginx::units::{hsts, time};
use crate::cli::import::nginx::variables::Value;

/// The kind of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Http,
    Server,
    Location,
}

/// Directives that [`Scope::enter`] skips, because the translation of servers and locations reads them.
const READ_ELSEWHERE: [&str; 12] = [
    "http",
    "server",
    "upstream",
    "map",
    "events",
    "listen",
    "server_name",
    "ssl_certificate",
    "ssl_certificate_key",
    "location",
    "proxy_pass",
    "ssl_reject_handshake",
];

impl Scope {
    /// Returns the directives that are in effect in `block`, which is inside the block of `self`.
    pub(super) fn enter(
        &self,
        block: &[Directive],
        level: Level,
        maps: &Maps,
        notes: &mut Notes,
    ) -> Self {
        let mut scope = self.clone();
        let has = |name: &str| block.iter().any(|one| one.name() == name);
        // In nginx, each directive below replaces all directives of the same name from the outer block. `http`
        // may be spread over several files, so its `allow`, `deny` and `set_real_ip_from` are collected from all
        // of them.
        if level != Level::Http && (has("allow") || has("deny")) {
            scope.access = Access::default();
        }
        if has("add_header") {
            scope.headers.clear();
            scope.hsts = None;
        }
        if has("proxy_set_header") {
            scope.host = None;
            scope.request_fields.clear();
            scope.closings.remove("authorization");
        }
        if has("expires") {
            scope.expires.clear();
        }
        if level != Level::Http && has("set_real_ip_from") {
            scope.trusted.clear();
            scope.lacks_trusted = false;
        }
        if has("proxy_hide_header") {
            scope.hidden.clear();
        }
        // An `if` may stand before the `valid_referers` that it depends on, so `valid_referers` is read first.
        if let Some(valid) = block.iter().find(|one| one.name() == "valid_referers") {
            scope.valid_referers = Some(Rc::new(valid.clone()));
        }
        for directive in block {
            if !READ_ELSEWHERE.contains(&directive.name()) {
                scope.add(directive, level, maps, notes);
            }
        }
        if let Some(valid) = block.iter().find(|one| one.name() == "valid_referers")
            && !uses_invalid_referer(block)
        {
            let text =
                "`valid_referers` is not carried over: nothing here refuses an invalid Referer";
            notes.add(valid, text);
        }
        scope
    }

    fn add(&mut self, directive: &Directive, level: Level, maps: &Maps, notes: &mut Notes) {
        let (first, second) = (directive.first(), directive.second());
        match directive.name() {
            "allow" | "deny" => self.access.add(directive),
            "set" if first == "$args" => {
                self.phase.losses.push(Rc::new(cut_query(directive)));
            }
            "try_files"
                if directive
                    .rest()
                    .last()
                    .is_some_and(|last| last.starts_with('=')) =>
            {
                let refused = "requests for which there is no file on its own disk";
                let remedy = "remove it from the file if the objects are at OSS";
                let loss = Rc::new(Loss::new(directive, refused, remedy));
                self.closings.insert("try_files", vec![loss]);
            }
            "set" => {
                let name = first.trim_start_matches('$').to_owned();
                self.variables.insert(name, Value::Text(second.to_owned()));
            }
            "if" => branch::add(self, directive, maps, notes),
            "return" => self.add_return(directive),
            "rewrite" => self.add_rewrite(directive, notes),
            "internal" => {
                let refused = "every request for this location";
                let remedy = CLOSED_REMEDY;
                let loss = Rc::new(Loss::new(directive, refused, remedy));
                self.phase.end = Some(End::Refusal(loss));
            }
            "limit_except" => self.limit_except(directive),
            "valid_referers" => {}
            "proxy_set_header" => self.add_request_header(directive, notes),
            "proxy_connect_timeout" => self.connect = time(first),
            "proxy_read_timeout" => self.read = time(first),
            "add_header" if first.eq_ignore_ascii_case("strict-transport-security") => {
                self.hsts = Some(hsts(second));
            }
            "add_header" => self.headers.push(Changed::added(directive)),
            "expires" => match Changed::expires(directive) {
                Some(fields) => self.expires = fields,
                None => {
                    let text =
                        "`expires` is not carried over: its time depends on more than the response";
                    notes.add(directive, text);
                }
            },
            "more_set_headers" | "more_clear_headers" => match Changed::more(directive) {
                Some(fields) => self.replaced.extend(fields),
                None => {
                    let text = format!(
                        "`{}` is not carried over: options and patterns are not supported",
                        directive.name()
                    );
                    notes.add(directive, &text);
                }
            },
            "proxy_hide_header" => {
                let name = first.to_ascii_lowercase();
                self.hidden.push((name, Rc::new(directive.clone())));
            }
            "error_page" if directive.rest().iter().any(|word| word == "404") => {
                self.error_page = Some(Rc::new(directive.clone()));
            }
            "proxy_intercept_errors" => self.intercepts = first == "on",
            // Many nginx files set `index` in `http` without a purpose, so only servers and locations count.
            "index" if level != Level::Http => self.index = Some(Rc::new(directive.clone())),
            "index" => {}
            "set_real_ip_from" => match first.parse::<ipnet::IpNet>() {
                Ok(_) => self.trusted.push(first.to_owned()),
                Err(_) if first.parse::<std::net::IpAddr>().is_ok() => {
                    self.trusted.push(first.to_owned());
                }
                Err(_) if first.starts_with("unix:") => {}
                Err(_) => {
                    let text = format!("`{first}` is not carried over: it is no address");
                    notes.add(directive, &text);
                    self.lacks_trusted = true;
                }
            },
            "real_ip_header" if first.eq_ignore_ascii_case("proxy_protocol") => {
                self.real_ip = RealIp::ProxyHeader;
            }
            "real_ip_header" if first.eq_ignore_ascii_case("x-forwarded-for") => {
                self.real_ip = RealIp::Forwarded;
            }
            "real_ip_header" => {
                self.real_ip = RealIp::Other;
                self.leave_out(directive, notes);
            }
            name => {
                self.has_body_limit |= name == "client_max_body_size";
                self.leave_out(directive, notes);
            }
        }
    }

    fn add_return(&mut self, directive: &Directive) {
        if self.phase.end.is_some() {
            return;
        }
        self.phase.end = Some(match directive.first().parse::<u16>() {
            Ok(status @ 400..) => {
                let name = format!("return {status}");
                let refused = "every request for this server or location";
                let remedy = CLOSED_REMEDY;
                End::Refusal(Rc::new(Loss::named(directive, &name, refused, remedy)))
            }
            _ if is_https_redirect(directive) => End::ToHttps,
            _ => End::Answer,
        });
    }

    fn add_rewrite(&mut self, directive: &Directive, notes: &mut Notes) {
        if is_redirecting_rewrite(directive) {
            if self.phase.end.is_none() && is_https_redirect(directive) {
                self.phase.end = Some(End::ToHttps);
            } else {
                notes.add(
                    directive,
                    "a redirect of some paths only is not carried over",
                );
            }
            return;
        }
        match Rewrite::parse(directive) {
            Some((rewrite, query)) => {
                self.phase.rewrites.push(rewrite);
                if query == Query::Cut {
                    self.phase.losses.push(Rc::new(cut_query(directive)));
                }
            }
            None => {
                let refused = "objects to which this rewrite does not lead";
                let remedy = "write `path`, `strip_path` and `prefix` of the route by hand";
                self.phase
                    .losses
                    .push(Rc::new(Loss::new(directive, refused, remedy)));
            }
        }
    }

    fn limit_except(&mut self, directive: &Directive) {
        let refused = "requests with other methods";
        let remedy = "limit `methods` of the route";
        let loss = Rc::new(Loss::new(directive, refused, remedy));
        let mut access = Access::default();
        let (rules, others): (Vec<&Directive>, Vec<&Directive>) =
            (directive.block.iter()).partition(|one| matches!(one.name(), "allow" | "deny"));
        for rule in &rules {
            access.add(rule);
        }
        match access.refused() {
            Refused::Everything(_) => {
                let methods = Methods::of_limit_except(directive.rest());
                self.limited = Some((methods, loss));
            }
            Refused::Some(_) => {
                self.closings.insert("limit_except", vec![loss]);
            }
            Refused::Nothing if !others.is_empty() => {
                self.closings.insert("limit_except", vec![loss]);
            }
            Refused::Nothing => {}
        }
    }

    fn add_request_header(&mut self, directive: &Directive, notes: &mut Notes) {
        let value = directive.second();
        match directive.first().to_ascii_lowercase().as_str() {
            "host" => self.host = Some(value.to_owned()),
            "connection" => {}
            "authorization" if !value.contains("$http_authorization") => {
                let name = "proxy_set_header Authorization";
                let refused = "what the signature of the client would allow: OSS does not get it";
                let remedy = "limit `methods` of the route, or set `guard`";
                let loss = Loss::named(directive, name, refused, remedy);
                self.closings.insert("authorization", vec![Rc::new(loss)]);
            }
            name if !value.contains('$')
                && name != "x-real-ip"
                && !name.starts_with("x-forwarded-") =>
            {
                self.request_fields.push(Changed::added(directive));
            }
            name => {
                if value.contains("$proxy_add_x_forw_for") {
                    let text = "`$proxy_add_x_forw_for` is a mistake of the recipe: `$proxy_add_x_forwarded_for` is meant";
                    notes.add(directive, text);
                }
                let text = format!(
                    "the header `{name}` is not carried over: OSS gets only the header fields of the client"
                );
                notes.add(directive, &text);
            }
        }
    }
}

/// Whether a condition in the block depends on `valid_referers`.
fn uses_invalid_referer(block: &[Directive]) -> bool {
    block.iter().any(|one| {
        one.words
            .iter()
            .any(|word| word.contains("invalid_referer"))
            || uses_invalid_referer(&one.block)
    })
}
