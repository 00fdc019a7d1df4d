//! Resolves an nginx `map` that chooses the target of `proxy_pass` by the host of the request.

use std::collections::{BTreeMap, HashSet};

/// An nginx `map` block.
#[derive(Clone, Debug, Default)]
pub(super) struct Map {
    /// The variable whose value selects the entry.
    pub(super) by: String,
    /// The pairs of key and value, in the order of the file.
    pub(super) values: Vec<(String, String)>,
}

/// The maps by the variables that they set, without `$`.
pub(super) type Maps = BTreeMap<String, Map>;

/// The hosts of a server, and whether nginx uses the server for all other hosts as well.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hosts<'a> {
    /// The hosts. An empty list means every host.
    pub(super) names: &'a [String],
    pub(super) is_default: bool,
}

impl Hosts<'_> {
    /// Returns a function that tells whether requests for a host reach the server.
    fn filter(&self) -> impl Fn(&str) -> bool {
        let takes_all = self.names.is_empty() || self.is_default;
        let names: HashSet<&str> = self.names.iter().map(String::as_str).collect();
        move |host| {
            // A wildcard of nginx stands for one label or more.
            let mut parents = host.match_indices('.').filter_map(|(at, _)| host.get(at..));
            takes_all
                || names.contains(host)
                || parents.any(|parent| names.contains(format!("*{parent}").as_str()))
        }
    }
}

impl Map {
    /// Whether the map chooses by the host.
    pub(super) fn is_by_host(&self) -> bool {
        let by_host = ["$host", "$http_host", "$server_name", "$ssl_server_name"];
        by_host.contains(&self.by.as_str())
    }

    /// Whether the value is empty for hosts without an entry.
    pub(super) fn is_empty_by_default(&self) -> bool {
        let default = self.values.iter().find(|(key, _)| key == "default");
        default.is_none_or(|(_, value)| value.is_empty())
    }

    /// Returns the values of the map, each with its hosts. An empty list of hosts means every other host. Entries
    /// that cannot be imported are reported in `notes`. `name` is the variable that the map sets.
    pub(super) fn by_host(
        &self,
        name: &str,
        hosts: Hosts<'_>,
        notes: &mut Vec<String>,
    ) -> Vec<(Vec<String>, String)> {
        if !self.is_by_host() {
            notes.push(format!(
                "the map of `${name}` is not carried over: routes are not chosen by `{}`",
                self.by
            ));
            return Vec::new();
        }
        let is_of_server = hosts.filter();
        let is_hostnames = |(key, value): &(String, String)| key == "hostnames" && value.is_empty();
        let has_hostnames = self.values.iter().any(is_hostnames);
        let mut named = HashSet::new();
        let mut targets = Vec::new();
        let mut default = None;
        for (key, value) in &self.values {
            if key == "default" {
                default = Some(value);
                continue;
            }
            if key == "hostnames" && value.is_empty() {
                continue;
            }
            if key.starts_with('~') || key == "include" || key.ends_with(".*") {
                notes.push(format!("`{key}` of the map is not carried over"));
                continue;
            }
            // Without `hostnames`, nginx compares the key with the whole host, so a wildcard matches nothing.
            if !has_hostnames && key.starts_with(['.', '*']) {
                notes.push(format!(
                    "`{key}` of the map matches no host without `hostnames`"
                ));
                continue;
            }
            let both = match key.strip_prefix('.') {
                Some(suffix) => vec![suffix.to_owned(), format!("*.{suffix}")],
                None => vec![key.clone()],
            };
            let mut of_entry = Vec::new();
            for host in both {
                if is_of_server(&host) && named.insert(host.clone()) {
                    of_entry.push(host);
                }
            }
            if !value.is_empty() && !of_entry.is_empty() {
                targets.push((of_entry, value.clone()));
            }
        }
        if let Some(value) = default.filter(|value| !value.is_empty()) {
            // The default value is for all hosts of the server that have no entry.
            let rest = hosts.names.iter().filter(|host| !named.contains(*host));
            let rest: Vec<String> = rest.cloned().collect();
            if hosts.names.is_empty() || !rest.is_empty() {
                targets.push((rest, value.clone()));
            }
        }
        targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_hosts() {
        let map = Map {
            by: "$host".to_owned(),
            values: [
                ("hostnames", ""),
                ("default", "d"),
                ("a.cn", "a"),
                (".b.cn", "b"),
                ("x.cn", "x"),
                ("e.cn", ""),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
        };
        let found = |names: &[&str], is_default| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let hosts = Hosts {
                names: &names,
                is_default,
            };
            let targets = map.by_host("v", hosts, &mut Vec::new());
            let shown =
                |(hosts, value): (Vec<String>, String)| format!("{}={value}", hosts.join("+"));
            targets.into_iter().map(shown).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found(&[], true), "a.cn=a b.cn+*.b.cn=b x.cn=x =d");
        assert_eq!(found(&["a.cn", "c.cn", "e.cn"], false), "a.cn=a c.cn=d");
        assert_eq!(found(&["a.cn"], false), "a.cn=a");
        assert_eq!(found(&["*.b.cn"], false), "*.b.cn=b");
    }
}
