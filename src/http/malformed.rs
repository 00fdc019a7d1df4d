//! The reasons for refusing the form of a request, with the status and the sentence for each reason.
//!
//! The checks themselves are in [`framing`](super::framing) and
//! [`request_authority`](super::request_authority).

use http::header::{self, HeaderName};

/// The reason why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// HTTP/1.1 without `Host`, or HTTP/2 without an authority.
    MissingHost,
    /// More than one `Host` line.
    RepeatedHost,
    /// `Host` or the authority is not one host and an optional port.
    BadHost,
    /// `Host` and the request target name different hosts.
    HostsDiffer,
    /// The request target is not a path, or has a scheme other than http and https.
    BadTarget,
    /// A transfer coding other than exactly `chunked`.
    BadTransferEncoding,
    /// `Connection` names a field that is not hop-by-hop.
    ProtectedFieldNamed,
    /// `Expect` is something other than `100-continue`.
    BadExpectation,
    /// `TRACE` or `CONNECT`.
    BadMethod,
    /// More header fields than the listener accepts.
    TooManyFields,
    /// More than one `Content-Length`, or one that is not a number.
    BadLength,
    /// A header name with a character that HTTP/1.1 does not allow.
    BadFieldName,
    /// An HTTP/2 header value that begins or ends with a blank.
    BadFieldValue,
    /// A head that is not valid HTTP/1.1.
    Unreadable,
    /// A head longer than the listener accepts.
    HeadTooLarge,
    /// A target longer than hyper can parse.
    TargetTooLong,
    /// A head that was not complete within the listener's header timeout.
    LateHead,
    /// A target with a `#`.
    Fragment,
    /// More than one line of a [`SingleField`].
    RepeatedField(SingleField),
    /// A host that the connection's certificate does not cover.
    Misdirected,
    /// HTTP without TLS on a listener with TLS.
    PlainHttp,
    /// TLS on a listener without TLS.
    TlsOnPlainPort,
}

/// A field that may have only one line, because a rule checks its value. With two lines, a rule could
/// check one of them and OSS could read the other.
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
    /// Returns one sentence for the response and the log.
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
