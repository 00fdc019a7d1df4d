//! Why a config cannot be served by this process.

use std::io;

use crate::route::build::BuildError;

/// Why an app could not be started.
#[derive(Debug)]
pub enum StartError {
    /// A listener could not be bound.
    Bind {
        /// Its address as the config writes it.
        address: String,
        /// What the system says.
        error: io::Error,
    },
    /// TLS could not be set up.
    Tls(rustls::Error),
    /// The resolver could not be set up.
    Dns(String),
    /// A route could not be built.
    Route(BuildError),
    /// A thread, an event loop or a log file could not be had.
    System(io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bind { address, error } => write!(f, "cannot listen on `{address}`: {error}"),
            Self::Tls(error) => write!(f, "cannot set up tls: {error}"),
            Self::Dns(error) => write!(f, "cannot set up dns: {error}"),
            Self::Route(error) => error.fmt(f),
            Self::System(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { error, .. } | Self::System(error) => Some(error),
            Self::Tls(error) => Some(error),
            Self::Route(error) => Some(error),
            Self::Dns(_) => None,
        }
    }
}
