//! The errors that end a client connection early.

use std::error::Error;
use std::fmt;
use std::io;

use crate::listener::deadline::ClientTimeout;

/// The error that ended a client connection. A drain is not an error, and neither is a client that closes
/// the connection between two requests.
#[derive(Debug)]
pub(super) enum ConnectionError {
    /// hyper has ended the connection: the client broke the protocol or closed it within a request, or
    /// the body of a response failed.
    Http(hyper::Error),
    /// The socket failed.
    Socket(io::Error),
    /// The client missed a deadline.
    Timeout(ClientTimeout),
    /// The client cancelled too many HTTP/2 streams before their responses began.
    CancelledStreams,
    /// On an HTTP/2 connection, the client sent too many bytes that belong to no request.
    FrameBudget,
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => write!(f, "{error}"),
            Self::Socket(error) => write!(f, "{error}"),
            Self::Timeout(what) => write!(f, "{what} timeout"),
            Self::CancelledStreams => f.write_str("too many streams opened and cancelled"),
            Self::FrameBudget => f.write_str("too many bytes that belong to no request"),
        }
    }
}

impl Error for ConnectionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // The message of the inner error is already part of this error's message, so the source of
            // the inner error is returned.
            Self::Http(error) => error.source(),
            Self::Socket(error) => error.source(),
            Self::Timeout(_) | Self::CancelledStreams | Self::FrameBudget => None,
        }
    }
}

impl From<hyper::Error> for ConnectionError {
    fn from(error: hyper::Error) -> Self {
        Self::Http(error)
    }
}

impl From<ClientTimeout> for ConnectionError {
    fn from(timeout: ClientTimeout) -> Self {
        Self::Timeout(timeout)
    }
}
