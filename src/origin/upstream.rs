//! One host of OSS as the pool and the connector see it.
//!
//! Scheme, TLS name, trust, port and endpoint name are fixed here, once, when the config is built;
//! a request only picks one. That is why no part of a request can lead to another host.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::http::context::RequestContext;
use crate::origin::address::AddressSet;
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

/// How long a connect takes before DNS is asked whether the addresses are still the right ones: two
/// of them have been tried by then.
const SLOW: Duration = Duration::from_millis(500);

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
        let connection = Box::pin(self.fresh(context)).await?;
        pool::follow(self.id, &self.addresses);
        Ok(connection)
    }

    async fn fresh(&self, context: &RequestContext) -> Result<Connection, Error> {
        let start = Instant::now();
        let result = if self.has_alternative {
            // The request need not wait for what DNS may have to say.
            self.open(start, &AtomicU64::new(0))
                .await
                .inspect_err(|error| self.note_lost(error))
        } else {
            self.open_or_follow(start).await
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

    /// Where its addresses do not accept, they may have moved since the last resolution: DNS is asked
    /// again, once, and what it knows is connected to, too. Nothing has been sent, so any request may.
    async fn open_or_follow(&self, start: Instant) -> Result<(Connection, Spent), Error> {
        let used = AtomicU64::new(0);
        let mut first = pin!(self.open(start, &used));
        let error = tokio::select! {
            biased;
            opened = &mut first => match opened {
                Err(error) if is_lost(&error) => error,
                other => return other,
            },
            () = self.addresses.moves(&used, SLOW) => {
                let used = AtomicU64::new(0);
                let mut second = pin!(self.open(start, &used));
                return tokio::select! {
                    opened = &mut first => match opened {
                        Ok(opened) => Ok(opened),
                        Err(_) => second.await,
                    },
                    opened = &mut second => match opened {
                        Ok(opened) => Ok(opened),
                        Err(_) => first.await,
                    },
                };
            }
        };
        let deadline = Instant::now() + self.connect_timeout;
        if self
            .addresses
            .learns_more(used.load(Relaxed), deadline)
            .await
        {
            self.open(start, &used).await
        } else {
            Err(error)
        }
    }

    fn note_lost(&self, error: &Error) {
        if is_lost(error) {
            self.addresses.ask_refresh();
        }
    }

    /// Connects to the endpoint and lets go: whether that is possible.
    ///
    /// # Errors
    ///
    /// As [`Upstream::connection`].
    pub(crate) async fn probe(&self) -> Result<(), Error> {
        self.open(Instant::now(), &AtomicU64::new(0))
            .await
            .map(drop)
    }

    /// `start`: since when the request has been waiting. `used`: told the generation of the addresses
    /// that are tried.
    async fn open(&self, start: Instant, used: &AtomicU64) -> Result<(Connection, Spent), Error> {
        let deadline = Instant::now() + self.connect_timeout;
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
        used.store(self.addresses.generation(), Relaxed);
        let candidates = self
            .addresses
            .snapshot()
            .candidates(Instant::now(), self.addresses.next_rotation());
        if candidates.is_empty() {
            return Err(Error::Dns(
                self.addresses.failure().unwrap_or(DnsFailure::Pending),
            ));
        }
        let connecting = connect::connect(
            &candidates,
            self.tls.as_ref(),
            self.connect_timeout,
            deadline,
        );
        let connected = connecting.await?;
        let spent = Spent {
            wait: start
                .elapsed()
                .saturating_sub(connected.connect + connected.tls),
            connect: connected.connect,
            tls: connected.tls,
        };
        let wire = connected.io.wire();
        let (sender, driver) = http1::Builder::new()
            // An allocation per answer, about 300 instructions; hyper's own limit is 100, and an
            // object's metadata comes back in as many fields as it was uploaded with.
            .max_headers(ANSWER_FIELDS)
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(connected.io))
            .await
            .map_err(Error::Reset)?;
        let connection = Connection {
            address: connected.address,
            sender,
            driver: Driver::new(driver),
            wire,
            timer: Box::pin(tokio::time::sleep(self.connect_timeout)),
            is_reused: false,
            is_last: false,
            permit: connected.place,
        };
        Ok((connection, spent))
    }
}

/// Whether an error says that no address could be connected to, which may be because they have moved:
/// another host may have got one of them by now, and have another certificate.
fn is_lost(error: &Error) -> bool {
    matches!(
        error,
        Error::ConnectRefused(_) | Error::ConnectTimeout | Error::Tls(_)
    )
}
