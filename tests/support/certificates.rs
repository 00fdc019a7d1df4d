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

/// Makes a leaf certificate for `names`, signed by a new CA.
pub(crate) fn leaf(names: &[&str]) -> Leaf {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
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
