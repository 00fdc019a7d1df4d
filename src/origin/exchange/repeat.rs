//! The rule that decides whether a request is sent again. The module does no I/O. The table in its tests
//! lists every case.
//!
//! The rule does not apply to failed connects: nothing was sent, so any request may use the next address.
//!
//! - A request of which no byte was written may be sent again, whatever its method.
//! - A GET or HEAD request may be sent again, however its connection ended.
//! - Any other idempotent request may be sent again if the connection ended, or its address became
//!   unreachable, before the first byte of a response.
//! - Every other request is sent once, because OSS may have acted on it.
//!
//! In all cases the body must be repeatable: there is none, no byte of it was read, or all bytes read are
//! kept ([`retained`](crate::origin::link::retained)). A request that may be sent twice has up to three
//! attempts: when an endpoint moves to other addresses, a reused connection can break, and then a new one
//! too. Any other request has up to two. Retries are limited to a fifth of the requests
//! ([`pool`](crate::origin::link::pool)).

use http::{HeaderMap, Method};

use crate::origin::link::upload::Upload;

/// The maximum number of attempts of a request that may be sent twice.
const ATTEMPTS: u32 = 3;
/// The maximum number of attempts of any other request, if no byte of it was written.
const ONCE_ATTEMPTS: u32 = 2;

/// The name of a header field. If its value is `true`, a second PUT of the same object fails even though the
/// first one succeeded.
const FORBID_OVERWRITE: &str = "x-oss-forbid-overwrite";

/// The effect of sending a request twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// A GET or HEAD request without a body. Sending it again changes nothing in OSS.
    Read,
    /// Two requests have the same effect as one (RFC 9110 section 9.2.2), as with PUT.
    Idempotent,
    /// Two requests may have a different effect from one, as with POST.
    Once,
}

impl RequestKind {
    /// Returns the kind of a request. A PUT that must not overwrite an object is not idempotent: if the
    /// first attempt created the object, the second one would fail because the object exists.
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

/// Whether the body of a request can be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyState {
    /// The request has no body, no byte of it was read, or all bytes read are kept.
    Repeatable,
    /// A part of the body was read and is not kept, or the client's body ended early.
    Gone,
}

impl BodyState {
    /// Returns the state of a request's body.
    #[must_use]
    pub(crate) fn of(upload: Option<&Upload>) -> Self {
        if upload.is_none_or(Upload::is_repeatable) {
            Self::Repeatable
        } else {
            Self::Gone
        }
    }
}

/// How an attempt without a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// hyper guarantees that no byte of the request was written.
    Unsent,
    /// The connection ended, or its address became unreachable, before the first byte of a response.
    Silent,
    /// The connection ended inside the head of a response.
    Begun,
    /// The attempt ended with an error that another connection would not fix, for example a timeout or a
    /// response that is not HTTP.
    Final,
}

/// A failed attempt, with the data needed for the decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempted {
    /// The kind of the request.
    pub(crate) kind: RequestKind,
    /// Whether the body of the request can be sent again.
    pub(crate) body: BodyState,
    /// How the attempt ended.
    pub(crate) end: End,
    /// The number of attempts of this request, including the failed one.
    pub(crate) attempts: u32,
    /// Whether the retry budget allows one more attempt.
    pub(crate) has_budget: bool,
}

/// The consequence of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The request is sent again, on a new connection.
    Again,
    /// The failure is reported to the client.
    Stop,
}

/// Whether the head of a request must be copied before it is sent. The copy is needed for another attempt. It
/// is also needed to request the rest of a download after a connection error.
#[must_use]
pub(crate) fn needs_copy(kind: RequestKind) -> bool {
    match kind {
        RequestKind::Read | RequestKind::Idempotent => true,
        RequestKind::Once => false,
    }
}

/// Decides whether a request is sent again after a failed attempt.
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

    /// One case of the rule: the request, its body, how the attempt ended, the number of attempts, and the
    /// decision.
    type Row = (RequestKind, BodyState, End, u32, Decision);

    #[test]
    fn the_rule_row_by_row() {
        use BodyState::{Gone, Repeatable};
        use Decision::{Again, Stop};
        use End::{Begun, Final, Silent, Unsent};
        use RequestKind::{Idempotent, Once, Read};
        let rows: [Row; 20] = [
            // GET and HEAD have three attempts, however the connection ended.
            (Read, Repeatable, Silent, 1, Again),
            (Read, Repeatable, Begun, 1, Again),
            (Read, Repeatable, Unsent, 1, Again),
            (Read, Repeatable, Begun, 2, Again),
            (Read, Repeatable, Silent, 3, Stop),
            (Read, Repeatable, Unsent, 3, Stop),
            // PUT, DELETE and OPTIONS have three attempts if no response has begun.
            (Idempotent, Repeatable, Silent, 1, Again),
            (Idempotent, Repeatable, Silent, 2, Again),
            (Idempotent, Repeatable, Silent, 3, Stop),
            (Idempotent, Repeatable, Begun, 1, Stop),
            (Idempotent, Repeatable, Unsent, 1, Again),
            // POST is sent again only if no byte was written.
            (Once, Repeatable, Silent, 1, Stop),
            (Once, Repeatable, Begun, 1, Stop),
            (Once, Repeatable, Unsent, 1, Again),
            (Once, Repeatable, Unsent, 2, Stop),
            // A body of which a part is no longer available cannot be sent again.
            (Idempotent, Gone, Silent, 1, Stop),
            (Idempotent, Gone, Unsent, 1, Stop),
            // A timeout or a response that is not HTTP would occur again.
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
