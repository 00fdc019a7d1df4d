//! The description of all keys, compared with the config in effect, `reference.toml` and the schema.
//!
//! Rows: the default of each key; each key in the reference with its default and a comment; each key in the
//! schema, and no other.

use std::collections::HashSet;

use ossgate::config::schema::json_schema;
use ossgate::config::spec::{Key, Kind, Presence, ROOT, Spec};
use ossgate::config::value::parse_duration;
use toml::{Table, Value};

use crate::support::config::{Files, example};

/// Collects every key below `spec` that is no table, with its path.
fn leaves(spec: &Spec, path: &str, found: &mut Vec<(String, Key)>) {
    for key in spec.keys {
        let path = format!("{path}.{}", key.name);
        match key.kind {
            Kind::Table(inner) | Kind::Tables(inner) => leaves(inner, &path, found),
            _ => found.push((path.trim_start_matches('.').to_owned(), *key)),
        }
    }
}

fn all_keys() -> Vec<(String, Key)> {
    let mut found = Vec::new();
    leaves(&ROOT, "", &mut found);
    found
}

/// Returns the value at `path`, in the first table of each list.
fn value<'t>(table: &'t Table, path: &str) -> Option<&'t Value> {
    let mut steps = path.split('.');
    let first = table.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(0).unwrap_or(value).get(step))
}

/// Whether `value` equals `default`; durations may be written in another unit.
fn is_default(value: &Value, default: &str) -> bool {
    let default = &format!("v = {default}").parse::<Table>().unwrap()["v"];
    let duration = |value: &Value| parse_duration(value.as_str()?).ok();
    value == default || duration(value).is_some_and(|found| Some(found) == duration(default))
}

#[test]
fn defaults_in_the_description_are_those_in_effect() {
    let files = Files::new();
    let text = "[admin]\n[[listener]]\naddress = \"127.0.0.1:80\"\n[[route]]\n\
                origin = { bucket = \"examplebucket\", region = \"cn-hangzhou\", credentials = { source = \"ecs-ram-role\" } }\n\
                https = { hsts = {} }\nguard = {}\nreferer = { allow = [\"*\"] }\nwebsite = {}\npreview = {}\n\
                cors = { rules = [{ origins = [\"*\"], methods = [\"GET\"] }] }\n";
    let config = files.read(text).unwrap().config;
    let effective = Table::try_from(&config).unwrap();
    let mut checked = 0;
    for (path, key) in all_keys() {
        // `show` writes a region as its endpoint, and the tables of included files among those of the main file.
        if path == "route.origin.network" || path == "include" {
            continue;
        }
        if let Presence::Default(default) = key.presence {
            let value = value(&effective, &path).unwrap_or_else(|| panic!("{path}"));
            assert!(
                is_default(value, default),
                "{path}: {value} is not {default}"
            );
            checked += 1;
        }
    }
    assert!(checked > 25, "{checked}");
}

/// Returns `reference.toml` with the commented keys in effect.
fn reference() -> Table {
    let text = example("reference.toml");
    let names: HashSet<&str> = all_keys().iter().map(|(_, key)| key.name).collect();
    let uncommented: Vec<&str> = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest)
                if rest
                    .split_once(" = ")
                    .is_some_and(|(key, _)| names.contains(key)) =>
            {
                rest
            }
            _ => line,
        })
        .collect();
    uncommented.join("\n").parse().unwrap()
}

#[test]
fn the_reference_names_every_key_with_its_default() {
    let reference = reference();
    for (path, key) in all_keys() {
        let value =
            value(&reference, &path).unwrap_or_else(|| panic!("{path} is not in reference.toml"));
        // The reference has an example value here, because the default is empty.
        if path == "route.path" {
            continue;
        }
        if let Presence::Default(default) = key.presence {
            assert!(
                is_default(value, default),
                "{path}: {value} is not {default}"
            );
        }
    }
}

#[test]
fn every_key_of_the_reference_has_a_comment_above() {
    let text = example("reference.toml");
    let mut is_explained = false;
    for line in text.lines() {
        let is_key = line
            .split_once(" = ")
            .is_some_and(|(key, _)| !key.contains(' '));
        // Two keys may share one comment, as `min_ttl` and `max_ttl` do.
        assert!(
            !is_key || is_explained || line.starts_with("address = ") || line == "tls = true",
            "{line}"
        );
        if line.starts_with('#') {
            is_explained = true;
        } else if line.is_empty() || line.starts_with('[') {
            is_explained = false;
        }
    }
}

#[test]
fn the_schema_has_every_key_and_no_other() {
    fn check(schema: &serde_json::Value, spec: &Spec) {
        assert_eq!(schema["additionalProperties"], false);
        let properties = schema["properties"].as_object().unwrap();
        assert_eq!(properties.len(), spec.keys.len());
        for key in spec.keys {
            let property = &properties[key.name];
            assert_eq!(property["description"], key.doc);
            let is_required = schema["required"]
                .as_array()
                .is_some_and(|required| required.contains(&key.name.into()));
            assert_eq!(
                is_required,
                key.presence == Presence::Required,
                "{}",
                key.name
            );
            if matches!(key.presence, Presence::Default(_)) {
                assert!(property.get("default").is_some(), "{}", key.name);
            }
            match key.kind {
                Kind::Table(inner) => check(property, inner),
                Kind::Tables(inner) => check(&property["items"], inner),
                _ => assert!(property["type"].is_string(), "{}", key.name),
            }
        }
        for name in spec.one_of.iter().copied().flatten() {
            assert!(spec.key(name).is_some(), "{name}");
        }
    }
    let schema = json_schema();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    check(&schema, &ROOT);
}
