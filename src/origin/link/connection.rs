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
    /// The address it leads to.
    pub(crate) address: Arc<Address>,
    /// hyper's half that accepts requests.
    pub(crate) sender: http1::SendRequest<UploadBody>,
    /// hyper's half that reads and writes.
    pub(crate) driver: Driver,
    /// The state of its socket.
    pub(crate) socket: Arc<SocketState>,
    /// Whether it has carried a request before.
    pub(crate) age: Age,
    /// Whether it must not be used for another request.
    pub(crate) is_last: bool,
    /// The timer for every deadline of every request on this connection. It is never moved forward for a
    /// request: when it fires, its user checks whether a deadline has passed and sets it again. Arming a
    /// timer for each request would cost more than the pool does.
    pub(crate) timer: Pin<Box<Sleep>>,
    /// Its permit under `max_per_address`.
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
