//! Where a `proxy_pass` leads: the bucket, the region, and what is sent there.

use std::collections::BTreeMap;

use crate::cli::import::quoted;
use crate::oss::endpoint::{HostKind, classify};

/// What a server or a location says about proxying; a location begins with its server's.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) host: Option<String>,
    pub(super) connect: Option<String>,
    pub(super) read: Option<String>,
    pub(super) hsts: Option<String>,
    /// `valid_referers`, and whether what does not match is refused.
    pub(super) referer: Option<String>,
    pub(super) refuses: bool,
}

/// A `proxy_pass` and what is known around it.
pub(super) struct Lead<'a> {
    /// Servers of each upstream.
    pub(super) upstreams: &'a BTreeMap<String, Vec<String>>,
    pub(super) settings: &'a Settings,
    pub(super) hosts: &'a [String],
    /// The location's.
    pub(super) path: &'a str,
}

impl Lead<'_> {
    /// The lines of `origin`.
    ///
    /// # Errors
    ///
    /// Why the target leads to no bucket.
    pub(super) fn origin(
        &self,
        target: &str,
        notes: &mut Vec<String>,
    ) -> Result<Vec<String>, String> {
        let Self {
            settings,
            hosts,
            path,
            ..
        } = self;
        let (scheme, rest) = target
            .split_once("://")
            .ok_or_else(|| format!("`{target}` is no URL"))?;
        let (name, uri) = match rest.find('/') {
            Some(at) => rest.split_at_checked(at).unwrap_or((rest, "")),
            None => (rest, ""),
        };
        let name = match self.upstreams.get(name) {
            None => name.to_owned(),
            Some(servers) => {
                let first = servers.first().cloned().unwrap_or_default();
                if servers.len() > 1 {
                    notes.push(format!("of the servers of `{name}` only `{first}` is carried over: ossgate uses all addresses of a name"));
                }
                first
            }
        };
        if let Some((_, port)) = name.split_once(':')
            && port != if scheme == "http" { "80" } else { "443" }
        {
            notes.push(format!(
                "the port of `{name}` is not carried over: OSS has 80 and 443 only"
            ));
        }
        let host = classify(&name).ok_or_else(|| {
            format!("`{name}` is not a host of OSS: write `origin` with its bucket by hand")
        })?;
        let bucket = host
            .bucket
            .as_deref()
            .ok_or_else(|| format!("`{name}` names no bucket: write `buckets` by hand"))?;
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
                    notes.push(format!("OSS is sent the Host `{host}`: it must be bound to the bucket"));
                }
                None => notes.push("the client's Host is not passed on: no name is known that could be bound to the bucket".to_owned()),
            }
        } else if !is_own(sent) && !sent.contains('$') {
            lines.push(format!("host = {}", quoted(sent)));
        }
        if !uri.is_empty() && *path != "/" {
            lines.push("strip_path = true".to_owned());
        }
        // A location without its last slash is replaced up to where that slash would be.
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
