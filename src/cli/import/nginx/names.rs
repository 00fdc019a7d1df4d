//! The `server_name` and `listen` directives of an nginx server.

use std::collections::HashSet;

use crate::cli::import::nginx::map::Map;
use crate::cli::import::nginx::pattern::{Piece, alternatives, group, literal};
use crate::cli::import::nginx::syntax::Directive;
use crate::cli::import::nginx::variables::{Value, Variables};
use crate::config::HostPattern;

/// The hosts of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerNames {
    /// The hosts that the server responds to. Empty means every host.
    pub(super) hosts: Vec<String>,
    /// Whether some names are not imported.
    pub(super) lacks_names: bool,
    /// Variables that are captured from the host.
    pub(super) variables: Variables,
    /// Variables that are captured from the host and have one value for each host.
    pub(super) maps: Vec<(String, Map)>,
}

/// Pairs of listener address and server name, in lower case, of the servers that were translated so far.
#[derive(Debug, Default)]
pub(super) struct TakenNames(HashSet<(String, String)>);

impl TakenNames {
    /// Removes from `names` each name that nginx ignores, because earlier servers have the same name on all
    /// `addresses`. These are the listeners of `server`. Returns the notes about the removed names.
    pub(super) fn take_from(
        &mut self,
        names: &mut ServerNames,
        server: &Directive,
        addresses: &[&str],
    ) -> Vec<String> {
        let written = (server.block.iter()).filter(|one| one.name() == "server_name");
        let mut exact = HashSet::new();
        for name in written.flat_map(|one| one.rest()) {
            let name = name.to_ascii_lowercase();
            if let Some(suffix) = name.strip_prefix('.') {
                exact.extend([suffix.to_owned(), format!("*.{suffix}")]);
            } else if !name.starts_with('~') {
                exact.insert(name);
            }
        }
        let (mut kept, mut notes) = (HashSet::new(), Vec::new());
        names.hosts.retain(|host| {
            let name = host.to_ascii_lowercase();
            if !exact.contains(&name) {
                return true;
            }
            let mut is_free = false;
            for address in addresses {
                is_free |= self.0.insert(((*address).to_owned(), name.clone()));
            }
            // A server may repeat its own names.
            let is_kept = is_free || kept.contains(&name);
            if is_kept {
                kept.insert(name);
            } else {
                notes.push(format!(
                    "the name `{host}` is left out: an earlier server has it, and nginx ignores it here"
                ));
            }
            is_kept
        });
        notes
    }
}

impl ServerNames {
    /// Adds the arguments of `server_name`. Names that cannot be imported are reported in `notes`.
    pub(super) fn add(&mut self, words: &[String], notes: &mut Vec<String>) {
        for name in words {
            if name == "_" || name.is_empty() {
                continue;
            }
            let is_known = match (name.strip_prefix('~'), name.strip_prefix('.')) {
                (Some(pattern), _) => self.add_pattern(pattern),
                (None, Some(suffix)) => {
                    let both = [suffix.to_owned(), format!("*.{suffix}")];
                    let is_known = both.iter().all(|host| HostPattern::parse(host).is_ok());
                    is_known.then(|| self.hosts.extend(both)).is_some()
                }
                (None, None) => {
                    let is_known = HostPattern::parse(name).is_ok();
                    is_known.then(|| self.hosts.push(name.clone())).is_some()
                }
            };
            if !is_known {
                self.lacks_names = true;
                notes.push(format!(
                    "the name `{name}` is not carried over: only exact names, `*.suffix` and regular expressions that say the same are possible"
                ));
            }
        }
    }

    /// Adds the hosts of the regular expression `pattern`, and the variables that it captures. Returns whether
    /// the expression is of a known form: a fixed host, or a fixed suffix after alternatives or after any label.
    pub(super) fn add_pattern(&mut self, pattern: &str) -> bool {
        let inside = pattern
            .strip_prefix('^')
            .and_then(|pattern| pattern.strip_suffix('$'));
        let Some(inside) = inside else {
            return false;
        };
        if let Some(host) = literal(inside) {
            let is_known = HostPattern::parse(&host).is_ok();
            return is_known.then(|| self.hosts.push(host)).is_some();
        }
        let Some((group, suffix)) = group(inside)
            .and_then(|group| Some((literal(group.after)?, group)).map(|(a, b)| (b, a)))
        else {
            return false;
        };
        let (Some(pieces), Some(suffix)) = (alternatives(group.inside), suffix.strip_prefix('.'))
        else {
            return false;
        };
        // `$1` stands for the group, even if the group has a name.
        let names = [group.name, group.captures.then_some("1")];
        let names = names.into_iter().flatten().map(str::to_owned);
        let texts: Option<Vec<String>> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => Some(text.to_ascii_lowercase()),
                Piece::Any(..) => None,
            })
            .collect();
        if let Some(texts) = texts {
            let hosts: Vec<String> = texts
                .iter()
                .map(|text| format!("{text}.{suffix}"))
                .collect();
            if !hosts.iter().all(|host| HostPattern::parse(host).is_ok()) {
                return false;
            }
            self.hosts.extend(hosts.iter().cloned());
            for name in names {
                let values = hosts.iter().cloned().zip(texts.iter().cloned());
                let map = Map {
                    by: "$host".to_owned(),
                    values: values.collect(),
                };
                self.maps.push((name, map));
            }
            return true;
        }
        let host = format!("*.{suffix}");
        if HostPattern::parse(&host).is_err() {
            return false;
        }
        let patterns = label_patterns(&pieces);
        // The host pattern `*.suffix` matches every label. If the group captures, the patterns of bucket names
        // limit the label. Otherwise nothing limits it, so the expression must match every label as well.
        if !group.captures && !patterns.is_empty() {
            return false;
        }
        self.hosts.push(host);
        for name in names {
            self.variables.insert(name, Value::Label(patterns.clone()));
        }
        true
    }
}

/// Returns the patterns of bucket names for alternatives. An empty list means any name.
pub(super) fn label_patterns(pieces: &[Piece]) -> Vec<String> {
    let mut patterns = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => patterns.push(text.clone()),
            Piece::Any(before, after) if before.is_empty() && after.is_empty() => {
                return Vec::new();
            }
            Piece::Any(before, after) => patterns.push(format!("{before}*{after}")),
        }
    }
    patterns
}

/// Converts the first argument of `listen` to the address of a listener.
pub(super) fn listen_address(text: &str) -> String {
    if text.starts_with("unix:") {
        text.to_owned()
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("0.0.0.0:{text}")
    } else if text.starts_with('[') && text.ends_with(']') {
        format!("{text}:80")
    } else {
        let text = text.replace("localhost", "127.0.0.1");
        match text.strip_prefix("*:") {
            Some(port) => format!("0.0.0.0:{port}"),
            None if text.contains(':') => text,
            None => format!("{text}:80"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_hosts_and_captures() {
        for (name, hosts, captured) in [
            ("a.cn", "a.cn", ""),
            (".a.cn", "a.cn *.a.cn", ""),
            ("~^(?<b>.+)\\.oss\\.a\\.cn$", "*.oss.a.cn", "b"),
            ("~^(?<b>team-[a-z0-9-]+)\\.a\\.cn$", "*.a.cn", "b"),
            ("~^(?<b>x|y)\\.a\\.cn$", "x.a.cn y.a.cn", "b"),
            ("~^(.+)\\.a\\.cn$", "*.a.cn", "1"),
            ("~^www\\.a\\.cn$", "www.a.cn", ""),
            ("~^(?:www|m)\\.a\\.cn$", "www.a.cn m.a.cn", ""),
            ("~^a", "", ""),
            ("~^(?<b>.+)\\.(cn|com)$", "", ""),
            ("a.*", "", ""),
            ("a b", "", ""),
        ] {
            let (mut names, mut notes) = (ServerNames::default(), Vec::new());
            names.add(&[name.to_owned()], &mut notes);
            assert_eq!(names.hosts.join(" "), hosts, "{name}");
            assert_eq!(names.lacks_names, hosts.is_empty(), "{name}");
            let has = names.variables.contains_key(captured)
                || names.maps.iter().any(|(name, _)| name == captured);
            assert_eq!(has, !captured.is_empty(), "{name}");
        }
    }
}
