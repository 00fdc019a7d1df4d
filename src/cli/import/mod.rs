//! `ossgate import`: writes a config from nginx files, or from the settings of a bucket at OSS.
//!
//! The config is written even if `ossgate check` would not accept it. In this case its errors are listed on
//! standard error. Settings that could not be imported are listed there too, with the file and, for nginx,
//! the line.

pub mod bucket_xml;
mod imported;
pub mod nginx;
mod toml_text;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::exit_code::FAILED;
use crate::config;

pub use imported::{ImportError, Imported};

/// The maximum size of an imported file, in bytes.
const MAX_SIZE: u64 = 1024 * 1024;

/// The source of an import.
#[derive(Debug)]
pub enum Source<'a> {
    /// nginx configuration files.
    Nginx(&'a [PathBuf]),
    /// XML responses of OSS to GetBucketReferer, GetBucketCors or GetBucketWebsite.
    BucketXml {
        /// The files that contain the responses.
        files: &'a [PathBuf],
        /// The bucket that the responses describe.
        bucket: &'a str,
        /// The region of the bucket.
        region: &'a str,
    },
}

/// Imports `source`: writes the config to `out` and the notes to `errors`. Returns the exit code.
///
/// # Errors
///
/// The [`io::Error`] when `out` or `errors` cannot be written to.
pub fn import(source: &Source<'_>, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
    let files = match source {
        Source::Nginx(files) | Source::BucketXml { files, .. } => *files,
    };
    let mut texts = Vec::with_capacity(files.len());
    for path in files {
        match read(path) {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(error) => {
                writeln!(errors, "{}: {error}", path.display())?;
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
        Err(error) => {
            writeln!(errors, "{error}")?;
            return Ok(FAILED);
        }
    };
    for note in &imported.notes {
        writeln!(errors, "{note}")?;
    }
    // Errors of the config are listed, but the import succeeds. For example, the certificate files may be
    // missing because they are on another machine.
    if let Err(problems) = config::from_str("imported", &imported.config, Path::new("/"), &|_| None)
    {
        let is_about_files = |message: &str| {
            message.contains("cannot be read") || message.contains("cannot be opened")
        };
        for problem in problems.errors() {
            let kind = if is_about_files(&problem.message) {
                "to be put in place"
            } else {
                "to be corrected"
            };
            writeln!(errors, "{kind}: {}: {}", problem.path, problem.message)?;
        }
    }
    write!(out, "{}", imported.config)?;
    Ok(0)
}

fn read(path: &Path) -> io::Result<String> {
    if std::fs::metadata(path)?.len() > MAX_SIZE {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "is larger than 1 MiB",
        ));
    }
    std::fs::read_to_string(path)
}
