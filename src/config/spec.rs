//! The description of every table and key of the config.
//!
//! A key that this description does not contain is an error. The JSON Schema is derived from the description.
//! A test uses the description to check that `config/reference.toml` is complete. Defaults are written in
//! TOML; another test compares them with the values of a config without these keys.

use self::Kind::{Count, Duration, Fields, Flag, OneOf, Size, Table, Tables, Text, Texts};
use self::Presence::{Default, Optional, Required};

/// The type of a key's value.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A string.
    Text,
    /// A string that is a duration, such as `"30s"`.
    Duration,
    /// A string that is a size, such as `"64KiB"`.
    Size,
    /// A whole number, 0 or above.
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
    /// A table of header fields. Its keys are the names of the fields, its values are strings.
    Fields,
}

/// Whether a key is required, and its default if it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A table without the key is an error.
    Required,
    /// The key may be left out. Its default is this value, in TOML.
    Default(&'static str),
    /// The key may be left out. Its default is not a constant and is described in the key's `doc`.
    Optional,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name of the key.
    pub name: &'static str,
    /// The type of the key's value.
    pub kind: Kind,
    /// Whether the key is required.
    pub presence: Presence,
    /// A description in one sentence, which editors show.
    pub doc: &'static str,
}

/// One table.
#[derive(Debug)]
pub struct Spec {
    /// The keys of the table.
    pub keys: &'static [Key],
    /// Groups of keys. Exactly one key of each group must be written.
    pub one_of: &'static [&'static [&'static str]],
}

impl Spec {
    /// Returns the key `name`; `None` when the table has no such key.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// The networks that an OSS endpoint can be on.
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
const LIST_BUCKETS: &[&str] = &["refuse", "pass"];
const CREDENTIAL_SOURCES: &[&str] = &["env", "static", "file", "profile", "ecs-ram-role", "chain"];
const SIGN_VERSIONS: &[&str] = &["v4", "v1"];
const HTTPS_MODES: &[&str] = &["redirect", "require", "off"];
const PRESETS: &[&str] = &["full", "data-plane", "read-only"];
const REFERER_MODES: &[&str] = &["enforce", "report"];
const SUBDIRECTORIES: &[&str] = &["off", "redirect", "not-found", "index"];

/// Makes a [`Spec`] from one line per key: name, kind, presence, description.
macro_rules! spec {
    ($($name:literal: $kind:expr, $presence:expr, $doc:literal;)*) => {
        spec! { @[] $($name: $kind, $presence, $doc;)* }
    };
    (one of $one_of:expr; $($name:literal: $kind:expr, $presence:expr, $doc:literal;)*) => {
        spec! { @$one_of $($name: $kind, $presence, $doc;)* }
    };
    (@$one_of:tt $($name:literal: $kind:expr, $presence:expr, $doc:literal;)*) => {
        Spec {
            keys: &[$(Key { name: $name, kind: $kind, presence: $presence, doc: $doc }),*],
            one_of: &$one_of,
        }
    };
}

/// The whole main file.
pub static ROOT: Spec = spec! {
    "include": Texts, Default("[]"), "Further config files, each a path or a pattern with `*` and `?`.";
    "server": Table(&SERVER), Optional, "The process.";
    "dns": Table(&DNS), Optional, "How endpoint names are resolved.";
    "log": Table(&LOG), Optional, "Log events and the access log.";
    "admin": Table(&ADMIN), Optional, "Listener for metrics, health and commands; absent: no such listener.";
    "listener": Tables(&LISTENER), Required, "Addresses that clients connect to.";
    "certificate": Tables(&CERTIFICATE), Optional, "Certificates for listeners with TLS.";
    "route": Tables(&ROUTE), Required, "Which bucket serves which host and path.";
};

/// A whole included file. The other tables of [`ROOT`] hold for the process, so only the main file has them.
pub(crate) static INCLUDED: Spec = spec! {
    "listener": Tables(&LISTENER), Optional, "Addresses that clients connect to.";
    "certificate": Tables(&CERTIFICATE), Optional, "Certificates for listeners with TLS.";
    "route": Tables(&ROUTE), Optional, "Which bucket serves which host and path.";
};

static SERVER: Spec = spec! {
    "workers": Count, Default("0"), "Number of worker threads; 0: one per core.";
    "drain_delay": Duration, Default("\"0s\""), "How long new connections are accepted after a drain begins.";
    "drain_timeout": Duration, Default("\"30s\""), "How long requests in flight may take to finish after that.";
    "max_memory": Size, Default("\"0B\""), "Memory above which new requests get 503; 0: from the limit of the control group.";
    "probe": Duration, Default("\"0s\""), "How often every endpoint is connected to as a check; 0: only endpoints that failed.";
    "probe_path": Text, Optional, "Path of a HEAD that OSS must answer in each check; absent: a check ends with the TLS handshake.";
    "retry_buffer": Size, Default("\"16MiB\""), "Memory per worker for small request bodies that may be sent again; 0: none is kept.";
    "watch_config": Flag, Default("false"), "Whether the config is loaded again when one of its files changes.";
};

static ADMIN: Spec = spec! {
    "address": Text, Default("\"127.0.0.1:9180\""), "`ip:port` or `unix:/path`; an address that is not loopback needs a token.";
    "token": Text, Optional, "What callers must send as `Authorization: Bearer`; absent: no token is needed.";
};

static DNS: Spec = spec! {
    "servers": Texts, Default("[]"), "Name servers, `ip` or `ip:port`; empty: the system's.";
    "family": OneOf(FAMILIES), Default("\"ipv4\""), "Address family to resolve.";
    "min_ttl": Duration, Default("\"5s\""), "Minimum time between two resolutions of a name.";
    "max_ttl": Duration, Default("\"60s\""), "Maximum time between two resolutions of a name.";
    "stale": Duration, Default("\"1h\""), "How long the last good answer is used while DNS fails.";
    "timeout": Duration, Default("\"2s\""), "Maximum time to wait for one name server.";
    "allow": Texts, Default("[]"), "Address ranges to allow in addition to those that OSS endpoints have.";
};

static LOG: Spec = spec! {
    "level": OneOf(LEVELS), Default("\"info\""), "Minimum level of the events that are logged.";
    "access": OneOf(ACCESS), Default("\"json\""), "Format of the access log.";
    "access_file": Text, Default("\"-\""), "File of the access log; `-` is standard output.";
    "error_file": Text, Default("\"-\""), "File of the log events; `-` is standard error.";
};

static LISTENER: Spec = spec! {
    "address": Text, Required, "`ip:port`, `[ipv6]:port`, `unix:/path` or `fd:NAME`.";
    "tls": Flag, Default("false"), "Whether clients must use TLS.";
    "http2": Flag, Default("true"), "Whether HTTP/2 is offered in addition to HTTP/1.1.";
    "max_connections": Count, Default("0"), "Maximum number of client connections; 0: from the descriptor limit.";
    "proxy_protocol": OneOf(PROXY_PROTOCOLS), Default("\"off\""), "Version of the PROXY header that every connection must begin with.";
    "trusted_proxies": Texts, Default("[]"), "Addresses of proxies whose PROXY header and `X-Forwarded-*` are trusted.";
    "health_path": Text, Optional, "Path answered by the listener: 200 while this node is ready, else 503.";
    "timeouts": Table(&LISTENER_TIMEOUTS), Optional, "Deadlines towards clients.";
    "limits": Table(&LISTENER_LIMITS), Optional, "Limits on request headers.";
};

static LISTENER_TIMEOUTS: Spec = spec! {
    "tls_handshake": Duration, Default("\"10s\""), "Maximum time for the TLS handshake.";
    "header": Duration, Default("\"30s\""), "Maximum time for a whole request header.";
    "idle": Duration, Default("\"75s\""), "Maximum time between two requests of a connection.";
    "stall": Duration, Default("\"60s\""), "Maximum time without a byte to or from the client inside a request.";
};

static LISTENER_LIMITS: Spec = spec! {
    "header_bytes": Size, Default("\"64KiB\""), "Maximum size of the request line and all header fields.";
    "headers": Count, Default("200"), "Maximum number of header fields.";
};

static CERTIFICATE: Spec = spec! {
    "cert": Text, Required, "PEM file with the certificate chain, leaf first.";
    "key": Text, Required, "PEM file with the private key.";
    "default": Flag, Optional, "Whether to use it for clients that send no host name or an unknown one; default: true for the only certificate, or for all that differ only in the type of key.";
};

static ROUTE: Spec = spec! {
    "name": Text, Optional, "Name of the route in logs; default: the first host, else the bucket.";
    "hosts": Texts, Optional, "Hosts of the route, exact or `*.suffix`; absent: every host.";
    "path": Text, Default("\"/\""), "Path prefix of the route; the longest matching prefix wins.";
    "methods": Texts, Optional, "Methods of the route; absent: all.";
    "list_buckets": OneOf(LIST_BUCKETS), Optional, "What a request that lists the buckets gets; only with `buckets`; default: `refuse`.";
    "origin": Table(&ORIGIN), Required, "The bucket or buckets, and their endpoint.";
    "sign": Table(&SIGN), Optional, "Which requests are signed with the origin's credentials.";
    "headers": Tables(&HEADERS), Optional, "Header fields to change in responses.";
    "ip": Table(&IP), Optional, "Which client addresses are served; absent: all.";
    "https": Table(&HTTPS), Optional, "What a request without TLS gets.";
    "cors": Table(&CORS), Optional, "Which pages of other origins may read responses; absent: as OSS answers.";
    "guard": Table(&GUARD), Optional, "Which OSS operations are allowed; absent: all.";
    "referer": Table(&REFERER), Optional, "Which sites may embed the objects.";
    "website": Table(&WEBSITE), Optional, "Index and error documents.";
    "preview": Table(&PREVIEW), Optional, "Whether browsers show objects or download them.";
};

static HEADERS: Spec = spec! {
    "suffix": Texts, Optional, "Ends of the paths that the rule is for; absent: every path.";
    "set": Fields, Optional, "Fields to set; they replace all fields of their name.";
    "add": Fields, Optional, "Fields to add to those of the same name.";
    "remove": Texts, Optional, "Names of fields to remove.";
};

static IP: Spec = spec! {
    "allow": Texts, Optional, "Addresses and networks to serve; absent, without `file`: all that are not denied.";
    "deny": Texts, Optional, "Addresses and networks to refuse, even if they are allowed.";
    "file": Text, Optional, "File with more of `allow`: a network a line, `#` begins a comment; read again when it changes.";
};

static HTTPS: Spec = spec! {
    "mode": OneOf(HTTPS_MODES), Default("\"redirect\""), "What a request without TLS gets.";
    "port": Count, Default("443"), "Port of the URL that is redirected to.";
    "hsts": Table(&HSTS), Optional, "Strict-Transport-Security on every response over TLS.";
};

static HSTS: Spec = spec! {
    "max_age": Duration, Default("\"365d\""), "How long browsers remember it.";
    "include_subdomains": Flag, Default("false"), "Whether it also covers all subdomains of the host.";
    "preload": Flag, Default("false"), "Whether browser vendors may put the host on their preload lists.";
};

static CORS: Spec = spec! {
    "rules": Tables(&CORS_RULE), Required, "Rules; the first rule that matches decides.";
    "vary_origin": Flag, Default("true"), "Whether every response has `Vary: Origin`.";
};

static CORS_RULE: Spec = spec! {
    "origins": Texts, Required, "Allowed origins, each with at most one `*`.";
    "methods": Texts, Required, "Allowed methods: `GET`, `PUT`, `DELETE`, `POST`, `HEAD`.";
    "headers": Texts, Default("[]"), "Header fields that a preflight may request, each with at most one `*`.";
    "expose": Texts, Default("[]"), "Header fields that a page may read.";
    "max_age": Duration, Optional, "How long a browser caches a preflight; absent: the browser's default.";
    "private_network": Flag, Default("false"), "Whether pages of public addresses may request this host at a private address.";
};

static GUARD: Spec = spec! {
    "preset": OneOf(PRESETS), Default("\"data-plane\""), "Set of allowed operations.";
    "allow": Texts, Default("[]"), "Operations allowed besides, as `METHOD ?subresource`, such as `GET ?acl`.";
};

static REFERER: Spec = spec! {
    "allow": Texts, Optional, "Patterns to allow; empty: every Referer that is not denied.";
    "deny": Texts, Optional, "Patterns to refuse.";
    "allow_empty": Flag, Default("true"), "Whether a request without Referer is allowed.";
    "truncate_query": Flag, Default("true"), "Whether the query of the Referer is removed before matching.";
    "truncate_path": Flag, Default("false"), "Whether the path of the Referer is removed before matching.";
    "strict_host": Flag, Default("false"), "Whether a pattern that ends inside a host must match the whole host.";
    "mode": OneOf(REFERER_MODES), Default("\"enforce\""), "Whether requests are refused, or only counted and logged.";
};

static WEBSITE: Spec = spec! {
    "index": Text, Default("\"index.html\""), "Name of the index document.";
    "subdirectories": OneOf(SUBDIRECTORIES), Default("\"off\""), "Whether directories have an index document, and what a path without the final `/` gets.";
    "error": Text, Optional, "Key of the document returned for a missing object.";
    "error_status": Count, Default("404"), "Status of the error document, 404 or 200.";
};

static PREVIEW: Spec = spec! {
    "strip_force_download": Flag, Default("false"), "Whether browsers show objects that OSS makes them download.";
};

static ORIGIN: Spec = spec! {
    one of [&["bucket", "buckets"], &["region", "endpoint"]];
    "bucket": Text, Optional, "The only bucket; the whole path is the key.";
    "buckets": Texts, Optional, "Buckets by name or pattern; the path or the host names one of them.";
    "region": Text, Optional, "Region id, such as `cn-hangzhou`.";
    "network": OneOf(NETWORKS), Default("\"internal\""), "Network of the endpoint in the region.";
    "endpoint": Text, Optional, "`host`, `host:port` or `ip:port`; used instead of region and network.";
    "fallback": Tables(&FALLBACK), Optional, "Endpoints to use while the one before cannot be connected to, in order; they share all other keys.";
    "host": Text, Optional, "`Host` sent to OSS, such as a domain bound to the bucket; default: from bucket and endpoint.";
    "addressing": OneOf(ADDRESSING), Optional, "Where OSS finds the bucket; default: `path` for PrivateLink and for an IP address without `host`, else `virtual-host`.";
    "tls": Flag, Default("true"), "Whether to connect to OSS by HTTPS.";
    "ca": Text, Optional, "PEM file with the CAs to trust; default: the system's.";
    "server_name": Text, Optional, "Name that the endpoint's certificate must have; default: the host connected to.";
    "prefix": Text, Default("\"\""), "Text put before every key.";
    "strip_path": Flag, Default("false"), "Whether the route's path is removed from the key.";
    "timeouts": Table(&ORIGIN_TIMEOUTS), Optional, "Deadlines towards OSS.";
    "pool": Table(&POOL), Optional, "Keep-alive connections to OSS.";
    "credentials": Table(&CREDENTIALS), Optional, "Access key with which unsigned requests are signed; absent: nothing is signed.";
    "headers": Table(&ORIGIN_HEADERS), Optional, "Header fields to change in requests to OSS.";
};

static CREDENTIALS: Spec = spec! {
    "source": OneOf(CREDENTIAL_SOURCES), Required, "Where the access key comes from.";
    "access_key_id": Text, Optional, "Public part of the key; for `static`.";
    "access_key_secret": Text, Optional, "Secret part of the key; for `static`.";
    "security_token": Text, Optional, "Token of a temporary key; for `static`.";
    "path": Text, Optional, "File with the key; for `file` and `profile`; default of `profile`: `~/.aliyun/config.json`.";
    "name": Text, Optional, "Name of the profile; for `profile` and `chain`; default: the current one.";
    "role": Text, Optional, "Name of the RAM role; for `ecs-ram-role` and `chain`; default: the one of the instance.";
    "metadata": Text, Default("\"http://100.100.100.200\""), "Address of the metadata service; for `ecs-ram-role` and `chain`.";
    "allow_imdsv1": Flag, Default("false"), "Whether a metadata service that issues no token is asked without one.";
};

static SIGN: Spec = spec! {
    "anonymous": Texts, Default("[\"GET\", \"HEAD\"]"), "Methods of the unsigned requests that are signed; others are refused; `[]`: none is signed.";
    "version": OneOf(SIGN_VERSIONS), Default("\"v4\""), "Version of the signatures.";
    "region": Text, Optional, "Region of the bucket; default: the region of the endpoint.";
};

static ORIGIN_HEADERS: Spec = spec! {
    "set": Fields, Optional, "Fields to set; they replace all fields of their name.";
    "remove": Texts, Optional, "Names of fields to remove.";
};

static FALLBACK: Spec = spec! {
    "region": Text, Optional, "Region id; default: the origin's region, when `network` is written.";
    "network": OneOf(NETWORKS), Optional, "Network of the endpoint in the region; default: `internal`.";
    "endpoint": Text, Optional, "`host`, `host:port` or `ip:port`; used instead of region and network.";
};

static ORIGIN_TIMEOUTS: Spec = spec! {
    "connect": Duration, Default("\"3s\""), "Maximum time for one TCP connect and its TLS handshake.";
    "first_byte": Duration, Default("\"60s\""), "Maximum time from the end of the request to the first byte of the response.";
    "idle": Duration, Default("\"60s\""), "Maximum time without a byte inside a request or response body.";
};

static POOL: Spec = spec! {
    "idle_per_address": Count, Default("256"), "Maximum number of idle connections per address and worker.";
    "idle": Duration, Default("\"30s\""), "How long a connection stays idle; must be below the limit of OSS.";
    "max_per_address": Count, Default("0"), "Maximum number of requests in flight per address; 0: no limit.";
};
