//! What a `map` makes of a host.

use std::collections::BTreeMap;

/// A `map`: by which variable, and its values.
pub(super) struct Map {
    pub(super) by: String,
    pub(super) values: Vec<(String, String)>,
}

/// Hosts and targets of `proxy_pass text`: several where one of `maps`, by the variable it makes,
/// chooses. `hosts` are the server's.
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
        notes.push(format!("the variable `{name}` is not known here"));
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
            // What the server is for besides.
            ("default", _) => hosts.to_vec(),
            (_, Some(suffix)) => vec![suffix.to_owned(), format!("*.{suffix}")],
            _ => vec![host.clone()],
        };
        targets.push((hosts, format!("{before}{value}{after}")));
    }
    targets
}
