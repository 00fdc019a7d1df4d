//! Whether a request is sent again. Pure; the table in the tests states the rule row by row.
//!
//! A connect that fails is not decided here: nothing was sent, so any request goes on to the next address.
//!
//! - A request of which nothing was written may be sent again, whatever its method, as long as its body is
//!   untouched.
//! - A GET or HEAD may be sent again however its connection ended, also on a new connection, and twice:
//!   addresses that move can break a reused connection and then a new one.
//! - Any other idempotent request without a body may be sent again, once, when a reused connection ended
//!   before the first byte of an answer: OSS most likely closed it before the request arrived.
//! - Everything else is sent once: OSS may have acted on it.
//!
//! Retries are limited to a fifth of the requests (see [`pool`](crate::origin::link::pool)).

use http::Method;

use crate::origin::link::connection::Age;
use crate::origin::link::upload::Upload;

/// The most attempts of a GET or HEAD.
const READ_ATTEMPTS: u32 = 3;
/// The most attempts of any other request.
const ATTEMPTS: u32 = 2;

/// What sending a request twice can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// Nothing: a GET or HEAD without a body.
    Read,
    /// The same as sending it once (RFC 9110 section 9.2.2).
    Idempotent,
    /// Something else, as with POST.
    Once,
}

impl RequestKind {
    /// The kind of a request by its method.
    #[must_use]
    pub(crate) fn of(method: &Method, has_body: bool) -> Self {
        match *method {
            Method::GET | Method::HEAD if !has_body => Self::Read,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE => {
                Self::Idempotent
            }
            _ => Self::Once,
        }
    }
}

/// How much of the body was read from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodySent {
    /// There is no body, or nothing of it was read.
    Nothing,
    /// At least a part was read, and the proxy does not have it any more.
    Part,
    /// The client broke off its body.
    Broken,
}

impl BodySent {
    /// The state of `upload`.
    #[must_use]
    pub(crate) fn of(upload: &Upload) -> Self {
        if upload.has_failed() {
            Self::Broken
        } else if upload.is_untouched() {
            Self::Nothing
        } else {
            Self::Part
        }
    }
}

/// How an attempt ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// hyper guarantees that no byte of the request was written.
    Unsent,
    /// The connection ended, or its address is gone, before the first byte of an answer.
    Silent,
    /// The connection ended inside the head of an answer.
    Begun,
    /// In a way that another connection does not help against: a timeout, an answer that is not HTTP.
    Final,
}

/// An attempt that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempted {
    /// The kind of the request.
    pub(crate) kind: RequestKind,
    /// How much of its body was read.
    pub(crate) body: BodySent,
    /// The connection it was sent on.
    pub(crate) connection: Age,
    /// How the attempt ended.
    pub(crate) end: End,
    /// Attempts so far, this one included.
    pub(crate) attempts: u32,
    /// Whether the retry budget allows one more.
    pub(crate) has_budget: bool,
}

/// What follows an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Another attempt, on a new connection.
    Again,
    /// The failure is reported to the client.
    Stop,
}

/// Whether the head of a request has to be copied before it is sent: for another attempt, or for the rest
/// of a download that breaks.
#[must_use]
pub(crate) fn needs_copy(kind: RequestKind, connection: Age) -> bool {
    match kind {
        RequestKind::Read => true,
        RequestKind::Idempotent => connection == Age::Reused,
        RequestKind::Once => false,
    }
}

/// Whether a request is sent again after an attempt that failed.
#[must_use]
pub(crate) fn decide(attempted: &Attempted) -> Decision {
    let Attempted {
        kind,
        body,
        connection,
        end,
        attempts,
        has_budget,
    } = *attempted;
    let limit = match kind {
        RequestKind::Read => READ_ATTEMPTS,
        RequestKind::Idempotent | RequestKind::Once => ATTEMPTS,
    };
    let is_safe = match (end, kind) {
        (End::Unsent, _) | (End::Silent | End::Begun, RequestKind::Read) => true,
        (End::Silent, RequestKind::Idempotent) => connection == Age::Reused,
        (End::Silent, RequestKind::Once)
        | (End::Begun, RequestKind::Idempotent | RequestKind::Once)
        | (End::Final, _) => false,
    };
    if is_safe && body == BodySent::Nothing && attempts < limit && has_budget {
        Decision::Again
    } else {
        Decision::Stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row of the rule: the request, what was sent, how it ended, the attempt, and the decision.
    type Row = (RequestKind, BodySent, Age, End, u32, Decision);

    #[test]
    fn the_rule_row_by_row() {
        use Age::{Fresh, Reused};
        use BodySent::{Broken, Nothing, Part};
        use Decision::{Again, Stop};
        use End::{Begun, Final, Silent, Unsent};
        use RequestKind::{Idempotent, Once, Read};
        let rows: [Row; 27] = [
            // GET and HEAD: however the connection ended, on any connection, three attempts.
            (Read, Nothing, Reused, Silent, 1, Again),
            (Read, Nothing, Reused, Begun, 1, Again),
            (Read, Nothing, Reused, Unsent, 1, Again),
            (Read, Nothing, Fresh, Silent, 1, Again),
            (Read, Nothing, Fresh, Begun, 2, Again),
            (Read, Nothing, Fresh, Silent, 3, Stop),
            (Read, Nothing, Fresh, Unsent, 3, Stop),
            // PUT, DELETE and OPTIONS without a body: after a reused connection that stayed silent.
            (Idempotent, Nothing, Reused, Silent, 1, Again),
            (Idempotent, Nothing, Reused, Silent, 2, Stop),
            (Idempotent, Nothing, Reused, Begun, 1, Stop),
            (Idempotent, Nothing, Fresh, Silent, 1, Stop),
            (Idempotent, Nothing, Fresh, Begun, 1, Stop),
            (Idempotent, Nothing, Reused, Unsent, 1, Again),
            (Idempotent, Nothing, Fresh, Unsent, 1, Again),
            (Idempotent, Nothing, Fresh, Unsent, 2, Stop),
            // POST: only when nothing was written.
            (Once, Nothing, Reused, Silent, 1, Stop),
            (Once, Nothing, Reused, Begun, 1, Stop),
            (Once, Nothing, Reused, Unsent, 1, Again),
            (Once, Nothing, Fresh, Unsent, 1, Again),
            (Once, Nothing, Fresh, Unsent, 2, Stop),
            // A body of which a part is gone cannot be sent again.
            (Idempotent, Part, Reused, Silent, 1, Stop),
            (Idempotent, Part, Reused, Unsent, 1, Stop),
            (Idempotent, Broken, Reused, Unsent, 1, Stop),
            // A timeout or an answer that is not HTTP would come again.
            (Read, Nothing, Reused, Final, 1, Stop),
            (Read, Nothing, Fresh, Final, 1, Stop),
            (Idempotent, Nothing, Reused, Final, 1, Stop),
            (Once, Nothing, Reused, Final, 1, Stop),
        ];
        for row in rows {
            let (kind, body, connection, end, attempts, expected) = row;
            let attempted = |has_budget| Attempted {
                kind,
                body,
                connection,
                end,
                attempts,
                has_budget,
            };
            assert_eq!(decide(&attempted(true)), expected, "{row:?}");
            assert_eq!(decide(&attempted(false)), Stop, "no budget: {row:?}");
        }
    }

    #[test]
    fn the_kind_of_a_request_follows_from_its_method_and_body() {
        use RequestKind::{Idempotent, Once, Read};
        for (method, has_body, expected) in [
            (Method::GET, false, Read),
            (Method::HEAD, false, Read),
            (Method::GET, true, Idempotent),
            (Method::PUT, false, Idempotent),
            (Method::PUT, true, Idempotent),
            (Method::DELETE, false, Idempotent),
            (Method::OPTIONS, false, Idempotent),
            (Method::POST, false, Once),
            (Method::POST, true, Once),
            (Method::PATCH, false, Once),
        ] {
            assert_eq!(RequestKind::of(&method, has_body), expected, "{method}");
        }
    }

    #[test]
    fn a_head_is_copied_where_it_may_be_sent_again() {
        for (kind, connection, expected) in [
            (RequestKind::Read, Age::Fresh, true),
            (RequestKind::Read, Age::Reused, true),
            (RequestKind::Idempotent, Age::Reused, true),
            (RequestKind::Idempotent, Age::Fresh, false),
            (RequestKind::Once, Age::Reused, false),
        ] {
            assert_eq!(needs_copy(kind, connection), expected, "{kind:?}");
        }
    }
}
