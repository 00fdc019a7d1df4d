//! The error of a config that this process cannot serve.

use std::io;

use hickory_resolver::net::NetError;

use crate::route::build::BuildError;

/// The error of a start or a reload.
#[derive(Debug)]
pub enum StartError {
    /// A listener could not be bound.
    Bind {
        /// The address of the listener, as written in the config.
        address: String,
        /// The OS error.
        error: io::Error,
    },
    /// The TLS settings of a listener could not be set up.
    Tls(rustls::Error),
    /// The resolver could not be set up.
    Dns(NetError),
    /// A route could not be built.
    Route(BuildError),
    /// A thread could not be started, or a log file could not be opened.
    System(io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bind { address, error } => {
                write!(f, "cannot listen on `{address}`: {error}")?;
                f.write_str(match error.kind() {
                    io::ErrorKind::AddrInUse => "; another process listens there",
                    io::ErrorKind::AddrNotAvailable => "; this machine does not have the address",
                    io::ErrorKind::PermissionDenied => {
                        "; a port below 1024 needs root or CAP_NET_BIND_SERVICE"
                    }
                    _ => "",
                })
            }
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
            Self::Dns(error) => Some(error),
            Self::Route(error) => Some(error),
        }
    }
}
