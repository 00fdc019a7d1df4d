//! Explains the outcome of a request and the rule that decides it. Nothing is sent.
//!
//! This module calls the same functions as the proxy, in the order of [`stack`](crate::route::stack).

mod address;
mod explanation;
mod fields;
mod judged;

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, Method, header};

pub use self::explanation::{End, Explanation, RequestToExplain, Step};
use crate::config::policy::RefererMode;
use crate::config::{self, Config};
use crate::http::authority::Authority;
use crate::http::framing;
use crate::http::headers;
use crate::http::malformed::Malformed;
use crate::http::message::Target;
use crate::http::signing::Admission;
use crate::origin::error::Error;
use crate::origin::{HeadToSend, Scheme};
use crate::oss::referer::Verdict;
use crate::oss::spelling;
use crate::policy::{guard, https, website};
use crate::route::{Route, Router};

/// The request to explain, and the steps explained so far.
struct Walk<'a> {
    steps: Vec<Step>,
    method: &'a Method,
    headers: &'a HeaderMap,
    host: &'a str,
    host_text: &'a [u8],
    target: &'a str,
    transport: https::Transport,
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

/// Explains `request` for `router`, which was built from `config`.
#[must_use]
pub fn explain(router: &Router, config: &Config, request: &RequestToExplain) -> Explanation {
    let RequestToExplain {
        head,
        is_https,
        client,
    } = request;
    let health = health_check(config, head);
    // A health check gets its response before all other checks, because a load balancer need not send a host.
    if let Some((step, true)) = health {
        return Explanation {
            file: None,
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
            file: None,
            steps: vec![step],
            end: End::Answered(404, Some("unknown_host")),
        };
    };
    // As in the proxy, hop-by-hop fields are removed before the policies.
    let mut headers = head.headers().clone();
    if headers::strip_request(&mut headers).is_err() {
        return Explanation::malformed(Malformed::ProtectedFieldNamed);
    }
    let written = config
        .routes
        .iter()
        .find(|written| written.name == *route.name);
    let transport = if *is_https {
        https::Transport::Tls
    } else {
        https::Transport::ClearText
    };
    let mut walk = Walk {
        steps: health.into_iter().map(|(step, _)| step).collect(),
        method: head.method(),
        headers: &headers,
        host,
        host_text: target.host_text(),
        target: target.as_str(),
        transport,
    };
    walk.step(
        "route",
        format_args!("`{}`", route.name),
        written.map(|written| written.line),
    );
    walk.key(route);
    let end = walk.ip(route, written, *client).unwrap_or_else(|| {
        // Only explained if `ip` has not refused the request: no layer changes the refusals of `ip`.
        walk.response_fields(route, written);
        walk.cors(route, written)
            .or_else(|| walk.https(route, written, authority, payload(head.headers())))
            .or_else(|| walk.guard(route, written))
            .or_else(|| walk.referer(route, written))
            .unwrap_or_else(|| walk.sent(route))
    });
    Explanation {
        file: written.map(|written| Arc::clone(&written.file)),
        steps: walk.steps,
        end,
    }
}

/// Whether the header fields announce a body.
fn payload(headers: &HeaderMap) -> https::Payload {
    let length = headers.get(header::CONTENT_LENGTH);
    let is_long = length.is_some_and(|length| length.as_bytes().iter().any(|byte| *byte != b'0'));
    if is_long || headers.contains_key(header::TRANSFER_ENCODING) {
        https::Payload::Present
    } else {
        https::Payload::Absent
    }
}

/// Explains a request for a health check. The flag is true when all listeners have a health check at the path
/// of the request. A listener without such a health check treats the request like any other request.
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
        written: Option<&config::Route>,
        authority: Option<Authority<'_>>,
        payload: https::Payload,
    ) -> Option<End> {
        let policy = route.policies.https.as_ref()?;
        let line = written.and_then(|written| Some(written.policies.https.as_ref()?.line));
        match policy.decide(
            self.transport,
            || authority,
            self.target,
            self.headers,
            payload,
        ) {
            https::Enforcement::Pass => {
                self.step("https", "passes", None);
                None
            }
            https::Enforcement::Redirect(location) => {
                self.step("https", format_args!("redirects to {location}"), line);
                let is_read = self.method == Method::GET || self.method == Method::HEAD;
                Some(End::Answered(if is_read { 301 } else { 308 }, None))
            }
            https::Enforcement::Refuse(why) => {
                let finding = match why {
                    https::NoRedirect::Mode => "is required",
                    https::NoRedirect::Host => "is required; without a host there is no redirect",
                    https::NoRedirect::Signed => "is required; a signed request is not redirected",
                    https::NoRedirect::Body => {
                        "is required; a request with a body is not redirected"
                    }
                };
                self.step("https", finding, line);
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

    fn guard(&mut self, route: &Route, written: Option<&config::Route>) -> Option<End> {
        let policy = route.policies.guard.as_ref()?;
        match policy.decide(self.method, || self.host, self.target, self.headers) {
            Ok(guard::Served::ByName(place)) => {
                let allow = written.and_then(|written| written.policies.guard.as_ref());
                let entry = allow.and_then(|guard| guard.allow.get(place));
                if let Some(entry) = entry {
                    let finding = format!("passes: `{}` is in `allow`", entry.operation);
                    self.step("guard", finding, Some(entry.line));
                }
                None
            }
            Ok(guard::Served::ByPreset) => {
                self.step("guard", "passes", None);
                None
            }
            Err(guard::NotServed::Method) => {
                let line = written.map(|written| written.methods_line);
                self.step("guard", "the route does not serve the method", line);
                Some(End::Answered(405, Some("method_not_allowed")))
            }
            Err(guard::NotServed::Operation(why)) => {
                let finding = format!(
                    "`{}` lets no such operation through: {why}",
                    policy.preset.as_str()
                );
                let guard = written.and_then(|written| written.policies.guard.as_ref());
                self.step("guard", finding, guard.map(|guard| guard.line));
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
        let line = match verdict {
            Verdict::EmptyDenied => lists.map(|lists| lists.allow_empty_line),
            Verdict::NotAllowed => lists.map(|lists| lists.allow_line),
            Verdict::Allowed(_)
            | Verdict::Denied(_)
            | Verdict::NotListed
            | Verdict::EmptyAllowed => pattern.map(|pattern| pattern.line),
        };
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
        let finding = if verdict.is_refused() && only_reports {
            format!("{finding}; served all the same, because the mode is `report`")
        } else {
            finding
        };
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
        let head = HeadToSend {
            method: self.method,
            target: &target,
            headers: self.headers,
            host: self.host,
            host_text: self.host_text,
            scheme: match self.transport {
                https::Transport::ClearText => Scheme::Http,
                https::Transport::Tls => Scheme::Https,
            },
        };
        match route.origin.destination(&head) {
            Ok(destination) => {
                if let Some(end) = self.signed(route, destination.admission) {
                    return end;
                }
                self.step("origin", &destination, None);
                self.request_fields(route);
                End::Sent(destination)
            }
            Err(error) => {
                let name = match error {
                    Error::NotSigned(_) => "sign",
                    _ => "origin",
                };
                self.step(name, error.message(None), None);
                End::Answered(error.status().as_u16(), Some(error.kind()))
            }
        }
    }
    /// Explains whether the proxy signs the request. Returns the outcome if the proxy must sign but has no key.
    fn signed(&mut self, route: &Route, admission: Option<Admission>) -> Option<End> {
        let signer = route.signer.as_ref()?;
        match admission? {
            Admission::Sign => self.step("sign", signer.describe(), None),
            Admission::Unchanged => {
                let finding =
                    "passes unchanged: the client has signed it, or it needs no signature";
                self.step("sign", finding, None);
                return None;
            }
        }
        signer
            .is_without_key()
            .then_some(End::Answered(503, Some("credentials_unavailable")))
    }
}
