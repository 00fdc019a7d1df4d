//! A small OSS in memory: an async function over `http` types.
//!
//! The official SDKs work with it, and it behaves like OSS in everything that a proxy can observe. The
//! sockets are in [`crate::demo::net`]; the clock and the keys come from [`Options`]. These features are not
//! implemented: versions, lifecycle, replication, server-side encryption, callbacks, compression, and image
//! processing (`x-oss-process` on GET returns the object unchanged).
//!
//! `serve` applies the scripted faults and calls `dispatch`, which chooses the handler. Below the handlers
//! are the modules that they share: the request, the store, replies and errors.

mod attributes;
mod body;
mod bucket;
mod conditions;
mod content;
mod copy;
mod delete_many;
mod dispatch;
mod error;
mod form;
mod keyring;
mod keys;
mod list;
mod multipart;
mod multipart_list;
mod object;
mod options;
mod range;
mod read;
mod receive;
mod request;
mod respond;
mod script;
mod seen;
mod serve;
mod state;
mod store;
mod target;
mod time;
mod write;
mod xml;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body::Body;

pub use self::body::{BrokenOff, OriginBody};
pub use self::content::generated_bytes;
pub use self::keyring::Keyring;
pub use self::options::{Acl, BucketOptions, Clock, Denial, Options, TrustAll, Verify};
pub use self::script::Fault;
pub use self::seen::Seen;
pub use self::serve::ExpectSwitch;

use self::receive::Received;
use self::state::OriginState;
use self::store::Kind;

/// The origin. All clones share the same state.
#[derive(Clone)]
pub struct Origin {
    state: Arc<OriginState>,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("options", &self.state.options)
            .finish_non_exhaustive()
    }
}

impl Origin {
    /// Returns an origin with the buckets of `options`.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            state: Arc::new(OriginState::new(options)),
        }
    }

    /// Applies `fault` to every request for `key`, in any bucket, until [`Origin::clear_script`] removes the
    /// fault.
    pub fn script(&self, key: impl AsRef<[u8]>, fault: Fault) {
        self.state.script.add(key.as_ref(), fault, None);
    }

    /// Applies `fault` to the next `times` requests for `key`, in any bucket.
    pub fn script_times(&self, key: impl AsRef<[u8]>, fault: Fault, times: u32) {
        if times > 0 {
            self.state.script.add(key.as_ref(), fault, Some(times));
        }
    }

    /// Removes the faults of `key`, or of every key if `key` is `None`.
    pub fn clear_script(&self, key: Option<&[u8]>) {
        self.state.script.clear(key);
    }

    /// Returns the latest requests, oldest first; at most [`Options::remembered`].
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.list()
    }

    /// Clears the list of [`Origin::seen`]. [`Origin::requests`] still counts the removed requests.
    pub fn forget_seen(&self) {
        self.state.seen.forget();
    }

    /// Returns the number of requests received.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.state.seen.total()
    }

    /// Returns the number of calls of [`Origin::count_connection`].
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Counts one accepted connection. The code that accepts connections for this origin calls this function.
    pub fn count_connection(&self) {
        self.state.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Stores an object directly, without a request. The default of `content_type` is
    /// `application/octet-stream`. Returns `false` if the bucket does not exist.
    pub fn put(&self, bucket: &str, key: &[u8], content_type: Option<&str>, bytes: Bytes) -> bool {
        let mut object = object::object_of(
            Received::of(bytes),
            Kind::Normal,
            (self.state.options.now)(),
            HeaderMap::new(),
        );
        if let Some(value) = content_type.and_then(|text| text.parse().ok()) {
            object.headers.insert(header::CONTENT_TYPE, value);
        }
        self.state
            .store
            .with(bucket, |bucket| {
                bucket.objects.insert(key.to_vec(), Arc::new(object));
                Ok(())
            })
            .is_ok()
    }

    /// Returns the response to one request. If the future is dropped before the request's body was read
    /// completely, nothing is stored.
    pub async fn serve<B>(&self, request: Request<B>) -> Response<OriginBody>
    where
        B: Body<Data = Bytes> + Send,
    {
        serve::serve(&self.state, request).await
    }
}
