//! Which connections a request accepts, and what is known of the one it gets.

/// Which connections a request accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acceptable {
    /// An idle one, else a new one.
    Any,
    /// An idle one that the kernel confirms to be open, else a new one. For requests that cannot be sent
    /// twice: the event loop may not have reported yet that the peer has closed the connection.
    ConfirmedOpen,
    /// A new one only.
    New,
}

/// Whether a connection has carried a request before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// This is its first request.
    Fresh,
    /// It comes from the pool; OSS may close it at any moment.
    Reused,
}
