//! The configuration of ossgate: read from a TOML file and checked as a whole.
//!
//! [`load`] and [`from_str`] return a [`Config`] that can be served, or every problem of the file. The only
//! other part of the crate that this module uses is [`oss`](crate::oss), for example to check regions and
//! bucket names.

mod addressing;
pub mod admin;
pub mod certificate;
pub mod credentials;
pub mod endpoint;
mod fallback;
mod getters;
mod interpolate;
mod lines;
pub mod listener;
mod located;
pub mod origin;
mod pattern;
mod pem;
pub mod policy;
pub mod problem;
mod reader;
pub mod route;
pub mod schema;
pub mod secret;
pub mod server;
mod session;
pub mod sign;
pub mod spec;
mod suggest;
pub mod value;

use std::collections::HashMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use toml::de::DeTable;

pub use addressing::Addressing;
pub use admin::Admin;
pub use certificate::{Certificate, CertificateError};
pub use credentials::{AccessKey, CredentialSource};
pub use endpoint::{Endpoint, EndpointHost};
pub use interpolate::Env;
pub use listener::{Address, Limits, Listener, ProxyProtocol, Timeouts};
pub use origin::{Buckets, Origin, OriginTimeouts, Pool};
pub use pattern::{BucketPattern, HostPattern};
pub use pem::PemError;
pub use policy::Policies;
pub use problem::{Problem, Problems, Severity, Source};
pub use route::{ListBuckets, Route};
pub use secret::Secret;
pub use server::{AccessFormat, Dns, Family, Level, Log, Server, Sink};
pub use sign::{Sign, SignVersion};

use reader::Reader;
use route::RouteCandidate;
use session::Session;

/// A whole config without errors.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// `[server]`.
    pub server: Server,
    /// `[dns]`.
    pub dns: Dns,
    /// `[log]`.
    pub log: Log,
    /// `[admin]`; `None` means no admin listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<Admin>,
    /// `[[listener]]`; at least one.
    #[serde(rename = "listener")]
    pub listeners: Vec<Listener>,
    /// `[[certificate]]`.
    #[serde(rename = "certificate", skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
    /// `[[route]]`; at least one.
    #[serde(rename = "route")]
    pub routes: Vec<Route>,
}

/// A config with its warnings.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The config.
    pub config: Config,
    /// The warnings. There is no error among them.
    pub warnings: Problems,
}

/// Reads the file at `path`. Relative paths in the file are relative to the directory of the file. `env`
/// returns the values of environment variables.
///
/// # Errors
///
/// [`Problems`] with every problem of the file, or with one problem when the file cannot be read.
pub fn load(path: &Path, env: Env<'_>) -> Result<Loaded, Problems> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => from_str(&name, &text, path.parent().unwrap_or(Path::new(".")), env),
        Err(error) => {
            let problem = Problem {
                span: None,
                path: String::new(),
                message: format!("cannot read the file: {error}"),
                hint: (error.kind() == std::io::ErrorKind::NotFound).then(|| {
                    "name another file with `-c`, or make one with `ossgate init`".to_owned()
                }),
                severity: Severity::Error,
            };
            Err(Problems::new(Source::new(&name, ""), vec![problem]))
        }
    }
}

/// Reads a config from `text`. `name` is the name of the file in messages; relative paths are relative to
/// `base`.
///
/// # Errors
///
/// [`Problems`] with every problem of the text.
pub fn from_str(name: &str, text: &str, base: &Path, env: Env<'_>) -> Result<Loaded, Problems> {
    from_str_at(name, text, base, env, wall_clock())
}

/// Reads only the `[admin]` table of the file at `path`. Problems in the rest of the file are ignored.
///
/// # Errors
///
/// [`Problems`] when the file cannot be read, when the table has errors, and when no table was found in a
/// file with syntax errors.
pub fn load_admin(path: &Path, env: Env<'_>) -> Result<Option<Admin>, Problems> {
    let name = path.display().to_string();
    let read = std::fs::read_to_string(path);
    let Ok(text) = &read else {
        return load(path, env).map(|loaded| loaded.config.admin);
    };
    let source = Source::new(&name, text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let base = path.parent().unwrap_or(Path::new("."));
    let session = Session::new(&source, env, base, 0);
    let root = Reader::new(
        &session,
        document.get_ref(),
        &spec::ROOT,
        String::new(),
        0..0,
    );
    // So far only unknown top-level keys have been reported. They do not matter here, because they do not
    // affect the `[admin]` table.
    session.problems.borrow_mut().clear();
    let admin = Admin::read(&root);
    drop(root);
    let problems = Problems::new(source, session.into_problems());
    if problems.has_errors() || (admin.is_none() && !errors.is_empty()) {
        return Err(problems);
    }
    Ok(admin)
}

/// Does the same as [`from_str`], but takes the current time from `now` when it checks whether certificates
/// are valid.
///
/// # Errors
///
/// [`Problems`] with every problem of the text.
pub fn from_str_at(
    name: &str,
    text: &str,
    base: &Path,
    env: Env<'_>,
    now: SystemTime,
) -> Result<Loaded, Problems> {
    let source = Source::new(name, text);
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // The keys of a document with syntax errors are not checked, because the parser may have misread
        // them.
        let problems = errors.iter().map(|error| Problem {
            span: Some(error.span().unwrap_or(0..0)),
            path: String::new(),
            message: error.message().trim().replace('\n', ", "),
            hint: None,
            severity: Severity::Error,
        });
        return Err(Problems::new(source, problems.collect()));
    }
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let session = Session::new(&source, env, base, now);
    let root = Reader::new(
        &session,
        document.get_ref(),
        &spec::ROOT,
        String::new(),
        0..0,
    );
    let config = read(&root);
    drop(root);
    let problems = Problems::new(source, session.into_problems());
    match config {
        Some(config) if !problems.has_errors() => Ok(Loaded {
            config,
            warnings: problems,
        }),
        Some(_) | None => Err(problems),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only place where the config reads the clock; tests pass a time"
)]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Reads the whole config and reports its problems. Returns `None` when a route cannot be read.
fn read(root: &Reader<'_>) -> Option<Config> {
    let server = Server::read(&root.table("server"));
    let dns = Dns::read(&root.table("dns"));
    let log = Log::read(&root.table("log"));
    let admin = Admin::read(root);
    let listeners = read_listeners(root, admin.as_ref());
    let certificates = Certificate::read_all(root);
    if !listeners.is_empty()
        && !listeners.iter().any(|listener| listener.tls)
        && !certificates.is_empty()
    {
        let message = "is not used: no listener has `tls = true`";
        root.warn("certificate", message, None);
    }
    if !root.has("route") || root.is_empty_list("route") {
        root.error("route", "is missing: nothing would be served", None);
    }
    let tables = root.tables("route");
    let route_count = tables.len();
    let candidates: Vec<RouteCandidate<'_>> = tables
        .into_iter()
        .filter_map(RouteCandidate::read)
        .collect();
    let is_complete = candidates.len() == route_count;
    let routes = route::finish(candidates);
    is_complete.then_some(Config {
        server,
        dns,
        log,
        admin,
        listeners,
        certificates,
        routes,
    })
}

fn read_listeners(root: &Reader<'_>, admin: Option<&Admin>) -> Vec<Listener> {
    let readers = root.tables("listener");
    if !root.has("listener") || root.is_empty_list("listener") {
        let hint = "add `[[listener]]` with `address = \"0.0.0.0:80\"`";
        root.error(
            "listener",
            "is missing: nothing would be served",
            Some(hint),
        );
    }
    let has_certificate = root.has("certificate");
    let admin = admin.map(|admin| &admin.address);
    let mut seen: HashMap<Address, usize> = HashMap::new();
    let mut listeners = Vec::with_capacity(readers.len());
    for (index, reader) in readers.iter().enumerate() {
        let Some(listener) = Listener::read(reader) else {
            continue;
        };
        if listener.tls && !has_certificate {
            reader.error("tls", "needs a `[[certificate]]`", None);
        }
        let takes_any_port =
            matches!(&listener.address, Address::Tcp(address) if address.port() == 0);
        if !takes_any_port && let Some(other) = seen.insert(listener.address.clone(), index) {
            let message = format!("is already the address of `listener[{other}]`");
            reader.error("address", message, None);
        }
        if !takes_any_port && admin == Some(&listener.address) {
            reader.error("address", "is already the address of `admin`", None);
        }
        listeners.push(listener);
    }
    listeners
}
