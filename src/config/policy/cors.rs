//! `[route.cors]`: which web pages of other origins may read the responses.

use serde::{Serialize, Serializer};

use crate::config::reader::{Reader, Text};
use crate::oss::cors::{Rule, Star};

/// `[route.cors]`. With this table the proxy itself responds to preflights and replaces the CORS headers of
/// OSS. Without the table, preflights and the CORS headers of OSS are passed on unchanged.
#[derive(Clone, Debug, Serialize)]
pub struct Cors {
    /// The rules, at least one. The first rule that matches decides.
    pub rules: Vec<CorsRule>,
    /// Whether every response has `Vary: Origin`. A cache in front of the proxy needs this field, except if
    /// every rule allows `*`. Default true.
    pub vary_origin: bool,
}

/// Whether a page of a public address may send requests to a private address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivateNetwork {
    /// A page of a public address may send requests to a private address.
    Allow,
    /// A page of a public address may not send requests to a private address: the response to the preflight
    /// does not permit the request.
    Deny,
}

/// One rule of `[route.cors]`.
#[derive(Clone, Debug)]
pub struct CorsRule {
    /// The origins, methods and requested headers that the rule matches.
    pub rule: Rule,
    /// Response headers that a page may read in addition to the CORS-safelisted ones.
    pub expose: Vec<String>,
    /// How long a browser caches the response to a preflight, in seconds. `None` means that the browser uses
    /// its default.
    pub max_age: Option<u64>,
    /// Whether a preflight with `Access-Control-Request-Private-Network` gets the permission of Private
    /// Network Access. Default deny.
    pub private_network: PrivateNetwork,
    /// The line of the rule in the config file, counted from 1.
    pub line: usize,
}

impl Serialize for CorsRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            origins: Vec<String>,
            methods: &'a [String],
            headers: Vec<String>,
            expose: &'a [String],
            #[serde(skip_serializing_if = "Option::is_none")]
            max_age: Option<String>,
            private_network: bool,
        }
        let texts = |stars: &[Star]| stars.iter().map(ToString::to_string).collect();
        Written {
            origins: texts(&self.rule.origins),
            methods: &self.rule.methods,
            headers: texts(&self.rule.headers),
            expose: &self.expose,
            max_age: self.max_age.map(|seconds| format!("{seconds}s")),
            private_network: self.private_network == PrivateNetwork::Allow,
        }
        .serialize(serializer)
    }
}

impl Cors {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        if !reader.has("rules") || reader.is_empty_list("rules") {
            let hint = "add a rule, or leave the table out to pass on the CORS headers of OSS";
            reader.error(
                "rules",
                "is missing: every preflight would be refused",
                Some(hint),
            );
        }
        Self {
            rules: reader.tables("rules").iter().map(CorsRule::read).collect(),
            vary_origin: reader.flag("vary_origin").unwrap_or(true),
        }
    }
}

impl CorsRule {
    fn read(reader: &Reader<'_>) -> Self {
        for key in ["origins", "methods"] {
            if !reader.has(key) || reader.is_empty_list(key) {
                reader.error(key, "is missing: the rule would match nothing", None);
            }
        }
        let origins = reader.parsed("origins", origin);
        let methods = reader.parsed("methods", method);
        Self {
            line: reader.own_line(),
            rule: Rule {
                origins: origins.into_iter().map(|(origin, _)| origin).collect(),
                methods: methods.into_iter().map(|(method, _)| method).collect(),
                headers: values(reader.parsed("headers", header_pattern)),
            },
            expose: values(reader.parsed("expose", exposed)),
            max_age: reader.has("max_age").then(|| {
                reader
                    .duration(
                        "max_age",
                        std::time::Duration::ZERO,
                        std::time::Duration::ZERO,
                    )
                    .as_secs()
            }),
            private_network: match reader.flag("private_network") {
                Some(true) => PrivateNetwork::Allow,
                Some(false) | None => PrivateNetwork::Deny,
            },
        }
    }
}

fn values<T>(read: Vec<(T, Text)>) -> Vec<T> {
    read.into_iter().map(|(value, _)| value).collect()
}

fn origin(text: &str) -> Result<Star, &'static str> {
    let star = Star::parse(text).map_err(|_| "has more than one `*`, which OSS does not allow")?;
    if star.is_any() || text == "null" {
        return Ok(star);
    }
    let rest = text.split_once("://").map(|(_, rest)| rest);
    match rest {
        None if text.starts_with('*') => Ok(star),
        None => Err(
            "has no scheme, so no browser's Origin is equal to it; write `https://...` or begin with `*`",
        ),
        Some(host) if host.is_empty() || host.contains(['/', '?', '#', '@']) => {
            Err("is not an origin: scheme, host and port, without a path")
        }
        Some(_) if text.bytes().any(|byte| !byte.is_ascii_graphic()) => {
            Err("is not an origin: scheme, host and port, without a path")
        }
        Some(_) => Ok(star),
    }
}

fn method(text: &str) -> Result<String, &'static str> {
    match text {
        "GET" | "PUT" | "DELETE" | "POST" | "HEAD" => Ok(text.to_owned()),
        _ => Err("is not a method of a rule: `GET`, `PUT`, `DELETE`, `POST` or `HEAD`"),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && http::HeaderName::from_bytes(text.as_bytes()).is_ok()
}

fn header_pattern(text: &str) -> Result<Star, &'static str> {
    let star = Star::parse(text).map_err(|_| "has more than one `*`, which OSS does not allow")?;
    if is_name(&text.replace('*', "x")) {
        Ok(star)
    } else {
        Err("is not the name of a header")
    }
}

fn exposed(text: &str) -> Result<String, &'static str> {
    if text.contains('*') {
        Err("has a `*`, which cannot be exposed; name the headers")
    } else if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("is not the name of a header")
    }
}
