//! Enforces HTTPS: redirects or refuses requests that come without TLS.
//!
//! Only unsigned requests without a body are redirected. A signed request usually comes from an SDK or a
//! tool, and these do not follow a redirect. A request with a body could lose its body on a redirect. Both
//! kinds of requests are refused, and the error message gives the reason.
//!
//! The layer is below `cors`: browsers do not follow a redirect of a preflight, and a redirect needs the
//! CORS headers so that a page can follow it.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use http_body::Body;

use crate::config::policy::{self as config, HttpsMode};
use crate::http::authority::Authority;
use crate::http::respond::Reason;
use crate::http::{Request, Response};
use crate::oss::addressing::split_query;
use crate::oss::signature::signed_in;
use crate::oss::spelling;
use crate::policy::gate::{Gate, Refusal};

/// The path at which a CA verifies the control of a host name (RFC 8555 section 8.3). The CA sends its
/// request without TLS.
const CHALLENGE: &[u8] = b"/.well-known/acme-challenge/";

/// The compiled settings.
#[derive(Debug)]
pub struct Https {
    mode: HttpsMode,
    /// The port in the URL of a redirect. If it is 443, the URL contains no port.
    port: usize,
}

/// The transport of a request. If a trusted proxy is in front of ossgate, this is the transport that the
/// trusted proxy reports, else that of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A connection without TLS.
    ClearText,
    /// A connection with TLS.
    Tls,
}

/// The decision about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// The request passes.
    Pass,
    /// The client is redirected to this URL.
    Redirect(String),
    /// The request is refused.
    Refuse(NoRedirect),
}

/// The reason why a refused request is not redirected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRedirect {
    /// The mode is `require`.
    Mode,
    /// The request names no host, so there is no URL to redirect it to.
    Host,
    /// The request is signed.
    Signed,
    /// The request has a body.
    Body,
}

impl NoRedirect {
    /// Returns the reason as a message for the client.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Mode => "This route of the proxy is served over HTTPS only. OSS was not asked.",
            Self::Host => {
                "This route of the proxy is served over HTTPS only, and the request names no host that it could be \
                 redirected to. OSS was not asked."
            }
            Self::Signed => {
                "This route of the proxy is served over HTTPS only. The request is signed and therefore not redirected: \
                 SDKs do not follow a redirect. Use https:// in the endpoint or the URL. OSS was not asked."
            }
            Self::Body => {
                "This route of the proxy is served over HTTPS only. The request has a body and is therefore not redirected: \
                 the body would be lost. Use https:// in the endpoint or the URL. OSS was not asked."
            }
        }
    }
}

/// Whether a request has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The request has no body or an empty one.
    Absent,
    /// The request has a body.
    Present,
}

impl Https {
    /// Compiles the settings.
    #[must_use]
    pub fn new(config: &config::Https) -> Self {
        Self {
            mode: config.mode,
            port: config.port,
        }
    }

    /// Decides about a request for `target` (path and query). `host` is called last, when nothing else
    /// prevents a redirect.
    pub fn decide<'h>(
        &self,
        transport: Transport,
        host: impl FnOnce() -> Option<Authority<'h>>,
        target: &str,
        headers: &HeaderMap,
        payload: Payload,
    ) -> Enforcement {
        if transport == Transport::Tls
            || self.mode == HttpsMode::Off
            || spelling::strip_prefix(target, CHALLENGE).is_some()
        {
            return Enforcement::Pass;
        }
        if self.mode == HttpsMode::Require {
            return Enforcement::Refuse(NoRedirect::Mode);
        }
        let (_, query) = split_query(target);
        if signed_in(headers, query).is_some() {
            return Enforcement::Refuse(NoRedirect::Signed);
        }
        if payload == Payload::Present {
            return Enforcement::Refuse(NoRedirect::Body);
        }
        let Some(host) = host() else {
            return Enforcement::Refuse(NoRedirect::Host);
        };
        let name = host.host;
        let port = if self.port == 443 {
            String::new()
        } else {
            format!(":{}", self.port)
        };
        Enforcement::Redirect(if name.contains(':') {
            format!("https://[{name}]{port}{target}")
        } else {
            format!("https://{name}{port}{target}")
        })
    }
}

impl Gate for Https {
    fn refuse(&self, request: &Request) -> Option<Refusal> {
        let context = request.context();
        let transport = if context.is_https {
            Transport::Tls
        } else {
            Transport::ClearText
        };
        let payload = if request.body().is_end_stream() {
            Payload::Absent
        } else {
            Payload::Present
        };
        let enforcement = self.decide(
            transport,
            || context.authority(),
            request.target(),
            request.headers(),
            payload,
        );
        match enforcement {
            Enforcement::Pass => None,
            Enforcement::Redirect(location) => Some(redirect(request, &location)),
            Enforcement::Refuse(why) => Some(Refusal::error(
                request,
                &Reason {
                    status: StatusCode::FORBIDDEN,
                    code: "ProxyHttpsRequired",
                    kind: "https_required",
                    message: why.message(),
                    ..Reason::DEFAULT
                },
            )),
        }
    }
}

fn redirect(request: &Request, location: &str) -> Refusal {
    let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
    let mut response = Response::default();
    // 308 keeps method and body (RFC 9110 section 15.4.9). For GET and HEAD 301 is used, because old
    // clients support it better.
    *response.status_mut() = if is_read {
        StatusCode::MOVED_PERMANENTLY
    } else {
        StatusCode::PERMANENT_REDIRECT
    };
    let refusal = Refusal::from(response);
    // The host and the target come from a request head, so they are valid in a field value.
    match HeaderValue::try_from(location) {
        Ok(location) => refusal.with_header(header::LOCATION, location),
        Err(_) => refusal,
    }
}
