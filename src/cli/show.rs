//! `ossgate show`, `schema` and `init`: each prints a config or the schema of configs.
//!
//! `ossgate check` accepts the configs that `show` and `init` print.

use std::io::{self, Write};
use std::path::Path;

use crate::cli::exit_code::BAD_CONFIG;
use crate::config::{self, Env, schema};

/// Writes the effective config of the file at `path`, with all defaults. Returns the exit code.
/// Certificates and keys appear as paths, never with their content.
///
/// # Errors
///
/// The [`io::Error`] when `out` cannot be written to.
pub fn show(path: &Path, env: Env<'_>, out: &mut dyn Write) -> io::Result<u8> {
    let config = match config::load(path, env) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            write!(out, "{problems}")?;
            return Ok(BAD_CONFIG);
        }
    };
    let text = toml::to_string(&config).map_err(io::Error::other)?;
    writeln!(out, "# The effective configuration of {}", path.display())?;
    write!(out, "{text}")?;
    Ok(0)
}

/// Writes the JSON Schema of the config.
///
/// # Errors
///
/// The [`io::Error`] when `out` cannot be written to.
pub fn schema(out: &mut dyn Write) -> io::Result<u8> {
    let text = serde_json::to_string_pretty(&schema::json_schema()).map_err(io::Error::other)?;
    writeln!(out, "{text}")?;
    Ok(0)
}

/// Writes a commented config for `bucket` in `region` to `out`. Problems of the arguments are written to
/// `errors`. Returns the exit code.
///
/// # Errors
///
/// The [`io::Error`] when `out` or `errors` cannot be written to.
pub fn init(
    bucket: &str,
    region: &str,
    network: &str,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<u8> {
    let text = format!(
        "# ossgate: {bucket} in {region}. Check with `ossgate check FILE`, serve with `ossgate run FILE`.\n\
         \n\
         # For `ossgate status`, `reload` and `drain`, and for /metrics. Two instances on one machine need two\n\
         # addresses.\n\
         [admin]\n\
         address = \"127.0.0.1:9180\"\n\
         \n\
         [[listener]]\n\
         address = \"0.0.0.0:80\"\n\
         \n\
         # For HTTPS: uncomment this, and write the paths of your certificate.\n\
         # [[listener]]\n\
         # address = \"0.0.0.0:443\"\n\
         # tls = true\n\
         # [[certificate]]\n\
         # cert = \"/etc/ossgate/tls/fullchain.pem\"\n\
         # key = \"/etc/ossgate/tls/privkey.pem\"\n\
         \n\
         # A route without `hosts` serves every host, and requests by IP address.\n\
         # Set `network` to \"internal\" on an ECS instance in the same region, else to \"public\".\n\
         [[route]]\n\
         origin = {{ bucket = {bucket:?}, region = {region:?}, network = {network:?} }}\n"
    );
    // The output must be a config that `check` accepts, so the loader of the config checks the arguments.
    if let Err(problems) = config::from_str("the new config", &text, Path::new("."), &|_| None) {
        // `out` is usually redirected to a file, so problems are written to `errors`. Each message begins
        // with the command-line argument instead of a file and line, because the config is not in a file yet.
        for problem in problems.iter() {
            let argument = problem.path.rsplit('.').next().unwrap_or_default();
            writeln!(errors, "--{argument}: {}", problem.message)?;
            if let Some(hint) = &problem.hint {
                writeln!(errors, "  hint: {hint}")?;
            }
        }
        return Ok(BAD_CONFIG);
    }
    write!(out, "{text}")?;
    Ok(0)
}
