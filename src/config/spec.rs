//! Every table and key of the config in one description.
//!
//! It says which keys exist (so that another one is an error), and it is what the JSON Schema and
//! the completeness test of `config/reference.toml` are made from. Meaning, unit and range of each
//! key are documented at the field it fills.

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

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// One sentence for editors.
    pub doc: &'static str,
}

/// One table.
#[derive(Debug)]
pub struct Spec {
    /// Its keys.
    pub keys: &'static [Key],
}

const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, doc }
}

/// Networks an OSS endpoint can be on.
pub(crate) const NETWORKS: &[&str] = &[
    "internal",
    "public",
    "accelerate",
    "accelerate-overseas",
    "dualstack",
];

/// The whole file.
pub static ROOT: Spec = Spec {
    keys: &[
        key("server", Kind::Table(&SERVER), "The process."),
        key("dns", Kind::Table(&DNS), "How endpoint names are resolved."),
        key("log", Kind::Table(&LOG), "Events and access lines."),
        key(
            "listener",
            Kind::Tables(&LISTENER),
            "Addresses clients connect to.",
        ),
        key(
            "certificate",
            Kind::Tables(&CERTIFICATE),
            "Certificates for listeners with TLS.",
        ),
        key(
            "route",
            Kind::Tables(&ROUTE),
            "Which bucket serves which host and path.",
        ),
    ],
};

static SERVER: Spec = Spec {
    keys: &[
        key("workers", Kind::Count, "Worker threads; 0 is one per core."),
        key(
            "drain_delay",
            Kind::Duration,
            "How long accepting goes on after the drain began.",
        ),
        key(
            "drain_timeout",
            Kind::Duration,
            "How long running requests may take to finish then.",
        ),
    ],
};

static DNS: Spec = Spec {
    keys: &[
        key(
            "servers",
            Kind::Texts,
            "Name servers, `ip` or `ip:port`; empty: the system's.",
        ),
        key(
            "family",
            Kind::OneOf(&["ipv4", "ipv6", "both"]),
            "Which addresses to ask for.",
        ),
        key(
            "min_ttl",
            Kind::Duration,
            "Shortest time between two resolutions of a name.",
        ),
        key(
            "max_ttl",
            Kind::Duration,
            "Longest time between two resolutions of a name.",
        ),
        key(
            "stale",
            Kind::Duration,
            "How long the last good answer serves while DNS fails.",
        ),
        key(
            "timeout",
            Kind::Duration,
            "Longest wait for one name server.",
        ),
        key(
            "allow",
            Kind::Texts,
            "Address ranges allowed although an OSS endpoint would not have them.",
        ),
    ],
};

static LOG: Spec = Spec {
    keys: &[
        key(
            "level",
            Kind::OneOf(&["error", "warn", "info", "debug", "trace"]),
            "Events of this level and above.",
        ),
        key(
            "access",
            Kind::OneOf(&["json", "combined", "off"]),
            "Form of the access lines.",
        ),
        key(
            "access_file",
            Kind::Text,
            "Where access lines go; `-` is standard output.",
        ),
        key(
            "error_file",
            Kind::Text,
            "Where events go; `-` is standard error.",
        ),
    ],
};

static LISTENER: Spec = Spec {
    keys: &[
        key(
            "address",
            Kind::Text,
            "`ip:port`, `[ipv6]:port` or `unix:/path`.",
        ),
        key("tls", Kind::Flag, "Whether clients speak TLS here."),
        key(
            "http2",
            Kind::Flag,
            "Whether HTTP/2 is offered beside HTTP/1.1.",
        ),
        key(
            "max_connections",
            Kind::Count,
            "Most client connections; 0: from the descriptor limit.",
        ),
        key(
            "timeouts",
            Kind::Table(&LISTENER_TIMEOUTS),
            "Deadlines towards clients.",
        ),
        key(
            "limits",
            Kind::Table(&LISTENER_LIMITS),
            "Limits on request heads.",
        ),
    ],
};

static LISTENER_TIMEOUTS: Spec = Spec {
    keys: &[
        key("tls_handshake", Kind::Duration, "For the TLS handshake."),
        key("header", Kind::Duration, "For a whole request head."),
        key(
            "idle",
            Kind::Duration,
            "Between two requests of a connection.",
        ),
        key(
            "stall",
            Kind::Duration,
            "For a client that neither takes nor sends a byte.",
        ),
    ],
};

static LISTENER_LIMITS: Spec = Spec {
    keys: &[
        key("header_bytes", Kind::Size, "Largest request head."),
        key("headers", Kind::Count, "Most header lines."),
    ],
};

static CERTIFICATE: Spec = Spec {
    keys: &[
        key(
            "cert",
            Kind::Text,
            "PEM file with the certificate chain, leaf first.",
        ),
        key("key", Kind::Text, "PEM file with the private key."),
        key(
            "default",
            Kind::Flag,
            "Whether it also serves clients that name no host or another one.",
        ),
    ],
};

static ROUTE: Spec = Spec {
    keys: &[
        key(
            "name",
            Kind::Text,
            "Label in logs; default: the first host, else the bucket.",
        ),
        key(
            "hosts",
            Kind::Texts,
            "Hosts it serves, exact or `*.suffix`; empty: every host.",
        ),
        key(
            "path",
            Kind::Text,
            "Path prefix it serves; the longest wins.",
        ),
        key("methods", Kind::Texts, "Methods it serves; empty: all."),
        key(
            "origin",
            Kind::Table(&ORIGIN),
            "The bucket or buckets behind it.",
        ),
    ],
};

static ORIGIN: Spec = Spec {
    keys: &[
        key(
            "bucket",
            Kind::Text,
            "The one bucket: the whole path is the key.",
        ),
        key(
            "buckets",
            Kind::Texts,
            "Buckets by name or pattern, chosen by path or host label.",
        ),
        key("region", Kind::Text, "Region id, such as `cn-hangzhou`."),
        key(
            "network",
            Kind::OneOf(NETWORKS),
            "Which endpoint of the region.",
        ),
        key(
            "endpoint",
            Kind::Text,
            "`host`, `host:port` or `ip:port`, instead of region and network.",
        ),
        key(
            "host",
            Kind::Text,
            "Host sent to OSS, such as a domain bound to the bucket.",
        ),
        key(
            "addressing",
            Kind::OneOf(&["virtual-host", "path"]),
            "Where OSS finds the bucket's name.",
        ),
        key("tls", Kind::Flag, "Whether OSS is reached by HTTPS."),
        key(
            "ca",
            Kind::Text,
            "PEM file with the CAs to trust, instead of the system's.",
        ),
        key(
            "server_name",
            Kind::Text,
            "Name in the endpoint's certificate, where it is not the endpoint's.",
        ),
        key("prefix", Kind::Text, "Put before every key."),
        key(
            "strip_path",
            Kind::Flag,
            "Whether the route's path is taken off first.",
        ),
        key(
            "timeouts",
            Kind::Table(&ORIGIN_TIMEOUTS),
            "Deadlines towards OSS.",
        ),
        key("pool", Kind::Table(&POOL), "Kept-alive connections to OSS."),
    ],
};

static ORIGIN_TIMEOUTS: Spec = Spec {
    keys: &[
        key(
            "connect",
            Kind::Duration,
            "For one connect with its TLS handshake.",
        ),
        key(
            "first_byte",
            Kind::Duration,
            "From the end of the request to the answer's first byte.",
        ),
        key(
            "idle",
            Kind::Duration,
            "For a silence inside a body, either way.",
        ),
    ],
};

static POOL: Spec = Spec {
    keys: &[
        key(
            "idle_per_address",
            Kind::Count,
            "Most idle connections per address and worker.",
        ),
        key(
            "idle",
            Kind::Duration,
            "How long a connection stays idle; OSS must not close it first.",
        ),
        key(
            "max_per_address",
            Kind::Count,
            "Most requests in flight per address; 0: no limit.",
        ),
    ],
};
