//! The reasons for refusing a request because of its form, with the status and the message of each reason.
//!
//! Most of the checks are in [`framing`](super::framing) and
//! [`request_authority`](super::request_authority). The listener and the router make the others.

use http::header::{self, HeaderName};

/// The reason why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Neither the request target nor `Host` names a host. Only HTTP/1.0 allows this.
    MissingHost,
    /// The request has more than one `Host` line.
    RepeatedHost,
    /// `Host` or the authority in the request target is not one host and an optional port.
    BadHost,
    /// `Host` and the request target name different hosts or ports.
    HostsDiffer,
    /// The path of the request target does not begin with `/`, or the target has a scheme other than http
    /// and https.
    BadTarget,
    /// The request has a transfer coding other than exactly `chunked`.
    BadTransferEncoding,
    /// `Connection` names a field without which the request would have another meaning.
    ProtectedFieldNamed,
    /// The request has an `Expect` other than `100-continue`, or more than one.
    BadExpectation,
    /// The method is `TRACE` or `CONNECT`.
    BadMethod,
    /// The request has more header fields than the listener accepts.
    TooManyFields,
    /// The request has more than one `Content-Length`, or one that is not a number.
    BadLength,
    /// An HTTP/2 header name has a character that HTTP/1.1 does not allow.
    BadFieldName,
    /// An HTTP/2 header value begins or ends with a blank.
    BadFieldValue,
    /// The head is not valid HTTP/1.1.
    Unreadable,
    /// The head is longer than the listener accepts.
    HeadTooLarge,
    /// The request target is longer than hyper can parse.
    TargetTooLong,
    /// The head was not complete within the listener's header timeout.
    LateHead,
    /// The request target has a `#`.
    Fragment,
    /// The request has more than one line of a [`SingleField`].
    RepeatedField(SingleField),
    /// The certificate of the TLS connection does not cover the requested host.
    Misdirected,
    /// The client speaks HTTP without TLS on a listener with TLS.
    PlainHttp,
    /// The client speaks TLS on a listener without TLS.
    TlsOnPlainPort,
}

/// A field that may have only one line, because the proxy makes a decision by its value. With two lines,
/// the proxy could check one line and OSS could read the other line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SingleField {
    /// `Authorization`.
    Authorization,
    /// `Referer`.
    Referer,
    /// `Origin`.
    Origin,
    /// `Access-Control-Request-Method`.
    PreflightMethod,
}

impl SingleField {
    /// All variants.
    pub const ALL: [Self; 4] = [
        Self::Authorization,
        Self::Referer,
        Self::Origin,
        Self::PreflightMethod,
    ];

    /// Returns the name of the field.
    #[must_use]
    pub fn name(self) -> HeaderName {
        match self {
            Self::Authorization => header::AUTHORIZATION,
            Self::Referer => header::REFERER,
            Self::Origin => header::ORIGIN,
            Self::PreflightMethod => header::ACCESS_CONTROL_REQUEST_METHOD,
        }
    }
}

impl Malformed {
    /// Returns the message for the response and the log.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::MissingHost => "The request names no host.",
            Self::RepeatedHost => "The request has more than one Host header.",
            Self::BadHost => {
                "The Host of the request is not a host name or address with an optional port."
            }
            Self::HostsDiffer => "The request target and the Host header name different hosts.",
            Self::BadTarget => "The request target is not an absolute path.",
            Self::BadTransferEncoding => {
                "The transfer coding of the request is not exactly chunked."
            }
            Self::ProtectedFieldNamed => {
                "The Connection header names a field that is not hop-by-hop."
            }
            Self::BadExpectation => "The request expects something other than 100-continue.",
            Self::BadMethod => "The request method cannot be proxied.",
            Self::TooManyFields => "The request has more header fields than this listener takes.",
            Self::BadLength => "The request has a Content-Length that is not one number.",
            Self::BadFieldName => "A header name of the request is not a token.",
            Self::BadFieldValue => "A header value of the request begins or ends with a blank.",
            Self::Unreadable => "The head of the request is not valid HTTP/1.1.",
            Self::HeadTooLarge => "The head of the request is longer than this listener takes.",
            Self::TargetTooLong => "The request target is too long.",
            Self::LateHead => "The head of the request did not come in time.",
            Self::Fragment => {
                "The request target has a `#`, which must be sent as %23 where it is part of a name."
            }
            Self::RepeatedField(field) => match field {
                SingleField::Authorization => "The request has more than one Authorization header.",
                SingleField::Referer => "The request has more than one Referer header.",
                SingleField::Origin => "The request has more than one Origin header.",
                SingleField::PreflightMethod => {
                    "The request has more than one Access-Control-Request-Method header."
                }
            },
            Self::Misdirected => {
                "The certificate of this TLS connection is not for the host of the request. \
                 A connection with that host as its server name (SNI) is needed."
            }
            Self::PlainHttp => "This port speaks HTTPS, but the request came without TLS.",
            Self::TlsOnPlainPort => {
                "This port speaks HTTP without TLS, but the client began a TLS handshake."
            }
        }
    }

    /// Returns the kind of the response, for logs, metrics and `x-ossgate-error`.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Misdirected => "misdirected",
            Self::PlainHttp => "plain_http",
            Self::TlsOnPlainPort => "tls_on_plain_port",
            _ => "bad_request",
        }
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status(self) -> http::StatusCode {
        match self {
            Self::BadMethod => http::StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManyFields | Self::HeadTooLarge => {
                http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::TargetTooLong => http::StatusCode::URI_TOO_LONG,
            Self::LateHead => http::StatusCode::REQUEST_TIMEOUT,
            Self::BadExpectation => http::StatusCode::EXPECTATION_FAILED,
            Self::Misdirected => http::StatusCode::MISDIRECTED_REQUEST,
            Self::MissingHost
            | Self::RepeatedHost
            | Self::BadHost
            | Self::HostsDiffer
            | Self::BadTarget
            | Self::BadTransferEncoding
            | Self::ProtectedFieldNamed
            | Self::BadLength
            | Self::BadFieldName
            | Self::BadFieldValue
            | Self::Unreadable
            | Self::Fragment
            | Self::RepeatedField(_)
            | Self::PlainHttp
            | Self::TlsOnPlainPort => http::StatusCode::BAD_REQUEST,
        }
    }
}
