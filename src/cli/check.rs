//! `ossgate check`: prints every problem of a config, or the listeners and routes of a valid one.
//!
//! The check opens the files to which the config refers, unless it is told not to look at them. It sends no DNS
//! query and makes no connection.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use http::Method;

use crate::cli::exit_code::BAD_CONFIG;
use crate::config::visible::{visible, visible_json};
use crate::config::{self, Buckets, Config, Env, NamedFiles, Route};

/// The format of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
}

/// Checks the config at `path` and writes the result to `out`. `named_files` says what happens with the files
/// that the config names. Returns the exit code: 0 if there is no error, even if there are warnings.
///
/// # Errors
///
/// The [`io::Error`] when `out` cannot be written to.
pub fn check(
    path: &Path,
    format: Format,
    named_files: NamedFiles,
    env: Env<'_>,
    out: &mut dyn Write,
) -> io::Result<u8> {
    let (problems, config, skipped, included) = match config::load_with(path, env, named_files) {
        Ok(loaded) => (
            loaded.warnings,
            Some(loaded.config),
            loaded.skipped,
            loaded.included,
        ),
        Err(problems) => (problems, None, Vec::new(), None),
    };
    match format {
        Format::Json => {
            let result = serde_json::json!({
                "file": path.display().to_string(),
                "ok": config.is_some(),
                "errors": problems.errors().count(),
                "warnings": problems.warnings().count(),
                "included": included,
                "files_looked_at": named_files == NamedFiles::Read,
                "problems": problems.to_json(),
            });
            writeln!(out, "{}", visible_json(&result.to_string()))?;
        }
        Format::Text => {
            write!(out, "{}", problems.render())?;
            let name = path.display().to_string();
            let (name, counts) = (visible(&name), problems.counts());
            match &config {
                Some(_) if counts.is_empty() => writeln!(out, "{name}: ok")?,
                Some(_) => writeln!(out, "{name}: ok, {counts}")?,
                None => writeln!(out, "{name}: {counts}; this would not start")?,
            }
            if named_files == NamedFiles::Skip {
                write_skipped(&skipped, out)?;
            }
            if let Some(included) = &included {
                write_included(included, out)?;
            }
            if let Some(config) = &config {
                write_config(config, out)?;
            }
        }
    }
    Ok(if config.is_some() { 0 } else { BAD_CONFIG })
}

fn write_skipped(skipped: &[PathBuf], out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "  the files that the config names were not looked at (--without-files)"
    )?;
    for path in skipped {
        let path = path.display().to_string();
        writeln!(out, "    not looked at: {}", visible(&path))?;
    }
    Ok(())
}

fn write_included(included: &[String], out: &mut dyn Write) -> io::Result<()> {
    if included.is_empty() {
        writeln!(out, "  includes no file: nothing matches `include`")?;
    }
    for name in included {
        writeln!(out, "  includes {name}")?;
    }
    Ok(())
}

fn write_config(config: &Config, out: &mut dyn Write) -> io::Result<()> {
    for listener in &config.listeners {
        let protocol = if listener.tls { "https" } else { "http" };
        let address = listener.address.to_string();
        writeln!(out, "  listens on {} ({protocol})", visible(&address))?;
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
    let shown = format!(
        "route `{}`: {hosts}, path {} -> {buckets} at {scheme}://{}",
        route.name, route.path, origin.endpoint
    );
    writeln!(out, "  {}", visible(&shown))?;
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
