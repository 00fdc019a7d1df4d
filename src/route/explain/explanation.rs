//! A request to explain, and its explanation.

use crate::http::malformed::Malformed;
use crate::origin::Destination;

/// A request to explain. It has a body when its header fields announce one.
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
    pub(super) fn malformed(why: Malformed) -> Self {
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
