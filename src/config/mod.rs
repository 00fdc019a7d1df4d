//! What the operator wrote, checked as a whole.
//!
//! [`load`] and [`from_str`] give a [`Config`] that can be served, or every problem of the file at
//! once. Nothing else in the crate is used here but the facts of [`crate::oss`]: a region or a bucket
//! name can then be checked at its place in the file.

pub mod endpoint;
mod interpolate;
pub mod listener;
pub mod origin;
pub mod problem;
mod reader;
pub mod route;
pub mod schema;
pub mod server;
pub mod spec;
pub mod value;

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;
use toml::de::DeTable;

pub use endpoint::{Endpoint, EndpointHost};
pub use listener::{Address, Certificate, Limits, Listener, Timeouts};
pub use origin::{Addressing, Buckets, Origin, OriginTimeouts, Pool};
pub use problem::{Problem, Problems, Source};
pub use reader::Env;
pub use route::Route;
pub use server::{AccessFormat, Dns, Family, Level, Log, Server, Sink};
pub use value::{BucketPattern, HostPattern};

use reader::{Reader, Session};

/// A whole config, ready to be served.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// `[server]`.
    pub server: Server,
    /// `[dns]`.
    pub dns: Dns,
    /// `[log]`.
    pub log: Log,
    /// `[[listener]]`; at least one.
    #[serde(rename = "listener")]
    pub listeners: Vec<Listener>,
    /// `[[certificate]]`.
    #[serde(rename = "certificate")]
    pub certificates: Vec<Certificate>,
    /// `[[route]]`; at least one.
    #[serde(rename = "route")]
    pub routes: Vec<Route>,
}

/// A config and what is doubtful in it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The config.
    pub config: Config,
    /// Warnings only.
    pub warnings: Problems,
}

/// Reads the file at `path`. Relative paths in it are relative to its directory; `env` looks up
/// environment variables.
///
/// # Errors
///
/// All problems of the file, or that it cannot be read.
pub fn load(path: &Path, env: Env<'_>) -> Result<Loaded, Problems> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => from_str(&name, &text, path.parent().unwrap_or(Path::new(".")), env),
        Err(error) => {
            let source = Source {
                name: name.as_str().into(),
                text: "".into(),
            };
            let problem = Problem {
                span: None,
                path: String::new(),
                message: format!("cannot read the file: {error}"),
                hint: None,
                is_warning: false,
            };
            Err(Problems::new(source, vec![problem]))
        }
    }
}

/// Reads a config from `text`; `name` stands for the file in messages, `base` is what relative paths
/// are relative to.
///
/// # Errors
///
/// All problems of the text.
pub fn from_str(name: &str, text: &str, base: &Path, env: Env<'_>) -> Result<Loaded, Problems> {
    let source = Source {
        name: name.into(),
        text: text.into(),
    };
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let problem = Problem {
                span: Some(error.span().unwrap_or(0..0)),
                path: String::new(),
                message: error.message().trim().replace('\n', ", "),
                hint: None,
                is_warning: false,
            };
            return Err(Problems::new(source, vec![problem]));
        }
    };
    let session = Session::new(env, base);
    let config = {
        let root = Reader::new(
            &session,
            document.get_ref(),
            String::new(),
            0..0,
            &spec::ROOT,
        );
        read(&root)
    };
    let problems = Problems::new(source, session.into_problems());
    match config {
        Some(config) if !problems.has_errors() => Ok(Loaded {
            config,
            warnings: problems,
        }),
        Some(_) | None => Err(problems),
    }
}

fn read(root: &Reader<'_>) -> Option<Config> {
    let server = Server::read(&root.table("server", &spec::ROOT));
    let dns = Dns::read(&root.table("dns", &spec::ROOT));
    let log = Log::read(&root.table("log", &spec::ROOT));
    let listeners = read_listeners(root);
    let certificate_readers = root.tables("certificate", &spec::ROOT);
    let is_only = certificate_readers.len() == 1;
    let certificates: Vec<Certificate> = certificate_readers
        .iter()
        .filter_map(|reader| Certificate::read(reader, is_only))
        .collect();
    let has_tls = listeners.iter().any(|listener| listener.tls);
    if has_tls && certificate_readers.is_empty() {
        root.error(
            "listener",
            "a listener with `tls = true` needs a [[certificate]]",
            None,
        );
    }
    if !has_tls && let Some(unused) = certificate_readers.first() {
        unused.warn("", "is not used: no listener has `tls = true`", None);
    }
    let route_readers = root.tables("route", &spec::ROOT);
    if !root.has("route") {
        root.error("", "has no [[route]]: nothing would be served", None);
    }
    let route_spec = Reader::spec_of(&spec::ROOT, "route");
    let routes: Vec<(&Reader<'_>, Route)> = route_readers
        .iter()
        .filter_map(|reader| Some((reader, Route::read(reader, route_spec)?)))
        .collect();
    route::check_claims(&routes);
    let is_complete =
        routes.len() == route_readers.len() && certificates.len() == certificate_readers.len();
    is_complete.then(|| Config {
        server,
        dns,
        log,
        listeners,
        certificates,
        routes: routes.into_iter().map(|(_, route)| route).collect(),
    })
}

fn read_listeners(root: &Reader<'_>) -> Vec<Listener> {
    let readers = root.tables("listener", &spec::ROOT);
    if !root.has("listener") {
        let hint = "add `[[listener]]` with `address = \"0.0.0.0:80\"`".to_owned();
        root.error("", "has no [[listener]]", Some(hint));
    }
    let listener_spec = Reader::spec_of(&spec::ROOT, "listener");
    let mut seen: HashMap<Address, usize> = HashMap::new();
    let mut listeners = Vec::with_capacity(readers.len());
    for (index, reader) in readers.iter().enumerate() {
        let Some(listener) = Listener::read(reader, listener_spec) else {
            continue;
        };
        let takes_any_port =
            matches!(&listener.address, Address::Tcp(address) if address.port() == 0);
        if !takes_any_port && let Some(other) = seen.insert(listener.address.clone(), index) {
            let message = format!(
                "`{}` is already the address of `listener[{other}]`",
                listener.address
            );
            reader.error("address", message, None);
        }
        listeners.push(listener);
    }
    listeners
}
