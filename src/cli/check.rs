//! `ossgate check`: every problem of a config, or what it would serve.

use std::io::{self, Write};
use std::path::Path;

use clap::ValueEnum;

use crate::cli::BAD_CONFIG;
use crate::config::{self, Config, Env, Problems};

/// Form of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Checks the config at `path` and writes the result to `out`; the exit code.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn check(path: &Path, format: Format, env: Env<'_>, out: &mut dyn Write) -> io::Result<u8> {
    let (problems, config) = match config::load(path, env) {
        Ok(loaded) => (loaded.warnings, Some(loaded.config)),
        Err(problems) => (problems, None),
    };
    match format {
        Format::Json => writeln!(out, "{}", problems.to_json())?,
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
        let errors = problems
            .iter()
            .filter(|problem| !problem.is_warning)
            .count();
        return writeln!(
            out,
            "{}: {errors} problem(s); nothing was started",
            path.display()
        );
    };
    writeln!(out, "{}: ok", path.display())?;
    for listener in &config.listeners {
        let protocol = if listener.tls { "https" } else { "http" };
        writeln!(out, "  listens on {} ({protocol})", listener.address)?;
    }
    for route in &config.routes {
        let hosts: Vec<String> = route.hosts.iter().map(ToString::to_string).collect();
        let hosts = if hosts.is_empty() {
            "every host".to_owned()
        } else {
            hosts.join(", ")
        };
        let endpoint = serde_json::to_value(&route.origin.endpoint).unwrap_or_default();
        let endpoint = endpoint.as_str().unwrap_or_default();
        writeln!(
            out,
            "  route `{}`: {hosts}, path {} -> {endpoint}",
            route.name, route.path
        )?;
    }
    Ok(())
}
