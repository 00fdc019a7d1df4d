//! `[[certificate]]`: the certificates that listeners with TLS send to clients.
//!
//! The files are read together with the config, so a wrong file already makes the start fail. Otherwise every
//! handshake would fail later. Whether clients trust the chain is not checked. An expired certificate is a
//! warning only, because the proxy can still serve clients that do not check the time.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::Serialize;
use x509_parser::extensions::GeneralName;

use crate::config::pem::{PemError, read_chain, read_key};
use crate::config::reader::Reader;

/// `[[certificate]]`: a certificate chain and its private key, which belong together.
#[derive(Clone, Debug, Serialize)]
pub struct Certificate {
    /// The PEM file with the chain, leaf first. Required.
    pub cert: PathBuf,
    /// The PEM file with the private key. Required.
    pub key: PathBuf,
    /// Whether the certificate is used for clients that send no host name, or a host name that no
    /// certificate has. Default: true for the only certificate, otherwise false.
    #[serde(rename = "default")]
    pub is_default: bool,
    /// The DNS names of the certificate, in lower case.
    #[serde(skip)]
    pub names: Vec<String>,
    /// The chain and the key in the form that rustls uses.
    #[serde(skip)]
    pub certified: Arc<CertifiedKey>,
    /// The time at which the certificate expires, in seconds since 1970.
    #[serde(skip)]
    pub expires: i64,
}

/// The data of the leaf certificate.
struct Leaf {
    names: Vec<String>,
    begins: i64,
    expires: i64,
    /// The expiry time as a readable date.
    end: String,
}

/// The reason why the files of a certificate cannot be used. It never quotes the content of a file.
#[derive(Debug)]
pub enum CertificateError {
    /// The path names a pipe, a directory or a device.
    NotAFile(PathBuf),
    /// The file cannot be read.
    Unreadable(PathBuf, PemError),
    /// The file contains no X.509 certificate.
    NoCertificate(PathBuf),
    /// The private key does not belong to the certificate.
    WrongKey {
        /// The file with the private key.
        key: PathBuf,
        /// The file with the chain.
        cert: PathBuf,
    },
    /// rustls rejects the private key or the certificate.
    Unusable {
        /// The file with the chain.
        cert: PathBuf,
        /// The reason.
        error: rustls::Error,
    },
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile(path) => write!(f, "{} is not a regular file", path.display()),
            Self::Unreadable(path, error) => write!(f, "{} {error}", path.display()),
            Self::NoCertificate(path) => write!(f, "{} contains no certificate", path.display()),
            Self::WrongKey { key, cert } => write!(
                f,
                "{} does not belong to {}; perhaps only one of the two files is renewed yet",
                key.display(),
                cert.display()
            ),
            Self::Unusable { cert, error } => write!(f, "{}: {error}", cert.display()),
        }
    }
}

impl std::error::Error for CertificateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(_, error) => Some(error),
            Self::Unusable { error, .. } => Some(error),
            Self::NotAFile(_) | Self::NoCertificate(_) | Self::WrongKey { .. } => None,
        }
    }
}

impl Certificate {
    /// Reads all `[[certificate]]` tables.
    pub(crate) fn read_all(root: &Reader<'_>) -> Vec<Self> {
        let readers = root.tables("certificate");
        let is_only = readers.len() == 1;
        let mut default: Option<&Reader<'_>> = None;
        let mut certificates = Vec::with_capacity(readers.len());
        for reader in &readers {
            let is_default = reader.flag("default").unwrap_or(is_only);
            if is_default && let Some(other) = default.replace(reader) {
                let message = format!("{} is already the default", other.for_message_of(reader));
                reader.error("default", message, None);
            }
            certificates.extend(Self::read(reader, is_default));
        }
        certificates
    }

    /// Reads one table. Returns `None` if it is wrong, which is reported, or if its files must not be looked at.
    fn read(reader: &Reader<'_>, is_default: bool) -> Option<Self> {
        let path = |key: &str| {
            if !reader.has(key) {
                let message = "is missing: a certificate needs both `cert` and `key`";
                reader.error(key, message, None);
            }
            reader.text(key)
        };
        let (cert, key) = (path("cert"), path("key"));
        let files = [&cert, &key].into_iter().flatten();
        if files.filter(|file| reader.skips(file)).count() > 0 {
            return None;
        }
        let chain = cert
            .as_ref()
            .and_then(|cert| read_chain(reader, "cert", cert));
        let der = key.as_ref().and_then(|key| read_key(reader, key));
        let (cert, key, chain) = (cert?, key?, chain?);
        let Some(leaf) = chain.first().and_then(describe) else {
            reader.error_at("cert", &cert, "does not contain an X.509 certificate", None);
            return None;
        };
        if leaf.expires < reader.now() {
            reader.warn("cert", format!("expired on {}", leaf.end), None);
        } else if leaf.begins > reader.now() {
            let hint = "check the clock of this machine";
            reader.warn("cert", "is not valid yet", Some(hint));
        }
        match CertifiedKey::from_der(chain, der?, &aws_lc_rs::default_provider()) {
            Ok(certified) => Some(Self {
                cert: reader.base().join(cert.value),
                key: reader.base().join(key.value),
                is_default,
                names: leaf.names,
                certified: Arc::new(certified),
                expires: leaf.expires,
            }),
            Err(rustls::Error::InconsistentKeys(_)) => {
                reader.error("key", "does not belong to the certificate in `cert`", None);
                None
            }
            Err(error) => {
                let message = format!("cannot be used with the certificate: {error}");
                reader.error("key", message, None);
                None
            }
        }
    }

    /// Reads the files of the certificate again.
    ///
    /// # Errors
    ///
    /// - [`CertificateError::NotAFile`] and [`CertificateError::Unreadable`] when a file cannot be read
    /// - [`CertificateError::NoCertificate`] when the chain is empty or not X.509
    /// - [`CertificateError::WrongKey`] and [`CertificateError::Unusable`] when rustls does not accept
    ///   the key for the certificate
    pub fn read_again(&self) -> Result<Self, CertificateError> {
        let (cert, key) = (&self.cert, &self.key);
        for path in [cert, key] {
            // Opening a pipe would block until another process opens its other end.
            if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
                return Err(CertificateError::NotAFile(path.clone()));
            }
        }
        let unreadable = |path: &Path, error: pem::Error| {
            CertificateError::Unreadable(path.to_owned(), error.into())
        };
        let chain = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect::<Result<Vec<_>, pem::Error>>)
            .map_err(|error| unreadable(cert, error))?;
        let der = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?;
        let leaf = chain.first().and_then(describe);
        let leaf = leaf.ok_or_else(|| CertificateError::NoCertificate(cert.clone()))?;
        let certified = CertifiedKey::from_der(chain, der, &aws_lc_rs::default_provider());
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateError::WrongKey {
                key: key.clone(),
                cert: cert.clone(),
            },
            error => CertificateError::Unusable {
                cert: cert.clone(),
                error,
            },
        })?;
        Ok(Self {
            names: leaf.names,
            certified: Arc::new(certified),
            expires: leaf.expires,
            ..self.clone()
        })
    }
}

/// Reads the names and the validity of a certificate; `None` when it is not X.509.
fn describe(der: &CertificateDer<'_>) -> Option<Leaf> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let names = match certificate.subject_alternative_name() {
        Ok(Some(names)) => names
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            })
            .collect(),
        Ok(None) | Err(_) => Vec::new(),
    };
    let validity = certificate.validity();
    Some(Leaf {
        names,
        begins: validity.not_before.timestamp(),
        expires: validity.not_after.timestamp(),
        end: validity.not_after.to_string(),
    })
}
