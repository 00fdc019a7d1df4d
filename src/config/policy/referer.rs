//! `[route.referer]`: the sites that may embed the objects.

use serde::Serialize;

use crate::config::located::Located;
use crate::config::reader::{Reader, Text};
use crate::oss::referer::Switches;

/// The handling of a request that the rules refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefererMode {
    /// The response is 403.
    Enforce,
    /// The request is served. The refusal is only counted, and noted in the access log.
    Report,
}

/// The maximum length of a pattern, in bytes.
const LONGEST: usize = 1024;

/// `[route.referer]`.
#[derive(Clone, Debug, Serialize)]
pub struct Referer {
    /// The patterns of allowed Referers. If the list is empty (the default), every Referer that is not denied
    /// is allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Located>,
    /// The patterns of refused Referers, which are checked before `allow`. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Located>,
    /// Whether a request without a Referer is allowed. Default true.
    pub allow_empty: bool,
    /// The line of `allow_empty` in the config file, from 1; the line of the table if the key is absent.
    #[serde(skip)]
    pub allow_empty_line: usize,
    /// The line of `allow` in the config file, from 1; the line of the table if the key is absent.
    #[serde(skip)]
    pub allow_line: usize,
    /// Whether the query of the Referer is removed before matching. Default true.
    pub truncate_query: bool,
    /// Whether the path of the Referer is also removed. Default false.
    pub truncate_path: bool,
    /// Whether a pattern without a path must match the host to its end. Default false, as in OSS: there,
    /// `http://www.example.com` also allows `http://www.example.com.evil.org`.
    pub strict_host: bool,
    /// The handling of a request that the rules refuse. Default `enforce`.
    pub mode: RefererMode,
}

impl Referer {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let modes = [
            ("enforce", RefererMode::Enforce),
            ("report", RefererMode::Report),
        ];
        let list = |key| {
            let parsed = reader.parsed(key, pattern);
            let texts: Vec<Text> = parsed.into_iter().map(|(_, text)| text).collect();
            for text in &texts {
                if let Some(doubt) = doubt(&text.value) {
                    reader.warn_at(key, text, doubt);
                }
            }
            texts
        };
        let (allow, deny) = (list("allow"), list("deny"));
        let is_open = |text: &&Text| is_open(&text.value) && doubt(&text.value).is_none();
        // If the file has `strict_host`, the operator has decided whether such hosts may match.
        if !reader.has("strict_host")
            && let Some(first) = allow.iter().find(is_open)
        {
            let reason = "also allows hosts that go on after it, such as `.evil.example`, as OSS does; \
                          `strict_host = true` prevents that, and `strict_host = false` says that it is meant";
            reader.warn_at("allow", first, reason);
        }
        let located = |texts: Vec<Text>| {
            let located = texts.into_iter().map(|text| Located::new(reader, text));
            located.collect::<Vec<_>>()
        };
        let referer = Self {
            allow: located(allow),
            deny: located(deny),
            allow_empty: reader.flag("allow_empty").unwrap_or(true),
            allow_empty_line: reader.line_of("allow_empty"),
            allow_line: reader.line_of("allow"),
            truncate_query: reader.flag("truncate_query").unwrap_or(true),
            truncate_path: reader.flag("truncate_path").unwrap_or(false),
            strict_host: reader.flag("strict_host").unwrap_or(false),
            mode: reader.word("mode", &modes).unwrap_or(RefererMode::Enforce),
        };
        if referer.truncate_path && !referer.truncate_query {
            let hint = "a path cannot be removed without the query after it";
            reader.error("truncate_path", "needs `truncate_query = true`", Some(hint));
        }
        if referer.allow.is_empty() && !referer.allow_empty {
            let message = "has no effect without `allow`, as at OSS";
            reader.warn("allow_empty", message, None);
        }
        referer
    }

    /// Returns the boolean settings as the type that [`oss::referer`](crate::oss::referer) uses.
    #[must_use]
    pub fn switches(&self) -> Switches {
        Switches {
            allow_empty: self.allow_empty,
            truncate_query: self.truncate_query,
            truncate_path: self.truncate_path,
            strict_host: self.strict_host,
        }
    }
}

/// Whether a pattern ends inside a host, so that the host of a Referer may continue after it.
fn is_open(pattern: &str) -> bool {
    let host = pattern.split_once("://").map_or(pattern, |(_, rest)| rest);
    !pattern.ends_with('*') && !host.contains('/')
}

fn pattern(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() {
        Err("is empty; `allow_empty` is about requests without Referer")
    } else if text.len() > LONGEST {
        Err("is longer than 1024 bytes")
    } else {
        Ok(text.to_owned())
    }
}

/// Returns the reason why a pattern probably does not have the intended effect; `None` if the pattern looks
/// right.
fn doubt(text: &str) -> Option<&'static str> {
    let is_start = |scheme: &str| text.starts_with(scheme);
    if !text.starts_with(['*', '?'])
        && !is_start("http:")
        && !is_start("https:")
        && !is_start("http?:")
        && !is_start("http*")
    {
        return Some(
            "matches no browser: a Referer begins with `http://` or `https://`; begin with `*`",
        );
    }
    None
}
