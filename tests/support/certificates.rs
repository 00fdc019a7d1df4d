//! Certificates made for a test. Their files are not removed from the temporary directory.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// A leaf certificate, its key, and the CA that signed it.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ca: PathBuf,
    pub(crate) ca_pem: String,
}

/// Makes a leaf certificate for `names` with an ECDSA key, signed by a new CA.
pub(crate) fn leaf(names: &[&str]) -> Leaf {
    leaf_with(names, &KeyPair::generate().unwrap(), |_| ())
}

/// Like [`leaf`], with an RSA key.
pub(crate) fn rsa_leaf(names: &[&str]) -> Leaf {
    let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    leaf_with(names, &key, |_| ())
}

/// Makes a leaf certificate for `names` and `key`, signed by a new CA. `change` can modify its parameters.
pub(crate) fn leaf_with(
    names: &[&str],
    key: &KeyPair,
    change: impl FnOnce(&mut CertificateParams),
) -> Leaf {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let certificate = params.signed_by(key, &authority).unwrap();
    let directory = tempfile::tempdir().unwrap().keep();
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    Leaf {
        cert: write("cert.pem", &certificate.pem()),
        key: write("key.pem", &key.serialize_pem()),
        ca: write("ca.pem", &authority.pem()),
        ca_pem: authority.pem(),
    }
}
