//! `ossgate import`: configs from what an operator has already.
//!
//! What is written is a config that `check` accepts; what could not be carried over is told, with its
//! place, and never dropped silently.

pub mod bucket_xml;
pub mod nginx;
mod nginx_known;
mod nginx_map;
mod nginx_origin;
mod nginx_syntax;
mod nginx_write;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::config;

/// Largest file that is read.
const LIMIT: u64 = 1024 * 1024;
/// Exit code of a file that cannot be imported.
const FAILED: u8 = 1;

/// A config, and what is not in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// TOML.
    pub config: String,
    /// What was left out, or needs a person: `file:line: text`.
    pub notes: Vec<String>,
}

/// Where an import comes from.
#[derive(Debug)]
pub enum Source<'a> {
    /// nginx configuration files.
    Nginx(&'a [PathBuf]),
    /// Answers of GetBucketReferer, GetBucketCors or GetBucketWebsite, of this bucket and region.
    BucketXml {
        /// The files.
        files: &'a [PathBuf],
        /// The bucket.
        bucket: &'a str,
        /// Its region.
        region: &'a str,
    },
}

/// Imports `source`: the config to `out`, what was left out to `errors`; the exit code.
///
/// # Errors
///
/// When `out` or `errors` cannot be written.
pub fn import(source: &Source<'_>, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
    let files = match source {
        Source::Nginx(files) | Source::BucketXml { files, .. } => *files,
    };
    let mut texts = Vec::with_capacity(files.len());
    for path in files {
        match read(path) {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(why) => {
                writeln!(errors, "{}: {why}", path.display())?;
                return Ok(FAILED);
            }
        }
    }
    let imported = match source {
        Source::Nginx(_) => nginx::import(&texts),
        Source::BucketXml { bucket, region, .. } => bucket_xml::import(&texts, bucket, region),
    };
    let imported = match imported {
        Ok(imported) => imported,
        Err(why) => {
            writeln!(errors, "{why}")?;
            return Ok(FAILED);
        }
    };
    for note in &imported.notes {
        writeln!(errors, "{note}")?;
    }
    // Certificates may be on another machine; everything else must hold.
    if let Err(problems) = config::from_str("imported", &imported.config, Path::new("/"), &|_| None)
    {
        let is_about_files = |message: &str| {
            message.contains("cannot be read") || message.contains("cannot be opened")
        };
        for problem in problems.errors() {
            let kind = if is_about_files(&problem.message) {
                "to be put in place"
            } else {
                "to be mended"
            };
            writeln!(errors, "{kind}: {}: {}", problem.path, problem.message)?;
        }
    }
    write!(out, "{}", imported.config)?;
    Ok(0)
}

fn read(path: &Path) -> Result<String, String> {
    let length = std::fs::metadata(path)
        .map_err(|error| error.to_string())?
        .len();
    if length > LIMIT {
        return Err("is larger than 1 MiB".to_owned());
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// A TOML string that means `text`: nothing in it is filled in.
fn quoted(text: &str) -> String {
    toml::Value::String(text.replace("${", "$${")).to_string()
}

/// A TOML list of strings.
fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(quoted).collect();
    format!("[{}]", texts.join(", "))
}
