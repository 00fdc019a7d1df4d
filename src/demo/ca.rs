//! A throw-away CA and its leaf certificates.
//!
//! Certificates and keys are returned as PEM text. They can be written to the files that the config names, or
//! added to a client's trust store. Use them only in the demo and in tests.

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// The error when a certificate cannot be made.
#[derive(Debug)]
pub enum CaError {
    /// The name is neither a DNS name nor an IP address.
    Name {
        /// The name as given.
        name: String,
        /// The error of rcgen.
        source: rcgen::Error,
    },
    /// The key or the signature could not be made.
    Crypto(rcgen::Error),
}

impl fmt::Display for CaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name, .. } => write!(f, "not a name for a certificate: `{name}`"),
            Self::Crypto(error) => write!(f, "certificate could not be made: {error}"),
        }
    }
}

impl std::error::Error for CaError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name { source, .. } => Some(source),
            Self::Crypto(error) => Some(error),
        }
    }
}

/// A throw-away CA.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ca").finish_non_exhaustive()
    }
}

/// A leaf certificate with its chain and its key.
#[derive(Clone)]
pub struct Leaf {
    /// The leaf certificate, followed by the certificate of the CA, in PEM.
    pub chain: String,
    /// The private key in the format PKCS #8, in PEM.
    pub key: String,
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf")
            .field("chain", &self.chain)
            .field("key", &"[redacted]")
            .finish()
    }
}

impl Ca {
    /// Returns a new CA with its own key.
    ///
    /// # Errors
    ///
    /// [`CaError::Crypto`] when the key or the certificate cannot be made.
    pub fn generate() -> Result<Self, CaError> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "ossgate demo authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(CaError::Crypto)?;
        let certificate = params.self_signed(&key).map_err(CaError::Crypto)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
        })
    }

    /// Returns the certificate of the CA, in PEM, for the trust stores of clients.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Returns a server certificate for `names`: DNS names, wildcard names such as `*.example.com`, and IP
    /// addresses.
    ///
    /// # Errors
    ///
    /// [`CaError::Name`] for any other name, and [`CaError::Crypto`] if the key or the signature cannot be
    /// made.
    pub fn leaf(&self, names: &[&str]) -> Result<Leaf, CaError> {
        for name in names {
            // Each name is first checked alone, so that the error can contain the wrong name.
            CertificateParams::new(vec![(*name).to_owned()]).map_err(|source| CaError::Name {
                name: (*name).to_owned(),
                source,
            })?;
        }
        let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(owned).map_err(CaError::Crypto)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "ossgate demo");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(CaError::Crypto)?;
        let leaf = params
            .signed_by(&key, &self.issuer)
            .map_err(CaError::Crypto)?;
        Ok(Leaf {
            chain: leaf.pem() + &self.certificate,
            key: key.serialize_pem(),
        })
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

    use super::*;

    #[test]
    fn a_client_that_trusts_the_authority_accepts_its_leaves() {
        let ca = Ca::generate().unwrap();
        let leaf = ca
            .leaf(&["oss.example.com", "*.oss.example.com", "127.0.0.1"])
            .unwrap();
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(leaf.chain.as_bytes())
                .map(Result::unwrap)
                .collect();
        assert_eq!(chain.len(), 2);
        PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(ca.certificate().as_bytes()).unwrap())
            .unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
            std::sync::Arc::new(roots),
            provider,
        )
        .build()
        .unwrap();
        for (name, accepted) in [
            ("oss.example.com", true),
            ("b.oss.example.com", true),
            ("127.0.0.1", true),
            ("other.example.com", false),
        ] {
            let verified = rustls::client::danger::ServerCertVerifier::verify_server_cert(
                verifier.as_ref(),
                &chain[0],
                &chain[1..],
                &ServerName::try_from(name).unwrap(),
                &[],
                // The time is 2030-01-01, within rcgen's default validity.
                rustls::pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(
                    1_893_456_000,
                )),
            );
            assert_eq!(verified.is_ok(), accepted, "{name}: {verified:?}");
        }
    }

    #[test]
    fn the_error_contains_the_name_that_is_not_valid() {
        let error = Ca::generate().unwrap().leaf(&["ü"]).unwrap_err();
        assert!(error.to_string().contains("`ü`"), "{error}");
    }
}
