//! Refuses clients by their address.
//!
//! If a request came through trusted proxies, the address is that of the client behind them. Other policies add
//! no header fields to the refusal, so a refused client learns nothing about the route.

use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;

use crate::http::Request;
use crate::http::respond::Reason;
use crate::net::ranges::IpRanges;
use crate::policy::gate::{Gate, Refusal};

/// The networks of the clients that are refused, and of those that are served. Routes with equal lists share the
/// sets.
#[derive(Debug)]
pub struct Ip {
    /// The clients that are refused, even if `allow` contains them.
    pub deny: Arc<IpRanges>,
    /// The clients that are served. `None` means that all clients are served that are not in `deny`.
    pub allow: Option<Allow>,
}

/// The clients that are served. The networks of a file are a separate set, because routes that share a file may
/// have different networks in the config.
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
    /// The client is refused, because its address is not known and there is an `allow` list, so only addresses
    /// in this list may be served.
    Unknown,
}

impl Ip {
    /// Returns the decision about the client at this address. `None` means that the address is not known, for
    /// example on a unix socket. A client without a known address is never refused because of `deny`.
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
        // The message contains the address that was checked. Behind a load balancer or NAT, this is often not
        // the address that the client expects. The address is no secret from the client.
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
