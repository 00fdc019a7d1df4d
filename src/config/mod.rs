//! The configuration of ossgate: read from a TOML file and the files that it includes, and checked as a
//! whole.
//!
//! [`load`] and [`from_str`] return a [`Config`] that can be served, or every problem of its files. The only
//! other part of the crate that this module uses is [`oss`](crate::oss), for example to check regions and
//! bucket names.

mod addressing;
pub mod admin;
pub mod certificate;
mod circle;
mod combinations;
pub mod credentials;
pub mod endpoint;
mod excerpt;
mod fallback;
mod getters;
mod habits;
pub mod header_fields;
mod include;
mod interpolate;
mod lines;
pub mod listener;
mod listeners;
mod located;
mod mask;
pub mod network_list;
pub(crate) mod open;
pub mod origin;
pub mod origin_headers;
mod pasted;
mod pattern;
mod pem;
pub mod policy;
pub mod problem;
mod reader;
mod rewrite;
pub mod route;
pub mod schema;
pub mod secret;
pub mod server;
mod session;
pub mod sign;
mod source;
pub mod spec;
mod suggest;
mod syntax;
pub mod value;
pub(crate) mod visible;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use toml::de::DeTable;

pub use addressing::Addressing;
pub use admin::Admin;
pub use certificate::{Certificate, CertificateError, KeyType};
pub use credentials::{AccessKey, CredentialSource};
pub use endpoint::{Endpoint, EndpointHost};
pub use header_fields::Field;
pub use include::Includes;
pub use interpolate::Env;
pub use listener::{Address, Limits, Listener, ProxyProtocol, Timeouts};
pub use origin::{Buckets, Origin, OriginTimeouts, Pool};
pub use origin_headers::OriginHeaders;
pub use pattern::{BucketPattern, HostPattern};
pub use pem::PemError;
pub use policy::Policies;
pub use problem::{Problem, Problems, Severity};
pub use route::{ListBuckets, Route};
pub use secret::Secret;
pub use server::{AccessFormat, Dns, Family, Level, Log, Server, Sink};
pub use session::NamedFiles;
pub use sign::{Sign, SignVersion};
pub use source::Source;

use combinations::Surroundings;
use reader::Reader;
use route::RouteCandidate;
use session::Session;
use source::ReadError;

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
    /// The names of the included files, in their order. Empty if `include` matches no file; `None` if the main file
    /// has no `include`.
    pub included: Option<Vec<String>>,
    /// The files that the config names and that were not looked at, each once. Always empty with
    /// [`NamedFiles::Read`].
    pub skipped: Vec<PathBuf>,
}

/// Reads the file at `path` and the files that it includes. Relative paths in a file are relative to the
/// directory of that file. `env` returns the values of environment variables.
///
/// # Errors
///
/// [`Problems`] with every problem of the files, or with one problem when the main file cannot be read.
pub fn load(path: &Path, env: Env<'_>) -> Result<Loaded, Problems> {
    load_with(path, env, NamedFiles::Read)
}

/// Does the same as [`load`], but `named_files` tells whether the other files that the config names, such as
/// certificates, are read.
///
/// # Errors
///
/// The errors of [`load`].
pub fn load_with(path: &Path, env: Env<'_>, named_files: NamedFiles) -> Result<Loaded, Problems> {
    let main = read_main(path)?;
    read_all(
        &main,
        Some(path),
        &new_session(env, named_files, wall_clock()),
    )
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
    let main = Source::new(name, text, base);
    read_all(&main, None, &new_session(env, NamedFiles::Read, now))
}

/// Reads only the `[admin]` table of the file at `path`. Problems in the rest of the file are ignored.
///
/// # Errors
///
/// [`Problems`] with one problem when the file cannot be read, otherwise with every problem of the table. If
/// no table is read, the syntax errors of the file are added, because they may be the reason.
pub fn load_admin(path: &Path, env: Env<'_>) -> Result<Option<Admin>, Problems> {
    let main = read_main(path)?;
    let (document, errors) = DeTable::parse_recoverable(&main.text);
    let session = Session::new(env, NamedFiles::Read, 0);
    let root = Reader::of_file(&session, &main, document.get_ref(), &spec::ROOT);
    // Problems in the other tables do not matter here, because the running process checks those tables.
    session.problems.borrow_mut().clear();
    let admin = Admin::read(&root);
    let mut problems = session.problems.take();
    if admin.is_none() {
        // The `[admin]` table may stand after a syntax error, where the parser did not find it.
        problems.extend(syntax::problems(&main, &errors));
    }
    let problems = Problems::new(main.clone(), &[], problems);
    if problems.has_errors() {
        return Err(problems);
    }
    Ok(admin)
}

/// Reads only `include` of the file at `path`, and ignores all problems. Returns the patterns of the files
/// that belong to the config.
#[must_use]
pub fn load_includes(path: &Path, env: Env<'_>) -> Includes {
    let Ok(main) = read_main(path) else {
        return Includes::default();
    };
    let (document, _) = DeTable::parse_recoverable(&main.text);
    let session = Session::new(env, NamedFiles::Skip, 0);
    let root = Reader::of_file(&session, &main, document.get_ref(), &spec::ROOT);
    Includes::new(&root)
}

/// Reads the main file of a config.
fn read_main(path: &Path) -> Result<Source, Problems> {
    let (name, base) = (path.display().to_string(), source::directory_of(path));
    let error = match source::read_text(path) {
        Ok(text) => return Ok(Source::new(&name, &text, &base)),
        Err(error) => error,
    };
    let is_absent =
        matches!(&error, ReadError::Io(error) if error.kind() == io::ErrorKind::NotFound);
    let absent = "name another file with `-c`, or make one with `ossgate init`";
    let hint = if is_absent {
        Some(absent)
    } else {
        error.hint()
    };
    let problem = Problem {
        file: 0,
        span: None,
        path: String::new(),
        message: error.to_string(),
        hint: hint.map(str::to_owned),
        severity: Severity::Error,
    };
    Err(Problems::new(
        Source::new(&name, "", &base),
        &[],
        vec![problem],
    ))
}

fn new_session(env: Env<'_>, named_files: NamedFiles, now: SystemTime) -> Session<'_> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    Session::new(env, named_files, now)
}

/// Reads the config whose main file is `main`, and the files that it includes. `path` is the path of the main
/// file, if it was read from a file.
fn read_all(main: &Source, path: Option<&Path>, session: &Session<'_>) -> Result<Loaded, Problems> {
    let (document, errors) = DeTable::parse_recoverable(&main.text);
    if !errors.is_empty() {
        // The keys of a document with syntax errors are not checked, because the parser may have misread
        // them.
        return Err(Problems::new(
            main.clone(),
            &[],
            syntax::problems(main, &errors),
        ));
    }
    let root = Reader::of_file(session, main, document.get_ref(), &spec::ROOT);
    let included = include::read(&root, path);
    let parsed: Vec<_> = included
        .iter()
        .map(|file| DeTable::parse_recoverable(&file.text))
        .collect();
    let files = || included.iter().zip(&parsed);
    let of_syntax: Vec<Problem> = files()
        .flat_map(|(file, (_, errors))| syntax::problems(file, errors))
        .collect();
    if !of_syntax.is_empty() {
        // The tables of the other files are not checked either, because they may need a table that is in a
        // file with syntax errors.
        session.problems.borrow_mut().extend(of_syntax);
        return Err(Problems::new(
            main.clone(),
            &included,
            session.problems.take(),
        ));
    }
    let readers = files()
        .map(|(file, (document, _))| {
            Reader::of_file(session, file, document.get_ref(), &spec::INCLUDED)
        })
        .collect();
    let list = || included.iter().map(|file| file.name.to_string()).collect();
    let names = root.has("include").then(list);
    let config = read(&root.with_included(readers));
    let problems = Problems::new(main.clone(), &included, session.problems.take());
    match config {
        Some(config) if !problems.has_errors() => Ok(Loaded {
            config,
            warnings: problems,
            included: names,
            skipped: session.take_skipped(),
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
    if let Some(admin) = &admin {
        admin.check_directory(root);
    }
    let listeners = listeners::read(root, admin.as_ref());
    let tables = root.tables("certificate");
    let certificate_count = tables.len();
    let certificates = certificate::read_all(tables);
    if !listeners.is_empty()
        && !listeners.iter().any(|listener| listener.tls)
        && !certificates.is_empty()
    {
        let message = "is not used: no listener has `tls = true`";
        root.warn("certificate", message, None);
    }
    if !root.has("route") || root.is_empty_list("route") {
        let hint = "add `[[route]]` with `origin = { bucket = \"examplebucket\", region = \"cn-hangzhou\" }`";
        root.error("route", "is missing: nothing would be served", Some(hint));
    }
    let tables = root.tables("route");
    let route_count = tables.len();
    let candidates: Vec<RouteCandidate<'_>> = tables
        .into_iter()
        .filter_map(RouteCandidate::read)
        .collect();
    let is_complete = candidates.len() == route_count;
    // A certificate or a route that cannot be read is missing from these lists. If one is missing, correct
    // tables would be reported too, so nothing is compared.
    if is_complete
        && certificates.len() == certificate_count
        && certificate_count > 0
        && listeners.iter().any(|listener| listener.tls)
    {
        let has_plain = listeners.iter().any(|listener| !listener.tls);
        certificate::coverage::check(&certificates, &candidates, has_plain);
    }
    let surroundings = Surroundings::new(&listeners, dns.family);
    for candidate in &candidates {
        surroundings.check_route(candidate.reader(), candidate.route());
    }
    circle::check(&candidates, &listeners);
    let routes = route::finish(candidates);
    let certificates = certificates.into_iter().map(|one| one.certificate);
    is_complete.then_some(Config {
        server,
        dns,
        log,
        admin,
        listeners,
        certificates: certificates.collect(),
        routes,
    })
}
