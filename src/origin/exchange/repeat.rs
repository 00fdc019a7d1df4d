//! Whether a request is sent again. Pure; the table in the tests states the rule row by row.
//!
//! A connect that fails is not decided here: nothing was sent, so any request goes on to the next address.
//!
//! - A request of which nothing was written may be sent again, whatever its method.
//! - A GET or HEAD may be sent again however its connection ended.
//! - Any other idempotent request may be sent again when its connection ended, or its address vanished,
//!   before the first byte of an answer.
//! - Everything else is sent once: OSS may have acted on it.
//!
//! All of this only as long as the body can be sent from its beginning: there is none, nothing of it was
//! read, or what was read is kept ([`retained`](crate::origin::link::retained)). A request has three
//! attempts: addresses that move can break a reused connection and then a new one. Retries are limited to
//! a fifth of the requests ([`pool`](crate::origin::link::pool)).

use http::{HeaderMap, Method};

use crate::origin::link::upload::Upload;

/// The most attempts of a request that can be sent twice.
const ATTEMPTS: u32 = 3;
/// The most attempts of any other request, when nothing of it was written.
const ONCE_ATTEMPTS: u32 = 2;

/// With the value `true`, a second PUT of the same object fails although the first one has succeeded.
const FORBID_OVERWRITE: &str = "x-oss-forbid-overwrite";

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
    /// The kind of a request by its method. A PUT that must not overwrite an object is not idempotent: its
    /// second attempt would meet the object of the first.
    #[must_use]
    pub(crate) fn of(method: &Method, headers: &HeaderMap, has_body: bool) -> Self {
        let forbids_overwrite = || {
            headers
                .get(FORBID_OVERWRITE)
                .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
        };
        match *method {
            Method::GET | Method::HEAD if !has_body => Self::Read,
            Method::PUT if forbids_overwrite() => Self::Once,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE => {
                Self::Idempotent
            }
            _ => Self::Once,
        }
    }
}

/// Whether the body can be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyState {
    /// There is no body, nothing of it was read, or what was read is kept.
    Repeatable,
    /// A part was read and is not kept, or the client broke the body off.
    Gone,
}

impl BodyState {
    /// The state of the body of a request.
    #[must_use]
    pub(crate) fn of(upload: Option<&Upload>) -> Self {
        if upload.is_none_or(Upload::is_repeatable) {
            Self::Repeatable
        } else {
            Self::Gone
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
    /// Whether its body can be sent again.
    pub(crate) body: BodyState,
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
pub(crate) fn needs_copy(kind: RequestKind) -> bool {
    match kind {
        RequestKind::Read | RequestKind::Idempotent => true,
        RequestKind::Once => false,
    }
}

/// Whether a request is sent again after an attempt that failed.
#[must_use]
pub(crate) fn decide(attempted: &Attempted) -> Decision {
    let Attempted {
        kind,
        body,
        end,
        attempts,
        has_budget,
    } = *attempted;
    let limit = match kind {
        RequestKind::Read | RequestKind::Idempotent => ATTEMPTS,
        RequestKind::Once => ONCE_ATTEMPTS,
    };
    let is_safe = match (end, kind) {
        (End::Unsent, _)
        | (End::Silent | End::Begun, RequestKind::Read)
        | (End::Silent, RequestKind::Idempotent) => true,
        (End::Silent, RequestKind::Once)
        | (End::Begun, RequestKind::Idempotent | RequestKind::Once)
        | (End::Final, _) => false,
    };
    if is_safe && body == BodyState::Repeatable && attempts < limit && has_budget {
        Decision::Again
    } else {
        Decision::Stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row of the rule: the request, its body, how the attempt ended, its number, and the decision.
    type Row = (RequestKind, BodyState, End, u32, Decision);

    #[test]
    fn the_rule_row_by_row() {
        use BodyState::{Gone, Repeatable};
        use Decision::{Again, Stop};
        use End::{Begun, Final, Silent, Unsent};
        use RequestKind::{Idempotent, Once, Read};
        let rows: [Row; 20] = [
            // GET and HEAD: however the connection ended, three attempts.
            (Read, Repeatable, Silent, 1, Again),
            (Read, Repeatable, Begun, 1, Again),
            (Read, Repeatable, Unsent, 1, Again),
            (Read, Repeatable, Begun, 2, Again),
            (Read, Repeatable, Silent, 3, Stop),
            (Read, Repeatable, Unsent, 3, Stop),
            // PUT, DELETE and OPTIONS: when no answer has begun, three attempts.
            (Idempotent, Repeatable, Silent, 1, Again),
            (Idempotent, Repeatable, Silent, 2, Again),
            (Idempotent, Repeatable, Silent, 3, Stop),
            (Idempotent, Repeatable, Begun, 1, Stop),
            (Idempotent, Repeatable, Unsent, 1, Again),
            // POST: only when nothing was written.
            (Once, Repeatable, Silent, 1, Stop),
            (Once, Repeatable, Begun, 1, Stop),
            (Once, Repeatable, Unsent, 1, Again),
            (Once, Repeatable, Unsent, 2, Stop),
            // A body of which a part is gone cannot be sent again.
            (Idempotent, Gone, Silent, 1, Stop),
            (Idempotent, Gone, Unsent, 1, Stop),
            // A timeout or an answer that is not HTTP would come again.
            (Read, Repeatable, Final, 1, Stop),
            (Idempotent, Repeatable, Final, 1, Stop),
            (Once, Repeatable, Final, 1, Stop),
        ];
        for row in rows {
            let (kind, body, end, attempts, expected) = row;
            let attempted = |has_budget| Attempted {
                kind,
                body,
                end,
                attempts,
                has_budget,
            };
            assert_eq!(decide(&attempted(true)), expected, "{row:?}");
            assert_eq!(decide(&attempted(false)), Stop, "no budget: {row:?}");
        }
    }

    #[test]
    fn the_kind_of_a_request_follows_from_its_head_and_body() {
        use RequestKind::{Idempotent, Once, Read};
        let none = HeaderMap::new();
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
            assert_eq!(
                RequestKind::of(&method, &none, has_body),
                expected,
                "{method}"
            );
        }
        for (value, expected) in [("true", Once), ("TRUE", Once), ("false", Idempotent)] {
            let mut headers = HeaderMap::new();
            headers.insert(FORBID_OVERWRITE, value.parse().unwrap());
            assert_eq!(RequestKind::of(&Method::PUT, &headers, true), expected);
            assert_eq!(RequestKind::of(&Method::DELETE, &headers, true), Idempotent);
        }
    }

    #[test]
    fn a_head_is_copied_where_it_may_be_sent_again() {
        assert!(needs_copy(RequestKind::Read) && needs_copy(RequestKind::Idempotent));
        assert!(!needs_copy(RequestKind::Once));
    }
}
