//! The result of an import: a config with notes, or an error.

use std::fmt;

/// An imported config, with notes for the operator.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The config, in TOML.
    pub config: String,
    /// Directives that were not imported, and settings to check. Each note begins with the file, and with the
    /// line if it is known: `file:line: text`.
    pub notes: Vec<String>,
    /// Directives by which nginx refuses requests that the config would serve, each as `file:line: text`. The
    /// config names each of them in a comment above the route that would serve the requests.
    pub losses: Vec<String>,
}

/// The reason why files cannot be imported.
#[derive(Debug, PartialEq, Eq)]
pub enum ImportError {
    /// A file is not in nginx's syntax.
    NginxSyntax {
        /// The name of the file.
        file: String,
        /// The line of the error, from 1.
        line: usize,
        /// The description of the syntax error.
        reason: &'static str,
    },
    /// No `proxy_pass` of the nginx files could be translated to a route with a bucket of OSS.
    NoBucket {
        /// The notes. They list the directives that were skipped, with the reason.
        notes: Vec<String>,
    },
    /// The nginx files let the client choose the bucket, and the operator names no buckets.
    AnyBucket {
        /// The notes. They list the directives that were skipped, with the reason.
        notes: Vec<String>,
    },
    /// A file is not an XML document that OSS could have sent.
    NotXml {
        /// The name of the file.
        file: String,
    },
    /// An XML document is of a kind that cannot be imported.
    UnknownDocument {
        /// The name of the file.
        file: String,
        /// The name of the root element.
        root: String,
    },
    /// Two XML documents are of the same kind.
    Twice {
        /// The name of the second file.
        file: String,
        /// The name of the first file.
        first: String,
        /// The name of the root element of both documents.
        root: String,
    },
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NginxSyntax { file, line, reason } => write!(f, "{file}:{line}: {reason}"),
            Self::NoBucket { notes } => {
                write_notes(f, notes)?;
                f.write_str("nothing here is proxied to a bucket of OSS")
            }
            Self::AnyBucket { notes } => {
                write_notes(f, notes)?;
                f.write_str("no config was written: these files let clients choose the bucket; name each one with `--bucket NAME`, or a pattern such as `team-*`")
            }
            Self::NotXml { file } => write!(
                f,
                "{file}: is not a document of OSS: not well-formed, with a document type, or nested too deep"
            ),
            Self::UnknownDocument { file, root } => write!(
                f,
                "{file}: `{root}` is none of RefererConfiguration, CORSConfiguration, WebsiteConfiguration"
            ),
            Self::Twice { file, first, root } => write!(
                f,
                "{file}: `{root}` is in {first} as well: a bucket has one document of each kind"
            ),
        }
    }
}

fn write_notes(f: &mut fmt::Formatter<'_>, notes: &[String]) -> fmt::Result {
    for note in notes {
        writeln!(f, "{note}")?;
    }
    Ok(())
}

impl std::error::Error for ImportError {}
