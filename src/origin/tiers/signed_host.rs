//! The `Host` that a client's signature covers, and the hosts to which the request can therefore be sent.
//!
//! OSS computes the signature over the `Host` that it receives, so the signature is not valid with another
//! `Host`. A request that would be sent with another `Host` is refused here, where the error can name both
//! hosts.

use http::HeaderMap;

use crate::http::context::RequestContext;
use crate::origin::error::{BoundHosts, Error};
use crate::origin::link::host::Host;
use crate::origin::tiers::group::Tiers;
use crate::oss::signature::Bound;

/// The scheme of a URL. It determines the default port, which the authority of the URL may omit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// The default port is 80.
    Http,
    /// The default port is 443.
    Https,
}

impl Scheme {
    /// Returns the scheme with which the client connected to this proxy, or to a trusted proxy in front of
    /// it.
    #[must_use]
    pub fn of(context: &RequestContext) -> Self {
        if context.is_https {
            Self::Https
        } else {
            Self::Http
        }
    }

    /// Returns `authority` without the default port of the scheme.
    fn without_port(self, authority: &[u8]) -> &[u8] {
        let port: &[u8] = match self {
            Self::Http => b":80",
            Self::Https => b":443",
        };
        authority.strip_suffix(port).unwrap_or(authority)
    }
}

/// A `Host` that a signature covers.
#[derive(Clone, Copy, Debug)]
pub(in crate::origin) struct SignedHost<'c> {
    text: &'c [u8],
    scheme: Scheme,
}

impl<'c> SignedHost<'c> {
    /// Returns the host that the signature of a request covers. `text` is the `Host` that the client sent,
    /// and `scheme` the scheme that it used. Returns `None` if the signature covers no host or the request is
    /// not signed.
    pub(in crate::origin) fn of(
        headers: &HeaderMap,
        raw_query: Option<&str>,
        text: &'c [u8],
        scheme: Scheme,
    ) -> Option<Self> {
        let is_bound = Bound::of(headers, raw_query).has_host;
        is_bound.then_some(Self { text, scheme })
    }

    /// Whether OSS receives this `Host` if the request is sent to `host`. The comparison ignores letter case
    /// and the default port of the scheme.
    pub(in crate::origin) fn is_that_of(self, host: &Host) -> bool {
        let scheme = match host.tls {
            None => Scheme::Http,
            Some(_) => Scheme::Https,
        };
        self.equals(host.host.as_bytes(), scheme)
    }

    /// Whether this host equals `sent`, the `Host` of a request with the scheme `scheme`.
    fn equals(self, sent: &[u8], scheme: Scheme) -> bool {
        self.scheme
            .without_port(self.text)
            .eq_ignore_ascii_case(scheme.without_port(sent))
    }

    /// Checks that the request can be sent to one of `tiers`.
    ///
    /// # Errors
    ///
    /// [`Error::SignatureBoundToHost`] if no tier has this `Host`.
    pub(in crate::origin) fn check(self, tiers: &Tiers) -> Result<(), Error> {
        if tiers.hosts().iter().any(|host| self.is_that_of(host)) {
            return Ok(());
        }
        Err(Error::SignatureBoundToHost(Box::new(BoundHosts {
            signed: String::from_utf8_lossy(self.text).into_owned(),
            sent: String::from_utf8_lossy(tiers.first().host.as_bytes()).into_owned(),
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::Scheme::{Http, Https};
    use super::*;

    #[test]
    fn a_signed_host_is_compared_without_case_and_default_port() {
        for (text, scheme, sent, sent_scheme, expected) in [
            ("b.oss.test", Http, "b.oss.test", Http, true),
            ("b.oss.test", Http, "b.oss.test", Https, true),
            ("B.OSS.test", Http, "b.oss.test", Http, true),
            ("b.oss.test:80", Http, "b.oss.test", Https, true),
            ("b.oss.test:443", Https, "b.oss.test", Http, true),
            ("b.oss.test", Https, "b.oss.test:443", Https, true),
            ("b.oss.test", Https, "b.oss.test:80", Http, true),
            ("b.oss.test:8080", Http, "b.oss.test:8080", Http, true),
            ("[::1]:80", Http, "[::1]", Http, true),
            ("b.oss.test:443", Http, "b.oss.test", Http, false),
            ("b.oss.test:80", Https, "b.oss.test", Https, false),
            ("b.oss.test", Http, "b.oss.test:443", Http, false),
            ("b.oss.test", Http, "b.oss.test:80", Https, false),
            ("b.oss.test:8080", Http, "b.oss.test", Http, false),
            ("b.oss.test.", Http, "b.oss.test", Http, false),
            ("oss.test", Http, "b.oss.test", Http, false),
            ("", Http, "b.oss.test", Http, false),
        ] {
            let signed = SignedHost {
                text: text.as_bytes(),
                scheme,
            };
            let found = signed.equals(sent.as_bytes(), sent_scheme);
            assert_eq!(found, expected, "{text} {scheme:?}, {sent} {sent_scheme:?}");
        }
    }
}
