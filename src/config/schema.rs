//! The config's JSON Schema, for editors; made from the same description the reader checks against.

use crate::config::spec::{Kind, ROOT, Spec};

/// The JSON Schema (draft-07) of the config.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    let mut schema = table_schema(&ROOT);
    if let Some(object) = schema.as_object_mut() {
        object.insert(
            "$schema".into(),
            "http://json-schema.org/draft-07/schema#".into(),
        );
        object.insert("title".into(), "ossgate configuration".into());
    }
    schema
}

fn table_schema(spec: &Spec) -> serde_json::Value {
    let properties: serde_json::Map<String, serde_json::Value> = spec
        .keys
        .iter()
        .map(|key| {
            let mut schema = kind_schema(key.kind);
            if let Some(object) = schema.as_object_mut() {
                object.insert("description".into(), key.doc.into());
            }
            (key.name.to_owned(), schema)
        })
        .collect();
    serde_json::json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn kind_schema(kind: Kind) -> serde_json::Value {
    use serde_json::json;
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Duration => json!({ "type": "string", "pattern": "^(0|[0-9]+(ms|s|m|h|d))$|\\$\\{" }),
        Kind::Size => json!({ "type": "string", "pattern": "^(0|[0-9]+(B|KiB|MiB|GiB))$|\\$\\{" }),
        Kind::Count => json!({ "type": "integer", "minimum": 0 }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::OneOf(names) => json!({ "type": "string", "enum": names }),
        Kind::Table(spec) => table_schema(spec),
        Kind::Tables(spec) => json!({ "type": "array", "items": table_schema(spec) }),
    }
}
