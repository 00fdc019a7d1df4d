//! Header fields that a config sets, adds or removes: their syntax, and the names that no table may change.

use std::collections::HashMap;
use std::fmt;

use http::{HeaderName, HeaderValue};
use serde::Serializer;

use crate::config::problem::Severity;
use crate::config::reader::{Reader, Text};

/// The maximum length of a value, in bytes. Many servers and clients limit a header line to 8 KiB.
const LONGEST: usize = 8 * 1024;

/// The maximum number of fields in one table or list. The header of a response can hold all of them.
pub const MOST_FIELDS: usize = 64;

/// The fields that belong to one connection (RFC 9110 section 7.6.1).
const OF_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A header field with the value that the config has for it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// The name, in lower case.
    pub name: HeaderName,
    /// The value after interpolation. An interpolated value may contain a secret, so it is marked as
    /// sensitive.
    pub value: HeaderValue,
    /// The value as written in the file. It is safe to show, and loading it again gives the same value.
    pub written: String,
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Field")
            .field(&self.name)
            .field(&self.written)
            .finish()
    }
}

/// The reason why a table must not change a field. `reason` is the predicate of a sentence about the field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    pub(crate) reason: &'static str,
    pub(crate) hint: Option<&'static str>,
}

impl Refused {
    /// Creates a refusal without a hint.
    pub(crate) fn because(reason: &'static str) -> Option<Self> {
        Some(Self { reason, hint: None })
    }

    /// Creates a refusal with a hint.
    pub(crate) fn with_hint(reason: &'static str, hint: &'static str) -> Option<Self> {
        let hint = Some(hint);
        Some(Self { reason, hint })
    }
}

/// Whether the field `name` belongs to one connection. Only the proxy can write such a field.
pub(crate) fn belongs_to_connection(name: &HeaderName) -> bool {
    OF_CONNECTION.contains(&name.as_str())
}

/// Reads the table `key`. `refuse` is called with the name and the value of each field, and returns the
/// reason if the table must not have this field.
pub(crate) fn read_fields(
    reader: &Reader<'_>,
    key: &str,
    refuse: impl Fn(&HeaderName, &str) -> Option<Refused>,
) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut spellings: HashMap<HeaderName, String> = HashMap::new();
    let entries = reader.entries(key);
    check_count(reader, key, entries.len());
    for (name, value) in entries {
        let path = format!("{key}.{}", name.value);
        let at_name = |message: String, hint: Option<&str>| {
            let hint = hint.map(str::to_owned);
            reader.report(Severity::Error, name.span.clone(), &path, message, hint);
        };
        let Ok(parsed) = HeaderName::from_bytes(name.value.as_bytes()) else {
            at_name("is not the name of a header field".to_owned(), None);
            continue;
        };
        if let Some(other) = spellings.insert(parsed.clone(), name.value.clone()) {
            at_name(format!("is the same field as `{other}`"), None);
            continue;
        }
        if let Some(Refused { reason, hint }) = refuse(&parsed, &value.value) {
            at_name(reason.to_owned(), hint);
            continue;
        }
        if let Some(doubt) = doubt(&parsed, &value.written) {
            let message = doubt.to_owned();
            reader.report(Severity::Warning, name.span.clone(), &path, message, None);
        }
        match field_value(&value) {
            Ok(parsed_value) => fields.push(Field {
                name: parsed,
                value: parsed_value,
                written: value.written,
            }),
            Err(Refused { reason, hint }) => {
                // The message does not quote the value: it can be a secret, such as a token of the origin.
                let reason = match value.is_known {
                    true => reason,
                    false => "cannot be checked: the file in its value was not looked at",
                };
                let hint = hint.map(str::to_owned);
                reader.report(
                    Severity::Error,
                    value.span.clone(),
                    &path,
                    reason.to_owned(),
                    hint,
                );
            }
        }
    }
    fields
}

/// Returns the reason why a field probably does not have the intended effect; `None` if the field looks right.
fn doubt(name: &HeaderName, written: &str) -> Option<&'static str> {
    if name.as_str().contains('_') {
        return Some(
            "has a `_` in its name: many programs drop such a field, and most names have `-`",
        );
    }
    // A `$` before a lower-case letter looks like a variable of nginx, such as `$host`. A `${` is different:
    // it begins an interpolation, and `$${` stands for the text `${`.
    let is_variable = written.match_indices('$').any(|(place, _)| {
        let after = written.get(place + 1..).unwrap_or_default();
        after.starts_with(|first: char| first.is_ascii_lowercase())
    });
    is_variable
        .then_some("is sent as it is written, with the `$`: there are no variables as in nginx")
}

fn check_count(reader: &Reader<'_>, key: &str, count: usize) {
    if count > MOST_FIELDS {
        reader.error(key, format!("has more than {MOST_FIELDS} fields"), None);
    }
}

fn field_value(text: &Text) -> Result<HeaderValue, Refused> {
    let error = |reason, hint| Err(Refused { reason, hint });
    let value = text.value.as_str();
    if value.is_empty() {
        return error("is empty", Some("use `remove` to remove a field"));
    }
    if value.trim() != value {
        return error("begins or ends with white space", None);
    }
    if value.len() > LONGEST {
        return error("is longer than 8192 bytes", None);
    }
    // Clients read non-ASCII characters in different ways, so these characters are refused although HTTP
    // permits them.
    let parsed = HeaderValue::from_str(value)
        .ok()
        .filter(|_| value.is_ascii());
    let Some(mut parsed) = parsed else {
        let reason = "has characters that are not allowed: only visible ASCII characters, spaces and tabs are";
        return error(reason, None);
    };
    parsed.set_sensitive(text.value != text.written);
    Ok(parsed)
}

/// Reads the list `key` of names. `refuse` is called with each name, and returns the reason if the list must
/// not have this name.
pub(crate) fn read_names(
    reader: &Reader<'_>,
    key: &str,
    refuse: impl Fn(&HeaderName) -> Option<Refused>,
) -> Vec<HeaderName> {
    let mut names = Vec::new();
    let mut spellings: HashMap<HeaderName, String> = HashMap::new();
    let texts = reader.texts(key);
    check_count(reader, key, texts.len());
    for text in texts {
        let Ok(name) = HeaderName::from_bytes(text.value.as_bytes()) else {
            reader.error_at(key, &text, "is not the name of a header field", None);
            continue;
        };
        if let Some(other) = spellings.insert(name.clone(), text.written.clone()) {
            let reason = format!("is the same field as `{other}`");
            reader.error_at(key, &text, reason, None);
        } else if let Some(Refused { reason, hint }) = refuse(&name) {
            reader.error_at(key, &text, reason, hint.map(str::to_owned));
        } else {
            names.push(name);
        }
    }
    names
}

/// Serializes fields as a table of names and values.
pub(crate) fn serialize_fields<S: Serializer>(
    fields: &[Field],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer
        .collect_map((fields.iter()).map(|field| (field.name.as_str(), field.written.as_str())))
}

/// Serializes names as a list.
pub(crate) fn serialize_names<S: Serializer>(
    names: &[HeaderName],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(HeaderName::as_str))
}
