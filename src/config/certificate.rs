//! `[[certificate]]`: the certificates that listeners with TLS send to clients.
//!
//! The files are read together with the config, so a wrong file makes the start fail. If the files were read
//! later, every handshake would fail instead. Whether clients trust the chain is not checked. An expired
//! certificate is a warning only, because the proxy can still serve clients that do not check the time.

pub(crate) mod coverage;
pub mod expiry;
mod key_type;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use serde::Serialize;
use x509_parser::extensions::GeneralName;
use x509_parser::public_key::PublicKey;

pub use crate::config::certificate::key_type::KeyType;
use crate::config::pattern::HostPattern;
use crate::config::pem::{PemError, chain_of, key_of, read_chain, read_key};
use crate::config::reader::Reader;
use crate::config::visible::visible;

/// `[[certificate]]`: a certificate chain and its private key, which belong together.
#[derive(Clone, Debug, Serialize)]
pub struct Certificate {
    /// The PEM file with the chain, leaf first. Required.
    pub cert: PathBuf,
    /// The PEM file with the private key. Required.
    pub key: PathBuf,
    /// Whether the certificate is used for clients that send no host name, or a host name that no
    /// certificate has. Default: true if there is only one certificate, or if all certificates have the same
    /// names and differ in the types of their keys; otherwise false.
    #[serde(rename = "default")]
    pub is_default: bool,
    /// The DNS names of the certificate, in lower case. Names that no client can ask for are left out.
    #[serde(skip)]
    pub names: Arc<[String]>,
    /// The IP addresses of the certificate.
    #[serde(skip)]
    pub addresses: Vec<IpAddr>,
    /// The CN of the subject, without control characters. No client compares it with a host.
    #[serde(skip)]
    pub common_name: Option<String>,
    /// The type of the key.
    #[serde(skip)]
    pub key_type: KeyType,
    /// The chain and the key in the form that rustls uses.
    #[serde(skip)]
    pub certified: Arc<CertifiedKey>,
    /// The time at which the certificate expires, in seconds since 1970.
    #[serde(skip)]
    pub expires: i64,
}

/// The length of the shortest RSA key that the cryptographic library accepts, in bits.
const SHORTEST_RSA: usize = 2048;

/// The data of the leaf certificate.
struct Leaf {
    common_name: Option<String>,
    /// The length of the key in bits; `None` if it is not an RSA key.
    rsa_bits: Option<usize>,
    names: Arc<[String]>,
    addresses: Vec<IpAddr>,
    begins: i64,
    expires: i64,
    /// The expiry time as a readable date.
    end: String,
}

/// The reason why the files of a certificate cannot be used. No error quotes the content of a file.
#[derive(Debug)]
pub enum CertificateError {
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
            Self::Unreadable(path, error) => write!(f, "{} {error}", shown(path)),
            Self::NoCertificate(path) => write!(f, "{} contains no certificate", shown(path)),
            Self::WrongKey { key, cert } => write!(
                f,
                "{} does not belong to {}; perhaps only one of the two files is renewed yet",
                shown(key),
                shown(cert)
            ),
            Self::Unusable { cert, error } => write!(f, "{}: {error}", shown(cert)),
        }
    }
}

/// Returns a path for a message.
fn shown(path: &Path) -> String {
    visible(&path.display().to_string()).into_owned()
}

impl std::error::Error for CertificateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(_, error) => Some(error),
            Self::Unusable { error, .. } => Some(error),
            Self::NoCertificate(_) | Self::WrongKey { .. } => None,
        }
    }
}

/// A certificate that has been read but not yet compared with the routes.
pub(crate) struct CertificateCandidate<'a> {
    reader: Reader<'a>,
    pub(crate) certificate: Certificate,
    /// The value of the key `default`; `None` if it is absent.
    default: Option<bool>,
}

impl CertificateCandidate<'_> {
    /// Whether the file says that the certificate is a default.
    fn is_wanted_as_default(&self) -> bool {
        self.default == Some(true)
    }
}

/// Reads all `[[certificate]]` tables. Returns fewer certificates than there are tables if one is wrong.
pub(crate) fn read_all<'a>(tables: Vec<Reader<'a>>) -> Vec<CertificateCandidate<'a>> {
    let count = tables.len();
    let mut candidates: Vec<CertificateCandidate<'a>> = tables
        .into_iter()
        .filter_map(|reader| {
            let default = reader.flag("default");
            let certificate = Certificate::read(&reader)?;
            Some(CertificateCandidate {
                reader,
                certificate,
                default,
            })
        })
        .collect();
    let is_one = candidates.len() == count && differ_only_in_key(&candidates);
    let mut defaults: HashMap<KeyType, usize> = HashMap::new();
    for candidate in &mut candidates {
        candidate.certificate.is_default = candidate.default.unwrap_or(is_one);
    }
    for (index, candidate) in candidates.iter().enumerate() {
        let Certificate {
            is_default,
            key_type,
            ..
        } = candidate.certificate;
        if is_default
            && let Some(other) = defaults.insert(key_type, index)
            && let Some(other) = candidates.get(other)
        {
            let other = other.reader.for_message_of(&candidate.reader);
            let message = format!("{other} is already the default with this type of key");
            candidate.reader.error("default", message, None);
        }
    }
    candidates
}

/// Whether all certificates have the same names, and each has another type of key.
fn differ_only_in_key(candidates: &[CertificateCandidate<'_>]) -> bool {
    let mut groups: HashMap<Vec<&str>, Vec<KeyType>> = HashMap::new();
    for CertificateCandidate { certificate, .. } in candidates {
        let mut names: Vec<&str> = certificate.names.iter().map(String::as_str).collect();
        names.sort_unstable();
        let types = groups.entry(names).or_default();
        if types.contains(&certificate.key_type) {
            return false;
        }
        types.push(certificate.key_type);
    }
    groups.len() == 1
}

impl Certificate {
    /// Reads one table, except its key `default`. Returns `None` if the table is wrong, which is reported, or if
    /// its files must not be looked at.
    fn read(reader: &Reader<'_>) -> Option<Self> {
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
        } else if let Some(soon) = expiry::warning(leaf.expires, reader.now()) {
            let hint = "check why it has not been renewed yet";
            reader.warn("cert", format!("{soon}, on {}", leaf.end), Some(hint));
        } else if leaf.begins > reader.now() {
            let hint = "check the clock of this machine";
            reader.warn("cert", "is not valid yet", Some(hint));
        }
        let der = der?;
        let provider = aws_lc_rs::default_provider();
        let is_of_key = |one: &CertificateDer<'static>| {
            CertifiedKey::from_der(vec![one.clone()], der.clone_key(), &provider).is_ok()
        };
        match CertifiedKey::from_der(chain.clone(), der.clone_key(), &provider) {
            Ok(certified) => Some(Self {
                cert: reader.base().join(cert.value),
                key: reader.base().join(key.value),
                is_default: false,
                names: leaf.names,
                addresses: leaf.addresses,
                common_name: leaf.common_name,
                key_type: KeyType::of(&*certified.key),
                certified: Arc::new(certified),
                expires: leaf.expires,
            }),
            Err(rustls::Error::InconsistentKeys(_)) if chain.iter().skip(1).any(is_of_key) => {
                let message = "has the certificate of the key behind another one: the leaf must be first, and the CAs follow";
                reader.error("cert", message, None);
                None
            }
            Err(rustls::Error::InconsistentKeys(_)) => {
                reader.error("key", "does not belong to the certificate in `cert`", None);
                None
            }
            Err(_) if leaf.rsa_bits.is_some_and(|bits| bits < SHORTEST_RSA) => {
                let bits = leaf.rsa_bits.unwrap_or_default();
                let message = format!(
                    "is an RSA key of {bits} bits, which is too short: at least {SHORTEST_RSA} are needed"
                );
                reader.error("key", message, None);
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
    /// - [`CertificateError::Unreadable`] when a file cannot be read
    /// - [`CertificateError::NoCertificate`] when the chain is empty or not X.509
    /// - [`CertificateError::WrongKey`] and [`CertificateError::Unusable`] when rustls does not accept
    ///   the key for the certificate
    pub fn read_again(&self) -> Result<Self, CertificateError> {
        let (cert, key) = (&self.cert, &self.key);
        let unreadable =
            |path: &Path, error: PemError| CertificateError::Unreadable(path.to_owned(), error);
        let chain = chain_of(cert).map_err(|error| unreadable(cert, error))?;
        let der = key_of(key).map_err(|error| unreadable(key, error))?;
        let der = der.ok_or_else(|| unreadable(key, PemError::Format))?;
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
            cert: cert.clone(),
            key: key.clone(),
            is_default: self.is_default,
            names: leaf.names,
            addresses: leaf.addresses,
            common_name: leaf.common_name,
            key_type: KeyType::of(&*certified.key),
            certified: Arc::new(certified),
            expires: leaf.expires,
        })
    }
}

/// Reads the names and the validity of a certificate; `None` when `der` is not X.509.
fn describe(der: &CertificateDer<'_>) -> Option<Leaf> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let alternative = alternative.map_or(&[][..], |names| &names.value.general_names);
    let names = alternative.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => HostPattern::parse(name).ok(),
        _ => None,
    });
    let addresses = alternative.iter().filter_map(|name| match name {
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    });
    let validity = certificate.validity();
    let mut common_names = certificate.subject().iter_common_name();
    let common_name = common_names.next().and_then(|name| name.as_str().ok());
    let rsa_bits = match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => Some(key.key_size()),
        Ok(_) | Err(_) => None,
    };
    Some(Leaf {
        common_name: common_name.map(|name| name.replace(char::is_control, "")),
        rsa_bits,
        names: names.map(|name| name.to_string()).collect(),
        addresses: addresses.collect(),
        begins: validity.not_before.timestamp(),
        expires: validity.not_after.timestamp(),
        end: validity.not_after.to_string(),
    })
}

/// Returns the IP address that consists of `bytes`; `None` if there are neither 4 nor 16 bytes.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}
