//! The types of certificate keys, in the order in which they are preferred.

use std::fmt;

use rustls::sign::SigningKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

/// The type of a certificate's key. A client that can verify several types gets the certificate whose type is
/// first in this order. The most common curves come first. RSA comes last, because its signatures take the
/// longest to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// ECDSA with the curve P-256.
    EcdsaP256,
    /// ECDSA with the curve P-384.
    EcdsaP384,
    /// ECDSA with the curve P-521.
    EcdsaP521,
    /// Ed25519.
    Ed25519,
    /// RSA of any size.
    Rsa,
}

impl KeyType {
    /// Returns the type of `key`.
    pub(super) fn of(key: &dyn SigningKey) -> Self {
        let signs = |scheme| key.choose_scheme(&[scheme]).is_some();
        match key.algorithm() {
            SignatureAlgorithm::ED25519 => Self::Ed25519,
            SignatureAlgorithm::ECDSA if signs(SignatureScheme::ECDSA_NISTP384_SHA384) => {
                Self::EcdsaP384
            }
            SignatureAlgorithm::ECDSA if signs(SignatureScheme::ECDSA_NISTP521_SHA512) => {
                Self::EcdsaP521
            }
            SignatureAlgorithm::ECDSA => Self::EcdsaP256,
            // RSA is the only other type of key that rustls loads.
            _ => Self::Rsa,
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
            Self::EcdsaP521 => "ECDSA P-521",
            Self::Ed25519 => "Ed25519",
            Self::Rsa => "RSA",
        })
    }
}
