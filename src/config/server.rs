//! `[server]`, `[dns]` and `[log]`.
//!
//! All three may be left out. Nothing is opened or resolved here.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Serialize, Serializer};

use crate::config::reader::Reader;
use crate::config::value::{format_duration, serialize_duration, serialize_size};

const NONE: Duration = Duration::ZERO;
const TICK: Duration = Duration::from_millis(1);

/// `[server]`: the process.
///
/// **Defaults**: one worker per core, no drain delay, 30 s drain timeout, the control group's memory
/// limit, no watching.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Server {
    /// Worker threads, at most 1024. 0, the default, is one per core.
    pub workers: usize,
    /// How long accepting goes on after the drain began. Default 0 s.
    #[serde(serialize_with = "serialize_duration")]
    pub drain_delay: Duration,
    /// How long running requests may take to finish after that. Default 30 s; 0 cuts at once.
    #[serde(serialize_with = "serialize_duration")]
    pub drain_timeout: Duration,
    /// Memory above which new requests are answered 503. 0, the default: nine tenths of the limit of
    /// the process's control group, or none.
    #[serde(serialize_with = "serialize_size")]
    pub max_memory: usize,
    /// How often every endpoint is connected to although nothing seems to be wrong, so that a node
    /// without traffic knows that it is cut off. Default 0 s: never.
    #[serde(serialize_with = "serialize_duration")]
    pub probe: Duration,
    /// Whether a changed config file is loaded by itself. Default false. Certificates always are.
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
            watch_config: reader.flag("watch_config").unwrap_or(false),
        }
    }
}

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// A records.
    Ipv4,
    /// AAAA records.
    Ipv6,
    /// Both.
    Both,
}

/// `[dns]`: how endpoint names are resolved.
///
/// **Defaults**: the system's name servers, IPv4, 5 s to 60 s between resolutions, 1 h stale, 2 s
/// timeout, nothing allowed beyond what OSS endpoints have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dns {
    /// Name servers. Empty, the default: those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// Default IPv4.
    pub family: Family,
    /// Shortest time between two resolutions of a name, whatever its TTL. Default 5 s, at least 1 s.
    #[serde(serialize_with = "serialize_duration")]
    pub min_ttl: Duration,
    /// Longest time between two resolutions. Default 60 s; not below `min_ttl`.
    #[serde(serialize_with = "serialize_duration")]
    pub max_ttl: Duration,
    /// How long the last good answer serves while DNS fails. Default 1 h.
    #[serde(serialize_with = "serialize_duration")]
    pub stale: Duration,
    /// Longest wait for one name server. Default 2 s.
    #[serde(serialize_with = "serialize_duration")]
    pub timeout: Duration,
    /// Ranges whose addresses may be used although an OSS endpoint would not have them. Default none.
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

fn parse_server(text: &str) -> Result<SocketAddr, &'static str> {
    let address = match text.parse::<IpAddr>() {
        Ok(ip) => Some(SocketAddr::new(ip, 53)),
        Err(_) => text.parse().ok(),
    };
    address
        .filter(|address| address.port() != 0)
        .ok_or("is not a name server; write `ip` or `ip:port`")
}

pub(crate) fn parse_range(text: &str) -> Result<IpNet, &'static str> {
    let address = || text.parse().map(|address: IpAddr| address.into());
    text.parse()
        .or_else(|_| address())
        .map(canonical)
        .map_err(|_| "is not an address, or a range such as `10.0.0.0/8`")
}

/// A range of IPv4 addresses written as IPv6 is a range of IPv4 addresses, as they are compared.
fn canonical(range: IpNet) -> IpNet {
    let (address, bits) = (range.network().to_canonical(), range.prefix_len());
    match (range, address) {
        (IpNet::V6(_), IpAddr::V4(_)) if bits >= 96 => {
            IpNet::new(address, bits - 96).unwrap_or(range)
        }
        _ => range,
    }
}

/// Least important event that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What needs a person.
    Error,
    /// What may need one.
    Warn,
    /// What has changed.
    Info,
    /// What happens to single connections.
    Debug,
    /// Everything.
    Trace,
}

/// Form of the access lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessFormat {
    /// One JSON object per line.
    Json,
    /// nginx's `combined`.
    Combined,
    /// No access log.
    Off,
}

/// A log's destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// `-`: standard output for access lines, standard error for events.
    Standard,
    /// A file, opened for appending and reopened on SIGUSR1.
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

/// `[log]`: events and access lines.
///
/// **Defaults**: events of level info to standard error, access lines in JSON to standard output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Log {
    /// Default info.
    pub level: Level,
    /// Default JSON.
    pub access: AccessFormat,
    /// Default standard output.
    pub access_file: Sink,
    /// Default standard error.
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
                reader.error(key, "is empty", Some("`-` is the standard stream"));
                Sink::Standard
            }
            Some(text) if text.value != "-" => {
                let path = reader.base().join(&text.value);
                let parent = path
                    .parent()
                    .filter(|parent| !parent.as_os_str().is_empty());
                // A bare name is in the working directory, which is there.
                if parent.is_some_and(|parent| !parent.is_dir()) {
                    let reason = "cannot be opened: its directory does not exist";
                    reader.refuse(key, &text, reason, None);
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
