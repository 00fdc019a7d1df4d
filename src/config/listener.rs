//! `[[listener]]`: the addresses that clients connect to.
//!
//! Nothing is bound here. Duplicate addresses are reported when the whole config is checked.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Serialize, Serializer};

use crate::config::reader::Reader;
use crate::config::suggest;
use crate::config::value::{parse_range, serialize_duration, serialize_size};
use crate::oss::spelling;

/// The address of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `ip:port`; with port 0 the system chooses a free port.
    Tcp(SocketAddr),
    /// `unix:/path`: a Unix socket.
    Unix(PathBuf),
    /// `fd:NAME`: the socket that systemd passes to the process under the name `NAME`.
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

/// The versions of the PROXY protocol that a listener accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    /// Connections have no PROXY header. The client address is the peer's address. If the peer is a trusted
    /// proxy, the client address is the address in `X-Forwarded-For`.
    Off,
    /// Version 1: a line of text.
    V1,
    /// Version 2: binary, as sent by NLB and CLB.
    V2,
    /// Either version.
    Any,
}

/// `[[listener]]`: an address that clients connect to.
///
/// **Defaults**: no TLS, HTTP/2 offered, connections up to about half of the descriptor limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listener {
    /// The address to listen on. Required. Two listeners may not have the same address, except with port 0.
    pub address: Address,
    /// Whether clients must use TLS. Default false; true needs a certificate.
    pub tls: bool,
    /// Whether HTTP/2 is offered. A client chooses HTTP/2 by ALPN with TLS, and by its preface without TLS.
    /// Default true.
    pub http2: bool,
    /// The maximum number of client connections, at most 10 million. A few connections above the maximum get
    /// a 503 response; all others wait until a connection is closed. 0 (the default) means about half of the
    /// descriptor limit.
    pub max_connections: usize,
    /// The PROXY header that every connection must begin with. Default off. Any other value needs
    /// `trusted_proxies`, except on a Unix socket, and closes TCP connections from peers outside
    /// `trusted_proxies`.
    pub proxy_protocol: ProxyProtocol,
    /// The addresses of proxies whose PROXY header, `X-Forwarded-For` and `X-Forwarded-Proto` are
    /// trusted. Default: none. Peers on a Unix socket are always trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// A path for health checks, which is matched before the routes. The response is 200 while this node is
    /// ready, otherwise 503. The path is percent-encoded; equivalent encodings match the same path. `None`
    /// (the default) means that the listener has no health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_path: Option<String>,
    /// Deadlines towards clients.
    pub timeouts: Timeouts,
    /// Limits on the header of a request.
    pub limits: Limits,
}

/// Deadlines of a client connection. Each is at least 1 s, and may take effect up to 1 s late.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timeouts {
    /// The maximum time for the TLS handshake. Default 10 s.
    #[serde(serialize_with = "serialize_duration")]
    pub tls_handshake: Duration,
    /// The maximum time for a whole request header, from its first byte. It is also the maximum time
    /// until the first byte on a new connection. Default 30 s.
    #[serde(serialize_with = "serialize_duration")]
    pub header: Duration,
    /// The maximum time between two requests on a connection. Default 75 s, which is longer than the idle
    /// timeout of common load balancers.
    #[serde(serialize_with = "serialize_duration")]
    pub idle: Duration,
    /// The maximum time without a byte from or to the client during a request. Default 60 s.
    #[serde(serialize_with = "serialize_duration")]
    pub stall: Duration,
}

/// Limits on the header of a request. A request above a limit gets a 431 response.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// The maximum size of the request line and all header fields, in bytes. Default 64 KiB; from 4 KiB to
    /// 1 MiB.
    #[serde(serialize_with = "serialize_size")]
    pub header_bytes: usize,
    /// The maximum number of header fields. Default 200; from 16 to 2000.
    pub headers: usize,
}

impl Listener {
    /// Returns [`Listener::health_path`] percent-decoded, for the comparison with the paths of requests.
    #[must_use]
    pub fn decoded_health_path(&self) -> Option<Cow<'_, [u8]>> {
        self.health_path.as_deref().map(spelling::decode)
    }

    pub(crate) fn read(reader: &Reader<'_>) -> Option<Self> {
        let second = Duration::from_secs(1);
        let timeouts = reader.table("timeouts");
        let limits = reader.table("limits");
        let address = read_address(reader);
        // `address?` comes last, so that the other keys are checked even when the address is wrong.
        Some(Self {
            tls: reader.flag("tls").unwrap_or(false),
            http2: reader.flag("http2").unwrap_or(true),
            max_connections: reader.count("max_connections", 0, 0..=10_000_000),
            proxy_protocol: read_proxy_protocol(reader, address.as_ref()),
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

fn read_proxy_protocol(reader: &Reader<'_>, address: Option<&Address>) -> ProxyProtocol {
    let words = [
        ("off", ProxyProtocol::Off),
        ("v1", ProxyProtocol::V1),
        ("v2", ProxyProtocol::V2),
        ("any", ProxyProtocol::Any),
    ];
    let chosen = reader.word("proxy_protocol", &words);
    let chosen = chosen.unwrap_or(ProxyProtocol::Off);
    let is_local = matches!(address, Some(Address::Unix(_)));
    let has_trusted = reader.has("trusted_proxies") && !reader.is_empty_list("trusted_proxies");
    if chosen != ProxyProtocol::Off && !has_trusted && !is_local {
        let hint = "for NLB, write the address ranges of its vSwitches";
        let message = "needs `trusted_proxies`: any other peer could send a PROXY header with a false client address";
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
        let hint = "write a path such as `/health`; an object with that path cannot be read then";
        let reason = "is not a path";
        reader.error_at("health_path", &text, reason, Some(hint.to_owned()));
    }
    Some(text.value)
}

/// Reads `address`. Returns `None` when it is absent or wrong, and reports that.
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
        // The path of a Unix socket has at most 108 bytes, including the terminating zero (unix(7)).
        if text.value == "unix:" || path.as_os_str().len() > 107 {
            let reason = "needs a path of 1 to 107 bytes after `unix:`";
            reader.error_at("address", &text, reason, None);
            return None;
        }
        return Some(Address::Unix(path));
    }
    if let Some(name) = text.value.strip_prefix("fd:") {
        // systemd.socket(5) has the same rule for `FileDescriptorName=`, except that it permits spaces.
        let is_name = (1..=255).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b':');
        if !is_name {
            let reason = "needs a name of 1 to 255 printable characters, without `:`, after `fd:`";
            reader.error_at("address", &text, reason, None);
            return None;
        }
        return Some(Address::Passed(name.to_owned()));
    }
    match text.value.parse() {
        Ok(address) => Some(Address::Tcp(address)),
        Err(_) => {
            let reason = "is not an address to listen on";
            let hint = suggest::listen_address(&text.written);
            let hint = hint.unwrap_or_else(|| FORMS.to_owned());
            reader.error_at("address", &text, reason, Some(hint));
            None
        }
    }
}
