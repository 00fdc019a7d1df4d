//! Hints for unknown keys: keys of other tables, and keys that people know from nginx, Caddy or HAProxy.

use toml::de::DeValue;

use crate::config::spec::{INCLUDED, Key, Kind, ROOT, Spec};
use crate::config::suggest::hint_for;

/// Keys of other programs, each with the hint that leads to the key of ossgate.
const HABITS: [(&[&str], &str); 13] = [
    (
        &["listen", "bind", "port", "ports", "listen_address", "addr"],
        "the address to listen on is `address` of a `[[listener]]` table, such as `address = \"0.0.0.0:80\"`",
    ),
    (
        &[
            "host",
            "server_name",
            "server_names",
            "domain",
            "domains",
            "hostname",
            "hostnames",
            "vhost",
        ],
        "the hosts of a route are `hosts` of a `[[route]]` table, such as `hosts = [\"img.example.com\"]`",
    ),
    (
        &[
            "proxy_pass",
            "upstream",
            "upstreams",
            "backend",
            "reverse_proxy",
            "target",
            "url",
            "origins",
        ],
        "requests go to `origin` of a `[[route]]` table, such as \
         `origin = { bucket = \"examplebucket\", region = \"cn-hangzhou\" }`",
    ),
    (
        &["location", "locations", "prefix_path", "match"],
        "the path prefix of a route is `path` of a `[[route]]` table, such as `path = \"/img\"`",
    ),
    (
        &[
            "ssl_certificate",
            "ssl_certificate_key",
            "tls_cert",
            "tls_key",
            "certificates",
            "crt",
        ],
        "a certificate is a `[[certificate]]` table with the files `cert` and `key`",
    ),
    (
        &["ssl", "https_only", "tls_enabled"],
        "`tls = true` in a `[[listener]]` table is for clients; `tls` in `[route.origin]` is for OSS",
    ),
    (
        &[
            "access_key_id",
            "access_key_secret",
            "access_key",
            "accessKeyId",
            "accessKeySecret",
            "secret_key",
            "secret_access_key",
            "security_token",
            "sts_token",
            "credentials",
            "ak",
            "sk",
        ],
        "clients sign with their own access key; for clients that do not sign, write `credentials` in `[route.origin]`, such as `credentials = { source = \"ecs-ram-role\" }`",
    ),
    (
        &["access_log", "error_log", "log_file", "log_level", "logs"],
        "the logs are `access_file`, `error_file` and `level` of the `[log]` table",
    ),
    (
        &["worker_processes", "threads", "nbthread", "worker_threads"],
        "the number of threads is `workers` of the `[server]` table",
    ),
    (
        &[
            "resolver",
            "resolvers",
            "nameserver",
            "nameservers",
            "dns_servers",
        ],
        "the name servers are `servers` of the `[dns]` table, such as `servers = [\"100.100.2.136\"]`",
    ),
    (
        &[
            "proxy_connect_timeout",
            "connect_timeout",
            "proxy_read_timeout",
            "read_timeout",
        ],
        "the deadlines towards OSS are the table `[route.origin.timeouts]`, such as `connect = \"3s\"`",
    ),
    (
        &["keepalive_timeout", "client_header_timeout", "idle_timeout"],
        "the deadlines towards clients are the table `[listener.timeouts]`, such as `idle = \"75s\"`",
    ),
    (
        &[
            "redirect",
            "force_https",
            "redirect_https",
            "https_redirect",
        ],
        "write `https = { mode = \"redirect\" }` in the `[[route]]` table",
    ),
];

/// Returns the message and the hint for `name`, a key that the table `spec` does not have.
pub(crate) fn unknown_key(
    spec: &'static Spec,
    name: &str,
    value: &DeValue<'_>,
) -> (String, Option<String>) {
    if std::ptr::eq(spec, &raw const INCLUDED) && ROOT.key(name).is_some() {
        return misplaced(name);
    }
    let known: Vec<&str> = spec.keys.iter().map(|key| key.name).collect();
    // If a list of tables inside this table has the key, the key is written one level too high.
    let is_inside =
        |key: &Key| matches!(key.kind, Kind::Tables(inner) if inner.key(name).is_some());
    let inside = spec.keys.iter().any(is_inside).then(|| elsewhere(name));
    let hint = (inside.flatten())
        .or_else(|| habit(spec, name, value))
        .or_else(|| elsewhere(name))
        .or_else(|| hint_for(name, &known));
    (format!("unknown key `{name}`"), hint)
}

/// Returns the message and the hint for a key that is valid only in the main file, and is in an included
/// file.
fn misplaced(name: &str) -> (String, Option<String>) {
    if name == "include" {
        let hint = "add the pattern to `include` of the main file";
        let message = "an included file cannot include further files";
        return (message.to_owned(), Some(hint.to_owned()));
    }
    let hint = format!("move `[{name}]` to the main file: it is about the whole process");
    (
        format!("`[{name}]` cannot be in an included file"),
        Some(hint),
    )
}

/// Returns the hint for `name` if it is a key of another program.
fn habit(spec: &Spec, name: &str, value: &DeValue<'_>) -> Option<String> {
    let (names, hint) = HABITS.iter().find(|(names, _)| names.contains(&name))?;
    // If the table has the key of ossgate with this meaning, the hint shows the value in the right form.
    if names.contains(&"server_name")
        && spec.key("hosts").is_some()
        && let DeValue::String(text) = value
    {
        let hosts = text.split([' ', ',']).filter(|host| !host.is_empty());
        let hosts: Vec<String> = hosts.map(|host| format!("{host:?}")).collect();
        return Some(format!("write `hosts = [{}]`", hosts.join(", ")));
    }
    if names.contains(&"listen")
        && spec.key("proxy_protocol").is_some()
        && let DeValue::Integer(port) = value
    {
        return Some(format!("write `address = \"0.0.0.0:{port}\"`"));
    }
    if names.contains(&"listen") && spec.key("address").is_some() {
        return Some("write `address = \"127.0.0.1:9180\"`, or another port".to_owned());
    }
    Some((*hint).to_owned())
}

/// Returns a hint that says where the key `name` belongs: at the top of the file or in certain tables.
/// Returns `None` if no table has the key.
fn elsewhere(name: &str) -> Option<String> {
    let mut headers = Vec::new();
    if ROOT
        .key(name)
        .is_some_and(|key| matches!(key.kind, Kind::Texts))
    {
        return Some(format!(
            "`{name}` must stand at the top of the file, before the first table"
        ));
    }
    collect(&ROOT, "", name, &mut headers);
    (!headers.is_empty()).then(|| format!("`{name}` is a key of {}", headers.join(", ")))
}

/// Collects the headers of all tables below `spec` that have the key `name`. `path` is the path of `spec`.
fn collect(spec: &Spec, path: &str, name: &str, headers: &mut Vec<String>) {
    for key in spec.keys {
        let (inner, is_list) = match key.kind {
            Kind::Table(inner) => (inner, false),
            Kind::Tables(inner) => (inner, true),
            _ => continue,
        };
        let path = if path.is_empty() {
            key.name.to_owned()
        } else {
            format!("{path}.{}", key.name)
        };
        if inner.key(name).is_some() {
            headers.push(if is_list {
                format!("`[[{path}]]`")
            } else {
                format!("`[{path}]`")
            });
        }
        collect(inner, &path, name, headers);
    }
}
