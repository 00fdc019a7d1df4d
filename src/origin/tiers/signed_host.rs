//! The `Host` that a client's signature covers, and which hosts may therefore be sent the request.
//!
//! OSS computes such a signature over the `Host` that it receives. Another one cannot match, so the request
//! is refused here, where both hosts can be named.

use http::HeaderMap;

use crate::http::context::RequestContext;
use crate::origin::error::{BoundHosts, Error};
use crate::origin::link::host::Host;
use crate::origin::tiers::group::Tiers;
use crate::oss::signature::Bound;

/// The scheme of a URL, which decides the port that its authority may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Port 80.
    Http,
    /// Port 443.
    Https,
}

impl Scheme {
    /// Returns the scheme that the client of a request used, to this proxy or to a trusted one.
    #[must_use]
    pub fn of(context: &RequestContext) -> Self {
        if context.is_https {
            Self::Https
        } else {
            Self::Http
        }
    }

    /// Returns `authority` without the port of the scheme.
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
    /// Returns the host that the signature of a request covers: `text`, the `Host` that its client sent over
    /// `scheme`. `None` when the signature covers no host, or when the request is not signed.
    pub(in crate::origin) fn of(
        headers: &HeaderMap,
        raw_query: Option<&str>,
        text: &'c [u8],
        scheme: Scheme,
    ) -> Option<Self> {
        let is_bound = Bound::of(headers, raw_query).has_host;
        is_bound.then_some(Self { text, scheme })
    }

    /// Whether OSS receives this `Host` when a request is sent to `host`. Case and the port of the scheme
    /// make no difference.
    pub(in crate::origin) fn is_that_of(self, host: &Host) -> bool {
        let scheme = match host.tls {
            None => Scheme::Http,
            Some(_) => Scheme::Https,
        };
        let sent = scheme.without_port(host.host.as_bytes());
        self.scheme
            .without_port(self.text)
            .eq_ignore_ascii_case(sent)
    }

    /// Checks that the request can be sent to one of `tiers`.
    ///
    /// # Errors
    ///
    /// [`Error::SignatureBoundToHost`] when every tier has another `Host`.
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
    use super::*;
    use crate::origin::link::host::tests::host;

    #[test]
    fn a_signed_host_is_compared_without_case_and_default_port() {
        let plain = host("examplebucket.oss.test", None);
        for (text, scheme, expected) in [
            ("examplebucket.oss.test", Scheme::Http, true),
            ("ExampleBucket.OSS.test", Scheme::Http, true),
            ("examplebucket.oss.test:80", Scheme::Http, true),
            ("examplebucket.oss.test:443", Scheme::Https, true),
            ("examplebucket.oss.test:443", Scheme::Http, false),
            ("examplebucket.oss.test:80", Scheme::Https, false),
            ("examplebucket.oss.test:8080", Scheme::Http, false),
            ("examplebucket.oss.test.", Scheme::Http, false),
            ("oss.test", Scheme::Http, false),
            ("", Scheme::Http, false),
        ] {
            let signed = SignedHost {
                text: text.as_bytes(),
                scheme,
            };
            assert_eq!(signed.is_that_of(&plain), expected, "{text} {scheme:?}");
        }
    }
}
