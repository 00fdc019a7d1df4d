//! Locations with a regular expression that captures a bucket from the first segment of the path.

use crate::cli::import::nginx::mapping::{Mapping, Query, Rewrite};
use crate::cli::import::nginx::names::label_patterns;
use crate::cli::import::nginx::pattern::{Piece, alternatives, group};
use crate::cli::import::nginx::variables::{Part, Url, Value, Variables};

/// A regular expression of the form `^/(bucket)/(key)$` or `^/(bucket)(/key)$`. The group of the key and the `$`
/// may be missing, but not the slash.
#[derive(Debug)]
pub(super) struct PathPattern<'p> {
    /// The names of the capture of the bucket: `1`, and the name of the group. An empty list means that the
    /// bucket is not captured.
    bucket: Vec<&'p str>,
    /// The alternatives of the group of the bucket.
    pieces: Vec<Piece>,
    /// The names of the capture of the key: `2`, and the name of the group. An empty list means that the key is
    /// not captured.
    key: Vec<&'p str>,
    /// Whether the capture of the key begins with the slash.
    key_has_slash: bool,
}

/// The route for one alternative of the group of the bucket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PathRoute {
    /// The host of `proxy_pass`, with the bucket.
    pub(super) host: Vec<Part>,
    /// The values of the captures.
    pub(super) variables: Variables,
    pub(super) mapping: Mapping,
    pub(super) query: Query,
}

impl<'p> PathPattern<'p> {
    /// Parses the expression of a location. `None` means that the expression is of another form.
    pub(super) fn parse(pattern: &'p str) -> Option<Self> {
        let first = group(pattern.strip_prefix("^/")?)?;
        let pieces = alternatives(first.inside)?;
        let mut bucket: Vec<&str> = first.name.into_iter().collect();
        if first.captures {
            bucket.push("1");
        }
        let rest = first.after;
        let (rest, key_has_slash) = match rest.strip_prefix('/') {
            Some(rest) => (rest, false),
            None => (rest, true),
        };
        let key = match rest.trim_end_matches('$') {
            "" | ".*" if !key_has_slash => Vec::new(),
            rest => {
                let second = group(rest)?;
                let is_rest = match second.inside {
                    ".*" | ".+" => !key_has_slash,
                    "/.*" | "/.+" => key_has_slash,
                    _ => false,
                };
                if !is_rest || !second.after.is_empty() || !second.captures {
                    return None;
                }
                second.name.into_iter().chain(["2"]).collect()
            }
        };
        Some(Self {
            bucket,
            pieces,
            key,
            key_has_slash,
        })
    }

    /// Returns the routes for the alternatives. `None` means that `proxy_pass` or a rewrite is of an unknown
    /// form.
    pub(super) fn routes(&self, url: &Url, rewrites: &[Rewrite]) -> Option<Vec<PathRoute>> {
        let (mut keeps_path, query) = self.key_of(&url.uri)?;
        match rewrites {
            [] => {}
            // A rewrite has captures of its own, so `$1` is not the bucket any more.
            [Rewrite::Segment] if url.uri != "$request_uri" && !names_capture(url) => {
                keeps_path = false;
            }
            _ => return None,
        }
        let texts: Option<Vec<&String>> = self
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => Some(text),
                Piece::Any(..) => None,
            })
            .collect();
        let is_bucket = |part: &Part| matches!(part, Part::Variable(name) if self.bucket.contains(&name.as_str()));
        let Some(texts) = texts else {
            // The bucket is not a fixed text: the first segment of a request names it, and the rest of the path
            // is the key.
            let patterns = label_patterns(&self.pieces);
            if keeps_path || url.host.iter().filter(|part| is_bucket(part)).count() != 1 {
                return None;
            }
            let names = self.bucket.iter().map(|name| (*name).to_owned());
            let value = Value::Label(patterns);
            return Some(vec![PathRoute {
                host: url.host.clone(),
                variables: names.map(|name| (name, value.clone())).collect(),
                mapping: Mapping {
                    path: "/".to_owned(),
                    strips: false,
                    prefix: String::new(),
                },
                query,
            }]);
        };
        let routes = texts.into_iter().map(|text| {
            let mut host = String::new();
            let mut parts = Vec::new();
            for part in &url.host {
                match part {
                    Part::Text(part) => host.push_str(part),
                    Part::Variable(_) if is_bucket(part) => host.push_str(text),
                    Part::Variable(_) => {
                        parts.push(Part::Text(std::mem::take(&mut host)));
                        parts.push(part.clone());
                    }
                }
            }
            parts.push(Part::Text(host));
            parts.retain(|part| *part != Part::Text(String::new()));
            let names = self.bucket.iter().map(|name| (*name).to_owned());
            PathRoute {
                host: parts,
                variables: names
                    .map(|name| (name, Value::Text(text.clone())))
                    .collect(),
                mapping: Mapping {
                    path: format!("/{text}/"),
                    strips: !keeps_path,
                    prefix: String::new(),
                },
                query,
            }
        });
        Some(routes.collect())
    }

    /// Returns whether the URI keeps the whole path, and whether it keeps the query. `None` means an unknown
    /// form.
    fn key_of(&self, uri: &str) -> Option<(bool, Query)> {
        let (path, query) = match uri {
            "" | "$request_uri" | "$uri$is_args$args" | "$uri?$args" => {
                return Some((true, Query::Kept));
            }
            _ => [
                "$is_args$args",
                "?$args",
                "$is_args$query_string",
                "?$query_string",
            ]
            .iter()
            .find_map(|end| Some((uri.strip_suffix(end)?, Query::Kept)))
            .unwrap_or((uri, Query::Cut)),
        };
        let name = if self.key_has_slash {
            path.strip_prefix('$')?
        } else {
            path.strip_prefix("/$")?
        };
        self.key.contains(&name).then_some((false, query))
    }
}

/// Whether the host or the URI may contain a numbered capture, such as `$1`.
fn names_capture(url: &Url) -> bool {
    let is_number =
        |part: &Part| matches!(part, Part::Variable(name) if name.parse::<u8>().is_ok());
    url.host.iter().any(is_number) || url.uri.contains(['1', '2'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::import::nginx::variables::shown;

    fn routes(pattern: &str, pass: &str) -> Option<String> {
        let url = Url::parse(pass, &Variables::new())?;
        let routes = PathPattern::parse(pattern)?.routes(&url, &[])?;
        let line = |one: &PathRoute| {
            let strips = if one.mapping.strips { "-" } else { "" };
            format!(
                "{strips}{}={} {:?}",
                one.mapping.path,
                shown(&one.host),
                one.query
            )
        };
        Some(routes.iter().map(line).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_first_segment_names_the_bucket() {
        for (pattern, pass, expected) in [
            (
                "^/(a|b)/(.*)$",
                "http://$1.o.aliyuncs.com/$2$is_args$args",
                Some("-/a/=a.o.aliyuncs.com Kept -/b/=b.o.aliyuncs.com Kept"),
            ),
            (
                "^/(a|b)/",
                "http://$1.o.aliyuncs.com",
                Some("/a/=a.o.aliyuncs.com Kept /b/=b.o.aliyuncs.com Kept"),
            ),
            (
                "^/(?<b>a)(/.*)$",
                "http://$b.o.aliyuncs.com$2",
                Some("-/a/=a.o.aliyuncs.com Cut"),
            ),
            (
                "^/(?<b>[^/]+)/(?<k>.*)$",
                "http://$b.o.aliyuncs.com/$k?$args",
                Some("/=$b.o.aliyuncs.com Kept"),
            ),
            ("^/([^/]+)/", "http://$1.o.aliyuncs.com", None),
            ("^/(a|b)/(.*)$", "http://$1.o.aliyuncs.com/x/$2", None),
            ("^/(a|b)/(.*)\\.png$", "http://$1.o.aliyuncs.com/$2", None),
            ("\\.png$", "http://b.o.aliyuncs.com", None),
            ("^/(a|b)", "http://$1.o.aliyuncs.com", None),
        ] {
            assert_eq!(
                routes(pattern, pass).as_deref(),
                expected,
                "{pattern} {pass}"
            );
        }
    }
}
