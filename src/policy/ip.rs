//! Refuses clients by their address.
//!
//! The address is that of the client behind all trusted proxies. The refusal has no header fields of other
//! policies: a client that may not come in learns nothing about the route.

use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;

use crate::http::Request;
use crate::http::respond::Reason;
use crate::net::ranges::IpRanges;
use crate::policy::gate::{Gate, Refusal};

/// The networks that are refused and served. Routes with equal lists share the sets.
#[derive(Debug)]
pub struct Ip {
    /// The clients that are refused, even if `allow` contains them.
    pub deny: Arc<IpRanges>,
    /// The clients that are served. `None` means all except `deny`.
    pub allow: Option<Allow>,
}

/// The clients that are served. The set of a file is apart from the set of the config, because many routes may
/// name one file and have different networks beside it.
#[derive(Debug)]
pub struct Allow {
    /// The networks in the config.
    pub written: Arc<IpRanges>,
    /// The networks of the file; `None` without a file.
    pub file: Option<Arc<IpRanges>>,
}

/// The decision about a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The client is served.
    Served,
    /// The client is refused, because `deny` contains its address.
    Denied,
    /// The client is refused, because there is an `allow` list that does not contain its address.
    NotAllowed,
    /// The client is refused, because there is an `allow` list and its address is not known. The list promises
    /// that only its addresses come in.
    Unknown,
}

impl Ip {
    /// Returns the decision about the client at this address. `None` is a client whose address is not known, as
    /// on a unix socket. Such a client cannot be in `deny`.
    #[must_use]
    pub fn decide(&self, client: Option<IpAddr>) -> Verdict {
        let Some(client) = client else {
            return match self.allow {
                Some(_) => Verdict::Unknown,
                None => Verdict::Served,
            };
        };
        if self.deny.contains(client) {
            return Verdict::Denied;
        }
        match &self.allow {
            Some(allow) if !allow.contains(client) => Verdict::NotAllowed,
            Some(_) | None => Verdict::Served,
        }
    }
}

impl Allow {
    fn contains(&self, client: IpAddr) -> bool {
        let is_in_file = || self.file.as_ref().is_some_and(|file| file.contains(client));
        self.written.contains(client) || is_in_file()
    }
}

impl Gate for Ip {
    fn refuse(&self, request: &Request) -> Option<Refusal> {
        let client = request.context().client;
        let verdict = self.decide(client);
        if verdict == Verdict::Served {
            return None;
        }
        // The client knows its own address, and whoever helps it needs the address that was judged: behind a
        // load balancer or NAT it is often not the address that the client expects.
        let subject = client.map_or_else(
            || "The address of the client is not known, and".to_owned(),
            |client| format!("The client address {} is", client.to_canonical()),
        );
        let finding = match verdict {
            Verdict::Denied => "in the deny list of this proxy",
            Verdict::NotAllowed => "not in the allow list of this proxy",
            Verdict::Served | Verdict::Unknown => "this proxy has an allow list",
        };
        let message = format!("{subject} {finding}. OSS was not asked.");
        Some(Refusal::error(
            request,
            &Reason {
                status: StatusCode::FORBIDDEN,
                code: "ProxyAccessDenied",
                kind: "ip",
                message: &message,
                ..Reason::DEFAULT
            },
        ))
    }
}
