//! `[[route]]`: the bucket for each host and path.
//!
//! Each combination of host and path belongs to one route, so the order of routes has no effect.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use http::Method;
use serde::{Serialize, Serializer};

use crate::config::origin::{Buckets, Origin};
use crate::config::pasted;
use crate::config::pattern::HostPattern;
use crate::config::policy::{Policies, Preset};
use crate::config::reader::{Reader, Text};
use crate::config::sign::Sign;
use crate::config::value::{Invalid, check_encoded};
use crate::oss::spelling;

/// The handling of a request that lists the buckets. Such a request names no bucket: in path style, the path
/// of the request has no first segment; with a wildcard host `*.suffix`, the host of the request is `suffix`
/// alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListBuckets {
    /// The response is 403.
    Refuse,
    /// The request is sent to the endpoint's own host. OSS lists all buckets of the owner of the client's
    /// access key, including buckets that the route does not serve.
    Pass,
}

/// `[[route]]`.
///
/// **Defaults**: every host, every path, every method.
#[derive(Clone, Debug, Serialize)]
pub struct Route {
    /// The name of the file that contains the route. All lines of the route and its policies are in this file.
    #[serde(skip)]
    pub file: Arc<str>,
    /// The line of the route in its file, from 1.
    #[serde(skip)]
    pub line: usize,
    /// The unique name of the route in logs. Default: the first host, or the bucket if the route has no host.
    /// If another route already has that name, the path is appended. If that name is also taken, the index of
    /// the route is appended.
    pub name: String,
    /// The hosts that the route serves. Empty (the default) means every host, including IP addresses; a route
    /// that names the host has priority.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostPattern>,
    /// The path prefix that the route serves. It matches only whole segments (`/a` does not match `/ab`). It
    /// is percent-encoded; equivalent encodings match the same paths. It begins with `/`. Default `/`.
    pub path: String,
    /// The methods that the route serves. Empty (the default) means all methods.
    #[serde(
        serialize_with = "serialize_methods",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub methods: Vec<Method>,
    /// The line of `methods` in its file, from 1; the line of the route if the key is absent.
    #[serde(skip)]
    pub methods_line: usize,
    /// The handling of a request that lists the buckets. Default `refuse`. Only routes with the key `buckets`
    /// may have this key, because no request to a route with the key `bucket` lists the buckets.
    #[serde(skip_serializing_if = "ListBuckets::is_default")]
    pub list_buckets: ListBuckets,
    /// The bucket or buckets, and their endpoint.
    #[serde(serialize_with = "serialize_origin")]
    pub origin: Arc<Origin>,
    /// Which requests are signed. `None` if the origin has no credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign: Option<Sign>,
    /// The policies of the route.
    #[serde(flatten)]
    pub policies: Policies,
}

impl ListBuckets {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the form serde calls")]
    fn is_default(&self) -> bool {
        *self == Self::Refuse
    }

    /// Reads the key `list_buckets` of a route. `policies` are the policies of the same route: `pass`
    /// conflicts with a guard preset that refuses the listing.
    fn read(reader: &Reader<'_>, policies: &Policies) -> Self {
        let words = [("refuse", Self::Refuse), ("pass", Self::Pass)];
        let read = reader.word("list_buckets", &words).unwrap_or(Self::Refuse);
        let preset = policies.guard.as_ref().map(|guard| guard.preset);
        if read == Self::Pass && preset.is_some_and(|preset| preset != Preset::Full) {
            let message = "`pass` has no effect: the guard refuses the listing of buckets";
            let hint = "set `preset = \"full\"` in `guard`, or remove one of the two";
            reader.error("list_buckets", message, Some(hint));
        }
        read
    }
}

impl Route {
    /// Returns [`Route::path`] percent-decoded, for the comparison with the paths of requests.
    #[must_use]
    pub fn decoded_path(&self) -> Cow<'_, [u8]> {
        spelling::decode(&self.path)
    }
}

fn serialize_origin<S: Serializer>(origin: &Arc<Origin>, serializer: S) -> Result<S::Ok, S::Error> {
    origin.as_ref().serialize(serializer)
}

fn serialize_methods<S: Serializer>(methods: &[Method], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(methods.iter().map(Method::as_str))
}

/// A route that has been read but not yet compared with the other routes.
pub(crate) struct RouteCandidate<'a> {
    reader: Reader<'a>,
    route: Route,
    /// The hosts as written in the file.
    hosts: Vec<Text>,
    /// The path as written in the file.
    path: String,
    /// Whether the file has a `name` for the route.
    is_named: bool,
}

impl<'a> RouteCandidate<'a> {
    /// Returns the reader of the table.
    pub(crate) fn reader(&self) -> &Reader<'a> {
        &self.reader
    }

    /// Returns the route, whose name may not be unique yet.
    pub(crate) fn route(&self) -> &Route {
        &self.route
    }

    /// Reads one `[[route]]`; `None` when its origin is absent or wrong.
    pub(crate) fn read(reader: Reader<'a>) -> Option<Self> {
        if reader.is_empty_list("hosts") {
            let hint = "leave `hosts` out to serve every host";
            reader.error("hosts", "is empty", Some(hint));
        }
        let parsed = reader.parsed_or("hosts", HostPattern::parse, pasted::host);
        let (hosts, written): (Vec<_>, Vec<_>) = parsed.into_iter().unzip();
        let (path, written_path) = read_path(&reader);
        if reader.is_empty_list("methods") {
            let hint = "leave `methods` out to serve all";
            reader.error("methods", "is empty", Some(hint));
        }
        let methods = reader.parsed_or("methods", parse_method, nearest_method);
        let methods = methods.into_iter().map(|(method, _)| method).collect();
        let policies = Policies::read(&reader);
        let list_buckets = ListBuckets::read(&reader, &policies);
        let name = reader.text("name");
        if name.as_ref().is_some_and(|name| name.value.is_empty()) {
            reader.error("name", "is empty", None);
        }
        if !reader.has("origin") {
            let hint = "add `origin = { bucket = \"examplebucket\", region = \"cn-hangzhou\" }`";
            reader.error("origin", "is missing", Some(hint));
            return None;
        }
        let table = reader.table("origin");
        if !table.exists() {
            return None;
        }
        let origin = Origin::read(&table, &path)?;
        if reader.has("list_buckets") && matches!(origin.buckets, Buckets::One(_)) {
            let hint = "leave it out: with `bucket` every request is for the bucket";
            reader.error("list_buckets", "needs `origin.buckets`", Some(hint));
        }
        let sign = Sign::read(&reader, &origin);
        let is_named = name.is_some();
        let name = match (name, hosts.first()) {
            (Some(name), _) => name.value,
            (None, Some(host)) => host.to_string(),
            (None, None) => default_name(&origin.buckets),
        };
        let methods_line = reader.line_of("methods");
        let (file, line) = (Arc::clone(reader.file_name()), reader.own_line());
        Some(Self {
            reader,
            route: Route {
                file,
                line,
                name,
                hosts,
                path,
                methods,
                methods_line,
                list_buckets,
                origin: Arc::new(origin),
                sign,
                policies,
            },
            hosts: written,
            path: written_path,
            is_named,
        })
    }
}

impl RouteCandidate<'_> {
    /// Returns the hosts of the route, each with its text in the file.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = (&HostPattern, &Text)> {
        self.route.hosts.iter().zip(&self.hosts)
    }

    /// Whether the route serves every host. An empty list of hosts is not enough: it is also empty if all hosts
    /// of the route are invalid.
    pub(crate) fn serves_every_host(&self) -> bool {
        !self.reader.has("hosts")
    }
}

fn read_path(reader: &Reader<'_>) -> (String, String) {
    let Some(text) = reader.text("path") else {
        return ("/".to_owned(), "/".to_owned());
    };
    if !text.value.starts_with('/') {
        let is_name = text.is_literal() && check_encoded(&text.value).is_ok();
        let hint = is_name.then(|| format!("write `path = \"/{}\"`", text.value));
        reader.error_at("path", &text, Invalid::Path, hint);
    } else if let Err(reason) = check_encoded(&text.value) {
        reader.error_at("path", &text, reason, None);
    } else if text.value.ends_with('*') {
        let doubt = "has a `*` that stands for itself; a path is a prefix, so no `*` is needed";
        reader.warn_at("path", &text, doubt);
    }
    (text.value, text.written)
}

fn parse_method(text: &str) -> Result<Method, Invalid> {
    match text {
        "GET" => Ok(Method::GET),
        "HEAD" => Ok(Method::HEAD),
        "PUT" => Ok(Method::PUT),
        "POST" => Ok(Method::POST),
        "DELETE" => Ok(Method::DELETE),
        "OPTIONS" => Ok(Method::OPTIONS),
        _ => Err(Invalid::Method),
    }
}

fn nearest_method(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    if matches!(upper.as_str(), "*" | "ALL" | "ANY") {
        return Some("leave `methods` out to serve all".to_owned());
    }
    parse_method(&upper).ok()?;
    Some(format!("did you mean `{upper}`?"))
}

fn default_name(buckets: &Buckets) -> String {
    match buckets {
        Buckets::One(bucket) => bucket.clone(),
        Buckets::Many(patterns) => patterns
            .first()
            .map_or_else(|| "route".to_owned(), ToString::to_string),
    }
}

/// Compares the routes with each other: reports two routes for the same host and path, and makes the
/// names of all routes unique.
pub(crate) fn finish(mut candidates: Vec<RouteCandidate<'_>>) -> Vec<Route> {
    check_hosts(&candidates);
    assign_names(&mut candidates);
    candidates
        .into_iter()
        .map(|candidate| candidate.route)
        .collect()
}

fn check_hosts(candidates: &[RouteCandidate<'_>]) {
    let mut seen: HashMap<(Option<&HostPattern>, Cow<'_, [u8]>), usize> = HashMap::new();
    for (index, candidate) in candidates.iter().enumerate() {
        // Equivalent percent-encodings count as the same path, and a slash at the end makes no difference.
        let mut path = candidate.route.decoded_path();
        while let Some(shorter) = path.strip_suffix(b"/") {
            let length = shorter.len();
            match &mut path {
                Cow::Borrowed(path) => *path = path.get(..length).unwrap_or_default(),
                Cow::Owned(path) => path.truncate(length),
            }
        }
        if candidate.serves_every_host()
            && let Some(other) = seen.insert((None, path.clone()), index)
        {
            let message = format!(
                "serves every host with path `{}`, as {} does",
                candidate.path,
                described(candidates, other, candidate)
            );
            let hint = "add `hosts` to one of them, or change its `path`";
            candidate.reader.error("", message, Some(hint));
        }
        for (host, written) in candidate.route.hosts.iter().zip(&candidate.hosts) {
            match seen.insert((Some(host), path.clone()), index) {
                None => {}
                Some(other) if other == index => {
                    candidate
                        .reader
                        .error_at("hosts", written, "is listed twice", None);
                }
                Some(other) => {
                    let reason = format!(
                        "with path `{}` is already served by {}",
                        candidate.path,
                        described(candidates, other, candidate)
                    );
                    let hint = "change `path` or `hosts` of one of them".to_owned();
                    candidate
                        .reader
                        .error_at("hosts", written, reason, Some(hint));
                }
            }
        }
    }
}

/// Returns the key path and the place of the route with index `other`, for a message about `candidate`.
fn described(
    candidates: &[RouteCandidate<'_>],
    other: usize,
    candidate: &RouteCandidate<'_>,
) -> String {
    let other = candidates.get(other).unwrap_or(candidate);
    other.reader.for_message_of(&candidate.reader)
}

fn assign_names(candidates: &mut [RouteCandidate<'_>]) {
    let mut taken: HashMap<String, usize> = HashMap::new();
    for (index, candidate) in candidates.iter().enumerate() {
        if candidate.is_named
            && let Some(other) = taken.insert(candidate.route.name.clone(), index)
        {
            let other = described(candidates, other, candidate);
            let message = format!("is already the name of {other}");
            candidate.reader.error("name", message, None);
        }
    }
    // A name from the file has priority over a default name. Routes with the same host usually have different
    // paths, so the path makes a default name unique.
    for (index, candidate) in candidates.iter_mut().enumerate() {
        if candidate.is_named {
            continue;
        }
        let route = &mut candidate.route;
        if taken.contains_key(&route.name) {
            route.name = format!("{}{}", route.name, route.path);
        }
        if taken.contains_key(&route.name) {
            route.name = format!("{}#{index}", route.name);
        }
        taken.insert(route.name.clone(), index);
    }
}
