//! Locations that have no route, for example because nginx responds by itself or proxies to another server.
//!
//! In the config, a route with a shorter path serves the objects of the bucket at the path of such a location,
//! although nginx did not. This is reported as a loss. It is no loss if the location proxies to the same objects as
//! all other prefix locations of the server.

use std::rc::Rc;

use crate::cli::import::nginx::enter::Level;
use crate::cli::import::nginx::loss::Loss;
use crate::cli::import::nginx::map::Maps;
use crate::cli::import::nginx::matches::Match;
use crate::cli::import::nginx::notes::Notes;
use crate::cli::import::nginx::scope::Scope;
use crate::cli::import::nginx::syntax::Directive;
use crate::cli::import::nginx::variables::{Part, Url};

/// The prefix of the paths at which certificate authorities look for proofs.
pub(super) const CHALLENGES: &str = "/.well-known/acme-challenge";

const REMEDY: &str = "keep such objects in another bucket, or remove the location from the file if the bucket has none at its path";

/// Returns the loss of a location that has no route.
pub(super) fn loss(location: &Directive, label: &str, scope: &Scope) -> Rc<Loss> {
    let proxies = location.block.iter().any(|one| one.name() == "proxy_pass");
    let refused = if proxies && scope.phase.end.is_none() {
        format!("to serve objects of this bucket for `location {label}`: it requests other objects")
    } else {
        format!("to serve objects of this bucket for `location {label}`: it responds by itself")
    };
    Rc::new(Loss::new(location, &refused, REMEDY))
}

/// Whether the location is for a file of nginx: an error document, or a proof for a certificate authority. The
/// bucket has no secret at such a path.
pub(super) fn is_own_file(matches: &Match, location: &Directive, server: &Directive) -> bool {
    if location.block.iter().any(|one| one.name() == "proxy_pass") {
        return false;
    }
    match matches {
        Match::Exact(path) => {
            let mut pages = server.block.iter();
            pages.any(|one| one.name() == "error_page" && one.rest().last() == Some(path))
        }
        Match::Prefix(path) => path.trim_end_matches('/') == CHALLENGES,
        Match::Regex(..) | Match::Named => false,
    }
}

/// Whether the location uses a numbered capture, such as `$1`, that a later regular expression may have replaced.
pub(super) fn has_replaced_capture(
    matches: &Match,
    location: &Directive,
    server: &Directive,
) -> bool {
    let block = &server.block;
    let uses = location.block.iter().any(uses_capture)
        || block
            .iter()
            .any(|one| one.name() == "set" && uses_capture(one));
    if !uses {
        return false;
    }
    let captures_host = block.iter().any(|one| {
        one.name() == "server_name" && one.rest().iter().any(|name| name.starts_with('~'))
    });
    let is_regex = matches!(matches, Match::Regex(..));
    let of_location = location.block.iter().any(has_pattern_condition);
    (is_regex && of_location)
        || (captures_host
            && (is_regex
                || of_location
                || location.block.iter().any(|one| one.name() == "rewrite")
                || block.iter().any(has_pattern_condition)
                || block.iter().any(|one| one.name() == "rewrite")))
}

fn uses_capture(directive: &Directive) -> bool {
    let has_number = |word: &String| {
        let mut after = word.split('$').skip(1);
        after.any(|text| {
            text.trim_start_matches('{')
                .starts_with(|first: char| first.is_ascii_digit())
        })
    };
    matches!(directive.name(), "proxy_pass" | "set" | "proxy_set_header")
        && directive.rest().iter().any(has_number)
}

/// Whether the directive is an `if` with a regular expression.
fn has_pattern_condition(directive: &Directive) -> bool {
    let is_operator = |word: &String| matches!(word.as_str(), "~" | "~*" | "!~" | "!~*");
    directive.name() == "if" && directive.rest().iter().any(is_operator)
}

/// The objects that a location serves, given by the host of `proxy_pass` and by the value of `Host`. The keys of
/// the objects are the paths of the requests.
type Target = (Vec<Part>, Option<String>);

fn target(pass: &Directive, scope: &Scope) -> Option<Target> {
    let url = Url::parse(pass.first(), &scope.variables)?;
    let keeps_path = matches!(url.uri.as_str(), "" | "$request_uri");
    let is_plain = keeps_path && scope.phase.rewrites.is_empty();
    is_plain.then(|| (url.host, scope.host.clone()))
}

/// What the prefix locations of a server have in common.
#[derive(Debug, Default)]
pub(super) struct Common {
    /// The objects that all prefix locations serve. `None` means that the objects differ or are not known, or
    /// that there are no such locations.
    target: Option<Target>,
    /// The refusals of the location `/`. `None` means that no location `/` proxies.
    refused: Option<Vec<Rc<Loss>>>,
}

impl Common {
    pub(super) fn of(server: &Directive, around: &Scope, maps: &Maps) -> Self {
        let mut common = Self::default();
        let mut targets: Vec<Option<Target>> = Vec::new();
        for location in server.block.iter().filter(|one| one.name() == "location") {
            let Match::Prefix(path) = Match::parse(location.rest()) else {
                continue;
            };
            // These notes are dropped: the translation of the location makes them again.
            let mut notes = Notes::default();
            let scope = around.enter(&location.block, Level::Location, maps, &mut notes);
            let pass = location.block.iter().find(|one| one.name() == "proxy_pass");
            let Some(pass) = pass.filter(|_| scope.phase.end.is_none()) else {
                continue;
            };
            if path == "/" {
                common.refused = Some([scope.losses(), scope.carried()].concat());
            }
            targets.push(target(pass, &scope));
        }
        let first = targets.first().cloned().flatten();
        common.target = first.filter(|first| targets.iter().all(|one| one.as_ref() == Some(first)));
        common
    }

    /// Compares a location that has no route with the prefix locations.
    pub(super) fn likeness(&self, pass: &Directive, scope: &Scope) -> Likeness {
        let own = target(pass, scope);
        if own.is_none() || own != self.target {
            return Likeness::None;
        }
        let refused = [scope.losses(), scope.carried()].concat();
        if self.refused == Some(refused) {
            Likeness::Rules
        } else {
            Likeness::Objects
        }
    }
}

/// What a location has in common with the prefix locations of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// The location serves other objects.
    None,
    /// The location serves the same objects.
    Objects,
    /// The location serves the same objects, and refuses the same requests as the location `/`.
    Rules,
}
