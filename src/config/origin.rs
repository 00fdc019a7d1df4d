//! `[route.origin]`: the bucket or buckets, the endpoint, and how to talk to it.

use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Serialize, Serializer};

use crate::config::endpoint::{Endpoint, EndpointHost, read_endpoint, split_port};
use crate::config::reader::Reader;
use crate::config::spec::Spec;
use crate::config::value::{BucketPattern, host_name, serialize_duration};
use crate::oss::addressing::is_bucket_name;
use crate::oss::endpoint::{HostKind, classify};

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
#[derive(Clone, Debug, Serialize)]
pub struct Pool {
    /// Most idle connections per address and worker. Default 64; 0 keeps none.
    pub idle_per_address: usize,
    /// How long a connection stays idle. Default 30 s: below OSS's own limit.
    #[serde(serialize_with = "serialize_duration")]
    pub idle: Duration,
    /// Most requests in flight per address, over all workers. 0, the default: no limit.
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
    /// Host sent to OSS. Default: that of bucket and endpoint. A domain bound to the bucket gives
    /// inline preview.
    pub host: Option<String>,
    /// Default: path for an address and for PrivateLink, else virtual-host.
    pub addressing: Addressing,
    /// Whether OSS is reached by HTTPS. Default true.
    pub tls: bool,
    /// CAs to trust instead of the system's.
    pub ca: Option<Vec<CertificateDer<'static>>>,
    /// Name in the endpoint's certificate. Default: the host connected to.
    pub server_name: Option<String>,
    /// Put before every key. Default empty.
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
        if let Some(name) = &self.server_name {
            map.serialize_entry("server_name", name)?;
        }
        map.serialize_entry("prefix", &self.prefix)?;
        map.serialize_entry("strip_path", &self.strip_path)?;
        map.serialize_entry("timeouts", &self.timeouts)?;
        map.serialize_entry("pool", &self.pool)?;
        map.end()
    }
}

impl Origin {
    pub(crate) fn read(reader: &Reader<'_>, spec: &'static Spec, route_path: &str) -> Option<Self> {
        let tls = reader.flag("tls").unwrap_or(true);
        let buckets = read_buckets(reader);
        let endpoint = read_endpoint(reader, tls);
        let words = [
            ("virtual-host", Addressing::VirtualHost),
            ("path", Addressing::Path),
        ];
        let addressing = reader.word("addressing", &words);
        let prefix = reader
            .text("prefix")
            .map(|text| text.value)
            .unwrap_or_default();
        if prefix.starts_with('/') || prefix.contains(['?', '#', ' ']) {
            reader.error(
                "prefix",
                "must not begin with `/` nor hold `?`, `#` or blanks",
                None,
            );
        }
        let strip_path = reader.flag("strip_path").unwrap_or(false);
        if strip_path && route_path == "/" {
            reader.error(
                "strip_path",
                "needs a route with a `path` other than `/`",
                None,
            );
        }
        let (timeouts, pool) = (reader.table("timeouts", spec), reader.table("pool", spec));
        let tick = Duration::from_millis(1);
        let timeouts = OriginTimeouts {
            connect: timeouts.duration("connect", Duration::from_secs(3), tick),
            first_byte: timeouts.duration("first_byte", Duration::from_secs(60), tick),
            idle: timeouts.duration("idle", Duration::from_secs(60), tick),
        };
        let pool = Pool {
            idle_per_address: pool.count("idle_per_address").unwrap_or(64),
            idle: pool.duration("idle", Duration::from_secs(30), tick),
            max_per_address: pool.count("max_per_address").unwrap_or(0),
        };
        let (ca, server_name) = read_tls(reader, tls);
        let host = read_host(reader, buckets.as_ref());
        let (buckets, endpoint) = (buckets?, endpoint?);
        let is_ip = matches!(endpoint.host, EndpointHost::Ip(_));
        if is_ip && addressing == Some(Addressing::VirtualHost) && host.is_none() {
            let hint = "leave `addressing` out, or set `host`".to_owned();
            reader.error(
                "addressing",
                "an address as endpoint has no host to put a bucket before",
                Some(hint),
            );
        }
        let wants_path = match &endpoint.host {
            EndpointHost::Ip(_) => host.is_none(),
            EndpointHost::Name(name) => {
                classify(name).is_some_and(|known| known.kind == HostKind::PrivateLink)
            }
        };
        let default = if wants_path {
            Addressing::Path
        } else {
            Addressing::VirtualHost
        };
        Some(Self {
            buckets,
            endpoint,
            host,
            addressing: addressing.unwrap_or(default),
            tls,
            ca,
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
            reader.error(
                "buckets",
                "cannot stand beside `bucket`",
                Some("keep one of the two".to_owned()),
            );
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
            let hint = text
                .value
                .contains('*')
                .then(|| "patterns go into `buckets`".to_owned());
            let message = format!(
                "`{}` is not a bucket name: 3 to 63 of a-z, 0-9 and `-`",
                text.value
            );
            reader.error_at(text.span, "bucket", message, hint);
            None
        }
        (false, true) => {
            let texts = reader.texts("buckets");
            if texts.is_empty() {
                reader.error("buckets", "is empty", None);
            }
            let mut patterns = Vec::with_capacity(texts.len());
            for text in texts {
                match BucketPattern::parse(&text.value) {
                    Ok(pattern) => patterns.push(pattern),
                    Err(message) => reader.error_at(text.span, "buckets", message, None),
                }
            }
            (!patterns.is_empty()).then_some(Buckets::Many(patterns))
        }
    }
}

fn read_host(reader: &Reader<'_>, buckets: Option<&Buckets>) -> Option<String> {
    let text = reader.text("host")?;
    if matches!(buckets, Some(Buckets::Many(_))) {
        reader.error("host", "cannot be one for several `buckets`", None);
        return None;
    }
    if split_port(&text.value).is_none() {
        reader.error_at(
            text.span,
            "host",
            format!("`{}` is not a host", text.value),
            None,
        );
        return None;
    }
    Some(text.value)
}

fn read_tls(
    reader: &Reader<'_>,
    tls: bool,
) -> (Option<Vec<CertificateDer<'static>>>, Option<String>) {
    for key in ["ca", "server_name"] {
        if !tls && reader.has(key) {
            reader.error(key, "has no meaning with `tls = false`", None);
        }
    }
    let ca = reader.text("ca").and_then(|text| {
        let path = reader.base().join(&text.value);
        let read =
            CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        match read {
            Ok(list) if !list.is_empty() => Some(list),
            Ok(_) => {
                reader.error_at(
                    text.span,
                    "ca",
                    format!("`{}` holds no PEM certificate", path.display()),
                    None,
                );
                None
            }
            Err(error) => {
                reader.error_at(
                    text.span,
                    "ca",
                    format!("cannot read `{}`: {error}", path.display()),
                    None,
                );
                None
            }
        }
    });
    let server_name = reader.text("server_name").and_then(|text| {
        let name = host_name(&text.value);
        if name.is_none() {
            reader.error_at(
                text.span,
                "server_name",
                format!("`{}` is not a host name", text.value),
                None,
            );
        }
        name
    });
    (ca, server_name)
}
