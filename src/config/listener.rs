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
    /// `fd:NAME`: a socket that systemd passes to the process under this name.
    Passed(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Passed(name) => write!(f, "fd:{name}"),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Which versions of the PROXY protocol a listener expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    /// None: the peer is the client, or says in `X-Forwarded-For` who is.
    Off,
    /// Version 1, a line of text.
    V1,
    /// Version 2, as NLB and CLB send it.
    V2,
    /// Either.
    Any,
}

/// `[[listener]]`: an address clients connect to.
///
/// **Defaults**: plain text, HTTP/2 offered, as many connections as the descriptor limit allows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listener {
    /// Where. Required; no two listeners may have the same.
    pub address: Address,
    /// Whether clients speak TLS here. Default false; needs a certificate.
    pub tls: bool,
    /// Whether HTTP/2 is offered: by ALPN with TLS, by its preface without. Default true.
    pub http2: bool,
    /// Most client connections at a time, at most 10 million; a few more are answered 503, and above
    /// that clients wait. 0, the default: half the descriptor limit.
    pub max_connections: usize,
    /// The header every connection has to begin with. Default off; else `trusted_proxies` is needed,
    /// and connections of others are closed.
    pub proxy_protocol: ProxyProtocol,
    /// Addresses of proxies in front, whose PROXY header, `X-Forwarded-For` and `X-Forwarded-Proto`
    /// are believed. Default: none. Peers on a unix socket always are.
    pub trusted_proxies: Vec<IpNet>,
    /// A path answered here, before any route: 200 while this node should get traffic, else 503.
    /// Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_path: Option<String>,
    /// Deadlines towards clients.
    pub timeouts: Timeouts,
    /// Limits on request heads.
    pub limits: Limits,
}

/// Deadlines of a client connection, kept to the second.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
            proxy_protocol: read_proxy_protocol(reader),
            trusted_proxies: reader
                .parsed("trusted_proxies", parse_range)
                .into_iter()
                .map(|(net, _)| net)
                .collect(),
            health_path: read_health_path(reader),
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

fn read_proxy_protocol(reader: &Reader<'_>) -> ProxyProtocol {
    let words = [
        ("off", ProxyProtocol::Off),
        ("v1", ProxyProtocol::V1),
        ("v2", ProxyProtocol::V2),
        ("any", ProxyProtocol::Any),
    ];
    let chosen = reader.word("proxy_protocol", &words);
    let chosen = chosen.unwrap_or(ProxyProtocol::Off);
    let is_local = reader
        .text("address")
        .is_some_and(|address| address.value.starts_with("unix:"));
    let has_trusted = reader.has("trusted_proxies") && !reader.is_empty_list("trusted_proxies");
    if chosen != ProxyProtocol::Off && !has_trusted && !is_local {
        let hint = "for NLB, the ranges of its vSwitches";
        let message =
            "needs `trusted_proxies`: whoever sends a PROXY header decides who the client is";
        reader.error("proxy_protocol", message, Some(hint));
    }
    chosen
}

fn read_health_path(reader: &Reader<'_>) -> Option<String> {
    let text = reader.text("health_path")?;
    let is_path = text.value.starts_with('/')
        && text.value.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.value.contains(['?', '#']);
    if !is_path {
        let hint = "such as `/health`; no object can be reached under it then";
        let reason = "is not a path";
        reader.refuse("health_path", &text, reason, Some(hint.to_owned()));
    }
    Some(text.value)
}

pub(crate) fn read_address(reader: &Reader<'_>) -> Option<Address> {
    const FORMS: &str = "write `0.0.0.0:80`, `[::]:443`, `unix:/path` or `fd:NAME`";
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
    if let Some(name) = text.value.strip_prefix("fd:") {
        // systemd.socket(5), FileDescriptorName=.
        let is_name = (1..=255).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b':');
        if !is_name {
            let reason = "needs a name of 1 to 255 printable characters, without `:`, after `fd:`";
            reader.refuse("address", &text, reason, None);
            return None;
        }
        return Some(Address::Passed(name.to_owned()));
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
