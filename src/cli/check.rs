//! `ossgate check`: prints every problem of a config, or the listeners and routes of a valid one.
//!
//! The check opens the files to which the config refers. It sends no DNS query and makes no connection.

use std::io::{self, Write};
use std::path::Path;

use clap::ValueEnum;
use http::Method;

use crate::cli::exit_code::BAD_CONFIG;
use crate::config::{self, Buckets, Config, Env, Problems, Route};

/// The format of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
}

/// Checks the config at `path` and writes the result to `out`. Returns the exit code.
///
/// # Errors
///
/// The [`io::Error`] when `out` cannot be written to.
pub fn check(path: &Path, format: Format, env: Env<'_>, out: &mut dyn Write) -> io::Result<u8> {
    let (problems, config) = match config::load(path, env) {
        Ok(loaded) => (loaded.warnings, Some(loaded.config)),
        Err(problems) => (problems, None),
    };
    match format {
        Format::Json => {
            let result = serde_json::json!({
                "file": path.display().to_string(),
                "ok": config.is_some(),
                "problems": problems.to_json(),
            });
            writeln!(out, "{result}")?;
        }
        Format::Text => write_text(path, &problems, config.as_ref(), out)?,
    }
    Ok(if config.is_some() { 0 } else { BAD_CONFIG })
}

fn write_text(
    path: &Path,
    problems: &Problems,
    config: Option<&Config>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "{}", problems.render())?;
    let Some(config) = config else {
        let errors = problems.errors().count();
        let plural = if errors == 1 { "" } else { "s" };
        return writeln!(
            out,
            "{}: {errors} error{plural}; this would not start",
            path.display()
        );
    };
    writeln!(out, "{}: ok", path.display())?;
    for listener in &config.listeners {
        let protocol = if listener.tls { "https" } else { "http" };
        writeln!(out, "  listens on {} ({protocol})", listener.address)?;
    }
    for route in &config.routes {
        write_route(route, out)?;
    }
    Ok(())
}

fn write_route(route: &Route, out: &mut dyn Write) -> io::Result<()> {
    let hosts = if route.hosts.is_empty() {
        "every host".to_owned()
    } else {
        listed(&route.hosts)
    };
    let origin = &route.origin;
    let buckets = match &origin.buckets {
        Buckets::One(bucket) => format!("bucket {bucket}"),
        Buckets::Many(patterns) => format!("buckets {}", listed(patterns)),
    };
    let scheme = if origin.tls { "https" } else { "http" };
    writeln!(
        out,
        "  route `{}`: {hosts}, path {} -> {buckets} at {scheme}://{}",
        route.name, route.path, origin.endpoint
    )?;
    if let (Some(source), Some(sign)) = (&origin.credentials, &route.sign) {
        let methods: Vec<&str> = sign.anonymous.iter().map(Method::as_str).collect();
        let methods = if methods.is_empty() {
            "nothing".to_owned()
        } else {
            format!("unsigned {}", methods.join(", "))
        };
        writeln!(out, "    signs {methods} with the access key of `{source}`")?;
    }
    for endpoint in &origin.fallback {
        writeln!(
            out,
            "    while that cannot be connected to: {scheme}://{endpoint}"
        )?;
    }
    Ok(())
}

fn listed(items: &[impl ToString]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}
