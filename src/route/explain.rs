//! What the proxy would do with a request, and which rule decides it. Nothing is sent.
//!
//! Calls the same functions as the proxy, in the order of [`stack`](crate::route::stack).

mod judged;

use std::fmt;

use http::{HeaderMap, Method, header};

use crate::config::policy::RefererMode;
use crate::config::{self, Config};
use crate::http::authority::Authority;
use crate::http::framing::{self, Malformed};
use crate::http::headers;
use crate::http::message::Target;
use crate::origin::Destination;
use crate::oss::referer::Verdict;
use crate::oss::spelling;
use crate::policy::{guard, https, website};
use crate::route::{Route, Router};

/// A request to explain. Its body does not matter.
#[derive(Debug)]
pub struct RequestToExplain {
    /// Method, target and header fields, `Host` included.
    pub head: http::Request<()>,
    /// Whether the request comes over TLS.
    pub is_https: bool,
}

/// What one part of the proxy decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The part: `health`, `framing`, `route`, the name of a policy, or `origin`.
    pub name: &'static str,
    /// What the part decides, in words.
    pub finding: String,
    /// The line of the config that decided; `None` when no single line did.
    pub line: Option<usize>,
}

/// How the request ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The proxy sends it to OSS.
    Sent(Destination),
    /// The proxy answers it: the status, and the kind of an error as in `x-ossgate-error`.
    Answered(u16, Option<&'static str>),
}

impl End {
    /// Whether the client gets what it requested, as far as the proxy decides that.
    #[must_use]
    pub fn is_served(&self) -> bool {
        match self {
            Self::Sent(_) => true,
            Self::Answered(status, _) => *status < 400,
        }
    }
}

/// The steps up to the one that ended the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// In the order the proxy takes them.
    pub steps: Vec<Step>,
    /// How the request ends.
    pub end: End,
}

impl Explanation {
    /// Explains a request that the router refuses before it chooses a route.
    fn malformed(why: Malformed) -> Self {
        Self {
            steps: vec![Step {
                name: "framing",
                finding: why.message().to_owned(),
                line: None,
            }],
            end: End::Answered(why.status().as_u16(), Some("bad_request")),
        }
    }
}

/// The request, and the steps so far.
struct Walk<'a> {
    steps: Vec<Step>,
    method: &'a Method,
    headers: &'a HeaderMap,
    host: &'a str,
    target: &'a str,
}

impl Walk<'_> {
    fn step(&mut self, name: &'static str, finding: impl fmt::Display, line: Option<usize>) {
        self.steps.push(Step {
            name,
            finding: finding.to_string(),
            line,
        });
    }
}

/// Explains `request` under `router`, which was built from `config`.
#[must_use]
pub fn explain(router: &Router, config: &Config, request: &RequestToExplain) -> Explanation {
    let RequestToExplain { head, is_https } = request;
    let health = health_check(config, head);
    // Before anything else: a load balancer need not name a host.
    if let Some((step, true)) = health {
        return Explanation {
            steps: vec![step],
            end: End::Answered(200, None),
        };
    }
    let target = Target::parse(head);
    let authority = match framing::check(head, &target) {
        Ok(authority) => authority,
        Err(why) => return Explanation::malformed(why),
    };
    let host = authority.map_or("", |authority| authority.host);
    let key = target.key();
    let Some(route) = router.table.find(host, &key) else {
        let step = Step {
            name: "route",
            finding: format!(
                "no route serves host `{host}` and path `{}`",
                judged::shown(&key)
            ),
            line: None,
        };
        return Explanation {
            steps: vec![step],
            end: End::Answered(404, Some("unknown_host")),
        };
    };
    // As in the proxy, no policy sees a field that is not forwarded.
    let mut headers = head.headers().clone();
    if headers::strip_request(&mut headers).is_err() {
        return Explanation::malformed(Malformed::ProtectedFieldNamed);
    }
    let written = config
        .routes
        .iter()
        .find(|written| written.name == *route.name);
    let mut walk = Walk {
        steps: health.into_iter().map(|(step, _)| step).collect(),
        method: head.method(),
        headers: &headers,
        host,
        target: target.as_str(),
    };
    walk.step(
        "route",
        format_args!("`{}`", route.name),
        written.map(|written| written.line),
    );
    let transport = if *is_https {
        https::Transport::Tls
    } else {
        https::Transport::ClearText
    };
    walk.key(route);
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

/// Explains a request for a health check, and returns whether all listeners have a health check at its
/// path. On the other listeners it is a request like any other.
fn health_check(config: &Config, request: &http::Request<()>) -> Option<(Step, bool)> {
    let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
    let path = Some(spelling::decode(request.uri().path())).filter(|_| is_read)?;
    let with_it = |one: &&config::Listener| one.decoded_health_path().as_ref() == Some(&path);
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
        finding: format!(
            "is the health check of {}: 200 while the node is ready, else 503",
            checked.join(", ")
        ),
        line: None,
    };
    Some((step, checked.len() == config.listeners.len()))
}

impl Walk<'_> {
    fn key(&mut self, route: &Route) {
        if let Some(judged) = judged::judged(route.origin.layout(), || self.host, self.target) {
            self.step("key", judged, None);
        }
    }

    fn https(
        &mut self,
        route: &Route,
        transport: https::Transport,
        authority: Option<Authority<'_>>,
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
                let finding = format!(
                    "rule {} allows the page to read the answer",
                    matched.rule + 1
                );
                self.step("cors", finding, line);
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
                let finding = format!(
                    "`{}` lets no such operation through: {why}",
                    policy.preset.as_str()
                );
                self.step("guard", finding, None);
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
        let finding = match verdict {
            Verdict::NotListed => "passes: nothing denies it".to_owned(),
            Verdict::Allowed(_) => format!("is allowed by `{text}`"),
            Verdict::EmptyAllowed => "passes: no Referer is allowed".to_owned(),
            Verdict::EmptyDenied => "is refused: there is no Referer".to_owned(),
            Verdict::Denied(_) => format!("is refused by `{text}`"),
            Verdict::NotAllowed => "is refused: no pattern allows it".to_owned(),
        };
        let only_reports = lists.is_some_and(|lists| lists.mode == RefererMode::Report);
        self.step("referer", finding, line);
        (verdict.is_refused() && !only_reports)
            .then_some(End::Answered(403, Some("referer_refused")))
    }

    fn sent(&mut self, route: &Route) -> End {
        let mut target = self.target.to_owned();
        if let Some(policy) = &route.policies.website {
            match policy.decide(self.method, self.headers, || self.host, self.target) {
                website::FirstLookup::NotAPage => self.step("website", "not a page", None),
                website::FirstLookup::Page(first) => {
                    let finding =
                        format!("requests {first}; further requests depend on the response");
                    self.step("website", finding, None);
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
