//! What `ossgate explain` says about the TLS handshake of a client: the certificate that the client would get.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::{Address, Certificate, Config, NamedFiles};
use crate::listener::certificate_table::CertificateTable;

/// The outcome of a handshake.
pub(super) struct TlsStep {
    pub(super) finding: String,
    /// Whether the client can send its request.
    pub(super) is_served: bool,
}

impl TlsStep {
    fn served(finding: impl Into<String>) -> Self {
        Self {
            finding: finding.into(),
            is_served: true,
        }
    }

    fn failed(finding: impl Into<String>) -> Self {
        Self {
            finding: finding.into(),
            is_served: false,
        }
    }
}

/// Explains the handshake of a client that connects to `host`, the host of a URL without its port.
pub(super) fn explain(config: &Config, host: &str, named_files: NamedFiles) -> TlsStep {
    if !config.listeners.iter().any(|listener| listener.tls) {
        let is_behind_proxy = config.listeners.iter().any(|listener| {
            !listener.trusted_proxies.is_empty() || !matches!(listener.address, Address::Tcp(_))
        });
        return match is_behind_proxy {
            true => {
                TlsStep::served("ends at a proxy before this one: no listener has `tls = true`")
            }
            false => TlsStep::failed("no listener has `tls = true`"),
        };
    }
    if named_files == NamedFiles::Skip {
        return TlsStep::served("the certificates were not looked at");
    }
    let name = host.to_ascii_lowercase();
    let name = name
        .trim_matches(['[', ']'])
        .trim_end_matches('.')
        .to_owned();
    // A client that connects to an address sends no server name.
    let address: Option<IpAddr> = name.parse().ok();
    let server_name = address.is_none().then_some(name.as_str());
    let table = CertificateTable::new(&config.certificates);
    // The signature schemes of the client are not known, so the list of them is empty. Then the table chooses
    // the certificate with the preferred type of key.
    let chosen = table.choose(server_name, &[]);
    let certificate = chosen.and_then(|chosen| {
        let mut all = config.certificates.iter();
        all.find(|one| Arc::ptr_eq(&one.certified, &chosen))
    });
    let Some(certificate) = certificate else {
        let reason = match address {
            Some(_) => "a client that connects to an IP address sends no server name".to_owned(),
            None => format!("no certificate has the name `{name}`"),
        };
        return TlsStep::failed(format!(
            "the handshake fails: {reason}, and no certificate has `default = true`"
        ));
    };
    let path = certificate.cert.display();
    let has_it = match address {
        Some(address) => certificate.addresses.contains(&address),
        None => has_name(certificate, &name),
    };
    TlsStep::served(if has_it {
        format!("the client gets the certificate {path}")
    } else {
        format!(
            "the client gets the default certificate {path}, which does not have `{name}`, so most clients reject it"
        )
    })
}

fn has_name(certificate: &Certificate, host: &str) -> bool {
    let parent = host.split_once('.').map(|(_, parent)| parent);
    let mut names = certificate.names.iter();
    names.any(|name| match name.strip_prefix("*.") {
        Some(suffix) => Some(suffix) == parent,
        None => name == host,
    })
}
