//! Every table and key of the config in one description.
//!
//! It says which keys exist (so that another one is an error), and it is what the JSON Schema and
//! the completeness test of `config/reference.toml` are made from. Defaults stand here as the file
//! would spell them; a test holds them equal to what a config without the key gets.

use self::Fallback::{Absent, Is, Required};
use self::Kind::{Count, Duration, Flag, OneOf, Size, Table, Tables, Text, Texts};

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A string.
    Text,
    /// A string that is a duration, such as `"30s"`.
    Duration,
    /// A string that is a size, such as `"64KiB"`.
    Size,
    /// A whole number from 0.
    Count,
    /// `true` or `false`.
    Flag,
    /// A list of strings.
    Texts,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// A table.
    Table(&'static Spec),
    /// A list of tables.
    Tables(&'static Spec),
}

/// What holds when a key is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// That is an error.
    Required,
    /// This value, in TOML.
    Is(&'static str),
    /// Something that is no constant: the key's sentence says what.
    Absent,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds without it.
    pub fallback: Fallback,
    /// One sentence for editors.
    pub doc: &'static str,
}

/// One table.
#[derive(Debug)]
pub struct Spec {
    /// Its keys.
    pub keys: &'static [Key],
    /// Groups of keys of which exactly one is written.
    pub one_of: &'static [&'static [&'static str]],
}

impl Spec {
    /// The key called `name`.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// Networks an OSS endpoint can be on.
pub(crate) const NETWORKS: &[&str] = &[
    "internal",
    "public",
    "accelerate",
    "accelerate-overseas",
    "dualstack",
];

const FAMILIES: &[&str] = &["ipv4", "ipv6", "both"];
const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];
const ACCESS: &[&str] = &["json", "combined", "off"];
const ADDRESSING: &[&str] = &["virtual-host", "path"];
const PROXY_PROTOCOLS: &[&str] = &["off", "v1", "v2", "any"];
const HTTPS_MODES: &[&str] = &["redirect", "require", "off"];
const PRESETS: &[&str] = &["full", "data-plane", "read-only"];
const REFERER_MODES: &[&str] = &["enforce", "report"];
const SUBDIRECTORIES: &[&str] = &["off", "redirect", "not-found", "index"];

/// One line per key: name, kind, fallback, sentence.
macro_rules! spec {
    ($($name:literal: $kind:expr, $fallback:expr, $doc:literal;)*) => {
        spec! { @[] $($name: $kind, $fallback, $doc;)* }
    };
    (one of $one_of:expr; $($name:literal: $kind:expr, $fallback:expr, $doc:literal;)*) => {
        spec! { @$one_of $($name: $kind, $fallback, $doc;)* }
    };
    (@$one_of:tt $($name:literal: $kind:expr, $fallback:expr, $doc:literal;)*) => {
        Spec {
            keys: &[$(Key { name: $name, kind: $kind, fallback: $fallback, doc: $doc }),*],
            one_of: &$one_of,
        }
    };
}

/// The whole file.
pub static ROOT: Spec = spec! {
    "server": Table(&SERVER), Absent, "The process.";
    "dns": Table(&DNS), Absent, "How endpoint names are resolved.";
    "log": Table(&LOG), Absent, "Events and access lines.";
    "admin": Table(&ADMIN), Absent, "Metrics, health and commands; absent: no such listener.";
    "listener": Tables(&LISTENER), Required, "Addresses clients connect to.";
    "certificate": Tables(&CERTIFICATE), Absent, "Certificates for listeners with TLS.";
    "route": Tables(&ROUTE), Required, "Which bucket serves which host and path.";
};

static SERVER: Spec = spec! {
    "workers": Count, Is("0"), "Worker threads; 0 is one per core.";
    "drain_delay": Duration, Is("\"0s\""), "How long accepting goes on after the drain began.";
    "drain_timeout": Duration, Is("\"30s\""), "How long running requests may take to finish then.";
    "max_memory": Size, Is("\"0B\""), "Memory above which new requests are answered 503; 0: by the control group.";
    "probe": Duration, Is("\"0s\""), "How often endpoints are connected to although nothing seems wrong; 0: never.";
    "watch_config": Flag, Is("false"), "Whether a changed config file is loaded by itself.";
};

static ADMIN: Spec = spec! {
    "address": Text, Is("\"127.0.0.1:9180\""), "`ip:port` or `unix:/path`; beyond loopback it needs a token.";
    "token": Text, Absent, "What callers send as `Authorization: Bearer`; none: no token is asked for.";
};

static DNS: Spec = spec! {
    "servers": Texts, Is("[]"), "Name servers, `ip` or `ip:port`; empty: the system's.";
    "family": OneOf(FAMILIES), Is("\"ipv4\""), "Which addresses to ask for.";
    "min_ttl": Duration, Is("\"5s\""), "Shortest time between two resolutions of a name.";
    "max_ttl": Duration, Is("\"60s\""), "Longest time between two resolutions of a name.";
    "stale": Duration, Is("\"1h\""), "How long the last good answer serves while DNS fails.";
    "timeout": Duration, Is("\"2s\""), "Longest wait for one name server.";
    "allow": Texts, Is("[]"), "Address ranges allowed although an OSS endpoint would not have them.";
};

static LOG: Spec = spec! {
    "level": OneOf(LEVELS), Is("\"info\""), "Events of this level and above.";
    "access": OneOf(ACCESS), Is("\"json\""), "Form of the access lines.";
    "access_file": Text, Is("\"-\""), "Where access lines go; `-` is standard output.";
    "error_file": Text, Is("\"-\""), "Where events go; `-` is standard error.";
};

static LISTENER: Spec = spec! {
    "address": Text, Required, "`ip:port`, `[ipv6]:port`, `unix:/path` or `fd:NAME`.";
    "tls": Flag, Is("false"), "Whether clients speak TLS here.";
    "http2": Flag, Is("true"), "Whether HTTP/2 is offered beside HTTP/1.1.";
    "max_connections": Count, Is("0"), "Most client connections; 0: from the descriptor limit.";
    "proxy_protocol": OneOf(PROXY_PROTOCOLS), Is("\"off\""), "The PROXY header every connection has to begin with.";
    "trusted_proxies": Texts, Is("[]"), "Addresses of proxies in front, whose PROXY header and `X-Forwarded-*` are believed.";
    "health_path": Text, Absent, "A path answered here: 200 while this node should get traffic, else 503.";
    "timeouts": Table(&LISTENER_TIMEOUTS), Absent, "Deadlines towards clients.";
    "limits": Table(&LISTENER_LIMITS), Absent, "Limits on request heads.";
};

static LISTENER_TIMEOUTS: Spec = spec! {
    "tls_handshake": Duration, Is("\"10s\""), "For the TLS handshake.";
    "header": Duration, Is("\"30s\""), "For a whole request head.";
    "idle": Duration, Is("\"75s\""), "Between two requests of a connection.";
    "stall": Duration, Is("\"60s\""), "For a client that neither takes nor sends a byte.";
};

static LISTENER_LIMITS: Spec = spec! {
    "header_bytes": Size, Is("\"64KiB\""), "Largest request head.";
    "headers": Count, Is("200"), "Most header lines.";
};

static CERTIFICATE: Spec = spec! {
    "cert": Text, Required, "PEM file with the certificate chain, leaf first.";
    "key": Text, Required, "PEM file with the private key.";
    "default": Flag, Absent, "Whether it also serves clients that name no host or another one; default: the only one does.";
};

static ROUTE: Spec = spec! {
    "name": Text, Absent, "Label in logs; default: the first host, else the bucket.";
    "hosts": Texts, Absent, "Hosts it serves, exact or `*.suffix`; left out: every host.";
    "path": Text, Is("\"/\""), "Path prefix it serves; the longest wins.";
    "methods": Texts, Absent, "Methods it serves; left out: all.";
    "origin": Table(&ORIGIN), Required, "The bucket or buckets behind it.";
    "https": Table(&HTTPS), Absent, "What becomes of requests without TLS.";
    "cors": Table(&CORS), Absent, "Which pages of other origins may read answers; absent: what OSS says.";
    "guard": Table(&GUARD), Absent, "Which operations are let through; absent: all.";
    "referer": Table(&REFERER), Absent, "Which sites may show the objects.";
    "website": Table(&WEBSITE), Absent, "Index and error documents.";
    "preview": Table(&PREVIEW), Absent, "What becomes of forced downloads.";
};

static HTTPS: Spec = spec! {
    "mode": OneOf(HTTPS_MODES), Is("\"redirect\""), "What a request without TLS gets.";
    "port": Count, Is("443"), "Port of the address redirected to.";
    "hsts": Table(&HSTS), Absent, "Strict-Transport-Security on every answer over TLS.";
};

static HSTS: Spec = spec! {
    "max_age": Duration, Is("\"365d\""), "How long browsers remember.";
    "include_subdomains": Flag, Is("false"), "Whether it is for all names below the host, too.";
    "preload": Flag, Is("false"), "Whether the host may go into the lists browsers ship.";
};

static CORS: Spec = spec! {
    "rules": Tables(&CORS_RULE), Required, "The first rule that matches decides.";
    "vary_origin": Flag, Is("true"), "Whether every answer says `Vary: Origin`.";
};

static CORS_RULE: Spec = spec! {
    "origins": Texts, Required, "Origins, each with at most one `*`.";
    "methods": Texts, Required, "Methods: `GET`, `PUT`, `DELETE`, `POST`, `HEAD`.";
    "headers": Texts, Is("[]"), "Headers a preflight may ask for, each with at most one `*`.";
    "expose": Texts, Is("[]"), "Headers a page may read.";
    "max_age": Duration, Absent, "How long a browser remembers a preflight; absent: its own default.";
};

static GUARD: Spec = spec! {
    "preset": OneOf(PRESETS), Is("\"data-plane\""), "Which operations are let through.";
};

static REFERER: Spec = spec! {
    "allow": Texts, Absent, "Patterns that are allowed; none: all that are not denied.";
    "deny": Texts, Absent, "Patterns that are refused.";
    "allow_empty": Flag, Is("true"), "Whether a request without Referer is allowed.";
    "truncate_query": Flag, Is("true"), "Whether the query of the Referer is dropped first.";
    "truncate_path": Flag, Is("false"), "Whether its path is dropped, too.";
    "strict_host": Flag, Is("false"), "Whether a pattern must end where the host ends.";
    "mode": OneOf(REFERER_MODES), Is("\"enforce\""), "Whether refusals are answered or only logged.";
};

static WEBSITE: Spec = spec! {
    "index": Text, Is("\"index.html\""), "Name of the index document.";
    "subdirectories": OneOf(SUBDIRECTORIES), Is("\"off\""), "Whether directories have an index, and what a path without `/` gets.";
    "error": Text, Absent, "Key of the document answered for a missing object.";
    "error_status": Count, Is("404"), "Its status, 404 or 200.";
};

static PREVIEW: Spec = spec! {
    "strip_force_download": Flag, Is("false"), "Whether forced downloads are turned into previews.";
};

static ORIGIN: Spec = spec! {
    one of [&["bucket", "buckets"], &["region", "endpoint"]];
    "bucket": Text, Absent, "The one bucket: the whole path is the key.";
    "buckets": Texts, Absent, "Buckets by name or pattern, chosen by path or host label.";
    "region": Text, Absent, "Region id, such as `cn-hangzhou`.";
    "network": OneOf(NETWORKS), Is("\"internal\""), "Which endpoint of the region.";
    "endpoint": Text, Absent, "`host`, `host:port` or `ip:port`, instead of region and network.";
    "fallback": Tables(&FALLBACK), Absent, "Endpoints for when the one before cannot be connected to, in order; they share all other keys.";
    "host": Text, Absent, "Host sent to OSS, such as a domain bound to the bucket; default: of bucket and endpoint.";
    "addressing": OneOf(ADDRESSING), Absent, "Where OSS finds the bucket; default: path for an address and for PrivateLink, else virtual-host.";
    "tls": Flag, Is("true"), "Whether OSS is reached by HTTPS.";
    "ca": Text, Absent, "PEM file with the CAs to trust; default: the system's.";
    "server_name": Text, Absent, "Name in the endpoint's certificate; default: the host connected to.";
    "prefix": Text, Is("\"\""), "Put before every key.";
    "strip_path": Flag, Is("false"), "Whether the route's path is taken off first.";
    "timeouts": Table(&ORIGIN_TIMEOUTS), Absent, "Deadlines towards OSS.";
    "pool": Table(&POOL), Absent, "Kept-alive connections to OSS.";
};

static FALLBACK: Spec = spec! {
    "region": Text, Absent, "Region id; default: the origin's, beside a network.";
    "network": OneOf(NETWORKS), Absent, "Which endpoint of the region; default: internal.";
    "endpoint": Text, Absent, "`host`, `host:port` or `ip:port`, instead of region and network.";
};

static ORIGIN_TIMEOUTS: Spec = spec! {
    "connect": Duration, Is("\"3s\""), "For one connect with its TLS handshake.";
    "first_byte": Duration, Is("\"60s\""), "From the end of the request to the answer's first byte.";
    "idle": Duration, Is("\"60s\""), "For a silence inside a body, either way.";
};

static POOL: Spec = spec! {
    "idle_per_address": Count, Is("256"), "Most idle connections per address and worker.";
    "idle": Duration, Is("\"30s\""), "How long a connection stays idle; OSS must not close it first.";
    "max_per_address": Count, Is("0"), "Most requests in flight per address; 0: no limit.";
};
