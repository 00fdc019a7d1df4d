//! A sample OSS in memory: an async function over `http` types.
//!
//! Good enough that the official SDKs work against it; meant to be wrong nowhere that a proxy could
//! notice. No sockets here ([`crate::demo::net`] has them), no clock and no keys of its own. Not
//! there: versions, lifecycle, replication, server-side encryption, callbacks, image processing
//! (`x-oss-process` on GET answers the object unchanged) and compression.

mod attributes;
mod body;
mod bucket;
mod call;
mod copy;
mod delete_many;
mod form;
mod keyring;
mod list;
mod multipart;
mod multipart_list;
mod options;
mod range;
mod read;
mod receive;
mod refusal;
mod respond;
mod script;
mod seen;
mod store;
mod target;
mod time;
mod write;
mod xml;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;

pub use self::body::{BrokenOff, OriginBody, generated_bytes};
pub use self::keyring::Keyring;
pub use self::options::{Acl, BucketOptions, Clock, Denial, Options, TrustAll, Verify};
pub use self::script::Fault;
pub use self::seen::Seen;

use self::call::Call;
use self::receive::{Gone, Incoming};
use self::refusal::Refusal;
use self::respond::Reply;
use self::store::{Bucket, Store};

/// Whether the connection of a request is to keep `100 Continue` to itself; an extension of the
/// request, set by [`crate::demo::net`].
#[derive(Clone, Debug, Default)]
pub struct ExpectSwitch(Arc<AtomicBool>);

impl ExpectSwitch {
    fn ignore(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Takes the order to ignore the expectation.
    #[must_use]
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// The origin. Clones are the same origin.
#[derive(Clone)]
pub struct Origin {
    shared: Arc<Shared>,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

/// What all requests share.
struct Shared {
    options: Options,
    store: Store,
    script: script::Script,
    seen: seen::Memory,
    connections: AtomicU64,
    /// Numbers requests and uploads.
    counter: AtomicU64,
    epoch: u64,
}

impl Shared {
    fn next_id(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }
}

impl Origin {
    /// An origin with the buckets of `options`.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let store = Store::default();
        let now = (options.now)();
        for bucket in &options.buckets {
            let made = Bucket::new(bucket.clone(), now);
            store.lock().insert(bucket.name.clone(), made);
        }
        Self {
            shared: Arc::new(Shared {
                store,
                script: script::Script::default(),
                seen: seen::Memory::new(options.remembered),
                connections: AtomicU64::new(0),
                counter: AtomicU64::new(1),
                epoch: now
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |since| since.as_secs()),
                options,
            }),
        }
    }

    /// Misbehaves in this way on every request for `key`, in any bucket, until cleared.
    pub fn script(&self, key: impl AsRef<[u8]>, fault: Fault) {
        self.shared.script.add(key.as_ref(), fault, None);
    }

    /// Misbehaves in this way on the next `times` requests for `key`.
    pub fn script_times(&self, key: impl AsRef<[u8]>, fault: Fault, times: u32) {
        if times > 0 {
            self.shared.script.add(key.as_ref(), fault, Some(times));
        }
    }

    /// Behaves again for `key`, or for every key.
    pub fn clear_script(&self, key: Option<&[u8]>) {
        self.shared.script.clear(key);
    }

    /// The requests received last, oldest first.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.list()
    }

    /// Forgets the requests received so far; the count goes on.
    pub fn forget_seen(&self) {
        self.shared.seen.forget();
    }

    /// How many requests were received.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.seen.total()
    }

    /// How many connections were accepted by whoever serves this origin.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Counts one accepted connection.
    pub fn count_connection(&self) {
        self.shared.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Stores an object without a request. The content type is guessed by no one: it is
    /// `application/octet-stream` if `content_type` is absent. `false` when there is no such
    /// bucket.
    pub fn put(&self, bucket: &str, key: &[u8], content_type: Option<&str>, bytes: Bytes) -> bool {
        let received = receive::Received::of(bytes);
        let mut object = write::object_of(
            received,
            store::Kind::Normal,
            (self.shared.options.now)(),
            http::HeaderMap::new(),
        );
        if let Some(value) = content_type.and_then(|text| text.parse().ok()) {
            object.headers.insert(http::header::CONTENT_TYPE, value);
        }
        self.shared
            .store
            .with(bucket, |bucket| {
                bucket.objects.insert(key.to_vec(), Arc::new(object));
                Ok(())
            })
            .is_ok()
    }

    /// Answers one request. Dropping it half way stores nothing.
    pub async fn serve<B>(&self, request: Request<B>) -> Response<OriginBody>
    where
        B: Body<Data = Bytes> + Send,
    {
        let started = tokio::time::Instant::now();
        let shared = &*self.shared;
        let (parts, body) = request.into_parts();
        let host = target::host_of(&parts.uri, &parts.headers);
        let entry = shared.seen.push(&parts, &host);
        let name = target::name_of(&host);
        let place = shared.store.bound(&name).map_or_else(
            || target::place_of(&name, &shared.options.endpoints),
            target::Place::Bucket,
        );
        let (bucket, key) = target::split(parts.uri.path(), place);
        let request_id = format!(
            "{:016X}{:08X}",
            shared.epoch,
            shared.next_id() & 0xffff_ffff
        );
        let faults = shared.script.take(&key);
        let call = Call {
            shared,
            query: target::Query::parse(parts.uri.query()),
            raw_query: parts.uri.query(),
            method: &parts.method,
            headers: &parts.headers,
            host: &host,
            bucket,
            key,
            entry: &entry,
            now: (shared.options.now)(),
        };
        if faults.contains(&Fault::IgnoreExpect)
            && let Some(switch) = parts.extensions.get::<ExpectSwitch>()
        {
            switch.ignore();
        }
        let body: Incoming<'_> = Box::pin(body.map_err(|_| Gone));
        let mut reply = Box::pin(answer(&call, body, &faults))
            .await
            .unwrap_or_else(|refusal| {
                let is_head = parts.method == Method::HEAD;
                Reply::refuse(&refusal, &request_id, &host, is_head)
            });
        for fault in &faults {
            match *fault {
                Fault::StallAt(byte) => reply.body.stall_at(byte),
                Fault::ResetAt(byte) => reply.body.reset_at(byte),
                Fault::AnnounceLength(length) => {
                    reply.length = Some(length);
                    reply.body.hide_length();
                }
                Fault::DelayAnswer(time) => tokio::time::sleep(time).await,
                Fault::Delay(_) | Fault::Status(_) | Fault::ForbidEarly | Fault::IgnoreExpect => {}
            }
        }
        let date = httpdate::fmt_http_date(call.now);
        reply.finish(&request_id, &date, started.elapsed().as_millis())
    }
}

/// The answer, with the faults that come before it.
async fn answer(call: &Call<'_>, body: Incoming<'_>, faults: &[Fault]) -> Result<Reply, Refusal> {
    for fault in faults {
        match *fault {
            Fault::Delay(time) => tokio::time::sleep(time).await,
            Fault::ForbidEarly => return Err(Refusal::Scripted(403)),
            Fault::DelayAnswer(_)
            | Fault::StallAt(_)
            | Fault::ResetAt(_)
            | Fault::AnnounceLength(_)
            | Fault::Status(_)
            | Fault::IgnoreExpect => {}
        }
    }
    let scripted = faults.iter().find_map(|fault| match fault {
        Fault::Status(status) => Some(*status),
        Fault::Delay(_)
        | Fault::DelayAnswer(_)
        | Fault::StallAt(_)
        | Fault::ResetAt(_)
        | Fault::AnnounceLength(_)
        | Fault::ForbidEarly
        | Fault::IgnoreExpect => None,
    });
    if let Some(status) = scripted {
        // Read and measured, not kept.
        drop(receive::receive(body, &http::HeaderMap::new(), Some(0), call.entry).await);
        return Err(Refusal::Scripted(status));
    }
    call.answer(body).await
}
