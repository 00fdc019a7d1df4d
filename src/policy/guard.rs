//! Refuses methods and operations that a route does not serve.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use crate::http::Request;
use crate::http::respond::Reason;
use crate::oss::addressing::{Layout, Level};
use crate::oss::guard::{self, Operation, Preset, Refused};
use crate::policy::gate::{Gate, Refusal};

/// The compiled settings.
#[derive(Debug)]
pub struct Guard {
    /// The methods that the route serves. An empty list means all methods.
    pub methods: Vec<Method>,
    /// The operations that pass.
    pub preset: Preset,
    /// The operations that pass although the preset refuses them, in the order of the config.
    pub allow: Vec<Operation>,
    /// The position of the key in a request.
    pub layout: Layout,
}

/// The setting that allows a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// The preset allows the operation.
    ByPreset,
    /// The operation at this index of [`Guard::allow`] matches.
    ByName(usize),
}

/// The reason why the route does not serve a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotServed<'q> {
    /// The method is not among the route's methods.
    Method,
    /// The preset refuses the operation, and the route does not allow it individually.
    Operation(Refused<'q>),
}

impl Guard {
    /// Checks a request against the methods, the preset and the individually allowed operations of the
    /// route. `host` is called only if the host can name the bucket.
    ///
    /// # Errors
    ///
    /// [`NotServed::Method`] when the route does not serve the method, [`NotServed::Operation`] when neither
    /// the preset nor [`Guard::allow`] allows the operation.
    pub fn decide<'t>(
        &self,
        method: &Method,
        host: impl FnOnce() -> &'t str,
        target: &'t str,
        headers: &HeaderMap,
    ) -> Result<Served, NotServed<'t>> {
        if !self.methods.is_empty() && !self.methods.contains(method) {
            return Err(NotServed::Method);
        }
        if self.preset == Preset::Full {
            return Ok(Served::ByPreset);
        }
        let parts = self.layout.split(host, target);
        let level = self.layout.level(parts.as_ref());
        let query = parts.and_then(|parts| parts.query.strip_prefix('?'));
        let query = query.unwrap_or_default();
        let Err(refused) = guard::check(self.preset, method, level, query, headers) else {
            return Ok(Served::ByPreset);
        };
        if level == Level::Service {
            return Err(NotServed::Operation(refused));
        }
        guard::find_allowed(&self.allow, method, query, headers)
            .map(Served::ByName)
            .ok_or(NotServed::Operation(refused))
    }

    fn refusal(&self, request: &Request, not_served: &NotServed<'_>) -> Refusal {
        let reason = match not_served {
            NotServed::Method => {
                let reason = Reason {
                    status: StatusCode::METHOD_NOT_ALLOWED,
                    code: "MethodNotAllowed",
                    kind: "method_not_allowed",
                    message: "This route of the proxy does not serve the request method. OSS was not asked.",
                    ..Reason::DEFAULT
                };
                let refusal = Refusal::error(request, &reason);
                let names: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
                return match HeaderValue::try_from(names.join(", ")) {
                    Ok(value) => refusal.with_header(header::ALLOW, value),
                    Err(_) => refusal,
                };
            }
            NotServed::Operation(Refused::NoBucket) => {
                "lets no request through that names no bucket, such as ListBuckets".to_owned()
            }
            NotServed::Operation(Refused::Method) => {
                format!("lets no {} through here", request.method())
            }
            NotServed::Operation(Refused::Header(name)) => {
                format!("does not let `{name}` through")
            }
            NotServed::Operation(Refused::SubResource(name)) => {
                format!("does not let `?{name}` through")
            }
        };
        let preset = self.preset.as_str();
        Refusal::error(
            request,
            &Reason {
                status: StatusCode::FORBIDDEN,
                code: "ProxyAccessDenied",
                kind: "guard_refused",
                message: &format!("The proxy's guard `{preset}` {reason}. OSS was not asked."),
                ..Reason::DEFAULT
            },
        )
    }
}

impl Gate for Guard {
    fn refuse(&self, request: &Request) -> Option<Refusal> {
        let decision = self.decide(
            request.method(),
            || request.host(),
            request.target(),
            request.headers(),
        );
        decision
            .err()
            .map(|not_served| self.refusal(request, &not_served))
    }
}
