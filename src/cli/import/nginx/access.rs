//! `allow` and `deny`: rules about the client's address. nginx uses the first rule that matches.

use std::rc::Rc;

use crate::cli::import::nginx::loss::Loss;
use crate::cli::import::nginx::syntax::Directive;

/// The rules of a block.
#[derive(Clone, Debug, Default)]
pub(super) struct Access(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    is_allow: bool,
    is_for_all: bool,
    loss: Rc<Loss>,
}

/// The requests that the rules refuse.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Nothing,
    /// Every request.
    Everything(Rc<Loss>),
    /// The requests of some addresses.
    Some(Vec<Rc<Loss>>),
}

impl Access {
    /// Adds an `allow` or a `deny`.
    pub(super) fn add(&mut self, directive: &Directive) {
        let is_allow = directive.name() == "allow";
        let is_for_all = directive.first() == "all";
        let refused = match (is_allow, is_for_all) {
            (false, true) => "clients of all addresses that no `allow` names",
            (false, false) => "clients of these addresses",
            (true, _) => "clients of other addresses, together with `deny`",
        };
        let remedy = "allow the same addresses in the security group or in a bucket policy";
        self.0.push(Rule {
            is_allow,
            is_for_all,
            loss: Rc::new(Loss::new(directive, refused, remedy)),
        });
    }

    /// Returns what the rules refuse.
    pub(super) fn refused(&self) -> Refused {
        let end = self.0.iter().position(|rule| rule.is_for_all);
        let counted = match end {
            Some(end) => self.0.get(..=end).unwrap_or_default(),
            None => &self.0,
        };
        let denies = counted.iter().any(|rule| !rule.is_allow);
        match counted.first() {
            Some(first) if !first.is_allow && first.is_for_all => {
                Refused::Everything(Rc::clone(&first.loss))
            }
            _ if denies => {
                Refused::Some(counted.iter().map(|rule| Rc::clone(&rule.loss)).collect())
            }
            _ => Refused::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_matches_decides() {
        for (rules, expected) in [
            ("", "nothing"),
            ("allow 10.0.0.0/8", "nothing"),
            ("allow all;deny 10.0.0.1", "nothing"),
            ("deny all", "everything"),
            ("deny all;allow 10.0.0.1", "everything"),
            ("allow 10.0.0.1;deny all", "2"),
            ("deny 10.0.0.1;allow all", "2"),
            ("deny 10.0.0.1", "1"),
        ] {
            let mut access = Access::default();
            for rule in rules.split(';').filter(|rule| !rule.is_empty()) {
                access.add(&Directive {
                    words: rule.split(' ').map(str::to_owned).collect(),
                    ..Directive::default()
                });
            }
            let found = match access.refused() {
                Refused::Nothing => "nothing".to_owned(),
                Refused::Everything(_) => "everything".to_owned(),
                Refused::Some(losses) => losses.len().to_string(),
            };
            assert_eq!(found, expected, "{rules}");
        }
    }
}
