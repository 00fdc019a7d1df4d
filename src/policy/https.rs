//! Enforces HTTPS: redirects or refuses requests that come over clear text.
//!
//! The layer is below `cors`: browsers do not follow a redirect of a preflight, and the redirect itself
//! needs the headers that let a page follow it.

use http::header::{self, HeaderValue};
use http::{Method, StatusCode};

use crate::config::policy::{self as config, HttpsMode};
use crate::http::authority::Authority;
use crate::http::respond::Reason;
use crate::http::{Request, Response};
use crate::oss::spelling;
use crate::policy::gate::{Gate, Refusal};

/// Where a certificate authority looks for the proof of a name (RFC 8555 section 8.3). It sends its
/// request over clear text.
const CHALLENGE: &[u8] = b"/.well-known/acme-challenge/";

/// The settings, compiled.
#[derive(Debug)]
pub struct Https {
    mode: HttpsMode,
    /// The port of a redirect; 443 is not written.
    port: usize,
}

/// How a request came from the client, by the connection or by a trusted proxy's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Without TLS.
    ClearText,
    /// Over TLS.
    Tls,
}

/// What is enforced on a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// Nothing: the request passes.
    Pass,
    /// The client is redirected to this URL.
    Redirect(String),
    /// The request is refused.
    Refuse,
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

    /// Decides about a request for `target` (path and query). `host` is called only for a redirect. A
    /// request without a host is refused, because there is no URL to redirect it to.
    pub fn decide<'h>(
        &self,
        transport: Transport,
        host: impl FnOnce() -> Option<Authority<'h>>,
        target: &str,
    ) -> Enforcement {
        if transport == Transport::Tls
            || self.mode == HttpsMode::Off
            || spelling::strip_prefix(target, CHALLENGE).is_some()
        {
            return Enforcement::Pass;
        }
        if self.mode == HttpsMode::Require {
            return Enforcement::Refuse;
        }
        let Some(host) = host() else {
            return Enforcement::Refuse;
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
        match self.decide(transport, || context.authority(), request.target()) {
            Enforcement::Pass => None,
            Enforcement::Redirect(location) => Some(redirect(request, &location)),
            Enforcement::Refuse => Some(Refusal::error(
                request,
                &Reason {
                    status: StatusCode::FORBIDDEN,
                    code: "ProxyHttpsRequired",
                    kind: "https_required",
                    message: "This route of the proxy is served over HTTPS only. OSS was not asked.",
                    ..Reason::DEFAULT
                },
            )),
        }
    }
}

fn redirect(request: &Request, location: &str) -> Refusal {
    let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
    let mut response = Response::default();
    // 308 keeps method and body (RFC 9110 section 15.4.9). Old clients support 301 better.
    *response.status_mut() = if is_read {
        StatusCode::MOVED_PERMANENTLY
    } else {
        StatusCode::PERMANENT_REDIRECT
    };
    let refusal = Refusal::from(response);
    // Host and target were bytes of a request head, so they can be a field value.
    match HeaderValue::try_from(location) {
        Ok(location) => refusal.with_header(header::LOCATION, location),
        Err(_) => refusal,
    }
}
