//! `[[listener]]`: addresses clients connect to.
//!
//! Nothing is bound here; that two listeners cannot have one address is checked with the whole
//! config.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Serialize, Serializer};

use crate::config::reader::Reader;
use crate::config::server::parse_range;
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
    /// Most client connections at a time, at most 10 million. 0, the default: half the descriptor
    /// limit.
    pub max_connections: usize,
    /// Addresses of proxies in front, whose `X-Forwarded-Proto` is believed. Default: none.
    pub trusted_proxies: Vec<IpNet>,
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
    pub(crate) fn read(reader: &Reader<'_>) -> Option<Self> {
        let second = Duration::from_secs(1);
        let timeouts = reader.table("timeouts");
        let limits = reader.table("limits");
        let address = read_address(reader);
        // `address` comes last: the rest is read even when it is wrong.
        Some(Self {
            tls: reader.flag("tls").unwrap_or(false),
            http2: reader.flag("http2").unwrap_or(true),
            max_connections: reader.count("max_connections", 0, 0..=10_000_000),
            trusted_proxies: reader
                .parsed("trusted_proxies", parse_range)
                .into_iter()
                .map(|(net, _)| net)
                .collect(),
            timeouts: Timeouts {
                tls_handshake: timeouts.duration("tls_handshake", Duration::from_secs(10), second),
                header: timeouts.duration("header", Duration::from_secs(30), second),
                idle: timeouts.duration("idle", Duration::from_secs(75), second),
                stall: timeouts.duration("stall", Duration::from_secs(60), second),
            },
            limits: Limits {
                header_bytes: limits.size("header_bytes", 64 << 10, 4096..=1 << 20),
                headers: limits.count("headers", 200, 16..=2000),
            },
            address: address?,
        })
    }
}

fn read_address(reader: &Reader<'_>) -> Option<Address> {
    const FORMS: &str = "write `0.0.0.0:80`, `[::]:443` or `unix:/path`";
    let Some(text) = reader.text("address") else {
        if !reader.has("address") {
            reader.error("address", "is missing", Some(FORMS));
        }
        return None;
    };
    if let Some(path) = text.value.strip_prefix("unix:") {
        let path = reader.base().join(path);
        // The kernel keeps a socket's path in 108 bytes, the last of them zero.
        if text.value == "unix:" || path.as_os_str().len() > 107 {
            let reason = "needs a path of 1 to 107 bytes after `unix:`";
            reader.refuse("address", &text, reason, None);
            return None;
        }
        return Some(Address::Unix(path));
    }
    if text.value.starts_with("fd:") {
        let reason = "is not supported: sockets cannot be passed in";
        reader.refuse("address", &text, reason, Some(FORMS.to_owned()));
        return None;
    }
    match text.value.parse() {
        Ok(address) => Some(Address::Tcp(address)),
        Err(_) => {
            let reason = "is not an address to listen on";
            reader.refuse("address", &text, reason, Some(FORMS.to_owned()));
            None
        }
    }
}
