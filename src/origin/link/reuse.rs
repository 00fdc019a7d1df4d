//! The types that state which connections a request accepts, and whether a connection is new.

/// The connections that a request accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acceptable {
    /// An idle connection if there is one, otherwise a new one.
    Any,
    /// An idle connection if the kernel confirms that it is open, otherwise a new one. This is for requests
    /// that cannot be repeated: the peer may have closed the connection, and the event loop may not have
    /// reported that yet.
    ConfirmedOpen,
    /// A new connection only.
    New,
}

/// Whether a connection has carried an earlier request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// The connection is new and carries its first request.
    Fresh,
    /// The connection comes from the pool; OSS may close it at any time.
    Reused,
}
