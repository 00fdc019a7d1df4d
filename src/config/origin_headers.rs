//! `[route.origin.headers]`: the header fields that are changed in the requests to OSS.
//!
//! Fields that a signature always covers, and fields that decide what OSS does, cannot be changed.

use std::collections::HashSet;

use http::HeaderName;
use serde::Serialize;

use crate::config::header_fields::{
    Field, MOST_FIELDS, Refused, belongs_to_connection, read_fields, read_names, serialize_fields,
    serialize_names,
};
use crate::config::reader::Reader;

/// `[route.origin.headers]`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OriginHeaders {
    /// The fields that replace all fields of their name. Default: none.
    #[serde(
        serialize_with = "serialize_fields",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub set: Vec<Field>,
    /// The names of the fields that are removed. Default: none.
    #[serde(
        serialize_with = "serialize_names",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub remove: Vec<HeaderName>,
}

impl OriginHeaders {
    /// Whether the table changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// Reads the table `headers` of an origin. If the origin has no such table, no field is changed.
    pub(crate) fn read(origin: &Reader<'_>) -> Self {
        if !origin.has("headers") {
            return Self::default();
        }
        let reader = origin.table("headers");
        let set = read_fields(&reader, "set", |name, _| refused(name, Change::Set));
        let set_names: HashSet<&HeaderName> = set.iter().map(|field| &field.name).collect();
        let remove = read_names(&reader, "remove", |name| {
            if set_names.contains(name) {
                return Refused::with_hint("is also in `set`", "`set` replaces the field");
            }
            refused(name, Change::Remove)
        });
        // For each request, the changes that the signature covers are stored as bits of a 64-bit number, so at
        // most 64 changes are allowed.
        if set.len() + remove.len() > MOST_FIELDS {
            let message = format!("has more than {MOST_FIELDS} fields in `set` and `remove`");
            reader.error("", message, None);
        }
        Self { set, remove }
    }
}

/// A change of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Set,
    Remove,
}

/// Returns the reason why `change` must not be made to the field `name`; `None` if the change is permitted.
fn refused(name: &HeaderName, change: Change) -> Option<Refused> {
    if belongs_to_connection(name) {
        return Refused::because("belongs to one connection and cannot be changed");
    }
    match name.as_str() {
        "host" => Refused::with_hint(
            "is made from bucket and endpoint and cannot be changed here",
            "use `host` of the table `origin`",
        ),
        "content-length" | "expect" => {
            Refused::because("is needed to send the body and cannot be changed")
        }
        "authorization" | "content-md5" | "content-type" | "date" => {
            Refused::because("is part of a signature and cannot be changed")
        }
        name if name.starts_with("x-oss-") || name.starts_with("x-amz-") => {
            Refused::because("is part of a signature and cannot be changed")
        }
        "range" => Refused::because("decides which response OSS sends and cannot be changed"),
        name if name.starts_with("if-") => {
            Refused::because("decides which response OSS sends and cannot be changed")
        }
        "cache-control"
        | "content-disposition"
        | "content-encoding"
        | "content-language"
        | "expires" => Refused::because("is stored with an uploaded object and cannot be changed"),
        "forwarded" | "x-real-ip" if change == Change::Set => {
            Refused::because("describes the client and cannot be set to a fixed value")
        }
        name if name.starts_with("x-forwarded-") && change == Change::Set => {
            Refused::because("describes the client and cannot be set to a fixed value")
        }
        _ => None,
    }
}
