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

/// Makes a leaf certificate that is signed with its own key.
pub(crate) fn self_signed(names: &[&str], is_ca: bool) -> Leaf {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    if is_ca {
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let pem = parameters.self_signed(&key).unwrap().pem();
    write(&pem, &key, &pem)
}

/// Makes a leaf certificate for `names` and `key`, signed by a new CA. `change` can modify its parameters.
pub(crate) fn leaf_with(
    names: &[&str],
    key: &KeyPair,
    change: impl FnOnce(&mut CertificateParams),
) -> Leaf {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(
        rcgen::DnType::CommonName,
        format!("CA of {}", names.join(" and ")),
    );
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    change(&mut parameters);
    let certificate = parameters.signed_by(key, &authority).unwrap();
    write(&certificate.pem(), key, &authority.pem())
}

fn write(cert: &str, key: &KeyPair, ca: &str) -> Leaf {
    let directory = tempfile::tempdir().unwrap().keep();
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    Leaf {
        cert: write("cert.pem", cert),
        key: write("key.pem", &key.serialize_pem()),
        ca: write("ca.pem", ca),
        ca_pem: ca.to_owned(),
    }
}
