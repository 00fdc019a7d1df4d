//! The certificates in use and the warnings about the config. `ossgate status` shows both. The metrics and the
//! daily report of expiring certificates contain only the certificates.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use crate::app::state::{CertificateState, ConfigWarning, State, unix_now};
use crate::config::Certificate;
use crate::config::certificate::expiry;
use crate::config::visible::visible;
use crate::telemetry::dates;

impl CertificateState {
    /// Returns the first name of the certificate, or its file if it has no name.
    fn name(&self) -> &str {
        self.names.first().map_or(&*self.file, String::as_str)
    }
}

impl State {
    pub(super) fn set_certificates(&self, certificates: &[Certificate]) {
        let states = certificates.iter().map(|certificate| CertificateState {
            names: Arc::clone(&certificate.names),
            file: certificate.cert.display().to_string().into(),
            key_type: certificate.key_type,
            is_default: certificate.is_default,
            expires: certificate.expires,
        });
        *self.certificates() = states.collect();
    }

    fn certificates(&self) -> MutexGuard<'_, Vec<CertificateState>> {
        self.certificates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the warnings about the config in use.
    pub fn set_warnings(&self, warnings: Vec<ConfigWarning>) {
        *self.lock_warnings() = warnings;
    }

    /// Removes the warnings about the certificate with this index in the config, because its files have changed.
    pub(super) fn forget_warnings(&self, certificate: usize) {
        let path = format!("certificate[{certificate}].");
        self.lock_warnings()
            .retain(|warning| !warning.path.starts_with(&path));
    }

    /// Removes the warnings whose key path `is_old` accepts, and adds `new`.
    pub(super) fn replace_warnings(&self, is_old: impl Fn(&str) -> bool, new: Vec<ConfigWarning>) {
        let mut warnings = self.lock_warnings();
        warnings.retain(|warning| !is_old(&warning.path));
        warnings.extend(new);
    }

    /// Returns the warnings about the config in use, one line for each.
    pub(super) fn warnings(&self) -> Vec<String> {
        let warnings = self.lock_warnings();
        warnings.iter().map(|one| one.line.clone()).collect()
    }

    fn lock_warnings(&self) -> MutexGuard<'_, Vec<ConfigWarning>> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a message for each certificate that has expired or expires soon. The message begins with the name
    /// of the certificate.
    #[must_use]
    pub fn expiring_certificates(&self) -> Vec<String> {
        let now = now();
        let message = |one: &CertificateState| {
            let warning = expiry::warning(one.expires, now)?;
            Some(format!(
                "`{}` ({}) {warning}",
                one.name(),
                visible(&one.file)
            ))
        };
        self.certificates().iter().filter_map(message).collect()
    }

    /// Returns the time at which each certificate expires, in seconds since 1970, by the name of the certificate.
    pub(super) fn certificate_expiries(&self) -> BTreeMap<String, i64> {
        // Two certificates can have the same name, for example with different types of key. Then the earlier of
        // their expiries is reported.
        let mut first: BTreeMap<String, i64> = BTreeMap::new();
        for one in &*self.certificates() {
            let expires = first.entry(one.name().to_owned()).or_insert(one.expires);
            *expires = one.expires.min(*expires);
        }
        first
    }

    /// Returns the certificates as JSON, for `ossgate status`.
    pub(super) fn certificates_status(&self) -> serde_json::Value {
        let now = now();
        let certificates = self.certificates().clone();
        let certificates = certificates.iter().map(|one| {
            serde_json::json!({
                "names": &*one.names,
                "file": &*one.file,
                "key": one.key_type.to_string(),
                "default": one.is_default,
                "expires": dates::rfc3339_seconds(u64::try_from(one.expires).unwrap_or(0)),
                "days_left": expiry::days_left(one.expires, now),
                "warning": expiry::warning(one.expires, now),
            })
        });
        serde_json::Value::Array(certificates.collect())
    }
}

fn now() -> i64 {
    i64::try_from(unix_now()).unwrap_or(i64::MAX)
}
