//! One host of OSS as the pool and the connector see it.
//!
//! Scheme, TLS name, trust, port and endpoint name are fixed here, once, when the config is built;
//! a request only picks one. That is why no part of a request can lead to another host.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::http::context::RequestContext;
use crate::origin::address::{Address, AddressSet};
use crate::origin::connect::{self, Tls};
use crate::origin::driver::Driver;
use crate::origin::error::{DnsFailure, Error};
use crate::origin::pool::{self, Connection, Limits};
use crate::origin::tier::Tiers;

/// The upstreams in use, by everything that makes them what they are. A new config finds here those it
/// shares with the old one, with their addresses and connections.
#[derive(Debug, Default)]
pub struct Upstreams(Mutex<HashMap<String, Weak<Upstream>>>);

impl Upstreams {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Weak<Upstream>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The upstream with this identity, made when nobody uses one.
    ///
    /// # Errors
    ///
    /// What `make` says.
    pub fn get_or_make(
        &self,
        identity: String,
        make: impl FnOnce() -> Result<Upstream, String>,
    ) -> Result<Arc<Upstream>, String> {
        let mut known = self.lock();
        if let Some(upstream) = known.get(&identity).and_then(Weak::upgrade) {
            return Ok(upstream);
        }
        known.retain(|_, upstream| upstream.strong_count() > 0);
        let upstream = Arc::new(make()?);
        known.insert(identity, Arc::downgrade(&upstream));
        Ok(upstream)
    }

    /// The address sets in use, each once, in the order of their names.
    #[must_use]
    pub fn address_sets(&self) -> Vec<Arc<AddressSet>> {
        let mut sets: Vec<Arc<AddressSet>> = Vec::new();
        for upstream in self.lock().values().filter_map(Weak::upgrade) {
            for addresses in upstream.address_sets() {
                if !sets.iter().any(|set| Arc::ptr_eq(set, &addresses)) {
                    sets.push(addresses);
                }
            }
        }
        sets.sort_by(|one, other| (&one.name, one.port).cmp(&(&other.name, other.port)));
        sets
    }
}

/// Most bytes read or written at a time; a slow transfer has as many in memory. hyper's default of about
/// 400 KiB costs an eighth less CPU on downloads of 1 MiB, and twice the memory of a slow client.
const BUFFER: usize = 128 * 1024;

/// Most header fields of an answer: those of an upload under a listener's default limit, and OSS's own.
const ANSWER_FIELDS: usize = 256;

/// One upstream host.
#[derive(Debug)]
pub struct Upstream {
    /// Names this upstream in every worker's pool; never used twice in a process.
    pub(crate) id: u64,
    /// The endpoint's name for logs.
    pub(crate) endpoint: Arc<str>,
    /// The `Host` OSS is sent.
    pub(crate) host: HeaderValue,
    /// Its addresses.
    pub(crate) addresses: Arc<AddressSet>,
    /// TLS settings; absent for plain HTTP.
    pub(crate) tls: Option<Tls>,
    /// Longest time for one connect with its TLS handshake.
    pub(crate) connect_timeout: Duration,
    /// Limits of the idle connections.
    pub(crate) limits: Limits,
    /// The region of the endpoint, where that is known.
    pub(crate) region: Option<Box<str>>,
    /// The endpoints after this one. `None` without `fallback`, and on those endpoints themselves.
    pub(crate) tiers: Option<Tiers>,
    /// Whether another endpoint stands by, so that nothing is waited for that may not help.
    pub(crate) has_alternative: bool,
}

/// What a fresh connection cost.
struct Spent {
    wait: Duration,
    connect: Duration,
    tls: Duration,
}

impl Upstream {
    /// A number no other upstream of this process has.
    pub(crate) fn next_id() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Relaxed)
    }

    /// Its addresses, and those of the endpoints after it.
    pub(crate) fn address_sets(&self) -> Vec<Arc<AddressSet>> {
        let others = self.tiers.iter().flat_map(Tiers::others);
        std::iter::once(self)
            .chain(others)
            .map(|one| Arc::clone(&one.addresses))
            .collect()
    }

    /// Addresses a request to this host.
    pub(crate) fn put_host(&self, headers: &mut HeaderMap) {
        headers.insert(header::HOST, self.host.clone());
    }

    /// Whether one more retry is within bounds; takes its cost.
    pub(crate) fn take_retry(&self) -> bool {
        pool::take_retry(self.id)
    }

    /// An idle connection, unless `is_fresh` asks for a new one; else a new one.
    ///
    /// # Errors
    ///
    /// When no address is known or none can be connected to.
    pub(crate) async fn connection(
        &self,
        context: &RequestContext,
        is_fresh: bool,
        is_sure: bool,
    ) -> Result<Connection, Error> {
        if !is_fresh
            && let Some(connection) = pool::check_out(
                self.id,
                &self.addresses,
                self.limits,
                context.start,
                is_sure,
            )
        {
            return Ok(connection);
        }
        // Boxed: connecting is rare, and its state must not ride in every request's future.
        Box::pin(self.fresh(context)).await
    }

    async fn fresh(&self, context: &RequestContext) -> Result<Connection, Error> {
        let start = Instant::now();
        let deadline = start + self.connect_timeout;
        let result = match self.open(start, deadline).await {
            // The addresses may have moved since the last resolution: ask again, once. With another
            // endpoint at hand, the request need not wait for the answer.
            Err(error @ (Error::ConnectRefused(_) | Error::ConnectTimeout)) => {
                if self.has_alternative {
                    self.addresses.ask_refresh();
                    Err(error)
                } else if self.addresses.learns_more(deadline).await {
                    self.open(start, deadline).await
                } else {
                    Err(error)
                }
            }
            other => other,
        };
        match result {
            Ok((connection, spent)) => {
                let mut outcome = context.outcome();
                outcome.wait += spent.wait;
                outcome.connect += spent.connect;
                outcome.tls += spent.tls;
                Ok(connection)
            }
            Err(error) => {
                // The access line has it; a name may be any client's invention.
                tracing::debug!(endpoint = %self.endpoint, %error, "no upstream connection");
                Err(error)
            }
        }
    }

    /// Connects to the endpoint and lets go: whether that is possible.
    ///
    /// # Errors
    ///
    /// As [`Upstream::connection`].
    pub(crate) async fn probe(&self) -> Result<(), Error> {
        let start = Instant::now();
        self.open(start, start + self.connect_timeout)
            .await
            .map(drop)
    }

    async fn open(&self, start: Instant, deadline: Instant) -> Result<(Connection, Spent), Error> {
        if self.addresses.snapshot().addresses().is_empty() {
            self.addresses.ask_refresh();
            self.addresses
                .wait_until(deadline, |set| {
                    !set.snapshot().addresses().is_empty()
                        || set
                            .failure()
                            .is_some_and(|failure| failure != DnsFailure::Pending)
                })
                .await;
        }
        let candidates = self
            .addresses
            .snapshot()
            .candidates(Instant::now(), self.addresses.next_rotation());
        if candidates.is_empty() {
            return Err(Error::Dns(
                self.addresses.failure().unwrap_or(DnsFailure::Pending),
            ));
        }
        let (candidates, permit) = self.reserve(candidates, deadline).await?;
        let waited = start.elapsed();
        let connected =
            connect::connect(&candidates, self.tls.as_ref(), self.connect_timeout).await?;
        let asks_kernel = connected.io.asks_kernel();
        let (sender, driver) = http1::Builder::new()
            // An allocation per answer, about 300 instructions; hyper's own limit is 100, and an
            // object's metadata comes back in as many fields as it was uploaded with.
            .max_headers(ANSWER_FIELDS)
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(connected.io))
            .await
            .map_err(Error::Reset)?;
        let spent = Spent {
            wait: waited,
            connect: connected.connect,
            tls: connected.tls,
        };
        let connection = Connection {
            address: connected.address,
            sender,
            driver: Driver::new(driver),
            asks_kernel,
            timer: Box::pin(tokio::time::sleep(self.connect_timeout)),
            is_reused: false,
            is_last: false,
            permit,
        };
        Ok((connection, spent))
    }

    /// Under `max_per_address`: a place at one of the candidates, which is then the only one.
    async fn reserve(
        &self,
        candidates: Vec<Arc<Address>>,
        deadline: Instant,
    ) -> Result<(Vec<Arc<Address>>, Option<OwnedSemaphorePermit>), Error> {
        let mut fullest = None;
        for address in &candidates {
            let Some(places) = &address.places else {
                return Ok((candidates, None));
            };
            match Arc::clone(places).try_acquire_owned() {
                Ok(permit) => return Ok((vec![Arc::clone(address)], Some(permit))),
                Err(_full) => fullest = Some((Arc::clone(address), Arc::clone(places))),
            }
        }
        let Some((address, places)) = fullest else {
            return Err(Error::Busy);
        };
        match tokio::time::timeout_at(deadline, places.acquire_owned()).await {
            Ok(Ok(permit)) => Ok((vec![address], Some(permit))),
            Ok(Err(_)) | Err(_) => Err(Error::Busy),
        }
    }
}
