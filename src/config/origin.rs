//! `[route.origin]`: the bucket or buckets, and how to talk to their endpoint.
//!
//! What a request may be sent to is fixed by this table alone. Nothing is resolved or connected
//! here; combinations OSS would refuse are noted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde::{Serialize, Serializer};

use crate::config::certificate::read_certificates;
use crate::config::endpoint::{Endpoint, EndpointHost, split_port};
use crate::config::fallback;
use crate::config::reader::Reader;
use crate::config::value::{BucketPattern, Invalid, check_encoded, host_name, serialize_duration};
use crate::oss::addressing::is_bucket_name;
use crate::oss::endpoint::HostKind;

/// Which buckets a route serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Buckets {
    /// One: the whole path is the key.
    One(String),
    /// Several: chosen by the first path segment, or by the label a wildcard host stands for.
    Many(Vec<BucketPattern>),
}

/// Where OSS finds the bucket's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addressing {
    /// In the host: `bucket.endpoint`.
    VirtualHost,
    /// In the path: `/bucket/key`, as PrivateLink wants it.
    Path,
}

/// Deadlines towards OSS.
#[derive(Clone, Debug, Serialize)]
pub struct OriginTimeouts {
    /// For one connect with its TLS handshake. Default 3 s.
    #[serde(serialize_with = "serialize_duration")]
    pub connect: Duration,
    /// From the end of the request to the answer's first byte. Default 60 s: completing a large
    /// multipart upload takes long.
    #[serde(serialize_with = "serialize_duration")]
    pub first_byte: Duration,
    /// For a silence inside a body, either way. Default 60 s.
    #[serde(serialize_with = "serialize_duration")]
    pub idle: Duration,
}

/// Kept-alive connections to OSS.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Pool {
    /// Most idle connections per address and worker, at most 100000. Default 64; 0 keeps none.
    pub idle_per_address: usize,
    /// How long a connection stays idle. Default 30 s: below OSS's own limit.
    #[serde(serialize_with = "serialize_duration")]
    pub idle: Duration,
    /// Most requests in flight per address, over all workers, at most a million. 0, the default: no
    /// limit.
    pub max_per_address: usize,
}

/// `[route.origin]`.
///
/// **Defaults**: internal network, HTTPS with verification, virtual-host addressing.
#[derive(Clone, Debug)]
pub struct Origin {
    /// From `bucket` or `buckets`; exactly one is required.
    pub buckets: Buckets,
    /// From `endpoint`, or from `region` and `network`.
    pub endpoint: Endpoint,
    /// From `fallback`: endpoints for the time the one before cannot be connected to, in order of
    /// preference. Default none. They share all the other keys.
    pub fallback: Vec<Endpoint>,
    /// Host sent to OSS, at every endpoint. Default: that of bucket and endpoint. A domain bound to the bucket gives
    /// inline preview.
    pub host: Option<String>,
    /// Default: path for an address and for PrivateLink, else virtual-host.
    pub addressing: Addressing,
    /// Whether OSS is reached by HTTPS. Default true.
    pub tls: bool,
    /// CAs to trust instead of the system's.
    pub ca: Option<Arc<[CertificateDer<'static>]>>,
    /// The PEM file they are from.
    pub ca_file: Option<PathBuf>,
    /// Name in the endpoint's certificate. Default: the host connected to.
    pub server_name: Option<String>,
    /// Put before every key, percent-encoded. Default empty; does not begin with `/`.
    pub prefix: String,
    /// Whether the route's path is taken off first. Default false.
    pub strip_path: bool,
    /// Deadlines.
    pub timeouts: OriginTimeouts,
    /// Connections.
    pub pool: Pool,
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        match &self.buckets {
            Buckets::One(bucket) => map.serialize_entry("bucket", bucket)?,
            Buckets::Many(patterns) => map.serialize_entry("buckets", patterns)?,
        }
        map.serialize_entry("endpoint", &self.endpoint)?;
        if let Some(host) = &self.host {
            map.serialize_entry("host", host)?;
        }
        map.serialize_entry("addressing", &self.addressing)?;
        map.serialize_entry("tls", &self.tls)?;
        if let Some(path) = &self.ca_file {
            map.serialize_entry("ca", path)?;
        }
        if let Some(name) = &self.server_name {
            map.serialize_entry("server_name", name)?;
        }
        map.serialize_entry("prefix", &self.prefix)?;
        map.serialize_entry("strip_path", &self.strip_path)?;
        map.serialize_entry("timeouts", &self.timeouts)?;
        map.serialize_entry("pool", &self.pool)?;
        if !self.fallback.is_empty() {
            let endpoints = self
                .fallback
                .iter()
                .map(|endpoint| [("endpoint", endpoint)]);
            let tables: Vec<BTreeMap<_, _>> = endpoints.map(BTreeMap::from).collect();
            map.serialize_entry("fallback", &tables)?;
        }
        map.end()
    }
}

impl Origin {
    pub(crate) fn read(reader: &Reader<'_>, route_path: &str) -> Option<Self> {
        let tls = reader.flag("tls").unwrap_or(true);
        let buckets = read_buckets(reader);
        let endpoint = Endpoint::read(reader, tls, None);
        let words = [
            ("virtual-host", Addressing::VirtualHost),
            ("path", Addressing::Path),
        ];
        let addressing = reader.word("addressing", &words);
        let prefix = read_prefix(reader);
        let strip_path = reader.flag("strip_path").unwrap_or(false);
        if strip_path && route_path == "/" {
            let message = "needs a route with a `path` other than `/`";
            reader.error("strip_path", message, None);
        }
        let (timeouts, pool) = (reader.table("timeouts"), reader.table("pool"));
        let tick = Duration::from_millis(1);
        let timeouts = OriginTimeouts {
            connect: timeouts.duration("connect", Duration::from_secs(3), tick),
            first_byte: timeouts.duration("first_byte", Duration::from_secs(60), tick),
            idle: timeouts.duration("idle", Duration::from_secs(60), tick),
        };
        let pool = Pool {
            idle_per_address: pool.count("idle_per_address", 256, 0..=100_000),
            idle: pool.duration("idle", Duration::from_secs(30), tick),
            max_per_address: pool.count("max_per_address", 0, 0..=1_000_000),
        };
        let (trust, server_name) = read_tls(reader, tls);
        let host = read_host(reader);
        let endpoint = endpoint?;
        let addressing = check_addressing(reader, &endpoint, addressing, host.is_some());
        let is_ip = matches!(endpoint.host, EndpointHost::Ip(_));
        if is_ip && tls && !reader.has("ca") && !reader.has("server_name") {
            let message = "certificates of OSS name no address, so HTTPS to one will fail";
            let hint = "set `server_name` to the endpoint's host, or `tls = false`";
            reader.warn("endpoint", message, Some(hint));
        }
        let shared = fallback::Shared {
            addressing,
            has_host: host.is_some(),
            tls,
            has_trust: reader.has("ca") || reader.has("server_name"),
        };
        let fallback = fallback::read(reader, &endpoint, shared);
        let (ca_file, ca) = trust.unzip();
        Some(Self {
            buckets: buckets?,
            endpoint,
            fallback,
            host,
            addressing,
            tls,
            ca: ca.map(Into::into),
            ca_file,
            server_name,
            prefix,
            strip_path,
            timeouts,
            pool,
        })
    }
}

fn read_buckets(reader: &Reader<'_>) -> Option<Buckets> {
    match (reader.has("bucket"), reader.has("buckets")) {
        (true, true) => {
            let hint = Some("keep one of the two");
            reader.error("buckets", "cannot stand beside `bucket`", hint);
            None
        }
        (false, false) => {
            reader.error("", "names no `bucket` and no `buckets`", None);
            None
        }
        (true, false) => {
            let text = reader.text("bucket")?;
            if is_bucket_name(&text.value) {
                return Some(Buckets::One(text.value));
            }
            let is_pattern = text.value.contains('*');
            let hint = is_pattern.then(|| "patterns go into `buckets`".to_owned());
            reader.refuse("bucket", &text, Invalid::BucketName, hint);
            None
        }
        (false, true) => {
            if reader.is_empty_list("buckets") {
                reader.error("buckets", "is empty", None);
            }
            let patterns = reader.parsed("buckets", BucketPattern::parse);
            let patterns: Vec<_> = patterns.into_iter().map(|(pattern, _)| pattern).collect();
            (!patterns.is_empty()).then_some(Buckets::Many(patterns))
        }
    }
}

fn read_prefix(reader: &Reader<'_>) -> String {
    let Some(text) = reader.text("prefix") else {
        return String::new();
    };
    if text.value.starts_with('/') {
        let hint = "a key of OSS never begins with `/`".to_owned();
        reader.refuse("prefix", &text, "must not begin with `/`", Some(hint));
    } else if let Err(reason) = check_encoded(&text.value) {
        reader.refuse("prefix", &text, reason, None);
    }
    text.value
}

fn read_host(reader: &Reader<'_>) -> Option<String> {
    let text = reader.text("host")?;
    if reader.has("buckets") {
        reader.error("host", "cannot be one for several `buckets`", None);
        return None;
    }
    if split_port(&text.value).is_none() {
        reader.refuse("host", &text, "is not `host` or `host:port`", None);
        return None;
    }
    Some(text.value)
}

/// Notes what OSS would refuse at this endpoint, and says where the bucket goes.
fn check_addressing(
    reader: &Reader<'_>,
    endpoint: &Endpoint,
    written: Option<Addressing>,
    has_host: bool,
) -> Addressing {
    let kind = endpoint.kind();
    let is_private_link = kind == Some(HostKind::PrivateLink);
    let is_ip = matches!(endpoint.host, EndpointHost::Ip(_));
    match written {
        Some(Addressing::VirtualHost) if is_ip && !has_host => {
            let hint = "leave `addressing` out, or set `host`";
            let message = "an address as endpoint has no host to put a bucket before";
            reader.error("addressing", message, Some(hint));
        }
        Some(Addressing::VirtualHost) if is_private_link => {
            let message = "a PrivateLink endpoint takes the bucket in the path only";
            reader.error("addressing", message, Some("leave `addressing` out"));
        }
        Some(Addressing::Path) if kind.is_some() && !is_private_link => {
            let message = "this endpoint answers path style with 403 SecondLevelDomainForbidden";
            reader.warn("addressing", message, Some("leave `addressing` out"));
        }
        Some(Addressing::VirtualHost | Addressing::Path) | None => {}
    }
    let default = if is_private_link || (is_ip && !has_host) {
        Addressing::Path
    } else {
        Addressing::VirtualHost
    };
    written.unwrap_or(default)
}

/// Certificates to trust, and the file they are from.
type Trust = (PathBuf, Vec<CertificateDer<'static>>);

fn read_tls(reader: &Reader<'_>, tls: bool) -> (Option<Trust>, Option<String>) {
    for key in ["ca", "server_name"] {
        if !tls && reader.has(key) {
            reader.error(key, "has no meaning with `tls = false`", None);
        }
    }
    let ca = reader.text("ca").and_then(|text| {
        let list = read_certificates(reader, "ca", &text)?;
        Some((reader.base().join(text.value), list))
    });
    let server_name = reader.text("server_name").and_then(|text| {
        let name = host_name(&text.value);
        if name.is_none() {
            reader.refuse("server_name", &text, Invalid::Host, None);
        }
        name
    });
    (ca, server_name)
}
