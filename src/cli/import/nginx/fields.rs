//! Translates header fields that nginx changes to the tables `[[route.headers]]` and `[route.origin.headers]`.
//!
//! The config loader decides which fields a table may have, so each field is tried in a small config. A field
//! that the loader refuses is not imported, and a note gives the reason.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::cli::import::nginx::changed::Changed;
use crate::cli::import::nginx::notes::Notes;
use crate::cli::import::nginx::rules::is_of_download;
use crate::cli::import::nginx::scope::Scope;
use crate::cli::import::toml_text::{list, quoted};
use crate::config;

/// The results of [`Trials::refusal`], by its argument `keys`. They are kept because many locations set the same
/// fields.
#[derive(Debug, Default)]
pub(super) struct Trials(HashMap<String, Option<String>>);

impl Trials {
    /// Returns the reason why a route cannot have the header fields in `keys`. `None` means that it can have
    /// them.
    fn refusal(&mut self, keys: &str) -> Option<String> {
        if let Some(known) = self.0.get(keys) {
            return known.clone();
        }
        let text = format!("[[listener]]\naddress = \"127.0.0.1:80\"\n[[route]]\n{keys}\n");
        let loaded = config::from_str("imported", &text, Path::new("/"), &|_| None);
        let reason = loaded.err().and_then(|problems| {
            let mut errors = problems.errors();
            let of_fields = errors.find(|one| one.path.contains("headers"));
            // A message may begin with the value of the field. The value may be secret, so it is removed.
            of_fields.map(|one| {
                let rest = one.message.strip_prefix('`');
                let rest = rest.and_then(|rest| rest.split_once("` "));
                rest.map_or(one.message.as_str(), |(_, reason)| reason)
                    .to_owned()
            })
        });
        self.0.insert(keys.to_owned(), reason.clone());
        reason
    }

    fn response_refusal(&mut self, cors: Option<&str>, keys: &str) -> Option<String> {
        let cors = cors.map(|keys| format!("cors = {{ {keys} }}\n"));
        self.refusal(&format!(
            "origin = {{ bucket = \"bucket\", region = \"cn-hangzhou\" }}\n{}headers = [{{ {keys} }}]",
            cors.unwrap_or_default()
        ))
    }

    fn request_refusal(&mut self, keys: &str) -> Option<String> {
        self.refusal(&format!(
            "origin = {{ bucket = \"bucket\", region = \"cn-hangzhou\", headers = {{ {keys} }} }}"
        ))
    }
}

/// Returns the name of a header field as a TOML key.
fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !name.is_empty() && name.bytes().all(is_bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// Returns an entry of a TOML table.
fn entry(name: &str, value: &str) -> String {
    format!("{} = {}", key(name), quoted(value))
}

/// The content of one `[[route.headers]]`.
#[derive(Default)]
struct Rule {
    /// The names of the fields in `set` and `add`, in lower case.
    names: HashSet<String>,
    set: Vec<String>,
    add: Vec<String>,
    remove: Vec<String>,
}

impl Rule {
    fn keys(&self) -> Option<String> {
        let mut keys = Vec::new();
        for (key, fields) in [("set", &self.set), ("add", &self.add)] {
            if !fields.is_empty() {
                keys.push(format!("{key} = {{ {} }}", fields.join(", ")));
            }
        }
        if !self.remove.is_empty() {
            let names = list(self.remove.iter().map(String::as_str));
            keys.push(format!("remove = {names}"));
        }
        (!keys.is_empty()).then(|| keys.join(", "))
    }
}

/// Returns the keys of each `[[route.headers]]` of a block. `cors` has the keys of the table `cors` of the same
/// route. Fields that cannot be imported are reported in `notes`.
pub(super) fn response_rules(
    scope: &Scope,
    cors: Option<&str>,
    trials: &mut Trials,
    notes: &mut Notes,
) -> Vec<String> {
    let mut rules = vec![Rule::default()];
    let all = scope.replaced.iter().chain(&scope.expires);
    let all = all.chain(scope.headers.iter().filter(|one| !one.is_of_cors()));
    let all: Vec<&Changed> = all.collect();
    let written: HashSet<String> = all
        .iter()
        .filter(|one| !one.value.is_empty() && !one.value.contains('$'))
        .map(|one| one.name.to_ascii_lowercase())
        .collect();
    let mut hidden = HashSet::new();
    for (name, directive) in &scope.hidden {
        if is_of_download(name) {
            continue;
        }
        let keys = format!("remove = {}", list([name.as_str()]));
        match trials.response_refusal(cors, &keys) {
            Some(reason) => {
                let text =
                    format!("`proxy_hide_header {name}` is not carried over: the field {reason}");
                notes.add(directive, &text);
            }
            None if hidden.insert(name.clone()) && !written.contains(name) => {
                if let Some(rule) = rules.first_mut() {
                    rule.remove.push(name.clone());
                }
            }
            None => {}
        }
    }
    for one in all {
        let name = one.name.to_ascii_lowercase();
        // nginx adds no field with an empty value.
        if one.is_added && one.value.is_empty() {
            continue;
        }
        if one.value.contains('$') {
            one.note(notes, "its value has a variable");
            continue;
        }
        if one.is_of_cors() {
            one.note(notes, "only `add_header` is read for these fields");
            continue;
        }
        if one.value.is_empty() {
            let keys = format!("remove = {}", list([name.as_str()]));
            match trials.response_refusal(cors, &keys) {
                Some(reason) => one.note(notes, &format!("the field {reason}")),
                None if !written.contains(&name) && hidden.insert(name.clone()) => {
                    if let Some(rule) = rules.first_mut() {
                        rule.remove.push(name);
                    }
                }
                None => {}
            }
            continue;
        }
        let entry = entry(&one.name, &one.value);
        let is_allowed = |trials: &mut Trials, key: &str| {
            trials.response_refusal(cors, &format!("{key} = {{ {entry} }}"))
        };
        let adds = one.is_added && !hidden.contains(&name) && is_allowed(trials, "add").is_none();
        if !adds && let Some(reason) = is_allowed(trials, "set") {
            one.note(notes, &format!("the field {reason}"));
            continue;
        }
        // A TOML table has each key once, so a second field of the same name goes into another rule.
        let at = rules
            .iter()
            .position(|rule| !rule.names.contains(&name))
            .unwrap_or(rules.len());
        if at == rules.len() {
            rules.push(Rule::default());
        }
        let Some(rule) = rules.get_mut(at) else {
            continue;
        };
        rule.names.insert(name.clone());
        if adds {
            rule.add.push(entry);
        } else {
            rule.set.push(entry);
            // This field replaces the one that OSS sends, so further fields of the same name can be added to it.
            hidden.remove(&name);
        }
        let is_for_all = one
            .directive
            .words
            .last()
            .is_some_and(|last| last == "always");
        if one.is_added && !is_for_all && name != "cache-control" {
            let text = format!(
                "`add_header {}` has no `always`: ossgate sets the field on responses with any status",
                one.name
            );
            notes.add(&one.directive, &text);
        }
    }
    rules.iter().filter_map(Rule::keys).collect()
}

/// Returns the keys of `headers` of an origin. `None` means that nginx changes no field that can be imported.
/// Fields that cannot be imported are reported in `notes`.
pub(super) fn request_fields(
    scope: &Scope,
    trials: &mut Trials,
    notes: &mut Notes,
) -> Option<String> {
    let (mut set, mut remove) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    // nginx sends one field for each directive, even if the names are equal. The config sets a name once, so the
    // last directive counts.
    for one in scope.request_fields.iter().rev() {
        let name = one.name.to_ascii_lowercase();
        let entry = entry(&one.name, &one.value);
        let keys = if one.value.is_empty() {
            format!("remove = {}", list([name.as_str()]))
        } else {
            format!("set = {{ {entry} }}")
        };
        if let Some(reason) = trials.request_refusal(&keys) {
            one.note(notes, &format!("the field {reason}"));
        } else if !seen.insert(name.clone()) {
            one.note(notes, "the same field is set again");
        } else if one.value.is_empty() {
            remove.push(name);
        } else {
            set.push(entry);
        }
    }
    set.reverse();
    remove.reverse();
    let rule = Rule {
        set,
        remove,
        ..Rule::default()
    };
    rule.keys()
}
