//! Endpoint tiers: where requests go while the endpoint they belong to cannot be connected to.
//!
//! A request whose connect fails goes on to the next tier at once, since nothing of it was sent. When
//! a tier has been failing for [`FAILING`], requests go to the next one straight away. A network that
//! swallows everything leaves kept connections open; so a request that waits on one for long asks
//! with a connect whether its tier is still there ([`watched`]). While another tier is in use, a
//! request now and then starts a trial beside itself: a few connects to the better tier,
//! some seconds apart, and only when all succeed does traffic return. So no request waits for a tier
//! that is down, and a tier that comes and goes is left alone.
//!
//! A tier changes the host: address set, TLS name and `Host`. A client's signature that covers the
//! host, or is for another region, forbids that ([`Bound`]); such a request is only ever sent to the
//! first tier, and fails with [`Error::SignatureBound`].
//!
//! State is kept per bucket: under a pattern a client chooses the name, and a name that does not
//! resolve must not move the traffic of others.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::request;
use tokio::time::Instant;

use crate::http::context::RequestContext;
use crate::origin::error::Error;
use crate::origin::pool::Connection;
use crate::origin::upstream::Upstream;
use crate::oss::signature::Bound;

/// How long no connect has succeeded when a tier counts as down: longer than an endpoint takes to
/// move, shorter than one connect timeout.
const FAILING: Duration = Duration::from_millis(500);
/// How long a request waits on a kept connection before it asks whether its tier is still there. Most
/// answers begin within a tenth of it.
const SUSPICIOUS: Duration = Duration::from_secs(1);
/// Pause before a trial of the better tiers, after a move or another trial. It doubles with each trial
/// that fails, and with each return that did not last.
const TRIAL_EVERY: Duration = Duration::from_secs(2);
/// Longest pause for failed trials: a long outage should not fill the log, and its end should be seen
/// soon.
const TRIAL_LONG: Duration = Duration::from_secs(10);
/// Longest pause for returns that did not last; with a trial it stays below a minute.
const TRIAL_LONGEST: Duration = Duration::from_secs(30);
/// A return that is followed by another move within this time did not last.
const LASTING: Duration = Duration::from_secs(60);
/// Connects of a trial, and the time between them: the tier must hold for four and a half seconds.
const TRIAL_CONNECTS: u32 = 4;
const TRIAL_SPACING: Duration = Duration::from_millis(1500);
/// After this another trial may start though one never ended: its worker may have.
const TRIAL_LIMIT: Duration = Duration::from_secs(45);

/// The tiers after the first one, and which is in use.
#[derive(Debug)]
pub(crate) struct Tiers {
    others: Vec<Arc<Upstream>>,
    active: AtomicUsize,
    born: Instant,
    /// Times in milliseconds since `born`. 0: the active tier is not failing.
    failing_since: AtomicU64,
    next_trial: AtomicU64,
    returned: AtomicU64,
    /// Returns in a row that did not last.
    short_returns: AtomicU32,
    /// Trials in a row that failed.
    failed_trials: AtomicU32,
}

/// A connection, and where it leads.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) upstream: Arc<Upstream>,
    /// Place of the tier; 0 is the first.
    pub(crate) tier: usize,
    pub(crate) connection: Connection,
}

/// A connection for the request with `head`, to `first` or one of its other tiers; see
/// [`Upstream::connection`].
///
/// # Errors
///
/// Those of [`Upstream::connection`], of the tier tried last; [`Error::SignatureBound`] when another
/// tier could have been tried.
pub(crate) async fn connection(
    first: &Arc<Upstream>,
    head: &request::Parts,
    context: &RequestContext,
    is_fresh: bool,
    is_sure: bool,
) -> Result<Chosen, Error> {
    let Some(tiers) = &first.tiers else {
        let connection = first.connection(context, is_fresh, is_sure).await?;
        return Ok(Chosen {
            upstream: Arc::clone(first),
            tier: 0,
            connection,
        });
    };
    let active = tiers.active();
    if active > 0 {
        tiers.start_trial(first);
    }
    let began = Instant::now();
    let generation = first.addresses.generation();
    let mut bound = None;
    let mut failure = Error::SignatureBound;
    let mut is_bound = false;
    let count = tiers.others.len() + 1;
    // A tier that is known to fail comes last.
    let start = active + usize::from(tiers.is_failing(began));
    for step in 0..count {
        let tier = (start + step) % count;
        let Some(upstream) = tiers.get(first, tier) else {
            continue;
        };
        if tier > 0 {
            let bound = bound.get_or_insert_with(|| Bound::of(&head.headers, head.uri.query()));
            if !upstream.takes(bound, first) {
                is_bound = true;
                continue;
            }
        }
        match upstream.connection(context, is_fresh, is_sure).await {
            Ok(connection) => {
                // A kept connection says nothing about connects.
                if tier != active || !connection.is_reused {
                    tiers.note_connected(first, active, tier, Instant::now());
                }
                return Ok(Chosen {
                    upstream: Arc::clone(upstream),
                    tier,
                    connection,
                });
            }
            Err(error) if !is_unreachable(&error) => return Err(error),
            Err(error) => {
                if tier == active {
                    tiers.note_unreachable(began);
                }
                failure = error;
            }
        }
    }
    if !is_bound {
        return Err(failure);
    }
    // This tier is the only one for it: as without others, its addresses may have moved.
    let deadline = Instant::now() + first.connect_timeout;
    if first.addresses.learns_more(generation, deadline).await
        && let Ok(connection) = first.connection(context, is_fresh, is_sure).await
    {
        return Ok(Chosen {
            upstream: Arc::clone(first),
            tier: 0,
            connection,
        });
    }
    Err(Error::SignatureBound)
}

/// The output of `exchange`, which waits on a kept connection to `upstream`; `None` when it is given
/// up because the tier can no longer be connected to.
pub(crate) async fn watched<F: Future>(
    first: &Upstream,
    (upstream, tier): (&Upstream, usize),
    exchange: F,
) -> Option<F::Output> {
    let mut exchange = pin!(exchange);
    let began = Instant::now();
    if let Ok(output) = tokio::time::timeout(SUSPICIOUS, &mut exchange).await {
        return Some(output);
    }
    let probed = tokio::select! {
        output = &mut exchange => return Some(output),
        probed = upstream.probe() => probed,
    };
    match probed {
        Err(error) if is_unreachable(&error) => {
            if let Some(tiers) = first.tiers.as_ref().filter(|tiers| tiers.active() == tier) {
                tiers.note_unreachable(began);
            }
            None
        }
        Ok(()) | Err(_) => Some(exchange.await),
    }
}

/// Whether an error says that a tier cannot be connected to.
fn is_unreachable(error: &Error) -> bool {
    match error {
        Error::Dns(_) | Error::ConnectRefused(_) | Error::ConnectTimeout | Error::Tls(_) => true,
        Error::NoSuchBucket
        | Error::NoBucket
        | Error::Reset(_)
        | Error::BadAnswer(_)
        | Error::FirstByteTimeout
        | Error::Gone
        | Error::UploadStalled
        | Error::ClientBody
        | Error::Busy
        | Error::SignatureBound
        | Error::Rewrite(_) => false,
    }
}

impl Upstream {
    /// Whether this tier can take a request with this signature, which was meant for `first`.
    fn takes(&self, bound: &Bound<'_>, first: &Self) -> bool {
        let is_same_region = match (&self.region, &bound.region) {
            (Some(own), Some(signed)) => **own == **signed,
            (None, _) | (_, None) => true,
        };
        is_same_region && (!bound.has_host || self.host == first.host)
    }

    /// Tells the request's record that it goes here, to the tier at place `tier`.
    pub(crate) fn note(&self, tier: usize, context: &RequestContext) {
        let mut outcome = context.outcome();
        outcome.tier = u32::try_from(tier).unwrap_or(u32::MAX);
        outcome.endpoint = Some(Arc::clone(&self.endpoint));
    }

    /// Place of the tier requests go to at present; 0 is the first.
    pub(crate) fn active_tier(&self) -> usize {
        self.tiers.as_ref().map_or(0, Tiers::active)
    }
}

impl Tiers {
    /// `others` in order of preference; none of them has tiers of its own.
    pub(crate) fn new(others: Vec<Arc<Upstream>>, now: Instant) -> Self {
        Self {
            others,
            active: AtomicUsize::new(0),
            born: now,
            failing_since: AtomicU64::new(0),
            next_trial: AtomicU64::new(0),
            returned: AtomicU64::new(0),
            short_returns: AtomicU32::new(0),
            failed_trials: AtomicU32::new(0),
        }
    }

    /// The tiers after the first one.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Upstream> {
        self.others.iter().map(|other| &**other)
    }

    fn active(&self) -> usize {
        self.active.load(Relaxed)
    }

    fn get<'a>(&'a self, first: &'a Arc<Upstream>, tier: usize) -> Option<&'a Arc<Upstream>> {
        match tier.checked_sub(1) {
            None => Some(first),
            Some(other) => self.others.get(other),
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.born))
    }

    /// No address of the active tier could be connected to, since `began` at the latest.
    fn note_unreachable(&self, began: Instant) {
        let began = self.millis(began).max(1);
        // Only the first failure in a row says since when.
        let _known = self
            .failing_since
            .compare_exchange(0, began, Relaxed, Relaxed);
    }

    /// A connect to `tier` has succeeded, with `active` in use.
    fn note_connected(&self, first: &Arc<Upstream>, active: usize, tier: usize, now: Instant) {
        if tier != active {
            if self.is_failing(now) {
                self.go(first, active, tier, now);
            }
        } else if self.failing_since.load(Relaxed) != 0 {
            self.failing_since.store(0, Relaxed);
        }
    }

    /// Whether the active tier has been failing for long enough to be left.
    fn is_failing(&self, now: Instant) -> bool {
        let since = self.failing_since.load(Relaxed);
        since != 0 && self.millis(now).saturating_sub(since) >= millis(FAILING)
    }

    fn go(&self, first: &Arc<Upstream>, from: usize, to: usize, now: Instant) {
        let moved = self.active.compare_exchange(from, to, Relaxed, Relaxed);
        let (Ok(_), Some(upstream)) = (moved, self.get(first, to)) else {
            return;
        };
        self.failing_since.store(0, Relaxed);
        self.failed_trials.store(0, Relaxed);
        if to < from {
            self.returned.store(self.millis(now).max(1), Relaxed);
            tracing::info!(endpoint = %upstream.endpoint, tier = to, "traffic returns to a better endpoint");
            return;
        }
        let returned = self.returned.load(Relaxed);
        let lasted = self.millis(now).saturating_sub(returned);
        if returned != 0 && lasted < millis(LASTING) {
            self.short_returns.fetch_add(1, Relaxed);
        } else {
            self.short_returns.store(0, Relaxed);
        }
        self.next_trial
            .store(self.millis(now + self.pause()), Relaxed);
        tracing::warn!(
            endpoint = %first.endpoint, to = %upstream.endpoint, tier = to,
            "endpoint cannot be connected to, traffic goes to another one"
        );
    }

    fn pause(&self) -> Duration {
        let doubled = |times: &AtomicU32, longest| {
            let factor = 1 << times.load(Relaxed).min(8);
            TRIAL_EVERY.saturating_mul(factor).min(longest)
        };
        let failed = doubled(&self.failed_trials, TRIAL_LONG);
        failed.max(doubled(&self.short_returns, TRIAL_LONGEST))
    }

    /// Starts a trial of the better tiers if one is due.
    fn start_trial(&self, first: &Arc<Upstream>) {
        let now = Instant::now();
        let due = self.next_trial.load(Relaxed);
        if self.millis(now) < due {
            return;
        }
        let limit = self.millis(now + TRIAL_LIMIT);
        let taken = self
            .next_trial
            .compare_exchange(due, limit, Relaxed, Relaxed);
        if taken.is_ok() {
            // Ends by itself within the deadlines of its connects.
            tokio::spawn(trial(Arc::clone(first)));
        }
    }
}

/// Tries the tiers that are better than the active one, best first, and returns to one that holds.
async fn trial(first: Arc<Upstream>) {
    let Some(tiers) = &first.tiers else {
        return;
    };
    let active = tiers.active();
    let mut has_returned = false;
    for tier in 0..active {
        if let Some(upstream) = tiers.get(&first, tier)
            && holds(upstream).await
        {
            tiers.go(&first, active, tier, Instant::now());
            has_returned = true;
            break;
        }
    }
    if !has_returned {
        tiers.failed_trials.fetch_add(1, Relaxed);
    }
    let next = Instant::now() + tiers.pause();
    tiers.next_trial.store(tiers.millis(next), Relaxed);
}

async fn holds(upstream: &Upstream) -> bool {
    for connect in 0..TRIAL_CONNECTS {
        if connect > 0 {
            tokio::time::sleep(TRIAL_SPACING).await;
        }
        if let Err(error) = upstream.probe().await {
            tracing::debug!(endpoint = %upstream.endpoint, %error, "endpoint does not hold");
            return false;
        }
    }
    true
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
