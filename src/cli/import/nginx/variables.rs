//! Variables of nginx: `set`, captures, and the texts that contain them.

use std::collections::HashMap;

/// The value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// The text of a `set`, which may contain further variables.
    Text(String),
    /// The name of a bucket, from the first label of the host or the first segment of the path. The texts are
    /// patterns for the name. An empty list means any bucket.
    Label(Vec<String>),
    /// The value depends on the request in a way that cannot be expressed.
    Unknown,
}

/// The variables of a block, by their names without `$`.
pub(super) type Variables = HashMap<String, Value>;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// A variable, without `$`.
    Variable(String),
}

/// The maximum nesting of variables in the values of other variables. nginx expands a value when it is set, so it
/// needs no such limit. The import expands a value when it is used, so a variable may contain itself.
const DEPTH: usize = 8;

/// Returns the parts of `text`. A variable whose value is a text is replaced by that text.
pub(super) fn expand(text: &str, variables: &Variables) -> Vec<Part> {
    let mut parts = Vec::new();
    add(text, variables, DEPTH, &mut parts);
    parts
}

fn add(text: &str, variables: &Variables, depth: usize, parts: &mut Vec<Part>) {
    let mut rest = text;
    while let Some((before, at)) = rest.find('$').and_then(|at| rest.split_at_checked(at)) {
        push(parts, before);
        let after = at.strip_prefix('$').unwrap_or_default();
        let (name, after) = name(after);
        rest = after;
        match variables.get(name) {
            _ if name.is_empty() => push(parts, "$"),
            // Variables that contain others several times could make the text grow to any size, so its length is
            // limited.
            Some(Value::Text(value)) if depth > 0 && is_short(parts) => {
                add(value, variables, depth - 1, parts);
            }
            _ => parts.push(Part::Variable(name.to_owned())),
        }
    }
    push(parts, rest);
}

/// Whether `parts` are no longer than any sensible URL.
fn is_short(parts: &[Part]) -> bool {
    let is_long = |part: &Part| matches!(part, Part::Text(text) if text.len() > 4096);
    parts.len() < 64 && !parts.last().is_some_and(is_long)
}

/// Splits a text after a `$` into the name of the variable and the rest.
fn name(text: &str) -> (&str, &str) {
    if let Some((name, rest)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        return (name, rest);
    }
    let is_digit = text.starts_with(|first: char| first.is_ascii_digit());
    let end = text.find(|next: char| !(next.is_ascii_alphanumeric() || next == '_'));
    // The name of a numbered capture is one digit.
    let end = if is_digit {
        1
    } else {
        end.unwrap_or(text.len())
    };
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn push(parts: &mut Vec<Part>, text: &str) {
    if text.is_empty() {
        return;
    }
    match parts.last_mut() {
        Some(Part::Text(last)) => last.push_str(text),
        Some(Part::Variable(_)) | None => parts.push(Part::Text(text.to_owned())),
    }
}

/// Returns the text of parts, with the variables as `$name`.
pub(super) fn shown(parts: &[Part]) -> String {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Variable(name) => {
                text.push('$');
                text.push_str(name);
            }
        }
    }
    text
}

/// The three parts of the argument of `proxy_pass`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) scheme: String,
    pub(super) host: Vec<Part>,
    /// The path and query, with variables as `$name`.
    pub(super) uri: String,
    /// Whether the argument of `proxy_pass` has a variable. If it has one, nginx does not replace the path of the
    /// location by the URI.
    pub(super) has_variables: bool,
}

impl Url {
    /// Parses the argument of `proxy_pass`. `None` means that it is not a URL.
    pub(super) fn parse(text: &str, variables: &Variables) -> Option<Self> {
        /// Variables that are never a part of a host.
        const OF_URI: [&str; 7] = [
            "request_uri",
            "uri",
            "document_uri",
            "is_args",
            "args",
            "query_string",
            "request_filename",
        ];
        let parts = expand(text, variables);
        let whole = shown(&parts);
        let (scheme, _) = whole.split_once("://")?;
        let scheme = match scheme {
            // All endpoints of OSS support HTTPS.
            "$scheme" => "https",
            scheme @ ("http" | "https") => scheme,
            _ => return None,
        };
        let (mut host, mut uri, mut is_after_scheme) = (Vec::new(), Vec::new(), false);
        for part in parts {
            let part = match part {
                Part::Text(text) if !is_after_scheme => {
                    let Some((_, after)) = text.split_once("://") else {
                        continue;
                    };
                    is_after_scheme = true;
                    Part::Text(after.to_owned())
                }
                Part::Variable(_) if !is_after_scheme => continue,
                part => part,
            };
            if !uri.is_empty() {
                uri.push(part);
                continue;
            }
            match part {
                Part::Text(text) => {
                    let at = text.find(['/', '?']).unwrap_or(text.len());
                    let (before, after) = text.split_at_checked(at).unwrap_or((&text, ""));
                    push(&mut host, before);
                    push(&mut uri, after);
                }
                Part::Variable(name) if OF_URI.contains(&name.as_str()) || ends_host(&host) => {
                    uri.push(Part::Variable(name));
                }
                Part::Variable(name) => host.push(Part::Variable(name)),
            }
        }
        Some(Self {
            scheme: scheme.to_owned(),
            host,
            uri: shown(&uri),
            has_variables: text.contains('$'),
        })
    }
}

/// Whether the parts end in the domain of OSS, so that no more of the host can follow.
fn ends_host(host: &[Part]) -> bool {
    matches!(host.last(), Some(Part::Text(text)) if text.ends_with(".aliyuncs.com"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_with_its_variables() {
        let mut variables = Variables::new();
        for (name, value) in [("h", "b.$e"), ("e", "oss.aliyuncs.com"), ("loop", "x$loop")] {
            variables.insert(name.to_owned(), Value::Text(value.to_owned()));
        }
        for (text, host, uri) in [
            ("http://$h", "b.oss.aliyuncs.com", ""),
            ("http://${h}/x", "b.oss.aliyuncs.com", "/x"),
            (
                "http://$h$request_uri",
                "b.oss.aliyuncs.com",
                "$request_uri",
            ),
            (
                "https://$h$uri$is_args$args",
                "b.oss.aliyuncs.com",
                "$uri$is_args$args",
            ),
            ("$scheme://$h$1", "b.oss.aliyuncs.com", "$1"),
            (
                "http://$bucket.$e/$2?$args",
                "$bucket.oss.aliyuncs.com",
                "/$2?$args",
            ),
            ("http://${1}0.$e", "$10.oss.aliyuncs.com", ""),
        ] {
            let url = Url::parse(text, &variables).unwrap();
            assert_eq!(
                (shown(&url.host).as_str(), url.uri.as_str()),
                (host, uri),
                "{text}"
            );
        }
        for text in ["b.oss.aliyuncs.com", "ftp://a", "$url"] {
            assert_eq!(Url::parse(text, &variables), None, "{text}");
        }
        assert!(expand("$loop", &variables).len() < 20);
    }
}
