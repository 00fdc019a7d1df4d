//! Parses the arguments of `location`: the requests that the location is for.

use crate::cli::import::nginx::regions::Paths;

/// The requests that a location is for.
pub(super) enum Match {
    Prefix(String),
    Exact(String),
    /// A regular expression, and whether it ignores the case.
    Regex(String, bool),
    /// A named location, such as `@name`. Other directives lead to it; no request of a client matches it.
    Named,
}

impl Match {
    pub(super) fn parse(words: &[String]) -> Self {
        let (sign, path) = match words {
            [sign, path] => (sign.as_str(), path.as_str()),
            [word] => {
                let path = word.trim_start_matches(['=', '~', '^', '*']);
                let sign = word.get(..word.len() - path.len()).unwrap_or_default();
                // In `~^/a`, the `^` belongs to the expression, not to the sign.
                match sign.strip_prefix('~').filter(|rest| rest.ends_with('^')) {
                    Some(rest) => (
                        if rest.starts_with('*') { "~*" } else { "~" },
                        word.trim_start_matches(['~', '*']),
                    ),
                    None => (sign, path),
                }
            }
            _ => ("~", ""),
        };
        match sign {
            _ if path.starts_with('@') => Self::Named,
            "=" => Self::Exact(path.to_owned()),
            "~" | "~*" => Self::Regex(path.to_owned(), sign == "~*"),
            _ => Self::Prefix(path.to_owned()),
        }
    }

    pub(super) fn paths(&self) -> Paths {
        match self {
            Self::Prefix(path) => Paths::Prefix(path.clone()),
            Self::Exact(path) => Paths::Exact(path.clone()),
            Self::Regex(..) | Self::Named => Paths::Any,
        }
    }
}
