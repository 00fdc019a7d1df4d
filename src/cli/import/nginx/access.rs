//! `allow` and `deny`: rules about the client's address. nginx uses the first rule that matches.

use std::net::IpAddr;
use std::rc::Rc;

use ipnet::IpNet;

use crate::cli::import::nginx::loss::Loss;
use crate::cli::import::nginx::syntax::Directive;
use crate::cli::import::toml_text::list;

/// The `allow` and `deny` rules of a block.
#[derive(Clone, Debug, Default)]
pub(super) struct Access(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    is_allow: bool,
    is_for_all: bool,
    /// The network. `None` for `all`, for `unix:`, for a text that is not a network, and for an IPv4 address in
    /// the notation of IPv6.
    network: Option<IpNet>,
    loss: Rc<Loss>,
}

/// The requests that the rules refuse.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Nothing,
    /// Every request.
    Everything(Rc<Loss>),
    /// The requests from some addresses. The losses are those of all rules that can match.
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
            network: network(directive.first()),
            loss: Rc::new(Loss::new(directive, refused, remedy)),
        });
    }

    /// Returns the rules that can match: those up to the first one for all addresses.
    fn counted(&self) -> &[Rule] {
        match self.0.iter().position(|rule| rule.is_for_all) {
            Some(end) => self.0.get(..=end).unwrap_or_default(),
            None => &self.0,
        }
    }

    /// Returns the keys of the table `ip` that refuses the same addresses. `None` if there is no such table.
    ///
    /// In nginx, the first rule that matches decides. In the table, `deny` decides before `allow`. So there is no
    /// table if a `deny` contains a network of an earlier `allow`. A `deny` inside an earlier `allow` has no
    /// effect and is left out.
    pub(super) fn keys(&self) -> Option<String> {
        /// The maximum number of rules. Each `deny` is compared with each `allow`, so a longer list would be
        /// slow; it belongs in a file of networks.
        const MOST: usize = 2000;
        let counted = self.counted();
        if counted.len() > MOST {
            return None;
        }
        let refuses_others = counted
            .last()
            .is_some_and(|last| last.is_for_all && !last.is_allow);
        let (mut allow, mut deny): (Vec<IpNet>, Vec<IpNet>) = (Vec::new(), Vec::new());
        for rule in counted.iter().filter(|rule| !rule.is_for_all) {
            let network = rule.network?;
            if rule.is_allow {
                allow.push(network);
            } else if allow.iter().any(|one| one.contains(&network)) {
                // The earlier `allow` decides for all addresses of this rule.
            } else if allow.iter().any(|one| network.contains(one)) {
                return None;
            } else {
                deny.push(network);
            }
        }
        if refuses_others {
            // The table refuses all addresses outside `allow`, so it needs no `deny` for them.
            deny.retain(|one| {
                allow
                    .iter()
                    .any(|allowed| allowed.contains(one) || one.contains(allowed))
            });
        } else {
            allow.clear();
        }
        let mut keys = Vec::new();
        for (key, networks) in [("allow", allow), ("deny", deny)] {
            let mut texts: Vec<String> = Vec::with_capacity(networks.len());
            for network in networks {
                let is_one = network.prefix_len() == network.max_prefix_len();
                let text = if is_one {
                    network.addr().to_string()
                } else {
                    network.to_string()
                };
                texts.push(text);
            }
            if !texts.is_empty() {
                keys.push(format!(
                    "{key} = {}",
                    list(texts.iter().map(String::as_str))
                ));
            }
        }
        (!keys.is_empty()).then(|| keys.join(", "))
    }

    /// Returns what the rules refuse.
    pub(super) fn refused(&self) -> Refused {
        let counted = self.counted();
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

/// Parses the argument of `allow` or `deny`. `None` means that it is not an address or a network, or that it is
/// an IPv4 address in the notation of IPv6. nginx and the config compare such an address in different ways.
fn network(text: &str) -> Option<IpNet> {
    let network = match text.parse::<IpNet>() {
        Ok(network) => network.trunc(),
        Err(_) => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    match network {
        IpNet::V6(network) if network.addr().to_ipv4_mapped().is_some() => None,
        network => Some(network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(rules: &str) -> Access {
        let mut access = Access::default();
        for rule in rules.split(';').filter(|rule| !rule.is_empty()) {
            access.add(&Directive {
                words: rule.split(' ').map(str::to_owned).collect(),
                ..Directive::default()
            });
        }
        access
    }

    #[test]
    fn a_list_has_keys_if_the_order_of_its_rules_makes_no_difference() {
        for (rules, expected) in [
            (
                "allow 10.0.0.0/8;allow ::1;deny all",
                Some("allow = [\"10.0.0.0/8\", \"::1\"]"),
            ),
            (
                "allow 10.1.2.3/8;deny all",
                Some("allow = [\"10.0.0.0/8\"]"),
            ),
            (
                "allow 10.1.2.3/32;deny all;allow all",
                Some("allow = [\"10.1.2.3\"]"),
            ),
            ("deny 10.0.0.1", Some("deny = [\"10.0.0.1\"]")),
            (
                "deny 10.0.0.1;deny 2001:db8::/32;allow all",
                Some("deny = [\"10.0.0.1\", \"2001:db8::/32\"]"),
            ),
            (
                "deny 10.0.0.1;allow 10.0.0.0/8;deny all",
                Some("allow = [\"10.0.0.0/8\"], deny = [\"10.0.0.1\"]"),
            ),
            (
                "allow 10.0.0.0/8;deny 10.0.0.1;deny all",
                Some("allow = [\"10.0.0.0/8\"]"),
            ),
            (
                "deny 192.0.2.0/24;allow 10.0.0.0/8;deny all",
                Some("allow = [\"10.0.0.0/8\"]"),
            ),
            (
                "allow 192.0.2.1;deny 10.0.0.0/8",
                Some("deny = [\"10.0.0.0/8\"]"),
            ),
            ("allow 10.0.0.1;deny 10.0.0.0/8", None),
            (
                "allow 10.0.0.1;deny 10.0.0.0/8;allow 10.0.0.0/7;deny all",
                None,
            ),
            ("allow unix:;deny all", None),
            ("deny ::ffff:10.0.0.1", None),
            ("deny example.com", None),
            ("deny all", None),
            ("allow 10.0.0.0/8", None),
        ] {
            assert_eq!(access(rules).keys().as_deref(), expected, "{rules}");
        }
    }

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
            let found = match access(rules).refused() {
                Refused::Nothing => "nothing".to_owned(),
                Refused::Everything(_) => "everything".to_owned(),
                Refused::Some(losses) => losses.len().to_string(),
            };
            assert_eq!(found, expected, "{rules}");
        }
    }
}
