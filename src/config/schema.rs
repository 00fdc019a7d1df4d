//! The JSON Schema of the config, for editors.
//!
//! The schema uses Draft-07 without references, because the TOML plugins of editors do not support more. It
//! covers names, types and allowed words. Rules that concern several keys are left to `ossgate check`.

use serde_json::{Map, Value, json};

use crate::config::spec::{Kind, Presence, ROOT, Spec};

/// A regular expression for a string that contains `${`. Such a string is interpolated when ossgate reads the
/// config, so an editor cannot check its final value.
const FILLED_IN: &str = "\\$\\{";

/// Returns the JSON Schema of the config.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = table(&ROOT);
    if let Some(object) = schema.as_object_mut() {
        object.insert(
            "$schema".into(),
            "http://json-schema.org/draft-07/schema#".into(),
        );
        object.insert("title".into(), "ossgate configuration".into());
    }
    schema
}

fn table(spec: &Spec) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in spec.keys {
        let mut schema = of_kind(key.kind);
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".into(), key.doc.into());
            match key.presence {
                Presence::Required => required.push(key.name),
                Presence::Default(text) => {
                    if let Some(value) = constant(text) {
                        object.insert("default".into(), value);
                    }
                }
                Presence::Optional => {}
            }
        }
        properties.insert(key.name.to_owned(), schema);
    }
    let mut schema = Map::new();
    schema.insert("type".into(), "object".into());
    schema.insert("additionalProperties".into(), false.into());
    schema.insert("properties".into(), properties.into());
    if !required.is_empty() {
        schema.insert("required".into(), required.into());
    }
    if !spec.one_of.is_empty() {
        let groups = spec.one_of.iter().map(|group| {
            let choices: Vec<Value> = group
                .iter()
                .map(|key| json!({ "required": [key] }))
                .collect();
            json!({ "oneOf": choices })
        });
        schema.insert("allOf".into(), groups.collect());
    }
    schema.into()
}

/// Returns a default, which is written in TOML, as JSON. The defaults look the same in TOML and in JSON.
fn constant(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn of_kind(kind: Kind) -> Value {
    let text_like =
        |pattern: &str| json!({ "type": "string", "pattern": format!("{pattern}|{FILLED_IN}") });
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Duration => text_like("^(0|[0-9]+(ms|s|m|h|d))$"),
        Kind::Size => text_like("^(0|[0-9]+(B|KiB|MiB|GiB))$"),
        Kind::Count => json!({ "type": "integer", "minimum": 0 }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::OneOf(words) => json!({
            "type": "string",
            "anyOf": [{ "enum": words }, { "pattern": FILLED_IN }],
        }),
        Kind::Table(spec) => table(spec),
        Kind::Tables(spec) => json!({ "type": "array", "items": table(spec) }),
        Kind::Fields => json!({
            "type": "object",
            "additionalProperties": { "type": "string" },
        }),
    }
}
