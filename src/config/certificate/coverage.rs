//! Compares the certificates with the hosts of the routes: finds certificates that are never used, and hosts
//! without a certificate.
//!
//! Each finding is a warning, not an error: a certificate may be meant for a future route, and clients of a
//! host may use HTTP without TLS. Every name is looked up in a hash table, so the time is proportional to the
//! number of names.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::config::certificate::{Certificate, CertificateCandidate, KeyType};
use crate::config::pattern::HostPattern;
use crate::config::reader::Text;
use crate::config::route::RouteCandidate;

/// The maximum number of names of one certificate that a message lists. Also the maximum number of hosts of
/// one route that get a warning each; the further hosts of the route share one warning.
const SHOWN: usize = 3;

/// Warns of certificates that are never used, and of hosts without a certificate. The caller has checked that
/// at least one listener has TLS. `has_plain` tells whether there is also a listener without TLS.
pub(crate) fn check(
    certificates: &[CertificateCandidate<'_>],
    routes: &[RouteCandidate<'_>],
    has_plain: bool,
) {
    let hosts = Hosts::new(routes);
    let mut taken: HashMap<(&str, KeyType), usize> = HashMap::new();
    for (index, candidate) in certificates.iter().enumerate() {
        let certificate = &candidate.certificate;
        let mut other = None;
        let mut is_needed = certificate.is_default;
        for name in &*certificate.names {
            let owner = *taken.entry((name, certificate.key_type)).or_insert(index);
            is_needed |= owner == index;
            other = other.or((owner != index).then_some(owner));
        }
        let message = if !is_needed {
            let other = other.and_then(|other| certificates.get(other));
            shadowed(
                certificate,
                other.map(|other| other.reader.for_message_of(&candidate.reader)),
            )
        } else if certificate.names.is_empty() && certificate.addresses.is_empty() {
            format!("{}, so clients reject it", nameless(certificate))
        } else if !candidate.is_wanted_as_default() && !hosts.are_in(certificate) {
            format!("covers no host of any route: it has {}", named(certificate))
        } else {
            continue;
        };
        candidate.reader.warn("cert", message, None);
    }
    let names = Names::new(certificates);
    let consequence = if names.has_default {
        "clients that use TLS get the default certificate, which they reject"
    } else {
        "TLS handshakes for it fail"
    };
    if !names.has_default {
        check_nameless(routes);
    }
    let mut seen = HashSet::new();
    for route in routes {
        let missing = route.hosts();
        let missing: Vec<&Text> = missing
            .filter(|(host, _)| !names.have(host, has_plain) && seen.insert(*host))
            .map(|(_, text)| text)
            .collect();
        // Only the first hosts get a warning each: a route can have thousands of hosts, often all in one line
        // of the file, and `ossgate check` prints that line with each warning.
        for (index, text) in missing.iter().take(SHOWN + 1).enumerate() {
            let reason = match missing.len() - 1 - index {
                more @ 1.. if index == SHOWN => {
                    format!(
                        "and {more} more hosts of this route are in no certificate: {consequence}"
                    )
                }
                _ => format!("is in no certificate: {consequence}"),
            };
            route.reader().warn_at("hosts", text, &reason);
        }
    }
}

/// Warns of the first route that serves requests by IP address. Clients that connect to an IP address send no
/// server name, so their handshakes need a default certificate. The caller has checked that there is none.
fn check_nameless(routes: &[RouteCandidate<'_>]) {
    let is_address = |host: &HostPattern| matches!(host, HostPattern::Exact(name) if name.parse::<IpAddr>().is_ok());
    for route in routes {
        if route.serves_every_host() {
            let message = "serves every host, and no certificate has `default = true`: TLS handshakes by IP address, \
                           without a server name, or with a name that no certificate has, fail";
            let hint = "write `default = true` in one `[[certificate]]`";
            route.reader().warn("", message, Some(hint));
            return;
        }
        if let Some((_, text)) = route.hosts().find(|(host, _)| is_address(host)) {
            let reason = "is an IP address, and no certificate has `default = true`: TLS handshakes by IP address fail";
            route.reader().warn_at("hosts", text, reason);
            return;
        }
    }
}

/// Returns the message for a certificate that is never used. `other` names an earlier certificate that has
/// one of its names and the same type of key. `None` means that the certificate has no DNS name at all.
fn shadowed(certificate: &Certificate, other: Option<String>) -> String {
    let key_type = certificate.key_type;
    match other {
        Some(other) => format!(
            "is never used: earlier certificates, such as {other}, have all of its names and the same type of key ({key_type})"
        ),
        None => format!(
            "is never used: it {}, and is not the default",
            nameless(certificate)
        ),
    }
}

/// Returns what a certificate without DNS names has, as the predicate of a sentence.
fn nameless(certificate: &Certificate) -> String {
    match &certificate.common_name {
        Some(name) => format!(
            "has the name `{name}` only as its CN and none in `subjectAltName`, where clients look"
        ),
        None => "has no DNS name".to_owned(),
    }
}

/// Returns the first names of `certificate` for a message.
fn named(certificate: &Certificate) -> String {
    let names = &*certificate.names;
    if names.is_empty() {
        return "no DNS name".to_owned();
    }
    let shown: Vec<String> = (names.iter().take(SHOWN))
        .map(|name| format!("`{name}`"))
        .collect();
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}

/// The hosts of all routes.
#[derive(Default)]
struct Hosts<'a> {
    /// Whether a route serves every host.
    are_all: bool,
    exact: HashSet<&'a str>,
    /// The exact hosts without their first labels.
    parents: HashSet<&'a str>,
    /// The suffixes of the wildcard hosts.
    wildcard: HashSet<&'a str>,
    addresses: HashSet<IpAddr>,
}

impl<'a> Hosts<'a> {
    fn new(routes: &'a [RouteCandidate<'_>]) -> Self {
        let mut all = Self::default();
        for route in routes {
            all.are_all |= route.serves_every_host();
            for (host, _) in route.hosts() {
                match host {
                    HostPattern::Wildcard(suffix) => {
                        all.wildcard.insert(suffix);
                    }
                    HostPattern::Exact(name) => match name.parse() {
                        Ok(address) => {
                            all.addresses.insert(address);
                        }
                        Err(_) => {
                            all.exact.insert(name);
                            all.parents.extend(parent(name));
                        }
                    },
                }
            }
        }
        all
    }

    /// Whether a name or an address of `certificate` is a host of a route.
    fn are_in(&self, certificate: &Certificate) -> bool {
        let is_host = |name: &String| match name.strip_prefix("*.") {
            Some(suffix) => self.wildcard.contains(suffix) || self.parents.contains(suffix),
            None => {
                self.exact.contains(name.as_str())
                    || parent(name).is_some_and(|parent| self.wildcard.contains(parent))
            }
        };
        let is_address = |address| self.addresses.contains(address);
        self.are_all
            || certificate.names.iter().any(is_host)
            // Clients that connect to an IP address send no server name, so they get the default certificate.
            || (certificate.is_default && certificate.addresses.iter().any(is_address))
    }
}

/// The names of all certificates.
#[derive(Default)]
struct Names<'a> {
    exact: HashSet<&'a str>,
    /// The exact names without their first labels.
    parents: HashSet<&'a str>,
    /// The suffixes of the wildcard names.
    wildcard: HashSet<&'a str>,
    /// The addresses of the default certificates.
    addresses: HashSet<IpAddr>,
    has_default: bool,
}

impl<'a> Names<'a> {
    fn new(certificates: &'a [CertificateCandidate<'_>]) -> Self {
        let mut all = Self::default();
        for CertificateCandidate { certificate, .. } in certificates {
            for name in &*certificate.names {
                match name.strip_prefix("*.") {
                    Some(suffix) => {
                        all.wildcard.insert(suffix);
                    }
                    None => {
                        all.exact.insert(name);
                        all.parents.extend(parent(name));
                    }
                }
            }
            if certificate.is_default {
                all.has_default = true;
                all.addresses.extend(&certificate.addresses);
            }
        }
        all
    }

    /// Whether `host` has all the certificates that it needs. An exact host name needs a certificate that
    /// covers the name. For a wildcard host, a certificate for one host of the wildcard is enough. An IP
    /// address needs a certificate only if all listeners have TLS: few certificates have addresses, and
    /// clients that connect to an IP address usually use no TLS.
    fn have(&self, host: &HostPattern, has_plain: bool) -> bool {
        match host {
            HostPattern::Wildcard(suffix) => {
                self.wildcard.contains(suffix.as_str()) || self.parents.contains(suffix.as_str())
            }
            HostPattern::Exact(name) => match name.parse() {
                Ok(address) => has_plain || self.addresses.contains(&address),
                Err(_) => {
                    self.exact.contains(name.as_str())
                        || parent(name).is_some_and(|parent| self.wildcard.contains(parent))
                }
            },
        }
    }
}
