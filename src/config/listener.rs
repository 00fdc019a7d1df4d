//! `[[listener]]` and `[[certificate]]`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::{Serialize, Serializer};
use x509_parser::extensions::GeneralName;

use crate::config::reader::Reader;
use crate::config::spec::Spec;
use crate::config::value::{serialize_duration, serialize_size};

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `ip:port`; port 0 takes a free one.
    Tcp(SocketAddr),
    /// `unix:/path`.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `[[listener]]`: an address clients connect to.
///
/// **Defaults**: plain text, HTTP/2 offered, as many connections as the descriptor limit allows.
#[derive(Clone, Debug, Serialize)]
pub struct Listener {
    /// Where. Required; no two listeners may have the same.
    pub address: Address,
    /// Whether clients speak TLS here. Default false; needs a certificate.
    pub tls: bool,
    /// Whether HTTP/2 is offered: by ALPN with TLS, by its preface without. Default true.
    pub http2: bool,
    /// Most client connections at a time. 0, the default: half the descriptor limit.
    pub max_connections: usize,
    /// Deadlines towards clients.
    pub timeouts: Timeouts,
    /// Limits on request heads.
    pub limits: Limits,
}

/// Deadlines of a client connection, kept to the second.
#[derive(Clone, Debug, Serialize)]
pub struct Timeouts {
    /// For the TLS handshake. Default 10 s.
    #[serde(serialize_with = "serialize_duration")]
    pub tls_handshake: Duration,
    /// For a whole request head, counted from its first byte, and for the first byte of a new
    /// connection. Default 30 s.
    #[serde(serialize_with = "serialize_duration")]
    pub header: Duration,
    /// Between two requests of a connection. Default 75 s: longer than a load balancer's.
    #[serde(serialize_with = "serialize_duration")]
    pub idle: Duration,
    /// For a client that neither takes nor sends a byte inside a request. Default 60 s.
    #[serde(serialize_with = "serialize_duration")]
    pub stall: Duration,
}

/// Limits on request heads; a larger one is refused with 431.
#[derive(Clone, Debug, Serialize)]
pub struct Limits {
    /// Largest head. Default 64 KiB; from 4 KiB to 1 MiB.
    #[serde(serialize_with = "serialize_size")]
    pub header_bytes: usize,
    /// Most header lines. Default 200; from 16 to 2000.
    pub headers: usize,
}

impl Listener {
    pub(crate) fn read(reader: &Reader<'_>, spec: &'static Spec) -> Option<Self> {
        let second = Duration::from_secs(1);
        let timeouts = reader.table("timeouts", spec);
        let limits = reader.table("limits", spec);
        let header_bytes = limits.size("header_bytes", 64 << 10);
        if !(4096..=1 << 20).contains(&header_bytes) {
            limits.error("header_bytes", "must be from 4KiB to 1MiB", None);
        }
        let headers = limits.count("headers").unwrap_or(200);
        if !(16..=2000).contains(&headers) {
            limits.error("headers", "must be from 16 to 2000", None);
        }
        let listener = Self {
            address: read_address(reader)?,
            tls: reader.flag("tls").unwrap_or(false),
            http2: reader.flag("http2").unwrap_or(true),
            max_connections: reader.count("max_connections").unwrap_or(0),
            timeouts: Timeouts {
                tls_handshake: timeouts.duration("tls_handshake", Duration::from_secs(10), second),
                header: timeouts.duration("header", Duration::from_secs(30), second),
                idle: timeouts.duration("idle", Duration::from_secs(75), second),
                stall: timeouts.duration("stall", Duration::from_secs(60), second),
            },
            limits: Limits {
                header_bytes,
                headers,
            },
        };
        Some(listener)
    }
}

fn read_address(reader: &Reader<'_>) -> Option<Address> {
    const FORMS: &str = "write `0.0.0.0:80`, `[::]:443` or `unix:/path`";
    let Some(text) = reader.text("address") else {
        if !reader.has("address") {
            reader.error("address", "is missing", Some(FORMS.to_owned()));
        }
        return None;
    };
    if let Some(path) = text.value.strip_prefix("unix:") {
        if path.is_empty() {
            reader.error_at(text.span, "address", "names no path after `unix:`", None);
            return None;
        }
        return Some(Address::Unix(reader.base().join(path)));
    }
    match text.value.parse() {
        Ok(address) => Some(Address::Tcp(address)),
        Err(_) => {
            let message = format!("`{}` is not an address to listen on", text.value);
            reader.error_at(text.span, "address", message, Some(FORMS.to_owned()));
            None
        }
    }
}

/// `[[certificate]]`: a certificate chain and its key, opened and matched when the config is read.
#[derive(Clone, Debug, Serialize)]
pub struct Certificate {
    /// PEM file with the chain, leaf first.
    pub cert: PathBuf,
    /// PEM file with the key.
    pub key: PathBuf,
    /// Whether it serves clients that name no host, or one no certificate has. Default: true for the
    /// only certificate, else false.
    #[serde(rename = "default")]
    pub is_default: bool,
    /// The names it is for, lower case.
    #[serde(skip)]
    pub names: Vec<String>,
    /// Chain and key as rustls uses them.
    #[serde(skip)]
    pub certified: Arc<CertifiedKey>,
    /// When it expires, in seconds since 1970.
    #[serde(skip)]
    pub expires: i64,
}

impl Certificate {
    pub(crate) fn read(reader: &Reader<'_>, is_only: bool) -> Option<Self> {
        let path = |key: &str| {
            if !reader.has(key) {
                reader.error(
                    key,
                    "is missing: a certificate needs both `cert` and `key`",
                    None,
                );
            }
            Some(reader.base().join(reader.text(key)?.value))
        };
        let (cert, key) = (path("cert"), path("key"));
        let is_default = reader.flag("default").unwrap_or(is_only);
        let (cert, key) = (cert?, key?);
        let chain =
            CertificateDer::pem_file_iter(&cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = match chain {
            Ok(chain) if !chain.is_empty() => Some(chain),
            Ok(_) => {
                reader.error(
                    "cert",
                    format!("`{}` holds no PEM certificate", cert.display()),
                    None,
                );
                None
            }
            Err(error) => {
                reader.error(
                    "cert",
                    format!("cannot read `{}`: {error}", cert.display()),
                    None,
                );
                None
            }
        };
        let der = match PrivateKeyDer::from_pem_file(&key) {
            Ok(der) => Some(der),
            Err(error) => {
                reader.error(
                    "key",
                    format!(
                        "cannot read a private key from `{}`: {error}",
                        key.display()
                    ),
                    None,
                );
                None
            }
        };
        let (chain, der) = (chain?, der?);
        let Some((names, expires)) = chain.first().and_then(describe) else {
            reader.error(
                "cert",
                format!("`{}` is not an X.509 certificate", cert.display()),
                None,
            );
            return None;
        };
        match CertifiedKey::from_der(chain, der, &aws_lc_rs::default_provider()) {
            Ok(certified) => Some(Self {
                cert,
                key,
                is_default,
                names,
                certified: Arc::new(certified),
                expires,
            }),
            Err(rustls::Error::InconsistentKeys(_)) => {
                reader.error("key", "does not belong to the certificate in `cert`", None);
                None
            }
            Err(error) => {
                reader.error(
                    "key",
                    format!("cannot be used with the certificate: {error}"),
                    None,
                );
                None
            }
        }
    }
}

/// DNS names and addresses of a certificate, and its end.
fn describe(der: &CertificateDer<'_>) -> Option<(Vec<String>, i64)> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let names = match certificate.subject_alternative_name() {
        Ok(Some(names)) => names
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            })
            .collect(),
        Ok(None) | Err(_) => Vec::new(),
    };
    Some((names, certificate.validity().not_after.timestamp()))
}
