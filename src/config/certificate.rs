//! `[[certificate]]`: what listeners with TLS show to clients.
//!
//! Files are opened when the config is read, so that a wrong one stops a start and not a handshake.
//! Whether clients trust the chain is not checked; whether it has expired is a warning, because a
//! proxy with an expired certificate still serves those who do not care.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::Serialize;
use x509_parser::extensions::GeneralName;

use crate::config::reader::{Reader, Text};

/// `[[certificate]]`: a certificate chain and its key, opened and matched when the config is read.
#[derive(Clone, Debug, Serialize)]
pub struct Certificate {
    /// PEM file with the chain, leaf first. Required.
    pub cert: PathBuf,
    /// PEM file with the key. Required.
    pub key: PathBuf,
    /// Whether it serves clients that name no host, or one no certificate has. Default: true for the
    /// only certificate, else false.
    #[serde(rename = "default")]
    pub is_default: bool,
    /// The DNS names it is for, lower case.
    #[serde(skip)]
    pub names: Vec<String>,
    /// Chain and key as rustls uses them.
    #[serde(skip)]
    pub certified: Arc<CertifiedKey>,
    /// When it expires, in seconds since 1970.
    #[serde(skip)]
    pub expires: i64,
}

/// What the leaf says.
struct Leaf {
    names: Vec<String>,
    begins: i64,
    expires: i64,
    /// `expires` for people.
    end: String,
}

impl Certificate {
    pub(crate) fn read(reader: &Reader<'_>, is_only: bool) -> Option<Self> {
        let path = |key: &str| {
            if !reader.has(key) {
                let message = "is missing: a certificate needs both `cert` and `key`";
                reader.error(key, message, None);
            }
            reader.text(key)
        };
        let (cert, key) = (path("cert"), path("key"));
        let is_default = reader.flag("default").unwrap_or(is_only);
        let chain = cert
            .as_ref()
            .and_then(|cert| read_certificates(reader, "cert", cert));
        let der = key.as_ref().and_then(|key| read_key(reader, key));
        let (cert, key, chain) = (cert?, key?, chain?);
        let Some(leaf) = chain.first().and_then(describe) else {
            reader.refuse("cert", &cert, "holds something else than X.509", None);
            return None;
        };
        if leaf.expires < reader.now() {
            reader.warn("cert", format!("has expired on {}", leaf.end), None);
        } else if leaf.begins > reader.now() {
            let hint = "is the clock of this machine right?";
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

    /// The same certificate from what its files hold now.
    ///
    /// # Errors
    ///
    /// Why they cannot be used; nothing of their content.
    pub fn read_again(&self) -> Result<Self, String> {
        for path in [&self.cert, &self.key] {
            // Opening a pipe would wait for its other end.
            if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
                return Err(format!("{} is not a file", path.display()));
            }
        }
        let chain = CertificateDer::pem_file_iter(&self.cert)
            .and_then(Iterator::collect::<Result<Vec<_>, pem::Error>>)
            .map_err(|error| format!("{} {}", self.cert.display(), Unreadable(error)))?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| format!("{} {}", self.key.display(), Unreadable(error)))?;
        let leaf = chain.first().and_then(describe);
        let leaf = leaf.ok_or_else(|| format!("{} holds no certificate", self.cert.display()))?;
        let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => format!(
                "{} does not match {}; renewed one after the other, they will",
                self.key.display(),
                self.cert.display()
            ),
            other => format!("{}: {other}", self.cert.display()),
        })?;
        Ok(Self {
            names: leaf.names,
            certified: Arc::new(certified),
            expires: leaf.expires,
            ..self.clone()
        })
    }
}

/// The certificates of the PEM file `text` names; what is wrong with it has been noted.
pub(crate) fn read_certificates(
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
            reader.refuse(key, text, "holds no PEM certificate", None);
            None
        }
        Err(error) => {
            reader.refuse(key, text, Unreadable(error), None);
            None
        }
    }
}

fn read_key(reader: &Reader<'_>, text: &Text) -> Option<PrivateKeyDer<'static>> {
    match PrivateKeyDer::from_pem_file(reader.base().join(&text.value)) {
        Ok(key) => Some(key),
        Err(pem::Error::NoItemsFound) => {
            let hint = "an encrypted key must be decrypted first".to_owned();
            reader.refuse("key", text, "holds no PEM private key", Some(hint));
            None
        }
        Err(error) => {
            reader.refuse("key", text, Unreadable(error), None);
            None
        }
    }
}

/// A PEM file that cannot be read; reads as the end of a sentence.
struct Unreadable(pem::Error);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            pem::Error::Io(error) => write!(f, "cannot be read: {error}"),
            // Other texts may quote the file, which may be a key.
            _ => f.write_str("is not a PEM file"),
        }
    }
}

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
