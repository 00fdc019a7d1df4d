//! Translates a `proxy_pass` to the keys of a route's `origin` table.

use std::collections::BTreeMap;
use std::fmt;

use crate::cli::import::toml_text::quoted;
use crate::oss::endpoint::{HostKind, classify};

/// The settings of a server or a location. The settings of a location start as a copy of its server's
/// settings.
#[derive(Clone, Default)]
pub(super) struct Settings {
    /// The value of `Host` that nginx sends to the target.
    pub(super) host: Option<String>,
    /// `proxy_connect_timeout`, as a duration of the config.
    pub(super) connect: Option<String>,
    /// `proxy_read_timeout`, as a duration of the config.
    pub(super) read: Option<String>,
    /// The keys of `hsts`.
    pub(super) hsts: Option<String>,
    /// The keys of `referer`, from `valid_referers`.
    pub(super) referer: Option<String>,
    /// Whether the server refuses a request with an invalid Referer.
    pub(super) refuses: bool,
}

/// A `proxy_pass` directive and the data that its translation needs.
pub(super) struct ProxyPass<'a> {
    /// The servers of each `upstream` block, by its name.
    pub(super) upstreams: &'a BTreeMap<String, Vec<String>>,
    pub(super) settings: &'a Settings,
    /// The hosts of the route.
    pub(super) hosts: &'a [String],
    /// The path of the location.
    pub(super) path: &'a str,
}

/// The reason why a `proxy_pass` cannot be imported.
#[derive(Debug)]
pub(super) enum OriginError {
    /// The target is not a URL.
    NotUrl(String),
    /// The target's host is not an OSS host.
    NotOss(String),
    /// The target's host does not contain a bucket.
    NoBucket(String),
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUrl(target) => write!(f, "`{target}` is not a URL"),
            Self::NotOss(host) => write!(
                f,
                "`{host}` is not a host of OSS: write `origin` with its bucket by hand"
            ),
            Self::NoBucket(host) => {
                write!(f, "`{host}` names no bucket: write `buckets` by hand")
            }
        }
    }
}

impl ProxyPass<'_> {
    /// Returns the keys of `origin` for `target`. Parts that cannot be imported are reported in `notes`.
    ///
    /// # Errors
    ///
    /// [`OriginError::NotUrl`], [`OriginError::NotOss`] or [`OriginError::NoBucket`] when the target does
    /// not name a bucket.
    pub(super) fn origin(
        &self,
        target: &str,
        notes: &mut Vec<String>,
    ) -> Result<Vec<String>, OriginError> {
        let Self {
            settings,
            hosts,
            path,
            ..
        } = self;
        let (scheme, rest) = target
            .split_once("://")
            .ok_or_else(|| OriginError::NotUrl(target.to_owned()))?;
        let (name, uri) = match rest.find('/') {
            Some(at) => rest.split_at_checked(at).unwrap_or((rest, "")),
            None => (rest, ""),
        };
        let name = match self.upstreams.get(name) {
            None => name.to_owned(),
            Some(servers) => {
                let first = servers.first().cloned().unwrap_or_default();
                if servers.len() > 1 {
                    notes.push(format!("of the servers of `{name}`, only `{first}` is carried over: ossgate uses every address of a host name by itself"));
                }
                first
            }
        };
        if let Some((_, port)) = name.split_once(':')
            && port != if scheme == "http" { "80" } else { "443" }
        {
            notes.push(format!(
                "the port of `{name}` is not carried over: OSS has ports 80 and 443 only"
            ));
        }
        let host = classify(&name).ok_or_else(|| OriginError::NotOss(name.clone()))?;
        let bucket = host
            .bucket
            .as_deref()
            .ok_or_else(|| OriginError::NoBucket(name.clone()))?;
        let mut lines = vec![format!("bucket = {}", quoted(bucket))];
        let network = match (host.kind, host.is_internal) {
            (HostKind::Regional, true) => Some("internal"),
            (HostKind::Regional, false) => Some("public"),
            (HostKind::DualStack, _) => Some("dualstack"),
            _ => None,
        };
        match host.region.as_deref().zip(network) {
            Some((region, network)) => {
                lines.push(format!("region = {}", quoted(region)));
                lines.push(format!("network = {}", quoted(network)));
            }
            None => {
                let bare = name.split(':').next().unwrap_or(&name);
                let endpoint = bare.split_once('.').map_or(bare, |(_, endpoint)| endpoint);
                lines.push(format!("endpoint = {}", quoted(endpoint)));
            }
        }
        if scheme == "http" {
            lines.push("tls = false".to_owned());
        }
        let sent = settings.host.as_deref().unwrap_or("$proxy_host");
        let is_own = |host: &str| {
            host == "$proxy_host"
                || host.eq_ignore_ascii_case(name.split(':').next().unwrap_or(&name))
        };
        if matches!(sent, "$host" | "$http_host" | "$server_name") {
            match hosts.iter().find(|host| !host.contains('*')) {
                Some(host) => {
                    lines.push(format!("host = {}", quoted(host)));
                    notes.push(format!("OSS gets the Host `{host}`: it must be bound to the bucket"));
                }
                None => notes.push("the client's Host is not passed on: the server has no name that could be bound to the bucket".to_owned()),
            }
        } else if !is_own(sent) && !sent.contains('$') {
            lines.push(format!("host = {}", quoted(sent)));
        }
        if !uri.is_empty() && *path != "/" {
            lines.push("strip_path = true".to_owned());
        }
        // nginx replaces the location's path in the request by the URI of `proxy_pass`, and adds no slash. If
        // the location's path has no slash at its end, `strip_path` removes it together with the slash that
        // follows it in the request. In this case `prefix` must end in a slash.
        let joint = if uri.len() > 1 && !uri.ends_with('/') && !path.ends_with('/') {
            "/"
        } else {
            ""
        };
        let prefix = format!("{}{joint}", uri.trim_start_matches('/'));
        if !prefix.is_empty() {
            lines.push(format!("prefix = {}", quoted(&prefix)));
        }
        if settings.connect.is_some() || settings.read.is_some() {
            let connect = settings
                .connect
                .iter()
                .map(|time| format!("connect = {}", quoted(time)));
            let read = settings.read.iter().flat_map(|time| {
                ["first_byte", "idle"].map(|key| format!("{key} = {}", quoted(time)))
            });
            let times: Vec<String> = connect.chain(read).collect();
            lines.push(format!("timeouts = {{ {} }}", times.join(", ")));
        }
        Ok(lines)
    }
}
