//! `ossgate import`: writes a config from nginx files, or from the settings of a bucket at OSS.
//!
//! `ossgate check` accepts the written config, except for certificates that are not on this machine. Settings
//! that could not be imported are listed on standard error with file and line; nothing is dropped silently. If
//! the config would serve requests that nginx refuses, no config is written, unless the operator accepts these
//! losses.

pub mod bucket_xml;
mod imported;
mod include;
pub mod nginx;
mod toml_text;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::exit_code::{FAILED, LOSSES, USAGE};
use crate::cli::import::include::{Includes, read};
use crate::config::{self, Problem, Problems};

pub use imported::{ImportError, Imported};

/// What happens when the config would serve requests that nginx refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Losses {
    /// No config is written.
    Stop,
    /// The config is written, with a comment for each directive that is lost.
    Accept,
}

/// The source of an import.
#[derive(Debug)]
pub enum Source<'a> {
    /// nginx configuration files.
    Nginx {
        /// The files.
        files: &'a [PathBuf],
        /// The buckets that clients may choose, by name or by pattern. They are used if the files name no
        /// buckets.
        buckets: &'a [String],
        /// What happens with directives that refuse requests and cannot be imported.
        losses: Losses,
    },
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

/// Imports `source`: writes the config to `out` and the notes to `errors`. Returns the exit code. When it is not
/// 0, nothing is written to `out`.
///
/// # Errors
///
/// The [`io::Error`] when `out` or `errors` cannot be written to.
pub fn import(source: &Source<'_>, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
    if let Source::BucketXml { bucket, region, .. } = source {
        let wrong = bucket_xml::wrong_arguments(bucket, region);
        for problem in &wrong {
            writeln!(errors, "{problem}")?;
        }
        if !wrong.is_empty() {
            return Ok(USAGE);
        }
    }
    let files = match source {
        Source::Nginx { files, .. } | Source::BucketXml { files, .. } => *files,
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
        Source::Nginx { files, buckets, .. } => {
            let mut includes = Includes::new(files);
            nginx::import_with(&texts, buckets, &mut |root, pattern| {
                includes.read(root, pattern)
            })
        }
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
    let loaded = config::from_str("imported", &imported.config, Path::new("/"), &|_| None);
    if let Err(problems) = &loaded
        && !report(problems, errors)?
    {
        writeln!(errors, "no config was written")?;
        return Ok(FAILED);
    }
    for loss in &imported.losses {
        writeln!(errors, "{loss}")?;
    }
    if let Source::Nginx {
        losses: Losses::Stop,
        ..
    } = source
        && !imported.losses.is_empty()
    {
        let count = match imported.losses.len() {
            1 => "1 directive refuses".to_owned(),
            count => format!("{count} directives refuse"),
        };
        writeln!(
            errors,
            "no config was written: {count} requests that ossgate would serve; with `--accept-loss`, the config is written and names them in comments"
        )?;
        return Ok(LOSSES);
    }
    write!(out, "{}", imported.config)?;
    Ok(0)
}

/// Writes the problems of an imported config to `errors`. Returns whether all of them are about certificates, or
/// about other files that cannot be read. Such files may be on another machine, so a missing file is not an error
/// of the import.
fn report(problems: &Problems, errors: &mut dyn Write) -> io::Result<bool> {
    let is_about_files = |problem: &Problem| {
        problem.path.starts_with("certificate")
            || problem.message.contains("cannot be read")
            || problem.message.contains("cannot be opened")
    };
    for problem in problems.errors() {
        let kind = if is_about_files(problem) {
            "to be put in place"
        } else {
            "to be corrected"
        };
        writeln!(errors, "{kind}: {}: {}", problem.path, problem.message)?;
    }
    Ok(problems.errors().all(is_about_files))
}
