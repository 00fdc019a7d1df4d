//! One upstream connection.

use std::pin::Pin;
use std::sync::Arc;

use hyper::client::conn::http1;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use crate::origin::endpoint::address_health::Address;
use crate::origin::link::driver::Driver;
use crate::origin::link::reuse::Age;
use crate::origin::link::socket::SocketState;
use crate::origin::link::upload::UploadBody;

/// One upstream connection that carries a request or can carry one.
pub(crate) struct Connection {
    /// The address that the connection leads to.
    pub(crate) address: Arc<Address>,
    /// The half of the hyper connection that accepts requests.
    pub(crate) sender: http1::SendRequest<UploadBody>,
    /// The half of the hyper connection that reads and writes.
    pub(crate) driver: Driver,
    /// The state of the connection's socket.
    pub(crate) socket: Arc<SocketState>,
    /// Whether the connection has carried an earlier request.
    pub(crate) age: Age,
    /// Whether the connection must not be used for another request.
    pub(crate) is_last: bool,
    /// The timer for every deadline of every request on this connection. A new request does not set the timer
    /// to a later time. When the timer fires, the request or body that uses the connection checks whether a
    /// deadline has passed, and otherwise sets the timer again. Setting a timer for each request would cost
    /// more time than taking a connection from the pool.
    pub(crate) timer: Pin<Box<Sleep>>,
    /// The permit for the request in flight. `None` without `max_per_address`, and while the connection is
    /// idle.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("address", &self.address.socket)
            .field("age", &self.age)
            .finish_non_exhaustive()
    }
}
