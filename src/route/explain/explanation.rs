//! A request to explain, and its explanation.

use std::net::IpAddr;
use std::sync::Arc;

use crate::http::malformed::Malformed;
use crate::origin::Destination;

/// A request to explain. It has a body when its header fields announce one.
#[derive(Debug)]
pub struct RequestToExplain {
    /// The method, the target and the header fields, `Host` included.
    pub head: http::Request<()>,
    /// Whether the request comes over TLS.
    pub is_https: bool,
    /// The address of the client, behind all trusted proxies. With `None`, the decisions about it are left out.
    pub client: Option<IpAddr>,
}

/// The decision of one part of the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The part: `health`, `framing`, `route`, `key`, the name of a policy, or `origin`.
    pub name: &'static str,
    /// The decision as text.
    pub finding: String,
    /// The line of [`Explanation::file`] that decided; `None` when no single line did.
    pub line: Option<usize>,
}

/// The final outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The proxy sends the request to OSS.
    Sent(Destination),
    /// The proxy itself responds with this status. The text is the kind of the error, as in the response
    /// header `x-ossgate-error`; `None` if the response is not an error.
    Answered(u16, Option<&'static str>),
}

impl End {
    /// Whether the request is served: the proxy sends it to OSS, or the status of the proxy's own response is
    /// below 400.
    #[must_use]
    pub fn is_served(&self) -> bool {
        match self {
            Self::Sent(_) => true,
            Self::Answered(status, _) => *status < 400,
        }
    }
}

/// The explanation of a request: its final outcome, and the steps that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The name of the config file that contains the route. The lines of the steps are lines of this file. `None`
    /// when no route serves the request.
    pub file: Option<Arc<str>>,
    /// The steps, in the order of the proxy.
    pub steps: Vec<Step>,
    /// The final outcome of the request.
    pub end: End,
}

impl Explanation {
    /// Explains a request that the router refuses before it chooses a route.
    pub(super) fn malformed(why: Malformed) -> Self {
        Self {
            file: None,
            steps: vec![Step {
                name: "framing",
                finding: why.message().to_owned(),
                line: None,
            }],
            end: End::Answered(why.status().as_u16(), Some("bad_request")),
        }
    }
}
