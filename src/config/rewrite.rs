//! Hints that show a value of the wrong type in the form that its key takes.
//!
//! Only the text of the file is shown, never an interpolated value, and never the value of a secret.

use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use crate::config::pasted;
use crate::config::problem::suggests_secret;
use crate::config::spec::{Key, Kind, Presence, Spec};
use crate::config::suggest::quoted;
use crate::config::value::format_size;

/// Returns the header of the table with this key path. A header has no indices: the key path
/// `route[0].origin` is written `[route.origin]`.
pub(crate) fn header(path: &str) -> String {
    let names = path
        .split('.')
        .map(|part| part.split('[').next().unwrap_or(part));
    names.collect::<Vec<_>>().join(".")
}

/// Returns a hint that shows `value`, which has the wrong type for `key`, in the right form. `path` is the key
/// path of `key`. Returns `None` if the intended value is not known.
pub(crate) fn hint(key: &Key, path: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
    if suggests_secret(key.name) {
        return matches!(value.get_ref(), DeValue::Integer(_) | DeValue::Boolean(_))
            .then(|| "put the value in quotes".to_owned());
    }
    let value = value.get_ref();
    let written = match key.kind {
        Kind::Text if key.name == "address" => return address(value),
        Kind::Text => match value {
            DeValue::Integer(number) => format!("\"{number}\""),
            _ => return None,
        },
        Kind::OneOf(words) => match value {
            DeValue::Boolean(false) if words.contains(&"off") => "\"off\"".to_owned(),
            _ => return Some(format!("possible here: {}", quoted(words))),
        },
        Kind::Duration => format!("\"{}s\"", decimal(value)?),
        Kind::Size => format!(
            "\"{}\"",
            format_size(usize::try_from(decimal(value)?).ok()?)
        ),
        Kind::Count => count(key, value)?,
        Kind::Flag => flag(value)?.to_string(),
        Kind::Texts => match value {
            DeValue::String(text) => {
                let items = text.split([',', ' ']).filter(|item| !item.is_empty());
                let items: Vec<String> = items.map(|item| format!("{item:?}")).collect();
                format!("[{}]", items.join(", "))
            }
            _ => return None,
        },
        Kind::Fields => return Some(format!("write `{} = {{ x-field = \"value\" }}`", key.name)),
        Kind::Table(_) | Kind::Tables(_) => return table(key, path, value),
    };
    Some(format!("write `{} = {written}`", key.name))
}

fn address(value: &DeValue<'_>) -> Option<String> {
    let port = decimal(value).filter(|port| *port <= 65_535);
    port.map(|port| format!("write `address = \"0.0.0.0:{port}\"`"))
}

/// Returns the value of an integer, in any base. Returns `None` for a negative number or another type.
fn decimal(value: &DeValue<'_>) -> Option<u64> {
    let whole = |number: &DeInteger<'_>| u64::from_str_radix(number.as_str(), number.radix()).ok();
    match value {
        DeValue::Integer(number) => whole(number),
        _ => None,
    }
}

fn count(key: &Key, value: &DeValue<'_>) -> Option<String> {
    let text = match value {
        DeValue::String(text) if text == "auto" && key.name == "workers" => "0",
        DeValue::String(text) => text.as_ref(),
        DeValue::Float(number) => number.as_str().strip_suffix(".0")?,
        _ => return None,
    };
    text.parse::<u64>().ok().map(|count| count.to_string())
}

fn flag(value: &DeValue<'_>) -> Option<bool> {
    let text = match value {
        DeValue::String(text) => text.to_ascii_lowercase(),
        DeValue::Integer(number) => number.to_string(),
        _ => return None,
    };
    match text.as_str() {
        "true" | "on" | "yes" | "1" => Some(true),
        "false" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// Whether a table without keys is valid.
fn has_defaults(spec: &Spec) -> bool {
    let is_required = |key: &Key| key.presence == Presence::Required;
    !spec.keys.iter().any(is_required) && spec.one_of.is_empty()
}

fn table(key: &Key, path: &str, value: &DeValue<'_>) -> Option<String> {
    let (name, header) = (key.name, header(path));
    let hint = match (key.kind, value) {
        (Kind::Tables(_), DeValue::Table(_)) if header == name => {
            format!("write `[[{header}]]`, with two brackets; the table can be repeated")
        }
        (Kind::Tables(_), DeValue::Table(_)) => {
            format!("write `[[{header}]]`, with two brackets, or `{name} = [{{ ... }}]`")
        }
        (Kind::Tables(_), DeValue::String(text)) if name == "listener" => {
            format!("write `[[listener]]`, and below it `address = {text:?}`")
        }
        (Kind::Tables(_), DeValue::String(text)) if name == "fallback" => {
            format!("write `fallback = [{{ network = {text:?} }}]`")
        }
        (Kind::Table(_), DeValue::Array(items))
            if items
                .iter()
                .all(|item| matches!(item.get_ref(), DeValue::Table(_))) =>
        {
            format!("write `[{header}]`, with one bracket; the table cannot be repeated")
        }
        (Kind::Table(_), DeValue::String(text)) if name == "origin" => pasted::origin(text),
        (Kind::Table(spec), DeValue::Boolean(true)) if has_defaults(spec) => {
            format!("write `{name} = {{}}` for the defaults of the table")
        }
        (Kind::Table(_), DeValue::Boolean(true)) => {
            format!("write a table `[{header}]` with its keys")
        }
        (Kind::Table(_), DeValue::Boolean(false)) => {
            format!("leave `{name}` out; without the table nothing is done")
        }
        (Kind::Table(spec), DeValue::String(text)) => {
            // `https = "redirect"` stands for `https = { mode = "redirect" }`.
            let takes = |key: &&Key| matches!(key.kind, Kind::OneOf(words) if words.contains(&text.as_ref()));
            let inner = spec.keys.iter().find(takes)?.name;
            format!("write `{name} = {{ {inner} = {text:?} }}`")
        }
        _ => return None,
    };
    Some(hint)
}
