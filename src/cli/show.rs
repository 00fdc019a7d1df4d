//! `ossgate show`, `schema` and `init`: configs as text.
//!
//! What `show` and `init` write is a config again, and `check` accepts it.

use std::io::{self, Write};
use std::path::Path;

use crate::cli::BAD_CONFIG;
use crate::config::{self, Env, schema};

/// Writes the effective config at `path`, defaults included; the exit code. Files are named, never
/// shown: certificates and keys appear as paths.
///
/// # Errors
///
/// When `out` cannot be written.
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
/// When `out` cannot be written.
pub fn schema(out: &mut dyn Write) -> io::Result<u8> {
    let text = serde_json::to_string_pretty(&schema::json_schema()).map_err(io::Error::other)?;
    writeln!(out, "{text}")?;
    Ok(0)
}

/// Writes a commented config for `bucket` in `region`; what is wrong with the arguments goes to `errors`.
///
/// # Errors
///
/// When `out` or `errors` cannot be written.
pub fn init(
    bucket: &str,
    region: &str,
    network: &str,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<u8> {
    let text = format!(
        "# ossgate: {bucket} in {region}. Check with `ossgate check -c FILE`, serve with `ossgate run -c FILE`.\n\
         \n\
         [[listener]]\n\
         address = \"0.0.0.0:80\"\n\
         \n\
         # For HTTPS: uncomment, and name your certificate.\n\
         # [[listener]]\n\
         # address = \"0.0.0.0:443\"\n\
         # tls = true\n\
         # [[certificate]]\n\
         # cert = \"/etc/ossgate/tls/fullchain.pem\"\n\
         # key = \"/etc/ossgate/tls/privkey.pem\"\n\
         \n\
         # Without `hosts` the route serves every host, the bare IP included.\n\
         # `network` is \"internal\" on an ECS instance of the same region, else \"public\".\n\
         [[route]]\n\
         origin = {{ bucket = {bucket:?}, region = {region:?}, network = {network:?} }}\n"
    );
    // What is written must be what `check` accepts; so the arguments are checked by it.
    if let Err(problems) = config::from_str("the new config", &text, Path::new("."), &|_| None) {
        // Not to `out`, which is usually a file by now; and by argument, as no file was written.
        for problem in problems.iter() {
            let argument = problem.path.rsplit('.').next().unwrap_or_default();
            writeln!(errors, "--{argument}: {}", problem.message)?;
        }
        return Ok(BAD_CONFIG);
    }
    write!(out, "{text}")?;
    Ok(0)
}
