//! One host of OSS: its addresses, TLS name, `Host` header and limits.
//!
//! All these values come from the config. Under a bucket pattern, the host name also contains the name of the
//! bucket, which the pattern permits. A request only selects a host. Therefore no part of a request can lead
//! to a host that the config does not permit.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::http::context::RequestContext;
use crate::net::TRANSFER_BUFFER;
use crate::origin::endpoint::address_health::Address;
use crate::origin::endpoint::addresses::AddressSet;
use crate::origin::endpoint_info::EndpointInfo;
use crate::origin::error::{DnsFailure, Error};
use crate::origin::link::connect;
use crate::origin::link::connection::Connection;
use crate::origin::link::driver::Driver;
use crate::origin::link::identity::{HostError, HostIdentity};
use crate::origin::link::pool::{self, Limits};
use crate::origin::link::reuse::{Acceptable, Age};
use crate::origin::link::tls::Tls;

/// The maximum number of header fields in a response: as many as an upload may have under a listener's
/// default limit, plus those that OSS adds.
const ANSWER_FIELDS: usize = 256;

/// If a connect takes longer than this, DNS is queried again, in case the addresses have changed. By then,
/// connects to two addresses have started.
const SLOW_CONNECT: Duration = Duration::from_millis(500);

/// The action to take when no address accepts a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfUnreachable {
    /// Query DNS for new addresses, wait for them, and try those.
    FollowDns,
    /// Fail immediately, because another host can be tried. A DNS query is started in the background.
    Fail,
}

/// One host of OSS, shared by all workers and by all routes with the same [`HostIdentity`].
#[derive(Debug)]
pub(crate) struct Host {
    /// The key of the host in the pool of each worker, unique within the process.
    pub(crate) id: u64,
    /// The host name, used in logs.
    pub(crate) endpoint: Arc<str>,
    /// The `Host` header sent to OSS.
    pub(crate) host: HeaderValue,
    /// The addresses of the host.
    pub(crate) addresses: Arc<AddressSet>,
    /// The TLS settings; `None` without TLS.
    pub(crate) tls: Option<Tls>,
    /// The timeout of one connect, including its TLS handshake.
    pub(crate) connect_timeout: Duration,
    /// The limits on idle connections.
    pub(crate) limits: Limits,
    /// The facts that error messages contain.
    pub(crate) info: Arc<EndpointInfo>,
}

/// The time that a request needed to get a new connection, step by step.
struct Spent {
    wait: Duration,
    connect: Duration,
    tls: Duration,
}

/// The duration of each step of a connect.
pub(crate) struct ConnectTimes {
    connect: Duration,
    tls: Duration,
}

impl Host {
    /// Creates the host of `identity`. `addresses` and `tls` must belong to the name of the identity.
    ///
    /// # Errors
    ///
    /// [`HostError::BadHost`] if the `Host` header of the identity is not a valid header value.
    pub(crate) fn new(
        identity: &HostIdentity,
        addresses: Arc<AddressSet>,
        tls: Option<Tls>,
    ) -> Result<Self, HostError> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let name = identity.name();
        let tls_name = tls.as_ref().map(|tls| tls.name.to_str());
        let info = EndpointInfo {
            name: name.as_str().into(),
            port: identity.endpoint.port,
            tls: tls.is_some(),
            tls_name: tls_name.as_deref().unwrap_or(&name).into(),
            network: identity.endpoint.network,
            region: identity.endpoint.region.as_deref().map(Into::into),
            connect_timeout: identity.connect_timeout,
        };
        Ok(Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            host: identity.host_header(&name)?,
            endpoint: name.as_str().into(),
            addresses,
            tls,
            connect_timeout: identity.connect_timeout,
            limits: Limits {
                idle_per_address: identity.pool.idle_per_address,
                idle: identity.pool.idle,
            },
            info: Arc::new(info),
        })
    }

    /// Sets the `Host` header of a request to this host.
    pub(crate) fn put_host(&self, headers: &mut HeaderMap) {
        headers.insert(header::HOST, self.host.clone());
    }

    /// Whether the retry credit of this worker is sufficient for one more retry.
    pub(crate) fn has_retry_budget(&self) -> bool {
        pool::has_retry_budget(self.id)
    }

    /// Takes the cost of one retry from the retry credit. If the credit is too low, leaves it unchanged and
    /// returns false.
    pub(crate) fn take_retry(&self) -> bool {
        pool::take_retry(self.id)
    }

    /// Returns an idle connection if `acceptable` permits one and there is one. Otherwise opens a new
    /// connection.
    ///
    /// # Errors
    ///
    /// [`Error::Dns`] if no address is known; [`Error::Connect`] if no address accepts a connection;
    /// [`Error::Busy`] if there is no permit under `max_per_address`, or no file descriptor;
    /// [`Error::Reset`] if the connection ends at once.
    pub(crate) async fn connection(
        &self,
        context: &RequestContext,
        acceptable: Acceptable,
        if_unreachable: IfUnreachable,
    ) -> Result<Connection, Error> {
        if acceptable != Acceptable::New
            && let Some(connection) = pool::check_out(
                self.id,
                &self.addresses,
                self.limits,
                context.start,
                acceptable,
            )
        {
            return Ok(connection);
        }
        // Boxed, because connecting is rare. Otherwise the future of every request would reserve space for
        // it.
        let connection = Box::pin(self.new_connection(context, if_unreachable)).await?;
        pool::follow(self.id, &self.addresses);
        Ok(connection)
    }

    async fn new_connection(
        &self,
        context: &RequestContext,
        if_unreachable: IfUnreachable,
    ) -> Result<Connection, Error> {
        let start = Instant::now();
        let result = match if_unreachable {
            IfUnreachable::Fail => self
                .open(start, &AtomicU64::new(0))
                .await
                .inspect_err(|error| self.note_unreachable(error)),
            IfUnreachable::FollowDns => self.open_or_follow(start).await,
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
                // Logged only at debug level, because the access log already contains the error. Also, with a
                // bucket pattern the client chooses the host name and could flood this log.
                tracing::debug!(endpoint = %self.endpoint, %error, "no upstream connection");
                let elapsed = start.elapsed();
                let mut outcome = context.outcome();
                match &error {
                    Error::Connect(failed) => {
                        outcome.unreachable = Some(failed.address);
                        outcome.tls += failed.tls;
                        outcome.connect += elapsed.saturating_sub(failed.tls);
                    }
                    _ => outcome.wait += elapsed,
                }
                drop(outcome);
                Err(error)
            }
        }
    }

    /// Opens a connection. If the addresses do not accept connections, they may have changed since the last
    /// resolution. In this case DNS is queried once more, and new addresses are tried too. This is safe for
    /// any request, because nothing has been sent yet.
    async fn open_or_follow(&self, start: Instant) -> Result<(Connection, Spent), Error> {
        let used = AtomicU64::new(0);
        let mut first = pin!(self.open(start, &used));
        let error = tokio::select! {
            biased;
            opened = &mut first => match opened {
                Err(error) if may_have_moved(&error) => error,
                other => return other,
            },
            () = self.addresses.moves(&used, SLOW_CONNECT) => {
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

    fn note_connect_failure(&self, error: &Error) {
        if let (Error::Connect(_), Some(cause)) = (error, error.cause()) {
            self.addresses.note_connect_failure(cause, || {
                let advice = error.advice(&self.info).unwrap_or_default();
                format!("{error}. {advice}")
            });
        }
    }

    fn note_unreachable(&self, error: &Error) {
        if may_have_moved(error) {
            self.addresses.ask_refresh();
        }
    }

    /// Opens a connection to the host and closes it, to check whether the host is reachable.
    ///
    /// # Errors
    ///
    /// The same as [`Host::connection`].
    pub(crate) async fn probe(&self) -> Result<(), Error> {
        self.open(Instant::now(), &AtomicU64::new(0))
            .await
            .map(drop)
    }

    /// Opens a new connection. `start` is the time at which the request began to wait. `used` is set to the
    /// generation of the addresses that are tried.
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
        let connecting = self.connect_to(&candidates, self.connect_timeout, deadline);
        let (connection, connected) = connecting.await?;
        let spent = Spent {
            wait: start
                .elapsed()
                .saturating_sub(connected.connect + connected.tls),
            connect: connected.connect,
            tls: connected.tls,
        };
        Ok((connection, spent))
    }

    /// Connects to one of `candidates`, best first, with `timeout` for each attempt. `deadline` limits the
    /// wait for a permit (`max_per_address`).
    ///
    /// # Errors
    ///
    /// The same as [`connect::connect`]; [`Error::Reset`] if the connection ends at once.
    pub(crate) async fn connect_to(
        &self,
        candidates: &[Arc<Address>],
        timeout: Duration,
        deadline: Instant,
    ) -> Result<(Connection, ConnectTimes), Error> {
        let connecting = connect::connect(candidates, self.tls.as_ref(), timeout, deadline);
        let connected = connecting
            .await
            .inspect_err(|error| self.note_connect_failure(error))?;
        let times = ConnectTimes {
            connect: connected.connect,
            tls: connected.tls,
        };
        let socket = connected.socket.state();
        let (sender, driver) = http1::Builder::new()
            // hyper's default limit is 100. OSS returns an object's metadata in as many header fields as the
            // upload had. An explicit limit makes hyper allocate memory for each response, which costs about
            // 300 instructions.
            .max_headers(ANSWER_FIELDS)
            .max_buf_size(TRANSFER_BUFFER)
            .handshake(TokioIo::new(connected.socket))
            .await
            .map_err(Error::Reset)?;
        let connection = Connection {
            address: connected.address,
            sender,
            driver: Driver::new(driver),
            socket,
            timer: Box::pin(tokio::time::sleep(self.connect_timeout)),
            age: Age::Fresh,
            is_last: false,
            permit: connected.permit,
        };
        Ok((connection, times))
    }
}

/// Whether an error may mean that the addresses have changed. This includes TLS failures, because another
/// host with another certificate may have taken over an address.
fn may_have_moved(error: &Error) -> bool {
    matches!(error, Error::Connect(_))
}

#[cfg(test)]
pub(in crate::origin) mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::config::{Endpoint, EndpointHost, Pool};

    /// Creates a host that sends `name` in its `Host` header.
    pub(in crate::origin) fn host(name: &str, region: Option<&str>) -> Host {
        let ip = Ipv4Addr::LOCALHOST.into();
        let identity = HostIdentity {
            endpoint: Endpoint {
                host: EndpointHost::Ip(ip),
                port: 443,
                network: None,
                region: region.map(Into::into),
            },
            bucket: None,
            host: Some(name.to_owned()),
            tls: None,
            connect_timeout: Duration::from_secs(3),
            pool: Pool {
                idle_per_address: 1,
                idle: Duration::from_secs(30),
                max_per_address: 0,
            },
        };
        let addresses = Arc::new(AddressSet::fixed(ip, 443, 0, Instant::now()));
        Host::new(&identity, addresses, None).unwrap()
    }
}
