//! Reads the PEM files that the config names, and reports files that cannot be used.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::open::{self, LARGEST};
use crate::config::reader::{Reader, Text};

/// The reason why a PEM file cannot be read. `Display` writes only the predicate of a sentence; the caller
/// writes the path of the file before it.
#[derive(Debug)]
pub enum PemError {
    /// The OS cannot read the file, it is not a regular file, or it is larger than 16 MiB.
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
    match chain_of(&path) {
        Ok(list) if !list.is_empty() => Some(list),
        Ok(_) => {
            let plain = Diagnosis::new("contains no PEM certificate", None);
            diagnose(reader, key, text)
                .unwrap_or(plain)
                .report(reader, key, text);
            None
        }
        Err(error) => {
            report_failure(reader, key, text, &error);
            None
        }
    }
}

fn report_failure(reader: &Reader<'_>, key: &str, text: &Text, error: &PemError) {
    let diagnosis = match error {
        PemError::Format => diagnose(reader, key, text),
        PemError::Io(_) => None,
    };
    match diagnosis {
        Some(diagnosis) => diagnosis.report(reader, key, text),
        None => reader.error_at(key, text, error, hint(reader, text, error)),
    }
}

/// Reads all certificates of the PEM file at `path`: a regular file of at most 16 MiB.
///
/// # Errors
///
/// [`PemError::Io`] and [`PemError::Format`].
pub(crate) fn chain_of(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let content = open::read(path, LARGEST).map_err(PemError::Io)?;
    CertificateDer::pem_slice_iter(&content)
        .collect::<Result<_, _>>()
        .map_err(PemError::from)
}

/// Reads the first private key of the PEM file at `path`: a regular file of at most 16 MiB. Returns `None` if
/// the file has none.
///
/// # Errors
///
/// [`PemError::Io`] and [`PemError::Format`].
pub(crate) fn key_of(path: &Path) -> Result<Option<PrivateKeyDer<'static>>, PemError> {
    let content = open::read(path, LARGEST).map_err(PemError::Io)?;
    match PrivateKeyDer::from_pem_slice(&content) {
        Ok(key) => Ok(Some(key)),
        Err(pem::Error::NoItemsFound) => Ok(None),
        Err(error) => Err(error.into()),
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
    match key_of(&reader.base().join(&text.value)) {
        Ok(Some(key)) => Some(key),
        Ok(None) => {
            let plain = Diagnosis::new("contains no PEM private key", None);
            diagnose(reader, "key", text)
                .unwrap_or(plain)
                .report(reader, "key", text);
            None
        }
        Err(error) => {
            report_failure(reader, "key", text, &error);
            None
        }
    }
}

/// What a file contains in place of what is needed. No text quotes the content of the file.
struct Diagnosis {
    reason: &'static str,
    hint: Option<String>,
}

impl Diagnosis {
    fn new(reason: &'static str, hint: Option<String>) -> Self {
        Self { reason, hint }
    }

    fn report(self, reader: &Reader<'_>, key: &str, text: &Text) {
        reader.error_at(key, text, self.reason, self.hint);
    }
}

/// The maximum number of bytes of a file that are looked at. A file with a certificate or a key is much shorter.
const LOOKED_AT: u64 = 64 << 10;

/// Looks for the mistake in the file of `key`, which cannot be used; `None` if it is not known.
fn diagnose(reader: &Reader<'_>, key: &str, text: &Text) -> Option<Diagnosis> {
    let path = reader.base().join(&text.value);
    let mut content = Vec::new();
    // A hint must not show the value of a variable.
    let file = if text.is_literal() {
        &*text.value
    } else {
        "FILE"
    };
    // Opening a pipe again would block until another process opens its other end.
    if !path.is_file() {
        return None;
    }
    File::open(path)
        .ok()?
        .take(LOOKED_AT)
        .read_to_end(&mut content)
        .ok()?;
    let has = |part: &[u8]| memchr::memmem::find(&content, part).is_some();
    let is_key = key == "key";
    if is_key && (has(b"Proc-Type: 4,ENCRYPTED") || has(b"BEGIN ENCRYPTED PRIVATE KEY")) {
        let hint = format!("decrypt it: `openssl pkey -in {file} -out decrypted.pem`");
        return Some(Diagnosis::new("is encrypted", Some(hint)));
    }
    let swapped = || (key != "ca").then(|| "perhaps `cert` and `key` are swapped".to_owned());
    if is_key && has(b"BEGIN CERTIFICATE") {
        return Some(Diagnosis::new(
            "contains a certificate and no private key",
            swapped(),
        ));
    }
    if !is_key && has(b"PRIVATE KEY-----") {
        return Some(Diagnosis::new(
            "contains a private key and no certificate",
            swapped(),
        ));
    }
    // In DER, a certificate and most keys are a sequence whose length takes two or three bytes.
    let is_der = matches!(content.get(..2), Some([0x30, 0x81 | 0x82]));
    is_der.then(|| {
        let command = if is_key { "pkey" } else { "x509" };
        let hint =
            format!("convert it: `openssl {command} -inform der -in {file} -out converted.pem`");
        Diagnosis::new("is in DER format, and PEM is needed", Some(hint))
    })
}
