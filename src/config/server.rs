//! `[server]`, `[dns]` and `[log]`.
//!
//! All three tables may be left out. Nothing is opened or resolved here.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Serialize, Serializer};

use crate::config::reader::Reader;
use crate::config::value::{
    Invalid, format_duration, parse_range, serialize_duration, serialize_size,
};

const NONE: Duration = Duration::ZERO;
const TICK: Duration = Duration::from_millis(1);

/// `[server]`: the process.
///
/// **Defaults**: one worker per core, no drain delay, 30 s drain timeout, nine tenths of the control
/// group's memory limit, no probes, no reload when a config file changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Server {
    /// The number of worker threads, at most 1024. 0 (the default) means one per core.
    pub workers: usize,
    /// How long new connections are still accepted after a drain has begun. Default 0 s.
    #[serde(serialize_with = "serialize_duration")]
    pub drain_delay: Duration,
    /// How long requests in flight may take to finish after the drain delay. Default 30 s; with 0 they
    /// are aborted at once.
    #[serde(serialize_with = "serialize_duration")]
    pub drain_timeout: Duration,
    /// The memory in bytes above which new requests get a 503 response. 0 (the default) means nine tenths of
    /// the memory limit of the process's control group, or no limit if the group has none.
    #[serde(serialize_with = "serialize_size")]
    pub max_memory: usize,
    /// The interval at which the process connects to every endpoint, so that a node without traffic also
    /// detects that it cannot reach OSS. With 0 s (the default), only endpoints that have failed are checked.
    #[serde(serialize_with = "serialize_duration")]
    pub probe: Duration,
    /// The path, percent-encoded, of a HEAD request that every check of an endpoint sends. Any response of
    /// OSS counts as a success. With `None` (the default), a check ends after the TLS handshake.
    pub probe_path: Option<String>,
    /// The maximum number of request body bytes that one worker keeps. When a connection to OSS breaks, a
    /// request whose body was kept can be sent again. Bodies of up to 64 KiB are kept until the response
    /// begins. Default 16 MiB; with 0 no body is kept.
    #[serde(serialize_with = "serialize_size")]
    pub retry_buffer: usize,
    /// Whether the config is loaded again when its main file changes, or when an included file changes, appears
    /// or vanishes. Default false. Changed certificates are always loaded.
    pub watch_config: bool,
}

impl Server {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        Self {
            workers: reader.count("workers", 0, 0..=1024),
            drain_delay: reader.duration("drain_delay", NONE, NONE),
            drain_timeout: reader.duration("drain_timeout", Duration::from_secs(30), NONE),
            max_memory: reader.size("max_memory", 0, 0..=1 << 50),
            probe: reader.duration("probe", NONE, NONE),
            probe_path: read_probe_path(reader),
            retry_buffer: reader.size("retry_buffer", 16 << 20, 0..=1 << 40),
            watch_config: reader.flag("watch_config").unwrap_or(false),
        }
    }
}

/// Reads `probe_path`. Returns `None` if it is absent, or if it is wrong, which is reported.
fn read_probe_path(reader: &Reader<'_>) -> Option<String> {
    let text = reader.text("probe_path")?;
    let is_path = text.value.starts_with('/')
        && text.value.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.value.contains(['#', '"', '<', '>', '`']);
    if !is_path {
        let hint = "write a path such as `/health.txt`, percent-encoded";
        reader.error_at("probe_path", &text, "is not a path", Some(hint.to_owned()));
    }
    is_path.then_some(text.value)
}

/// The address families to which a name is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// A records.
    Ipv4,
    /// AAAA records.
    Ipv6,
    /// A and AAAA records.
    Both,
}

/// `[dns]`: how endpoint names are resolved.
///
/// **Defaults**: the system's name servers, IPv4, 5 s to 60 s between two resolutions, answers kept for 1 h
/// while DNS fails, 2 s timeout, only addresses that an OSS endpoint can have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dns {
    /// The name servers. Empty (the default) means the name servers of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// The address families to which endpoint names are resolved. Default IPv4.
    pub family: Family,
    /// The minimum time between two resolutions of a name, even if its TTL is shorter. Default 5 s; at
    /// least 1 s.
    #[serde(serialize_with = "serialize_duration")]
    pub min_ttl: Duration,
    /// The maximum time between two resolutions of a name, even if its TTL is longer. Default 60 s; at
    /// least 1 s and at least `min_ttl`.
    #[serde(serialize_with = "serialize_duration")]
    pub max_ttl: Duration,
    /// How long the last successful answer is used while DNS fails. Default 1 h; with 0 the answer is not
    /// used.
    #[serde(serialize_with = "serialize_duration")]
    pub stale: Duration,
    /// The maximum time to wait for one name server. Default 2 s; at least 1 ms.
    #[serde(serialize_with = "serialize_duration")]
    pub timeout: Duration,
    /// The address ranges that are allowed in addition to the ranges of OSS endpoints. Default: none.
    pub allow: Vec<IpNet>,
}

impl Dns {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let servers = reader.parsed("servers", parse_server);
        let servers = servers.into_iter().map(|(server, _)| server).collect();
        let allow = reader.parsed("allow", parse_range);
        let allow = allow.into_iter().map(|(range, _)| range).collect();
        let words = [
            ("ipv4", Family::Ipv4),
            ("ipv6", Family::Ipv6),
            ("both", Family::Both),
        ];
        let dns = Self {
            servers,
            family: reader.word("family", &words).unwrap_or(Family::Ipv4),
            min_ttl: reader.duration("min_ttl", Duration::from_secs(5), Duration::from_secs(1)),
            max_ttl: reader.duration("max_ttl", Duration::from_secs(60), Duration::from_secs(1)),
            stale: reader.duration("stale", Duration::from_secs(3600), NONE),
            timeout: reader.duration("timeout", Duration::from_secs(2), TICK),
            allow,
        };
        if dns.max_ttl < dns.min_ttl {
            let (min, max) = (format_duration(dns.min_ttl), format_duration(dns.max_ttl));
            if reader.has("max_ttl") {
                let message = "must not be below `min_ttl`";
                reader.error("max_ttl", message, Some(&format!("`min_ttl` is {min}")));
            } else {
                let message = "must not be above `max_ttl`";
                reader.error("min_ttl", message, Some(&format!("`max_ttl` is {max}")));
            }
        }
        dns
    }
}

fn parse_server(text: &str) -> Result<SocketAddr, Invalid> {
    let address = match text.parse::<IpAddr>() {
        Ok(ip) => Some(SocketAddr::new(ip, 53)),
        Err(_) => text.parse().ok(),
    };
    address
        .filter(|address| address.port() != 0)
        .ok_or(Invalid::NameServer)
}

/// The minimum level of the events that are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Failures that an operator must fix.
    Error,
    /// Conditions that an operator may have to check.
    Warn,
    /// Changes of state.
    Info,
    /// Events of individual connections.
    Debug,
    /// All events.
    Trace,
}

/// The format of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessFormat {
    /// One JSON object per request.
    Json,
    /// The `combined` format of nginx.
    Combined,
    /// No access log.
    Off,
}

/// The destination of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// `-`: standard output for the access log, standard error for log events.
    Standard,
    /// A file, which is opened for appending and reopened on SIGUSR1.
    File(PathBuf),
}

impl Serialize for Sink {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Standard => serializer.serialize_str("-"),
            Self::File(path) => serializer.collect_str(&path.display()),
        }
    }
}

/// `[log]`: log events and the access log.
///
/// **Defaults**: events of level info and above to standard error, the access log in JSON to standard
/// output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Log {
    /// The minimum level of the events that are logged. Default info.
    pub level: Level,
    /// The format of the access log. Default JSON.
    pub access: AccessFormat,
    /// The destination of the access log. Default standard output.
    pub access_file: Sink,
    /// The destination of log events. Default standard error.
    pub error_file: Sink,
}

impl Log {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let levels = [
            ("error", Level::Error),
            ("warn", Level::Warn),
            ("info", Level::Info),
            ("debug", Level::Debug),
            ("trace", Level::Trace),
        ];
        let formats = [
            ("json", AccessFormat::Json),
            ("combined", AccessFormat::Combined),
            ("off", AccessFormat::Off),
        ];
        let sink = |key| match reader.text(key) {
            Some(text) if text.value.is_empty() => {
                reader.error(key, "is empty", Some("write `-` for the standard stream"));
                Sink::Standard
            }
            Some(text) if text.value != "-" => {
                let path = reader.base().join(&text.value);
                let parent = path
                    .parent()
                    .filter(|parent| !parent.as_os_str().is_empty());
                // The parent of a bare file name is empty. An empty parent stands for the working directory,
                // which exists.
                if parent.is_some_and(|parent| !reader.session().skips(parent) && !parent.is_dir())
                {
                    let reason = "cannot be opened: its directory does not exist";
                    reader.error_at(key, &text, reason, None);
                }
                Sink::File(path)
            }
            Some(_) | None => Sink::Standard,
        };
        Self {
            level: reader.word("level", &levels).unwrap_or(Level::Info),
            access: reader
                .word("access", &formats)
                .unwrap_or(AccessFormat::Json),
            access_file: sink("access_file"),
            error_file: sink("error_file"),
        }
    }
}
