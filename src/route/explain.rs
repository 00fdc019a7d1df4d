//! What would become of a request, and which rule says so; without sending anything.
//!
//! Asks the same functions as the proxy, in the order of [`stack`](crate::route::stack).

use std::fmt;

use http::{HeaderMap, Method, header};

use crate::config::policy::RefererMode;
use crate::config::{self, Config};
use crate::http::framing;
use crate::http::headers;
use crate::origin::Destination;
use crate::oss::referer::Verdict;
use crate::policy::{guard, https, website};
use crate::route::{Route, Router};

/// A request as far as rules look at it.
#[derive(Debug)]
pub struct Asked {
    /// Method, target and headers, `Host` included.
    pub request: http::Request<()>,
    /// Whether it comes over TLS.
    pub is_https: bool,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which: `route`, the name of a rule, or `origin`.
    pub name: &'static str,
    /// What it says.
    pub says: String,
    /// The line of the config that decided, where one did.
    pub line: Option<usize>,
}

/// What becomes of the request at last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// OSS is asked.
    Sent(Destination),
    /// The proxy answers: status, and the kind of an error.
    Answered(u16, Option<&'static str>),
}

impl End {
    /// Whether the client gets what it asked for, as far as the proxy decides that.
    #[must_use]
    pub fn is_served(&self) -> bool {
        match self {
            Self::Sent(_) => true,
            Self::Answered(status, _) => *status < 400,
        }
    }
}

/// All steps up to the one that ended it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// In the order they were taken.
    pub steps: Vec<Step>,
    /// How it ends.
    pub end: End,
}

/// Collects the steps.
struct Walk<'a> {
    steps: Vec<Step>,
    method: &'a Method,
    headers: &'a HeaderMap,
    host: &'a str,
    target: &'a str,
}

impl Walk<'_> {
    fn step(&mut self, name: &'static str, says: impl fmt::Display, line: Option<usize>) {
        self.steps.push(Step {
            name,
            says: says.to_string(),
            line,
        });
    }
}

/// What becomes of `asked` under `router`, which was built from `config`.
#[must_use]
pub fn explain(router: &Router, config: &Config, mut asked: Asked) -> Explanation {
    let health = health_check(config, &asked.request);
    // Before anything else: a load balancer need not name a host.
    if let Some((step, true)) = health {
        return Explanation {
            steps: vec![step],
            end: End::Answered(200, None),
        };
    }
    let host = match framing::check(&asked.request) {
        Ok(authority) => authority.map(|authority| (authority.host.to_owned(), authority)),
        Err(why) => {
            return Explanation {
                steps: vec![Step {
                    name: "framing",
                    says: why.message().to_owned(),
                    line: None,
                }],
                end: End::Answered(why.status().as_u16(), Some("bad_request")),
            };
        }
    };
    let authority_text = asked
        .request
        .uri()
        .authority()
        .map(|authority| authority.as_str().to_owned())
        .or_else(|| {
            let line = asked.request.headers().get(header::HOST)?;
            line.to_str().ok().map(str::to_owned)
        })
        .unwrap_or_default();
    let host = host.map_or(String::new(), |(host, _)| host);
    let Some(route) = router.table.find(&host, asked.request.uri().path()) else {
        let says = format!("no route serves host `{host}` and this path");
        let step = Step {
            name: "route",
            says,
            line: None,
        };
        return Explanation {
            steps: vec![step],
            end: End::Answered(404, Some("unknown_host")),
        };
    };
    // As in the proxy, rules do not see fields that are not forwarded; a field that must not be
    // named there was looked at by the proxy, too.
    if headers::strip_request(asked.request.headers_mut()).is_err() {
        let step = Step {
            name: "framing",
            says: framing::Malformed::ProtectedFieldNamed.message().to_owned(),
            line: None,
        };
        return Explanation {
            steps: vec![step],
            end: End::Answered(400, Some("bad_request")),
        };
    }
    let written = config
        .routes
        .iter()
        .find(|written| written.name == *route.name);
    let target = asked
        .request
        .uri()
        .path_and_query()
        .map_or_else(|| "/".to_owned(), |target| target.as_str().to_owned());
    let mut walk = Walk {
        steps: health.into_iter().map(|(step, _)| step).collect(),
        method: asked.request.method(),
        headers: asked.request.headers(),
        host: &host,
        target: &target,
    };
    walk.step(
        "route",
        format_args!("`{}`", route.name),
        written.map(|written| written.line),
    );
    let authority = crate::http::authority::parse(&authority_text);
    let transport = if asked.is_https {
        https::Transport::Tls
    } else {
        https::Transport::ClearText
    };
    let end = walk
        .cors(route, written)
        .or_else(|| walk.https(route, transport, authority))
        .or_else(|| walk.guard(route))
        .or_else(|| walk.referer(route, written))
        .unwrap_or_else(|| walk.sent(route));
    Explanation {
        steps: walk.steps,
        end,
    }
}

/// What a health check is on the listeners that have one at this path, and whether all have; on the
/// others it is a request like any other.
fn health_check(config: &Config, request: &http::Request<()>) -> Option<(Step, bool)> {
    let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
    let path = Some(request.uri().path()).filter(|_| is_read)?;
    let with_it = |one: &&config::Listener| one.health_path.as_deref() == Some(path);
    let checked: Vec<String> = config
        .listeners
        .iter()
        .filter(with_it)
        .map(|listener| format!("`{}`", listener.address))
        .collect();
    if checked.is_empty() {
        return None;
    }
    let step = Step {
        name: "health",
        says: format!(
            "is the health check of {}: 200 while the node is ready, else 503",
            checked.join(", ")
        ),
        line: None,
    };
    Some((step, checked.len() == config.listeners.len()))
}

impl Walk<'_> {
    fn https(
        &mut self,
        route: &Route,
        transport: https::Transport,
        authority: Option<crate::http::authority::Authority<'_>>,
    ) -> Option<End> {
        let policy = route.policies.https.as_ref()?;
        match policy.decide(transport, || authority, self.target) {
            https::Enforcement::Pass => {
                self.step("https", "passes", None);
                None
            }
            https::Enforcement::Redirect(location) => {
                self.step("https", format_args!("redirects to {location}"), None);
                let is_read = self.method == Method::GET || self.method == Method::HEAD;
                Some(End::Answered(if is_read { 301 } else { 308 }, None))
            }
            https::Enforcement::Refuse => {
                self.step("https", "is required", None);
                Some(End::Answered(403, Some("https_required")))
            }
        }
    }

    fn cors(&mut self, route: &Route, written: Option<&config::Route>) -> Option<End> {
        let policy = route.policies.cors.as_ref()?;
        let matched = policy.decide(self.method, self.headers);
        let line = matched.and_then(|matched| {
            let rules = &written?.policies.cors.as_ref()?.rules;
            rules.get(matched.rule).map(|rule| rule.line)
        });
        let is_preflight = self.method == Method::OPTIONS;
        match matched {
            Some(matched) => {
                let says = format!(
                    "rule {} allows the page to read the answer",
                    matched.rule + 1
                );
                self.step("cors", says, line);
                is_preflight.then_some(End::Answered(200, None))
            }
            None if is_preflight => {
                self.step("cors", "no rule allows what the preflight asks for", None);
                Some(End::Answered(403, Some("cors_refused")))
            }
            None if self.headers.contains_key(header::ORIGIN) => {
                self.step("cors", "no rule: the page cannot read the answer", None);
                None
            }
            None => {
                self.step("cors", "passes: no cross-origin request", None);
                None
            }
        }
    }

    fn guard(&mut self, route: &Route) -> Option<End> {
        let policy = route.policies.guard.as_ref()?;
        match policy.decide(self.method, || self.host, self.target, self.headers) {
            Ok(()) => {
                self.step("guard", "passes", None);
                None
            }
            Err(guard::NotServed::Method) => {
                self.step("guard", "the route does not serve the method", None);
                Some(End::Answered(405, Some("method_not_allowed")))
            }
            Err(guard::NotServed::Operation(why)) => {
                let says = format!(
                    "`{}` lets no such operation through: {why}",
                    policy.preset.as_str()
                );
                self.step("guard", says, None);
                Some(End::Answered(403, Some("guard_refused")))
            }
        }
    }

    fn referer(&mut self, route: &Route, written: Option<&config::Route>) -> Option<End> {
        let policy = route.policies.referer.as_ref()?;
        let Some(verdict) = policy.decide(self.method, self.headers, || self.host, self.target)
        else {
            self.step("referer", "is not looked at for such a request", None);
            return None;
        };
        let lists = written.and_then(|written| written.policies.referer.as_ref());
        let pattern = match verdict {
            Verdict::Allowed(index) => lists.and_then(|lists| lists.allow.get(index)),
            Verdict::Denied(index) => lists.and_then(|lists| lists.deny.get(index)),
            Verdict::NotListed
            | Verdict::EmptyAllowed
            | Verdict::EmptyDenied
            | Verdict::NotAllowed => None,
        };
        let line = pattern.map(|pattern| pattern.line);
        let text = pattern.map_or("", |pattern| pattern.text.as_str());
        let says = match verdict {
            Verdict::NotListed => "passes: nothing denies it".to_owned(),
            Verdict::Allowed(_) => format!("is allowed by `{text}`"),
            Verdict::EmptyAllowed => "passes: no Referer is allowed".to_owned(),
            Verdict::EmptyDenied => "is refused: there is no Referer".to_owned(),
            Verdict::Denied(_) => format!("is refused by `{text}`"),
            Verdict::NotAllowed => "is refused: no pattern allows it".to_owned(),
        };
        let only_reports = lists.is_some_and(|lists| lists.mode == RefererMode::Report);
        self.step("referer", says, line);
        (verdict.is_refused() && !only_reports)
            .then_some(End::Answered(403, Some("referer_refused")))
    }

    fn sent(&mut self, route: &Route) -> End {
        let mut target = self.target.to_owned();
        if let Some(policy) = &route.policies.website {
            match policy.decide(self.method, self.headers, || self.host, self.target) {
                website::FirstLookup::NotAPage => self.step("website", "not a page", None),
                website::FirstLookup::Page(first) => {
                    let says = format!("asks for {first}; what else depends on the answer");
                    self.step("website", says, None);
                    target = first.into_owned();
                }
            }
        }
        match route.origin.destination(|| self.host, &target) {
            Ok(destination) => {
                self.step("origin", &destination, None);
                End::Sent(destination)
            }
            Err(error) => {
                self.step("origin", error.message(), None);
                End::Answered(error.status().as_u16(), Some(error.kind()))
            }
        }
    }
}
