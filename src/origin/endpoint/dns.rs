//! The DNS engine. For each endpoint name, one background task resolves the name continuously.
//!
//! A task publishes each answer in the name's [`AddressSet`], and then sleeps for the TTL of the answer. The
//! TTL is clamped to `min_ttl` (a TTL of 0 must not cause a busy loop) and `max_ttl`. After a failed
//! resolution, the task retries with back-off, and the last successful answer stays in use for the time
//! `stale`. When all connects of a request have failed, the request asks for a resolution at once. Only
//! `name_servers` sends queries.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use hickory_resolver::net::NetError;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::Dns;
use crate::origin::endpoint::address_rule::AddressRule;
use crate::origin::endpoint::addresses::AddressSet;
use crate::origin::endpoint::name_servers::NameServers;
use crate::origin::error::DnsFailure;
use crate::origin::weak_map::WeakMap;
use crate::oss::endpoint::Network;
use crate::telemetry::event_budget::EventBudget;

/// The events about names that cannot be resolved.
static UNRESOLVED: EventBudget = EventBudget::new(200);

/// The pause after the first failed resolution; it doubles up to [`RETRY_LONGEST`].
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LONGEST: Duration = Duration::from_secs(5);
/// The maximum number of names that are resolved at the same time. After a start, all names must be resolved
/// at once, and each resolution needs at least one socket. Without this limit, ten thousand names would use
/// up the file descriptors that clients need.
const PARALLEL: usize = 256;
/// The minimum time between the starts of two resolutions of one name if requests ask for the second one. It
/// applies regardless of the number of such requests. It does not delay a retry or the resolution at the end
/// of a TTL.
const ASK_SPACING: Duration = Duration::from_millis(500);

/// The key of an address set. Hosts with an equal key share one set.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SetKey {
    name: Box<str>,
    port: u16,
    /// The limit on the requests in flight to one address; 0 means no limit.
    max_in_flight: usize,
    /// The network of the endpoint, which determines the permitted addresses.
    network: Option<Network>,
}

/// Creates the address sets of endpoint names. Hosts with the same name, port, limit and network share one
/// set.
#[derive(Debug)]
pub struct Engine {
    sets: Mutex<WeakMap<SetKey, AddressSet>>,
    tasks: mpsc::UnboundedSender<(Weak<AddressSet>, AddressRule)>,
}

/// Runs the background tasks of an [`Engine`] on the control runtime.
pub struct Runner {
    shared: Arc<Resolution>,
    tasks: mpsc::UnboundedReceiver<(Weak<AddressSet>, AddressRule)>,
}

/// The data that the tasks of all names share.
struct Resolution {
    config: Dns,
    servers: NameServers,
    /// The permits that limit how many names are resolved at the same time.
    permits: Semaphore,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

/// Creates an engine and its runner.
///
/// # Errors
///
/// The error of hickory if a resolver cannot be created.
pub fn engine(config: &Dns) -> Result<(Arc<Engine>, Runner), NetError> {
    let servers = NameServers::new(config)?;
    let (sender, tasks) = mpsc::unbounded_channel();
    let engine = Engine {
        sets: Mutex::default(),
        tasks: sender,
    };
    let runner = Runner {
        shared: Arc::new(Resolution {
            config: config.clone(),
            servers,
            permits: Semaphore::new(PARALLEL),
        }),
        tasks,
    };
    Ok((Arc::new(engine), runner))
}

impl Engine {
    /// Returns the address set of `name` and `port`. A background task resolves the name until the last
    /// user drops the set. `max_in_flight` limits the requests in flight to one address; 0 means no limit.
    pub(crate) fn addresses(
        &self,
        name: &str,
        port: u16,
        max_in_flight: usize,
        rule: &AddressRule,
    ) -> Arc<AddressSet> {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = SetKey {
            name: name.into(),
            port,
            max_in_flight,
            network: rule.network(),
        };
        if let Some(set) = sets.get(&key) {
            return set;
        }
        let set = Arc::new(AddressSet::new(name, port, max_in_flight));
        sets.insert(key, &set);
        drop(sets);
        if self
            .tasks
            .send((Arc::downgrade(&set), rule.clone()))
            .is_err()
        {
            tracing::error!(name, "the DNS engine has stopped");
        }
        set
    }
}

impl Runner {
    /// Runs the tasks until the engine is dropped. If this future is dropped, all tasks stop.
    pub async fn run(mut self) {
        let mut running = JoinSet::new();
        while let Some((set, rule)) = self.tasks.recv().await {
            running.spawn(refresh(Arc::clone(&self.shared), set, rule));
            while running.try_join_next().is_some() {}
        }
    }
}

async fn refresh(shared: Arc<Resolution>, set: Weak<AddressSet>, rule: AddressRule) {
    let config = &shared.config;
    let mut failures = 0_u32;
    loop {
        let Some(live) = set.upgrade() else { return };
        let (name, refresh_now) = (live.name.clone(), live.refresh_now());
        drop(live);
        // `acquire` fails only if the semaphore is closed, which never happens.
        let permit = shared.permits.acquire().await.ok();
        let asked = Instant::now();
        // Boxed, so that the task of a name does not reserve space for the future of a query while it sleeps.
        let answer = Box::pin(resolve(&shared.servers, &name, &rule)).await;
        drop(permit);
        let Some(live) = set.upgrade() else { return };
        let pause = match answer {
            Ok((ips, ttl)) => {
                if failures > 0 {
                    tracing::info!(endpoint = %name, failures, "endpoint resolved again");
                }
                failures = 0;
                let pause = ttl.clamp(config.min_ttl, config.max_ttl);
                let before = live.changes();
                live.publish(&ips, ttl.min(config.max_ttl), Instant::now());
                if live.changes() != before {
                    tracing::info!(endpoint = %name, addresses = ?ips, "endpoint addresses changed");
                }
                pause
            }
            Err(failure) => {
                failures = failures.saturating_add(1);
                // With ten thousand names that do not resolve, an event for each attempt would hide all others.
                let budget = failures
                    .is_power_of_two()
                    .then(|| UNRESOLVED.take(Instant::now()));
                if let Some(left_out) = budget.flatten() {
                    tracing::warn!(endpoint = %name, %failure, failures, left_out, "endpoint not resolved");
                } else {
                    tracing::debug!(endpoint = %name, %failure, failures, "endpoint not resolved");
                }
                live.note_failure(failure, config.stale, Instant::now());
                RETRY_FIRST
                    .saturating_mul(1 << failures.saturating_sub(1).min(8))
                    .min(RETRY_LONGEST)
            }
        };
        drop(live);
        let requested = async {
            refresh_now.notified().await;
            tokio::time::sleep_until(asked + ASK_SPACING).await;
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = requested => {}
        }
    }
}

async fn resolve(
    servers: &NameServers,
    name: &str,
    rule: &AddressRule,
) -> Result<(Vec<IpAddr>, Duration), DnsFailure> {
    // The trailing dot makes the name absolute: no search domain is appended.
    let (mut ips, ttl) = servers.resolve(&format!("{name}.")).await?;
    ips.retain(|ip| {
        let is_permitted = rule.permits(*ip);
        if !is_permitted {
            tracing::warn!(endpoint = name, address = %ip, "DNS answer ignored: not an address this endpoint may have");
        }
        is_permitted
    });
    if ips.is_empty() {
        return Err(DnsFailure::Forbidden);
    }
    Ok((ips, ttl))
}
