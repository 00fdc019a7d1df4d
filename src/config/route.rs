//! `[[route]]`: which bucket serves which host and path.

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;
use serde::{Serialize, Serializer};

use crate::config::origin::{Buckets, Origin};
use crate::config::reader::Reader;
use crate::config::spec::Spec;
use crate::config::value::HostPattern;

/// `[[route]]`.
///
/// **Defaults**: every host, every path, every method.
#[derive(Clone, Debug, Serialize)]
pub struct Route {
    /// Label in logs. Default: the first host, else the bucket.
    pub name: String,
    /// Hosts it serves. Empty, the default: every host no other route names, the bare IP included.
    pub hosts: Vec<HostPattern>,
    /// Path prefix it serves, by whole segments. Default `/`.
    pub path: String,
    /// Methods it serves. Empty, the default: all.
    #[serde(serialize_with = "serialize_methods")]
    pub methods: Vec<Method>,
    /// The bucket or buckets behind it.
    #[serde(serialize_with = "serialize_origin")]
    pub origin: Arc<Origin>,
}

fn serialize_origin<S: Serializer>(origin: &Arc<Origin>, serializer: S) -> Result<S::Ok, S::Error> {
    origin.as_ref().serialize(serializer)
}

fn serialize_methods<S: Serializer>(methods: &[Method], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(methods.iter().map(Method::as_str))
}

impl Route {
    pub(crate) fn read(reader: &Reader<'_>, spec: &'static Spec) -> Option<Self> {
        let hosts = reader
            .texts("hosts")
            .into_iter()
            .filter_map(|text| match HostPattern::parse(&text.value) {
                Ok(host) => Some(host),
                Err(message) => {
                    reader.error_at(text.span, "hosts", message, None);
                    None
                }
            })
            .collect::<Vec<_>>();
        if reader.has("hosts") && hosts.is_empty() && reader.texts("hosts").is_empty() {
            reader.error(
                "hosts",
                "is empty",
                Some("leave `hosts` out to serve every host".to_owned()),
            );
        }
        let path = reader
            .text("path")
            .map_or_else(|| "/".to_owned(), |text| text.value);
        if !path.starts_with('/') || path.contains(['?', '#']) {
            reader.error(
                "path",
                format!("`{path}` is not a path; it begins with `/`"),
                None,
            );
        }
        let methods = reader
            .texts("methods")
            .into_iter()
            .filter_map(|text| match text.value.as_str() {
                "GET" | "HEAD" | "PUT" | "POST" | "DELETE" | "OPTIONS" => {
                    Method::from_bytes(text.value.as_bytes()).ok()
                }
                other => {
                    let message = format!("`{other}` is not a method of OSS");
                    let hint = "possible here: `GET`, `HEAD`, `PUT`, `POST`, `DELETE`, `OPTIONS`"
                        .to_owned();
                    reader.error_at(text.span, "methods", message, Some(hint));
                    None
                }
            })
            .collect();
        if !reader.has("origin") {
            let hint = "add `origin = { bucket = \"examplebucket\", region = \"cn-hangzhou\" }`"
                .to_owned();
            reader.error("origin", "is missing", Some(hint));
            return None;
        }
        let origin = Origin::read(
            &reader.table("origin", spec),
            Reader::spec_of(spec, "origin"),
            &path,
        )?;
        let name = match reader.text("name") {
            Some(text) if text.value.is_empty() => {
                reader.error("name", "is empty", None);
                text.value
            }
            Some(text) => text.value,
            None => hosts
                .first()
                .map_or_else(|| default_name(&origin.buckets), ToString::to_string),
        };
        Some(Self {
            name,
            hosts,
            path,
            methods,
            origin: Arc::new(origin),
        })
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

/// Notes routes that claim the same host and path, and names that are not unique.
pub(crate) fn check_claims(routes: &[(&Reader<'_>, Route)]) {
    let mut claims: HashMap<(String, &str), usize> = HashMap::new();
    for (index, (reader, route)) in routes.iter().enumerate() {
        let hosts: Vec<String> = if route.hosts.is_empty() {
            vec!["every host".to_owned()]
        } else {
            route.hosts.iter().map(|host| format!("`{host}`")).collect()
        };
        for host in hosts {
            if let Some(other) =
                claims.insert((host.clone(), route.path.trim_end_matches('/')), index)
            {
                let key = if route.hosts.is_empty() { "" } else { "hosts" };
                let message = format!(
                    "claims {host} with path `{}`, which `route[{other}]` already serves",
                    route.path
                );
                reader.error(
                    key,
                    message,
                    Some("give one of them another `path` or other `hosts`".to_owned()),
                );
            }
        }
    }
}
