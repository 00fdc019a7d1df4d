//! The trait by which a listener creates one service for each connection.

use std::convert::Infallible;
use std::sync::Arc;

use tower::Service;

use crate::http::Received;
use crate::http::context::ConnectionInfo;

/// Creates the service of a connection.
pub trait MakeService<B>: Clone + Send + 'static {
    /// The service of one connection.
    type Service: Service<
            Received,
            Response = http::Response<B>,
            Error = Infallible,
            Future: Unpin + Send + 'static,
        > + Send
        + Unpin
        + 'static;

    /// Creates the service for the connection that `info` describes.
    fn make(&self, info: Arc<ConnectionInfo>) -> Self::Service;
}
