//! `[route.origin]`: the bucket or buckets, and how to connect to their endpoint.
//!
//! Only this table determines where a request may be sent. Nothing is resolved or connected here.
//! Combinations of settings that OSS would refuse are reported.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde::{Serialize, Serializer};

use crate::config::addressing::{Addressing, Mismatch};
use crate::config::credentials::CredentialSource;
use crate::config::endpoint::{Endpoint, EndpointHost, split_port};
use crate::config::fallback::{self, OriginSettings};
use crate::config::origin_headers::OriginHeaders;
use crate::config::pasted;
use crate::config::pattern::{BucketPattern, host_name};
use crate::config::pem::read_chain;
use crate::config::reader::Reader;
use crate::config::session::TrustedCas;
use crate::config::value::{Invalid, check_encoded, serialize_duration};
use crate::oss::addressing::is_bucket_name;
use crate::oss::spelling;

/// The buckets that a route serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Buckets {
    /// One bucket. The whole path is the key.
    One(String),
    /// Several buckets. If the host of the request matches a wildcard host of the route, the bucket is the host
    /// label that the `*` stands for. Otherwise the bucket is the first path segment.
    Many(Vec<BucketPattern>),
}

/// Deadlines towards OSS; each is at least 1 ms.
#[derive(Clone, Debug, Serialize)]
pub struct OriginTimeouts {
    /// The maximum time for one TCP connect and its TLS handshake. Default 3 s.
    #[serde(serialize_with = "serialize_duration")]
    pub connect: Duration,
    /// The maximum time from the end of the request to the first byte of the response. Default 60 s,
    /// because OSS needs long to complete a large multipart upload.
    #[serde(serialize_with = "serialize_duration")]
    pub first_byte: Duration,
    /// The maximum time without a byte during a request or response body. Default 60 s.
    #[serde(serialize_with = "serialize_duration")]
    pub idle: Duration,
}

/// Keep-alive connections to OSS.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Pool {
    /// The maximum number of idle connections per address and worker, from 0 to 100000. Default 256; with 0
    /// no idle connection is kept.
    pub idle_per_address: usize,
    /// How long a connection stays idle before it is closed; at least 1 ms. Default 30 s, which is below the
    /// idle timeout of OSS.
    #[serde(serialize_with = "serialize_duration")]
    pub idle: Duration,
    /// The maximum number of requests in flight per address, over all workers, from 0 to 1000000. 0 (the
    /// default) means no limit.
    pub max_per_address: usize,
}

/// `[route.origin]`.
///
/// **Defaults**: internal network, HTTPS with a verified certificate, virtual-host addressing.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The buckets, from the key `bucket` or `buckets`; exactly one of the two is required.
    pub buckets: Buckets,
    /// The endpoint, from the key `endpoint`, or from `region` and `network`.
    pub endpoint: Endpoint,
    /// The further endpoints, from the key `fallback`, in order of preference. An endpoint is used while
    /// connections to all endpoints before it fail. All endpoints share the other settings of the origin.
    /// Default: none.
    pub fallback: Vec<Endpoint>,
    /// The `Host` sent to OSS at every endpoint. Default: derived from bucket and endpoint. If `host` is a
    /// domain that is bound to the bucket, browsers show objects instead of downloading them.
    pub host: Option<String>,
    /// The style of addressing. Default: path for a PrivateLink endpoint and for an IP address without
    /// `host`, otherwise virtual-host.
    pub addressing: Addressing,
    /// Whether ossgate connects to OSS with HTTPS. Default true.
    pub tls: bool,
    /// The CAs to trust. `None` (the default) means the CAs of the system.
    pub ca: Option<Arc<[CertificateDer<'static>]>>,
    /// The PEM file that `ca` was read from.
    pub ca_file: Option<PathBuf>,
    /// The name that the endpoint's certificate must have. Default: the host that is connected to, which is
    /// `bucket.endpoint` with virtual-host addressing.
    pub server_name: Option<String>,
    /// The prefix that is added before every key, percent-encoded. It does not begin with `/`. Default
    /// empty.
    pub prefix: String,
    /// Whether the route's path is removed before the prefix is added. Default false.
    pub strip_path: bool,
    /// Deadlines towards OSS.
    pub timeouts: OriginTimeouts,
    /// Keep-alive connections to OSS.
    pub pool: Pool,
    /// The source of the access key with which unsigned requests are signed. `None` (the default) means that
    /// ossgate signs nothing.
    pub credentials: Option<CredentialSource>,
    /// The header fields that are changed in requests.
    pub headers: OriginHeaders,
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
        if !self.headers.is_empty() {
            map.serialize_entry("headers", &self.headers)?;
        }
        if !self.fallback.is_empty() {
            let endpoints = self
                .fallback
                .iter()
                .map(|endpoint| [("endpoint", endpoint)]);
            let tables: Vec<BTreeMap<_, _>> = endpoints.map(BTreeMap::from).collect();
            map.serialize_entry("fallback", &tables)?;
        }
        if let Some(source) = &self.credentials {
            map.serialize_entry("credentials", source)?;
        }
        map.end()
    }
}

impl Origin {
    pub(crate) fn read(reader: &Reader<'_>, route_path: &str) -> Option<Self> {
        let tls = reader.flag("tls").unwrap_or(true);
        let buckets = read_buckets(reader);
        let default_port = if tls { 443 } else { 80 };
        let endpoint = Endpoint::read(reader, default_port, None);
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
        let headers = OriginHeaders::read(reader);
        let (trust, server_name) = read_tls(reader, tls);
        let host = read_host(reader);
        let has_credentials = reader.has("credentials");
        let credentials =
            has_credentials.then(|| CredentialSource::read(&reader.table("credentials")));
        let endpoint = endpoint?;
        let addressing = choose_addressing(reader, &endpoint, addressing, host.as_deref());
        let is_ip = matches!(endpoint.host, EndpointHost::Ip(_));
        if is_ip && tls && !reader.has("ca") && !reader.has("server_name") {
            let message =
                "is an IP address, which no certificate of OSS names, so HTTPS to it fails";
            let hint = "set `server_name` to the endpoint's host name, or `tls = false`";
            reader.warn("endpoint", message, Some(hint));
        }
        let settings = OriginSettings {
            addressing,
            host: host.as_deref(),
            tls,
            default_port,
            has_trust: reader.has("ca") || reader.has("server_name"),
        };
        let fallback = fallback::read(reader, &endpoint, settings);
        let (ca_file, ca) = trust.unzip();
        Some(Self {
            buckets: buckets?,
            endpoint,
            fallback,
            host,
            addressing,
            tls,
            ca,
            ca_file,
            server_name,
            prefix,
            strip_path,
            timeouts,
            pool,
            credentials: match credentials {
                None => None,
                Some(source) => Some(source?),
            },
            headers,
        })
    }
}

fn read_buckets(reader: &Reader<'_>) -> Option<Buckets> {
    match (reader.has("bucket"), reader.has("buckets")) {
        (true, true) => {
            let hint = Some("keep one of the two");
            reader.error("buckets", "cannot be used together with `bucket`", hint);
            None
        }
        (false, false) => {
            reader.error("", "needs either `bucket` or `buckets`", None);
            None
        }
        (true, false) => {
            let text = reader.text("bucket")?;
            if is_bucket_name(&text.value) {
                return Some(Buckets::One(text.value));
            }
            let is_pattern = text.value.contains('*');
            let hint = match is_pattern {
                true => Some("write patterns in `buckets`".to_owned()),
                false => pasted::bucket(&text.written),
            };
            reader.error_at("bucket", &text, Invalid::BucketName, hint);
            None
        }
        (false, true) => {
            if reader.is_empty_list("buckets") {
                reader.error("buckets", "is empty", None);
            }
            let patterns = reader.parsed_or("buckets", BucketPattern::parse, pasted::bucket);
            let patterns: Vec<_> = patterns.into_iter().map(|(pattern, _)| pattern).collect();
            (!patterns.is_empty()).then_some(Buckets::Many(patterns))
        }
    }
}

fn read_prefix(reader: &Reader<'_>) -> String {
    let Some(text) = reader.text("prefix") else {
        return String::new();
    };
    if spelling::strip_prefix(&text.value, b"/").is_some() {
        let hint = "an OSS key never begins with `/`".to_owned();
        reader.error_at("prefix", &text, "must not begin with `/`", Some(hint));
    } else if let Err(reason) = check_encoded(&text.value) {
        reader.error_at("prefix", &text, reason, None);
    }
    text.value
}

fn read_host(reader: &Reader<'_>) -> Option<String> {
    let text = reader.text("host")?;
    if reader.has("buckets") {
        reader.error(
            "host",
            "cannot be used with `buckets`: one host stands for one bucket",
            None,
        );
        return None;
    }
    if split_port(&text.value).is_none() {
        reader.error_at("host", &text, "is not `host` or `host:port`", None);
        return None;
    }
    Some(text.value)
}

/// Returns the style of addressing. Reports a style in the config that does not work with `endpoint`.
fn choose_addressing(
    reader: &Reader<'_>,
    endpoint: &Endpoint,
    written: Option<Addressing>,
    host: Option<&str>,
) -> Addressing {
    let Some(addressing) = written else {
        return Addressing::default_for(endpoint, host);
    };
    match addressing.mismatch(endpoint, host) {
        Some(Mismatch::AddressWithoutHost) => {
            let message = "an endpoint that is an IP address has no host to put a bucket before";
            let hint = "leave `addressing` out, or set `host`";
            reader.error("addressing", message, Some(hint));
        }
        Some(Mismatch::PathOnly) => {
            let message = "a PrivateLink endpoint takes the bucket in the path only";
            reader.error("addressing", message, Some("leave `addressing` out"));
        }
        Some(Mismatch::VirtualHostOnly) => {
            let message = "this endpoint answers path style with 403 SecondLevelDomainForbidden";
            reader.warn("addressing", message, Some("leave `addressing` out"));
        }
        None => {}
    }
    addressing
}

/// The file that the trusted CAs were read from, and the CAs.
type Trust = (PathBuf, TrustedCas);

fn read_tls(reader: &Reader<'_>, tls: bool) -> (Option<Trust>, Option<String>) {
    for key in ["ca", "server_name"] {
        if !tls && reader.has(key) {
            reader.error(key, "has no effect with `tls = false`", None);
        }
    }
    let ca = reader.text("ca").and_then(|text| {
        if reader.skips(&text) {
            return None;
        }
        let path = reader.base().join(&text.value);
        let read = || read_chain(reader, "ca", &text);
        let list = reader.session().trusted(&path, read)?;
        Some((path, list))
    });
    let server_name = reader.text("server_name").and_then(|text| {
        let name = host_name(&text.value);
        if name.is_none() {
            reader.error_at("server_name", &text, Invalid::Host, None);
        }
        name
    });
    (ca, server_name)
}
