//! `[[route.headers]]`: the header fields that are changed in the responses of a route.

use std::collections::HashSet;

use http::HeaderName;
use serde::Serialize;

use crate::config::header_fields::{
    Field, Refused, belongs_to_connection, read_fields, read_names, serialize_fields,
    serialize_names,
};
use crate::config::policy::cors::Cors;
use crate::config::reader::Reader;
use crate::config::value::check_encoded;
use crate::oss::spelling;

/// The maximum number of rules of a route. The policy stores the rules that are for a request as the bits of
/// a 64-bit number.
pub const MOST_RULES: usize = 64;

/// One `[[route.headers]]` table, called a rule. The rules of a route are applied in their order. Each rule
/// first removes fields, then sets fields, then adds fields.
#[derive(Clone, Debug, Serialize)]
pub struct HeaderRule {
    /// The line of the rule in the config file, from 1.
    #[serde(skip)]
    pub line: usize,
    /// The rule is for the requests whose path ends with one of these suffixes. The suffixes are
    /// percent-encoded. A suffix and the path of the client's request are both decoded before they are
    /// compared. By default there are no suffixes, and the rule is for every path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suffix: Vec<String>,
    /// The fields that replace all fields of their name. Default: none.
    #[serde(
        serialize_with = "serialize_fields",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub set: Vec<Field>,
    /// The fields that are added after the existing fields of the same name. Default: none.
    #[serde(
        serialize_with = "serialize_fields",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub add: Vec<Field>,
    /// The names of the fields that are removed. Default: none.
    #[serde(
        serialize_with = "serialize_names",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub remove: Vec<HeaderName>,
}

/// The parts of a rule that decide its effect: suffixes, set, added and removed fields.
pub type RuleKey<'c> = (&'c [String], &'c [Field], &'c [Field], &'c [HeaderName]);

impl HeaderRule {
    /// Returns the parts of the rule that decide its effect. Two rules with equal keys have the same effect.
    #[must_use]
    pub fn key(&self) -> RuleKey<'_> {
        (&self.suffix, &self.set, &self.add, &self.remove)
    }

    /// Reads the rules of a `[[route]]`. `cors` is the table of the same route. If the route has it, no rule
    /// may change the `Access-Control-` fields, or replace or remove the `Vary` field of `cors`.
    pub(crate) fn read_all(route: &Reader<'_>, cors: Option<&Cors>) -> Vec<Self> {
        let tables = route.tables("headers");
        if let Some(extra) = tables.get(MOST_RULES) {
            let message = format!("is one rule too many: a route has at most {MOST_RULES}");
            extra.error("", message, None);
        }
        let read = |reader: &Reader<'_>| Self::read(reader, cors);
        tables.iter().map(read).collect()
    }

    fn read(reader: &Reader<'_>, cors: Option<&Cors>) -> Self {
        if !["set", "add", "remove"].iter().any(|key| reader.has(key)) {
            reader.error("", "has no effect without `set`, `add` or `remove`", None);
        }
        let set = read_fields(reader, "set", |name, value| {
            refused(name, Change::Set, cors).or_else(|| refused_value(name, value))
        });
        let add = read_fields(reader, "add", |name, value| {
            refused(name, Change::Add, cors).or_else(|| refused_value(name, value))
        });
        let names = |fields: &[Field]| -> HashSet<HeaderName> {
            fields.iter().map(|field| field.name.clone()).collect()
        };
        let (set_names, added_names) = (names(&set), names(&add));
        let remove = read_names(reader, "remove", |name| {
            if set_names.contains(name) {
                return Refused::with_hint("is also in `set`", "`set` replaces the field");
            }
            if added_names.contains(name) {
                return Refused::with_hint("is also in `add`", "use `set` to replace the field");
            }
            refused(name, Change::Remove, cors)
        });
        Self {
            line: reader.own_line(),
            suffix: read_suffixes(reader),
            set,
            add,
            remove,
        }
    }
}

fn read_suffixes(reader: &Reader<'_>) -> Vec<String> {
    if reader.is_empty_list("suffix") {
        let hint = "leave `suffix` out for a rule that is for every path";
        reader.error("suffix", "is empty", Some(hint));
    }
    let mut seen = HashSet::new();
    let mut suffixes = Vec::new();
    for text in reader.texts("suffix") {
        let suffix = text.value.as_str();
        if suffix.is_empty() {
            reader.error_at("suffix", &text, "is empty", None);
        } else if let Some(end) = suffix.strip_prefix('*') {
            let hint = (!end.is_empty() && !end.contains('*')).then(|| format!("write `{end}`"));
            let reason = "begins with `*`, but a suffix is not a pattern";
            reader.error_at("suffix", &text, reason, hint);
        } else if let Err(reason) = check_encoded(suffix) {
            reader.error_at("suffix", &text, reason, None);
        } else if !seen.insert(spelling::decode(suffix).into_owned()) {
            reader.error_at("suffix", &text, "is listed twice", None);
        } else {
            suffixes.push(text.value);
        }
    }
    suffixes
}

/// A change of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Set,
    Add,
    Remove,
}

/// Returns the reason why no rule may make `change` to the field `name`; `None` if the change is permitted.
fn refused(name: &HeaderName, change: Change, cors: Option<&Cors>) -> Option<Refused> {
    if belongs_to_connection(name) {
        return Refused::because("belongs to one connection and cannot be changed");
    }
    match (name.as_str(), change) {
        ("content-length" | "content-range" | "content-md5", _) => {
            Refused::because("describes the bytes of the body and cannot be changed")
        }
        ("date", _) => Refused::because("is the time of the response and cannot be changed"),
        ("location", _) => {
            Refused::because("is the destination of a redirect and cannot be changed")
        }
        ("etag" | "last-modified", Change::Set | Change::Add) => {
            Refused::because("identifies one version of an object and cannot be set")
        }
        ("strict-transport-security", _) => Refused::with_hint(
            "is a field of `https.hsts`, which never sends it over clear text",
            "use `hsts` of the table `https`",
        ),
        ("vary", Change::Set | Change::Remove) if cors.is_some_and(|cors| cors.vary_origin) => {
            Refused::with_hint(
                "would lose the `Vary: Origin` of `cors`",
                "use `add`, or set `vary_origin = false` in `cors`",
            )
        }
        ("x-oss-request-id" | "x-oss-ec", _) => {
            Refused::because("shows whether OSS answered and cannot be changed")
        }
        ("x-oss-force-download", Change::Remove) => Refused::with_hint(
            "is a field of `preview`",
            "use `strip_force_download` of the table `preview`",
        ),
        (
            "content-type" | "content-disposition" | "expires" | "retry-after" | "server",
            Change::Add,
        ) => Refused::with_hint("can only occur once in a response", "use `set`"),
        (name, Change::Set | Change::Add) if name.starts_with("x-oss-") => {
            Refused::because("is a field of OSS and cannot be set")
        }
        (name, _) if name.starts_with("x-ossgate-") => {
            Refused::because("is a field of the proxy and cannot be changed")
        }
        (name, _) if name.starts_with("access-control-") && cors.is_some() => {
            Refused::with_hint("is a field of `cors`", "write it in a rule of `cors`")
        }
        _ => None,
    }
}

/// Returns the reason why no rule may set the field `name` to `value`; `None` if the value is permitted.
fn refused_value(name: &HeaderName, value: &str) -> Option<Refused> {
    let names_oss = || value.to_ascii_lowercase().contains("aliyunoss");
    if *name == http::header::SERVER && names_oss() {
        return Refused::because(
            "must not name OSS, because it is also on responses that OSS did not send",
        );
    }
    None
}
