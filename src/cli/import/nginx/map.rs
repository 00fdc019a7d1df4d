//! Resolves an nginx `map` that chooses the target of `proxy_pass` by the host of the request.

use std::collections::BTreeMap;

/// An nginx `map` block.
pub(super) struct Map {
    /// The variable whose value selects the entry.
    pub(super) by: String,
    /// The pairs of key and value, in the order of the file.
    pub(super) values: Vec<(String, String)>,
}

/// Returns the targets of a `proxy_pass`, each with its hosts. `text` is the argument of the `proxy_pass`. If
/// it contains a variable that a map sets, there is one target for each entry of this map. `maps` has each
/// map by the name of its variable. `hosts` are the hosts of the server. Entries that cannot be imported are
/// reported in `notes`.
pub(super) fn targets(
    maps: &BTreeMap<String, Map>,
    text: &str,
    hosts: &[String],
    notes: &mut Vec<String>,
) -> Vec<(Vec<String>, String)> {
    let Some((before, variable)) = text.find('$').and_then(|at| text.split_at_checked(at)) else {
        return vec![(hosts.to_vec(), text.to_owned())];
    };
    let name_end = variable
        .find(|character: char| !matches!(character, '$' | '_' | 'a'..='z' | 'A'..='Z' | '0'..='9'))
        .unwrap_or(variable.len());
    let (name, after) = variable
        .split_at_checked(name_end)
        .unwrap_or((variable, ""));
    let after = if after.contains('$') { "" } else { after };
    let Some(map) = maps.get(name) else {
        notes.push(format!(
            "the variable `{name}` is not defined in these files"
        ));
        return Vec::new();
    };
    let by_host = ["$host", "$http_host", "$server_name", "$ssl_server_name"];
    if !by_host.contains(&map.by.as_str()) {
        notes.push(format!(
            "the map of `{name}` is not carried over: routes are not chosen by `{}`",
            map.by
        ));
        return Vec::new();
    }
    let mut targets = Vec::new();
    for (host, value) in &map.values {
        if value.is_empty() {
            continue;
        }
        if host.starts_with('~') || host == "hostnames" {
            notes.push(format!("`{host}` of the map is not carried over"));
            continue;
        }
        let hosts = match (host.as_str(), host.strip_prefix('.')) {
            // The default value applies to all hosts of the server that have no entry.
            ("default", _) => hosts.to_vec(),
            (_, Some(suffix)) => vec![suffix.to_owned(), format!("*.{suffix}")],
            _ => vec![host.clone()],
        };
        targets.push((hosts, format!("{before}{value}{after}")));
    }
    targets
}
