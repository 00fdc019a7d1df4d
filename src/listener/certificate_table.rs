//! The choice of the certificate for a client, by server name and type of key.
//!
//! A server name is looked up exactly, then with its first label replaced by a wildcard (one label only, as in
//! certificates). If no certificate matches, the default certificate is used. If there is no default, the
//! handshake fails. If a name has certificates with different types of key, the client gets the first type, in
//! the order of [`KeyType`], whose signatures the client can verify.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;

use crate::config::{Certificate, KeyType};

/// A certificate in use.
#[derive(Debug)]
struct Entry {
    key: Arc<CertifiedKey>,
    key_type: KeyType,
    names: Arc<[String]>,
}

impl Entry {
    fn can_sign(&self, schemes: &[SignatureScheme]) -> bool {
        self.key.key.choose_scheme(schemes).is_some()
    }

    fn has_name(&self, host: &str) -> bool {
        let suffix = host.split_once('.').map(|(_, suffix)| suffix);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(name) => Some(name) == suffix,
            None => name == host,
        })
    }
}

/// The certificates for one name: at most one for each type of key, the preferred type first.
#[derive(Debug, Default)]
struct Choice(Vec<Arc<Entry>>);

impl Choice {
    /// Adds `entry`, unless there is already an entry with the same type of key.
    fn add(&mut self, entry: &Arc<Entry>) {
        let place = self
            .0
            .binary_search_by_key(&entry.key_type, |one| one.key_type);
        if let Err(place) = place {
            self.0.insert(place, Arc::clone(entry));
        }
    }
}

/// The certificates of one config, by name.
#[derive(Debug, Default)]
pub struct CertificateTable {
    exact: HashMap<Box<str>, Choice>,
    wildcard: HashMap<Box<str>, Choice>,
    default: Choice,
}

impl CertificateTable {
    /// Creates the table of `certificates`. If several certificates have the same name and type of key, the
    /// first is used. A certificate with the same names as the default but another type of key is also a
    /// default.
    #[must_use]
    pub fn new(certificates: &[Certificate]) -> Self {
        let mut table = Self::default();
        let mut entries = Vec::with_capacity(certificates.len());
        for certificate in certificates {
            let entry = Arc::new(Entry {
                key: Arc::clone(&certificate.certified),
                key_type: certificate.key_type,
                names: Arc::clone(&certificate.names),
            });
            for name in &*certificate.names {
                let (group, name) = match name.strip_prefix("*.") {
                    Some(suffix) => (&mut table.wildcard, suffix),
                    None => (&mut table.exact, name.as_str()),
                };
                match group.get_mut(name) {
                    Some(choice) => choice.add(&entry),
                    None => group.entry(name.into()).or_default().add(&entry),
                }
            }
            if certificate.is_default {
                table.default.add(&entry);
            }
            entries.push(entry);
        }
        let defaults = table.default.0.clone();
        let names: HashSet<Vec<&str>> = defaults.iter().map(|one| sorted(&one.names)).collect();
        if !names.is_empty() {
            for entry in &entries {
                if names.contains(&sorted(&entry.names)) {
                    table.default.add(entry);
                }
            }
        }
        table
    }

    /// Returns the certificates with the exact name `name`, then those with a matching wildcard. If there are
    /// none, returns the default certificates.
    fn candidates(&self, name: Option<&str>) -> impl Iterator<Item = &Arc<Entry>> + Clone {
        const NONE: &[Arc<Entry>] = &[];
        let exact = name.and_then(|name| self.exact.get(name));
        let wildcard = name.and_then(|name| self.wildcard.get(name.split_once('.')?.1));
        let (first, second) = match (exact, wildcard) {
            (None, None) => (&*self.default.0, NONE),
            (exact, wildcard) => (
                exact.map_or(NONE, |choice| &*choice.0),
                wildcard.map_or(NONE, |choice| &*choice.0),
            ),
        };
        first.iter().chain(second)
    }

    /// Returns the certificate for `name`, which is in lower case, and a client that can verify signatures of
    /// `schemes`. `None` stands for a client without SNI. If the client can verify no certificate for `name`,
    /// returns the first certificate, with which the handshake fails.
    #[must_use]
    pub fn choose(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let mut candidates = self.candidates(name);
        let first = candidates.next()?;
        // Usually there is only one certificate, and `schemes` is not needed: rustls compares them itself.
        let chosen = match candidates.clone().next() {
            None => first,
            Some(_) if first.can_sign(schemes) => first,
            Some(_) => candidates
                .find(|entry| entry.can_sign(schemes))
                .unwrap_or(first),
        };
        Some(Arc::clone(&chosen.key))
    }

    /// Whether there is a certificate for `name`, which is in lower case. `None` stands for a client without
    /// SNI.
    #[must_use]
    pub fn has(&self, name: Option<&str>) -> bool {
        self.candidates(name).next().is_some()
    }

    /// Whether a connection with the server name `sni` may carry requests for `host`. This is so if a
    /// certificate that is used for `sni` is also used for `host` or contains the name `host`. Both names are
    /// in lower case.
    #[must_use]
    pub fn is_one_certificate(&self, sni: &str, host: &str) -> bool {
        let mut chosen = self.candidates(Some(sni)).peekable();
        // The handshake had a certificate for `sni`. If there is none now, the certificates have changed since
        // then, and the request is accepted.
        chosen.peek().is_none()
            || chosen.any(|one| {
                let mut others = self.candidates(Some(host));
                others.any(|other| Arc::ptr_eq(one, other)) || one.has_name(host)
            })
    }
}

fn sorted(names: &[String]) -> Vec<&str> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names
}
