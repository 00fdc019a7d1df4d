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
            let located = |(_, text): (String, Text)| {
                if let Some(doubt) = doubt(&text.value) {
                    reader.warn_at(key, &text, doubt);
                }
                Located::new(reader, text)
            };
            parsed.into_iter().map(located).collect::<Vec<_>>()
        };
        let referer = Self {
            allow: list("allow"),
            deny: list("deny"),
            allow_empty: reader.flag("allow_empty").unwrap_or(true),
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
