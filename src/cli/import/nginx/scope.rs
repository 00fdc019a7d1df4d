//! The directives that are in effect in a block, and the requests that they refuse.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::cli::import::nginx::access::{Access, Refused};
use crate::cli::import::nginx::changed::Changed;
use crate::cli::import::nginx::left_out::{LeftOut, left_out};
use crate::cli::import::nginx::loss::Loss;
use crate::cli::import::nginx::map::Maps;
use crate::cli::import::nginx::mapping::Rewrite;
use crate::cli::import::nginx::methods::Methods;
use crate::cli::import::nginx::notes::Notes;
use crate::cli::import::nginx::syntax::Directive;
use crate::cli::import::nginx::variables::Variables;

/// The response that nginx itself gives to every request, so that no request reaches OSS.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// A refusal.
    Refusal(Rc<Loss>),
    /// A redirect to the same URL with `https`.
    ToHttps,
    /// Another response of nginx.
    Answer,
}

/// The place from which nginx takes the address of a client behind a trusted proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RealIp {
    /// `X-Forwarded-For`.
    Forwarded,
    /// The PROXY header.
    ProxyHeader,
    /// Another header field. The default of nginx is `X-Real-IP`.
    #[default]
    Other,
}

/// The response to requests without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ClearText {
    Redirected,
    Refused,
}

/// The effect of the directives `if`, `rewrite` and `return`. A location inherits this effect from its server,
/// but not from a location around it: the directives of the server apply to every request, before those of the
/// location.
#[derive(Clone, Debug, Default)]
pub(super) struct Phase {
    pub(super) end: Option<End>,
    pub(super) methods: Option<Methods>,
    /// The `valid_referers` directive, if requests with another Referer are refused.
    pub(super) referer: Option<Rc<Directive>>,
    pub(super) clear_text: Option<ClearText>,
    /// The only host that is not refused.
    pub(super) only_host: Option<(String, Rc<Loss>)>,
    /// Hosts that are redirected to HTTPS.
    pub(super) to_https: Vec<String>,
    /// Hosts that are refused.
    pub(super) refused_hosts: Vec<(String, Rc<Loss>)>,
    /// Variables that a map sets, without `$`. A request is refused if one of them is empty.
    pub(super) needed: Vec<(String, Rc<Loss>)>,
    /// Refusals that cannot be imported.
    pub(super) losses: Vec<Rc<Loss>>,
    /// Refusals that are imported as keys of a route. They are lost for requests that another route serves.
    pub(super) carried: Vec<Rc<Loss>>,
    pub(super) rewrites: Vec<Rewrite>,
    /// Whether a preflight gets its response from nginx.
    pub(super) has_preflight: bool,
    /// The names and values of the `add_header` directives for the response to a preflight.
    pub(super) preflight: Vec<(String, String)>,
}

/// The directives that are in effect in a block.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) variables: Variables,
    /// Hosts from which an `if` captures a bucket.
    pub(super) captured_hosts: Vec<String>,
    /// Maps that the import makes from captures of the host.
    pub(super) maps: Maps,
    pub(super) access: Access,
    /// Refusals that cannot be imported, by the family of [`LeftOut::Closing`].
    pub(super) closings: BTreeMap<&'static str, Vec<Rc<Loss>>>,
    /// The methods that `limit_except` permits.
    pub(super) limited: Option<(Methods, Rc<Loss>)>,
    pub(super) valid_referers: Option<Rc<Directive>>,
    /// The value of `Host` that nginx sends.
    pub(super) host: Option<String>,
    /// `proxy_connect_timeout`, as a duration of the config.
    pub(super) connect: Option<String>,
    /// `proxy_read_timeout`, as a duration of the config.
    pub(super) read: Option<String>,
    /// The keys of `hsts`.
    pub(super) hsts: Option<String>,
    /// The `add_header` directives.
    pub(super) headers: Vec<Changed>,
    /// The fields that `expires` replaces and removes.
    pub(super) expires: Vec<Changed>,
    /// The fields that `more_set_headers` and `more_clear_headers` replace and remove.
    pub(super) replaced: Vec<Changed>,
    /// The fields of requests to OSS that nginx sets to a fixed value or, without a value, removes.
    pub(super) request_fields: Vec<Changed>,
    /// The names of the `proxy_hide_header` directives, in lower case.
    pub(super) hidden: Vec<(String, Rc<Directive>)>,
    /// `error_page` for the status 404.
    pub(super) error_page: Option<Rc<Directive>>,
    pub(super) intercepts: bool,
    /// Whether `client_max_body_size` is written.
    pub(super) has_body_limit: bool,
    pub(super) index: Option<Rc<Directive>>,
    /// The addresses of `set_real_ip_from`.
    pub(super) trusted: Vec<String>,
    /// Where nginx finds the address of a client behind a trusted proxy.
    pub(super) real_ip: RealIp,
    /// Whether an address of `set_real_ip_from` is not imported.
    pub(super) lacks_trusted: bool,
    pub(super) phase: Phase,
}

impl Scope {
    /// Adds a directive that has no counterpart in the config.
    pub(super) fn leave_out(&mut self, directive: &Directive, notes: &mut Notes) {
        match left_out(directive) {
            LeftOut::NotNeeded => {}
            LeftOut::NotCarried(text) => notes.add(directive, &text),
            LeftOut::Closing(family @ ("unknown" | "include" | "code"), loss) => {
                self.closings.entry(family).or_default().push(Rc::new(loss));
            }
            LeftOut::Closing(family, loss) => {
                self.closings.insert(family, vec![Rc::new(loss)]);
            }
            LeftOut::Reopening(family) => {
                self.closings.remove(family);
            }
        }
    }

    /// Makes the phase refuse the requests that `valid_referers` finds invalid.
    pub(super) fn refuse_invalid_referers(&mut self, carried: Rc<Loss>) {
        let Some(valid) = &self.valid_referers else {
            // Without `valid_referers`, nginx finds no Referer invalid.
            return;
        };
        match &self.phase.referer {
            Some(other) if other.words != valid.words => self.phase.losses.push(carried),
            _ => {
                self.phase.referer = Some(Rc::clone(valid));
                self.phase.carried.push(carried);
            }
        }
    }

    /// Returns the methods that are not refused. `None` means all methods.
    pub(super) fn methods(&self) -> Option<Methods> {
        match (&self.limited, self.phase.methods) {
            (None, methods) => methods,
            (Some((limited, _)), None) => Some(*limited),
            (Some((limited, _)), Some(methods)) => Some(limited.and(methods)),
        }
    }

    /// Returns the loss of the directive that refuses every request. `None` means that some requests are served.
    pub(super) fn closed(&self) -> Option<Rc<Loss>> {
        if let Some(End::Refusal(loss)) = &self.phase.end {
            return Some(Rc::clone(loss));
        }
        match self.access.refused() {
            Refused::Everything(loss) => Some(loss),
            Refused::Nothing | Refused::Some(_) => None,
        }
    }

    /// Returns the keys of the table `ip`. `None` if no address is refused, if the table cannot refuse the same
    /// addresses, or if `satisfy` makes another check an alternative to the address.
    pub(super) fn ip(&self) -> Option<String> {
        match self.access.refused() {
            Refused::Some(_) if !self.closings.contains_key("satisfy") => self.access.keys(),
            _ => None,
        }
    }

    /// Returns the losses of the `allow` and `deny` rules, if they refuse some addresses but not all.
    pub(super) fn refused_addresses(&self) -> Vec<Rc<Loss>> {
        match self.access.refused() {
            Refused::Some(losses) => losses,
            Refused::Nothing | Refused::Everything(_) => Vec::new(),
        }
    }

    /// Returns the refusals that cannot be imported.
    pub(super) fn losses(&self) -> Vec<Rc<Loss>> {
        let mut losses = match self.ip() {
            Some(_) => Vec::new(),
            None => self.refused_addresses(),
        };
        losses.extend(self.closings.values().flatten().cloned());
        losses.extend(self.phase.losses.iter().cloned());
        losses
    }

    /// Returns the refusals that a route of the block expresses, by its keys or its hosts.
    pub(super) fn carried(&self) -> Vec<Rc<Loss>> {
        let limited = self.limited.iter().map(|(_, loss)| Rc::clone(loss));
        let hosts = self.phase.only_host.iter().chain(&self.phase.refused_hosts);
        let needed = self.phase.needed.iter();
        let of_hosts = hosts.chain(needed).map(|(_, loss)| Rc::clone(loss));
        let of_phase = self.phase.carried.iter().cloned();
        let of_addresses = self.ip().map(|_| self.refused_addresses());
        let of_addresses = of_addresses.into_iter().flatten();
        limited
            .chain(of_phase)
            .chain(of_hosts)
            .chain(of_addresses)
            .collect()
    }
}

/// Returns the loss for a `proxy_pass` or a `rewrite` that removes the query.
pub(super) fn cut_query(directive: &Directive) -> Loss {
    let refused = "what a query asks for, such as `?acl` or a signature in the URL: OSS does not get the query";
    let remedy = "let `proxy_pass` keep the query, or set `guard` on the route";
    Loss::new(directive, refused, remedy)
}
