//! Reads the PEM files that the config names, and reports files that cannot be used.

use std::fmt;
use std::io;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::reader::{Reader, Text};

/// The reason why a PEM file cannot be read. `Display` writes only the predicate of a sentence; the caller
/// writes the path of the file before it.
#[derive(Debug)]
pub enum PemError {
    /// The OS cannot read the file.
    Io(io::Error),
    /// The file is not in PEM format. The parser's own error may quote the file, which may be a private key,
    /// so that error is not kept.
    Format,
}

impl From<pem::Error> for PemError {
    fn from(error: pem::Error) -> Self {
        match error {
            pem::Error::Io(error) => Self::Io(error),
            _ => Self::Format,
        }
    }
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot be read: {error}"),
            Self::Format => f.write_str("is not a PEM file"),
        }
    }
}

impl std::error::Error for PemError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Format => None,
        }
    }
}

/// Reads the certificates of a PEM file. `text`, the value of `key`, is its path. When the file cannot be
/// used, reports that and returns `None`.
pub(crate) fn read_chain(
    reader: &Reader<'_>,
    key: &str,
    text: &Text,
) -> Option<Vec<CertificateDer<'static>>> {
    let path = reader.base().join(&text.value);
    let read = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, pem::Error>>);
    match read {
        Ok(list) if !list.is_empty() => Some(list),
        Ok(_) => {
            reader.error_at(key, text, "contains no PEM certificate", None);
            None
        }
        Err(error) => {
            let error = PemError::from(error);
            reader.error_at(key, text, &error, hint(reader, text, &error));
            None
        }
    }
}

/// Returns a hint for a file that cannot be read.
fn hint(reader: &Reader<'_>, text: &Text, error: &PemError) -> Option<String> {
    let PemError::Io(error) = error else {
        return None;
    };
    if text.value.contains(char::is_control) {
        let hint =
            "`\\` begins an escape in a string with double quotes; put the path in single quotes";
        return Some(hint.to_owned());
    }
    match error.kind() {
        io::ErrorKind::NotFound if text.is_literal() => {
            let path = reader.base().join(&text.value);
            Some(format!(
                "looked for at `{}`; `ossgate check --without-files` does not look at files",
                path.display()
            ))
        }
        io::ErrorKind::PermissionDenied => {
            Some("run the command as root, or as the user of the process".to_owned())
        }
        _ => None,
    }
}

/// Reads the private key of a PEM file. `text`, the value of `key`, is its path. When the file cannot be
/// used, reports that and returns `None`.
pub(crate) fn read_key(reader: &Reader<'_>, text: &Text) -> Option<PrivateKeyDer<'static>> {
    match PrivateKeyDer::from_pem_file(reader.base().join(&text.value)) {
        Ok(key) => Some(key),
        Err(pem::Error::NoItemsFound) => {
            let hint = "decrypt the key first, if it is encrypted".to_owned();
            reader.error_at("key", text, "contains no PEM private key", Some(hint));
            None
        }
        Err(error) => {
            let error = PemError::from(error);
            reader.error_at("key", text, &error, hint(reader, text, &error));
            None
        }
    }
}
