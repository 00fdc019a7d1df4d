//! `[[route]]`: which bucket serves which host and path.
//!
//! One host and path belongs to one route, so the order of routes in the file means nothing.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;
use serde::{Serialize, Serializer};

use crate::config::origin::{Buckets, Origin};
use crate::config::policy::Policies;
use crate::config::reader::{Reader, Text};
use crate::config::value::{HostPattern, Invalid, check_encoded};

/// `[[route]]`.
///
/// **Defaults**: every host, every path, every method.
#[derive(Clone, Debug, Serialize)]
pub struct Route {
    /// Line in the file, from 1.
    #[serde(skip)]
    pub line: usize,
    /// Label in logs, of this route only. Default: the first host, else the bucket; with the path
    /// behind it where another route already has that.
    pub name: String,
    /// Hosts it serves. Empty, the default: every host no other route names, the bare IP included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostPattern>,
    /// Path prefix it serves, by whole segments, percent-encoded. Begins with `/`; default `/`.
    pub path: String,
    /// Methods it serves. Empty, the default: all.
    #[serde(
        serialize_with = "serialize_methods",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub methods: Vec<Method>,
    /// The bucket or buckets behind it.
    #[serde(serialize_with = "serialize_origin")]
    pub origin: Arc<Origin>,
    /// Its rules.
    #[serde(flatten)]
    pub policies: Policies,
}

fn serialize_origin<S: Serializer>(origin: &Arc<Origin>, serializer: S) -> Result<S::Ok, S::Error> {
    origin.as_ref().serialize(serializer)
}

fn serialize_methods<S: Serializer>(methods: &[Method], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(methods.iter().map(Method::as_str))
}

/// A route with its place in the file.
pub(crate) struct Claim<'a> {
    reader: Reader<'a>,
    route: Route,
    /// `route.hosts` as written.
    hosts: Vec<Text>,
    /// `route.path` as written.
    path: String,
    /// Whether the file names the route.
    is_named: bool,
}

impl<'a> Claim<'a> {
    /// Reads one `[[route]]`.
    pub(crate) fn read(reader: Reader<'a>) -> Option<Self> {
        if reader.is_empty_list("hosts") {
            let hint = "leave `hosts` out to serve every host";
            reader.error("hosts", "is empty", Some(hint));
        }
        let parsed = reader.parsed("hosts", HostPattern::parse);
        let (hosts, written): (Vec<_>, Vec<_>) = parsed.into_iter().unzip();
        let (path, written_path) = read_path(&reader);
        if reader.is_empty_list("methods") {
            let hint = "leave `methods` out to serve all";
            reader.error("methods", "is empty", Some(hint));
        }
        let methods = reader.parsed("methods", parse_method);
        let methods = methods.into_iter().map(|(method, _)| method).collect();
        let policies = Policies::read(&reader);
        let name = reader.text("name");
        if name.as_ref().is_some_and(|name| name.value.is_empty()) {
            reader.error("name", "is empty", None);
        }
        if !reader.has("origin") {
            let hint = "add `origin = { bucket = \"examplebucket\", region = \"cn-hangzhou\" }`";
            reader.error("origin", "is missing", Some(hint));
            return None;
        }
        let origin = Origin::read(&reader.table("origin"), &path)?;
        let is_named = name.is_some();
        let name = match (name, hosts.first()) {
            (Some(name), _) => name.value,
            (None, Some(host)) => host.to_string(),
            (None, None) => default_name(&origin.buckets),
        };
        let line = reader.own_line();
        Some(Self {
            reader,
            route: Route {
                line,
                name,
                hosts,
                path,
                methods,
                origin: Arc::new(origin),
                policies,
            },
            hosts: written,
            path: written_path,
            is_named,
        })
    }
}

fn read_path(reader: &Reader<'_>) -> (String, String) {
    let Some(text) = reader.text("path") else {
        return ("/".to_owned(), "/".to_owned());
    };
    if !text.value.starts_with('/') {
        reader.refuse("path", &text, Invalid::Path, None);
    } else if let Err(reason) = check_encoded(&text.value) {
        reader.refuse("path", &text, reason, None);
    }
    (text.value, text.written)
}

fn parse_method(text: &str) -> Result<Method, &'static str> {
    match text {
        "GET" | "HEAD" | "PUT" | "POST" | "DELETE" | "OPTIONS" => {
            Method::from_bytes(text.as_bytes()).map_err(|_| "is not a method")
        }
        _ => Err("is not a method of OSS: `GET`, `HEAD`, `PUT`, `POST`, `DELETE` or `OPTIONS`"),
    }
}

fn default_name(buckets: &Buckets) -> String {
    match buckets {
        Buckets::One(bucket) => bucket.clone(),
        Buckets::Many(patterns) => patterns
            .first()
            .map_or_else(|| "route".to_owned(), ToString::to_string),
    }
}

/// The routes, once no two claim the same host and path and every name is one route's own.
pub(crate) fn settle(mut claims: Vec<Claim<'_>>) -> Vec<Route> {
    check_hosts(&claims);
    settle_names(&mut claims);
    claims.into_iter().map(|claim| claim.route).collect()
}

fn check_hosts(claims: &[Claim<'_>]) {
    let mut seen: HashMap<(Option<&HostPattern>, &str), usize> = HashMap::new();
    for (index, claim) in claims.iter().enumerate() {
        let path = claim.route.path.trim_end_matches('/');
        // With `hosts` that are all wrong it is not known what the route claims.
        if !claim.reader.has("hosts")
            && let Some(other) = seen.insert((None, path), index)
        {
            let message = format!(
                "claims every host with path `{}`, as `route[{other}]` does",
                claim.path
            );
            let hint = "give one of them `hosts`, or another `path`";
            claim.reader.error("", message, Some(hint));
        }
        for (host, written) in claim.route.hosts.iter().zip(&claim.hosts) {
            match seen.insert((Some(host), path), index) {
                None => {}
                Some(other) if other == index => {
                    claim
                        .reader
                        .refuse("hosts", written, "is listed twice", None);
                }
                Some(other) => {
                    let reason = format!(
                        "with path `{}` is already served by `route[{other}]`",
                        claim.path
                    );
                    let hint = "give one of them another `path` or other `hosts`".to_owned();
                    claim.reader.refuse("hosts", written, reason, Some(hint));
                }
            }
        }
    }
}

fn settle_names(claims: &mut [Claim<'_>]) {
    let mut taken: HashMap<String, usize> = HashMap::new();
    for (index, claim) in claims.iter().enumerate() {
        if claim.is_named
            && let Some(other) = taken.insert(claim.route.name.clone(), index)
        {
            let message = format!("is already the name of `route[{other}]`");
            claim.reader.error("name", message, None);
        }
    }
    // Names nobody chose make way: the path tells routes of one host apart.
    for (index, claim) in claims.iter_mut().enumerate() {
        if claim.is_named {
            continue;
        }
        let route = &mut claim.route;
        if taken.contains_key(&route.name) {
            route.name = format!("{}{}", route.name, route.path);
        }
        if taken.contains_key(&route.name) {
            route.name = format!("{}#{index}", route.name);
        }
        taken.insert(route.name.clone(), index);
    }
}
