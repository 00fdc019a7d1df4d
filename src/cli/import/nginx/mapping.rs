//! Translates the paths of a location to keys of objects. `rewrite` and the URI of `proxy_pass` decide about the
//! keys.

use crate::cli::import::nginx::pattern::{group, literal};
use crate::cli::import::nginx::syntax::Directive;
use crate::cli::import::nginx::variables::Url;

/// The path of a route, and how keys are made from the paths of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    /// The path of the route, decoded.
    pub(super) path: String,
    /// Whether the path of the route is removed from the path of the request (`strip_path`).
    pub(super) strips: bool,
    /// The text that is put before each key (`prefix`), decoded.
    pub(super) prefix: String,
}

/// A `rewrite ... break`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rewrite {
    /// The text `from` at the beginning of a path is replaced by `to`. `to` does not begin with a slash.
    Front { from: String, to: String },
    /// The first segment of the path is removed.
    Segment,
    /// A request for `/` gets this document.
    RootIndex(String),
    /// A request for a path that ends in a slash gets the document of this name in that directory.
    EachIndex(String),
    /// Every request gets this document.
    Fixed(String),
}

/// Whether OSS gets the query of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Query {
    Kept,
    Cut,
}

/// The reason why the paths of a location cannot be translated to keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MappingError {
    /// The URI of `proxy_pass` or a rewrite drops the path of the request.
    Fixed,
    /// The URI of `proxy_pass` or a rewrite is of an unknown form.
    Unknown,
}

impl Rewrite {
    /// Parses a `rewrite` with the flag `break`. `None` means that the form of the directive is not known.
    pub(super) fn parse(directive: &Directive) -> Option<(Self, Query)> {
        let [pattern, replacement, flag] = directive.rest() else {
            return None;
        };
        if flag != "break" {
            return None;
        }
        let (to, query) = match replacement.strip_suffix('?') {
            Some(to) => (to, Query::Cut),
            None => (replacement.as_str(), Query::Kept),
        };
        let pattern = pattern.strip_prefix('^')?;
        let index = |path: &str| {
            let is_name = !path.is_empty() && !path.contains(['/', '$', '?']);
            is_name.then(|| path.to_owned())
        };
        if pattern.is_empty() {
            return Some((Self::Fixed(index(to.strip_prefix('/')?)?), query));
        }
        if pattern == "/$" {
            return Some((Self::RootIndex(index(to.strip_prefix('/')?)?), query));
        }
        if matches!(pattern, "(.*)/$" | "(.+)/$") {
            return Some((Self::EachIndex(index(to.strip_prefix("$1/")?)?), query));
        }
        if pattern == "/(.*)/$" {
            return Some((Self::EachIndex(index(to.strip_prefix("/$1/")?)?), query));
        }
        let segment = ["/[^/]+", "/[^/]*"]
            .iter()
            .find_map(|any| pattern.strip_prefix(any));
        if let Some(rest) = segment {
            let forms = [("/(.*)", "/$1"), ("/(.+)", "/$1"), ("(/.*)", "$1")];
            let is_known = forms.contains(&(rest.strip_suffix('$').unwrap_or(rest), to));
            return is_known.then_some((Self::Segment, query));
        }
        let (before, rest) = pattern
            .find('(')
            .and_then(|at| pattern.split_at_checked(at))?;
        let group = group(rest)?;
        let name = group.name.unwrap_or("1");
        let before = literal(before.strip_suffix('?').unwrap_or(before))?;
        if !matches!(group.after, "" | "$") || !group.captures || to.contains('?') {
            return None;
        }
        let to = to
            .strip_suffix(&format!("${name}"))
            .or_else(|| to.strip_suffix(&format!("${{{name}}}")))?;
        // Whether the captured text begins with the slash of the path.
        let has_slash = match group.inside {
            ".*" | ".+" => !before.ends_with('/'),
            "/.*" | "/.+" => true,
            _ => return None,
        };
        if to.contains('$') || !(to.starts_with('/') || (to.is_empty() && has_slash)) {
            return None;
        }
        let slash = if has_slash { "/" } else { "" };
        let from = format!("{before}{slash}");
        let to = format!("{to}{slash}");
        from.starts_with('/').then(|| {
            let to = to.trim_start_matches('/').to_owned();
            (Self::Front { from, to }, query)
        })
    }
}

/// Returns the mappings of the location with the prefix `path`. `rewrites` are those of the location.
///
/// # Errors
///
/// [`MappingError`] when the URI of `proxy_pass` or a rewrite drops the path of the request or is of an unknown
/// form.
pub(super) fn mappings(
    path: &str,
    rewrites: &[Rewrite],
    url: &Url,
) -> Result<(Vec<Mapping>, Query), MappingError> {
    let (unchanged, query, is_original) = unchanged(path, url)?;
    let mut all = vec![unchanged];
    for rewrite in rewrites {
        // `$request_uri` is the URI before the rewrites, so the rewrites have no effect.
        if is_original {
            break;
        }
        let segment = (path.to_owned(), String::new());
        let (from, to) = match rewrite {
            Rewrite::Front { from, to } => (from, to),
            Rewrite::Segment if is_one_segment(path) => (&segment.0, &segment.1),
            Rewrite::Segment => return Err(MappingError::Unknown),
            Rewrite::Fixed(_) => return Err(MappingError::Fixed),
            Rewrite::RootIndex(_) | Rewrite::EachIndex(_) => continue,
        };
        let stripped = |path: &str, prefix: String| Mapping {
            strips: path != "/",
            path: path.to_owned(),
            prefix,
        };
        if path == from || format!("{path}/") == *from {
            all = vec![stripped(from, to.clone())];
            break;
        }
        if from.starts_with(path) {
            all.push(stripped(from, to.clone()));
        } else if let Some(between) = path.strip_prefix(from.as_str()) {
            let slash = if path.ends_with('/') { "" } else { "/" };
            let prefix = format!("{to}{between}{slash}");
            let is_same = format!("/{prefix}") == format!("{path}{slash}");
            all = vec![if is_same {
                as_is(path)
            } else {
                stripped(path, prefix)
            }];
            break;
        }
    }
    // Of two rewrites for one path, nginx uses the first.
    let mut seen = std::collections::HashSet::new();
    all.retain(|mapping| seen.insert(mapping.path.trim_end_matches('/').to_owned()));
    Ok((all, query))
}

/// Whether `path` is one segment between two slashes.
fn is_one_segment(path: &str) -> bool {
    let inside = path
        .strip_prefix('/')
        .and_then(|path| path.strip_suffix('/'));
    inside.is_some_and(|inside| !inside.is_empty() && !inside.contains('/'))
}

fn as_is(path: &str) -> Mapping {
    Mapping {
        path: path.to_owned(),
        strips: false,
        prefix: String::new(),
    }
}

/// Returns the mapping for a location without rewrites, and whether rewrites cannot change it.
fn unchanged(path: &str, url: &Url) -> Result<(Mapping, Query, bool), MappingError> {
    let uri = url.uri.as_str();
    if uri.is_empty() {
        return Ok((as_is(path), Query::Kept, false));
    }
    if !uri.contains('$') {
        if url.has_variables || uri.contains('?') {
            return Err(MappingError::Fixed);
        }
        // nginx replaces the location's path by the URI of `proxy_pass`, without adding a slash. If the path has
        // no trailing slash, `strip_path` also removes the slash that follows it, so `prefix` must end in a
        // slash.
        let joint = if uri.len() > 1 && !uri.ends_with('/') && !path.ends_with('/') {
            "/"
        } else {
            ""
        };
        let mapping = Mapping {
            path: path.to_owned(),
            strips: path != "/",
            prefix: format!("{}{joint}", uri.trim_start_matches('/')),
        };
        return Ok((mapping, Query::Kept, false));
    }
    let (front, rest) = uri
        .find('$')
        .and_then(|at| uri.split_at_checked(at))
        .unwrap_or((uri, ""));
    let (query, is_original) = match rest {
        "$request_uri" => (Query::Kept, true),
        "$uri$is_args$args"
        | "$uri$is_args$query_string"
        | "$uri?$args"
        | "$uri?$query_string"
        | "$document_uri$is_args$args" => (Query::Kept, false),
        "$uri" | "$document_uri" => (Query::Cut, false),
        _ => return Err(MappingError::Unknown),
    };
    let mapping = Mapping {
        path: path.to_owned(),
        strips: false,
        prefix: match front.trim_start_matches('/') {
            "" => String::new(),
            front => format!("{}/", front.trim_end_matches('/')),
        },
    };
    Ok((mapping, query, is_original))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::import::nginx::variables::Variables;

    fn shown(path: &str, rewrite: &str, pass: &str) -> String {
        let words = format!("rewrite {rewrite}");
        let directive = Directive {
            words: words.split(' ').map(str::to_owned).collect(),
            ..Directive::default()
        };
        let rewrites: Vec<Rewrite> = Rewrite::parse(&directive)
            .map(|(rewrite, _)| rewrite)
            .into_iter()
            .collect();
        let url = Url::parse(pass, &Variables::new()).unwrap();
        match mappings(path, &rewrites, &url) {
            Ok((all, query)) => {
                let line = |one: &Mapping| {
                    let strips = if one.strips { "-" } else { "" };
                    format!("{strips}{}>{}", one.path, one.prefix)
                };
                let all: Vec<String> = all.iter().map(line).collect();
                format!("{} {query:?}", all.join(" "))
            }
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn paths_are_mapped_as_nginx_does_it() {
        for (path, rewrite, pass, expected) in [
            ("/", "", "http://b", "/> Kept"),
            ("/img/", "", "http://b", "/img/> Kept"),
            ("/img/", "", "http://b/", "-/img/> Kept"),
            ("/img", "", "http://b/x", "-/img>x/ Kept"),
            ("/", "", "http://b/site/", "/>site/ Kept"),
            ("/", "", "http://$b/site/", "Fixed"),
            ("/", "", "http://$b/site$request_uri", "/>site/ Kept"),
            ("/", "", "http://$b$uri", "/> Cut"),
            ("/", "", "http://$b$uri$is_args$args", "/> Kept"),
            ("/", "", "http://$b/$arg_x", "Unknown"),
            ("/img/", "^/img/(.*)$ /$1 break", "http://b", "-/img/> Kept"),
            ("/img", "^/img(/.*)$ $1 break", "http://b", "-/img/> Kept"),
            (
                "/img/",
                "^/img/(.+) /site/$1 break",
                "http://b",
                "-/img/>site/ Kept",
            ),
            ("/", "^/img/(.*)$ /$1 break", "http://b", "/> -/img/> Kept"),
            ("/", "^(.*)$ /site$1 break", "http://b", "/>site/ Kept"),
            (
                "/img/",
                "^/(.*)$ /site/$1 break",
                "http://b",
                "-/img/>site/img/ Kept",
            ),
            ("/img/", "^/(.*)$ /$1 break", "http://b", "/img/> Kept"),
            (
                "/img/",
                "^/img/(.*)$ /$1 break",
                "http://$b$request_uri",
                "/img/> Kept",
            ),
            ("/a/", "^/b/(.*)$ /$1 break", "http://b", "/a/> Kept"),
            ("/a/", "^/[^/]+/(.*)$ /$1 break", "http://b", "-/a/> Kept"),
            ("/", "^/[^/]+/(.*)$ /$1 break", "http://b", "Unknown"),
            ("/", "^ /index.html break", "http://b", "Fixed"),
        ] {
            assert_eq!(
                shown(path, rewrite, pass),
                expected,
                "{path} {rewrite} {pass}"
            );
        }
    }

    #[test]
    fn a_rewrite_of_another_form_is_not_guessed() {
        for text in [
            "rewrite ^/img/(.*)$ /$1 last",
            "rewrite ^/img/(.*)$ /$1",
            "rewrite /img/(.*)$ /$1 break",
            "rewrite ^/img/(.*)\\.png$ /$1 break",
            "rewrite ^/(a|b)/(.*)$ /$2 break",
            "rewrite ^/img/(.*)$ /x?k=$1 break",
            "rewrite ^/img/(.*)$ $1 break",
            "rewrite ^ /a/index.html break",
        ] {
            let directive = Directive {
                words: text.split(' ').map(str::to_owned).collect(),
                ..Directive::default()
            };
            assert_eq!(Rewrite::parse(&directive), None, "{text}");
        }
    }
}
