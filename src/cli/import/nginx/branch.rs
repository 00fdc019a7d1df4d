//! Translates `if`: finds the requests that it refuses, and the parts of it that can be imported.

use std::rc::Rc;

use crate::cli::import::nginx::condition::Condition;
use crate::cli::import::nginx::loss::Loss;
use crate::cli::import::nginx::map::Maps;
use crate::cli::import::nginx::methods::Methods;
use crate::cli::import::nginx::names::ServerNames;
use crate::cli::import::nginx::notes::Notes;
use crate::cli::import::nginx::redirect::{is_https_redirect, is_redirecting_rewrite};
use crate::cli::import::nginx::scope::{ClearText, End, Scope};
use crate::cli::import::nginx::syntax::Directive;
use crate::cli::import::nginx::variables::Value;

/// The effect of the block of an `if`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// The request is refused.
    Refuses,
    /// The request is redirected to the same URL with `https`.
    ToHttps,
    /// The request is redirected elsewhere.
    Redirects,
    /// nginx responds with a status from 200 to 299.
    Answers,
    /// The path is rewritten, so another object is requested.
    Rewrites,
    /// Only variables are set.
    Sets,
    /// Any other effect.
    Other,
}

/// The recommendation for a condition that no key of the config can express.
const REMEDY: &str = "let OSS refuse them with a bucket policy, or keep nginx in front of ossgate";

/// Adds an `if` to `scope`. `maps` are the maps of all files.
pub(super) fn add(scope: &mut Scope, directive: &Directive, maps: &Maps, notes: &mut Notes) {
    let condition = Condition::parse(&directive.words);
    let effect = effect(&directive.block);
    let loss = Rc::new(loss(directive, &condition, effect));
    let phase = &mut scope.phase;
    match (condition, effect) {
        (Condition::InvalidReferer, Effect::Refuses) => scope.refuse_invalid_referers(loss),
        (Condition::Methods(methods), Effect::Refuses) => {
            restrict(scope, methods.not(), loss);
        }
        (Condition::NotMethods(methods), Effect::Refuses) => restrict(scope, methods, loss),
        (Condition::Methods(methods), Effect::Answers) if methods == options() => {
            phase.has_preflight = true;
            let headers = directive
                .block
                .iter()
                .filter(|one| one.name() == "add_header");
            let headers = headers.map(|one| (one.first().to_owned(), one.second().to_owned()));
            phase.preflight.extend(headers);
        }
        (Condition::ClearText, Effect::ToHttps) => {
            phase.clear_text = Some(ClearText::Redirected);
        }
        (Condition::ClearText, Effect::Refuses) => {
            phase.clear_text = Some(ClearText::Refused);
            phase.carried.push(loss);
        }
        (Condition::HostIsNot(host), Effect::Refuses) => match &phase.only_host {
            Some((other, _)) if *other != host => phase.losses.push(loss),
            _ => phase.only_host = Some((host, loss)),
        },
        (Condition::HostIs(host), Effect::Refuses) => phase.refused_hosts.push((host, loss)),
        (Condition::Empty(variable), Effect::Refuses) => {
            let name = variable.trim_start_matches('$').to_owned();
            let is_by_host = maps
                .get(&name)
                .is_some_and(|map| map.is_by_host() && map.is_empty_by_default());
            if is_by_host {
                phase.needed.push((name, loss));
                let text = "`if` is not carried over: it is not needed, because hosts without an entry in the map have no route";
                notes.add(directive, text);
            } else {
                phase.losses.push(loss);
            }
        }
        (Condition::HostMatches(pattern), Effect::Sets) => capture(scope, directive, &pattern),
        (_, Effect::Sets) => {
            for one in &directive.block {
                let name = one.first().trim_start_matches('$').to_owned();
                scope.variables.insert(name, Value::Unknown);
            }
        }
        (Condition::HostIs(host), Effect::ToHttps) => phase.to_https.push(host),
        (_, Effect::ToHttps)
        | (
            Condition::HostIs(_)
            | Condition::HostIsNot(_)
            | Condition::HostMatches(_)
            | Condition::ClearText,
            Effect::Redirects,
        ) => notes.add(
            directive,
            "a redirect of some requests only is not carried over",
        ),
        (Condition::Other(variable), Effect::Redirects)
            if matches!(variable.as_str(), "$request_uri" | "$uri" | "$document_uri") =>
        {
            notes.add(
                directive,
                "a redirect of some paths only is not carried over",
            );
        }
        (_, Effect::Other) => others(scope, &directive.block, notes),
        (_, Effect::Refuses | Effect::Redirects | Effect::Answers | Effect::Rewrites) => {
            phase.losses.push(loss);
        }
    }
}

fn options() -> Methods {
    Methods::that(|name| name == "OPTIONS")
}

/// Limits `scope` to `methods`. If no method is left, `scope` refuses every request.
fn restrict(scope: &mut Scope, methods: Methods, loss: Rc<Loss>) {
    let left = scope.phase.methods.unwrap_or(Methods::ALL).and(methods);
    if left.is_empty() {
        scope.phase.end = Some(End::Refusal(loss));
        return;
    }
    scope.phase.methods = Some(left);
    scope.phase.carried.push(loss);
}

fn effect(block: &[Directive]) -> Effect {
    for one in block {
        match one.name() {
            "return" => {
                return match one.first().parse::<u16>() {
                    Ok(400..) => Effect::Refuses,
                    Ok(200..=299) => Effect::Answers,
                    _ if is_https_redirect(one) => Effect::ToHttps,
                    _ => Effect::Redirects,
                };
            }
            "rewrite" if is_https_redirect(one) => return Effect::ToHttps,
            "rewrite" if is_redirecting_rewrite(one) => return Effect::Redirects,
            "rewrite" => return Effect::Rewrites,
            _ => {}
        }
    }
    let sets = block
        .iter()
        .all(|one| matches!(one.name(), "set" | "break"));
    if sets && !block.is_empty() {
        Effect::Sets
    } else {
        Effect::Other
    }
}

/// Adds to `scope` the content of an `if` with the effect [`Effect::Other`]: the variables that it sets become
/// unknown, and other directives are left out, with a note where one is needed.
fn others(scope: &mut Scope, block: &[Directive], notes: &mut Notes) {
    for one in block {
        match one.name() {
            "set" => {
                let name = one.first().trim_start_matches('$').to_owned();
                scope.variables.insert(name, Value::Unknown);
            }
            "proxy_pass" => {
                notes.add(one, "`proxy_pass` inside `if` is not carried over");
            }
            _ => scope.leave_out(one, notes),
        }
    }
}

/// Adds the variables that the `if` sets to parts of the host. `pattern` is the regular expression that captures
/// these parts.
fn capture(scope: &mut Scope, directive: &Directive, pattern: &str) {
    let mut names = ServerNames::default();
    let is_known = names.add_pattern(pattern);
    for one in directive.block.iter().filter(|one| one.name() == "set") {
        let name = one.first().trim_start_matches('$').to_owned();
        let captured = one.second().trim_start_matches('$').replace(['{', '}'], "");
        let map = names.maps.iter().find(|(name, _)| *name == captured);
        let value = names.variables.get(&captured);
        match (map, value) {
            (Some((_, map)), _) if is_known => {
                scope.maps.insert(name, map.clone());
            }
            (None, Some(value)) if is_known => {
                scope.variables.insert(name, value.clone());
            }
            _ => {
                scope.variables.insert(name, Value::Unknown);
            }
        }
    }
    // A named group of the expression is a variable even without `set`.
    scope.variables.extend(names.variables);
    scope.maps.extend(names.maps);
    scope.captured_hosts = names.hosts;
}

/// Returns the loss for an `if`. The value with which the variable is compared may be secret, so only the
/// variable is named.
fn loss(directive: &Directive, condition: &Condition, effect: Effect) -> Loss {
    let variable = match condition {
        Condition::Methods(_) | Condition::NotMethods(_) => "$request_method",
        Condition::InvalidReferer => "$invalid_referer",
        Condition::ClearText => "$scheme",
        Condition::HostIs(_) | Condition::HostIsNot(_) | Condition::HostMatches(_) => "$host",
        Condition::Empty(variable) | Condition::Other(variable) => variable,
    };
    let status = directive
        .block
        .iter()
        .find(|one| one.name() == "return")
        .and_then(|one| one.first().parse::<u16>().ok());
    let name = match status {
        Some(status) => format!("if ({variable} ...) return {status}"),
        None => format!("if ({variable} ...)"),
    };
    let refused = match effect {
        Effect::Refuses => "the requests that this condition selects",
        Effect::ToHttps | Effect::Redirects | Effect::Answers => {
            "to serve the requests that this condition selects: they get another response"
        }
        Effect::Rewrites | Effect::Sets | Effect::Other => {
            "to serve what the requests of this condition name: they get other objects"
        }
    };
    Loss::named(directive, &name, refused, REMEDY)
}
