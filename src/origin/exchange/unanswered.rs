//! A request that got no response from OSS.

use std::sync::Arc;

use crate::origin::endpoint_info::EndpointInfo;
use crate::origin::error::Error;
use crate::origin::link::host::Host;

/// A request that got no response from OSS.
#[derive(Debug)]
pub(crate) struct Unanswered {
    /// The reason.
    pub(crate) error: Error,
    /// The endpoint of the last attempt; `None` if there was no attempt.
    pub(crate) endpoint: Option<Arc<EndpointInfo>>,
}

impl Unanswered {
    /// Creates the value for an attempt to send a request to `host` that failed with `error`.
    pub(super) fn at(host: &Host, error: Error) -> Self {
        Self {
            error,
            endpoint: Some(Arc::clone(&host.info)),
        }
    }
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Self {
        Self {
            error,
            endpoint: None,
        }
    }
}
