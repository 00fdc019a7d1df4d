//! Chooses the connection for one request: to the tier in use, or to the next reachable tier. A tier is the
//! index of a host in the list of hosts of the bucket.
//!
//! If the connect of a request fails, the request uses the next tier at once, because nothing of the request
//! was sent. If connects to the tier in use have been failing for a while, requests start with the next tier.
//!
//! A signature of the client may cover the host or name a region ([`Bound`]). Such a request is sent
//! only to tiers with this host and this region. As an exception, the first tier with this host is tried
//! whatever its region. While none of the permitted tiers is reachable, the request fails with
//! [`Error::SignatureBound`]. Before this module runs,
//! [`SignedHost::check`](crate::origin::tiers::signed_host) has checked that at least one tier has the
//! host.

use std::sync::Arc;

use http::request;
use tokio::time::Instant;

use crate::http::context::RequestContext;
use crate::origin::error::Error;
use crate::origin::link::connection::Connection;
use crate::origin::link::host::{Host, IfUnreachable};
use crate::origin::link::reuse::{Acceptable, Age};
use crate::origin::tiers::group::Tiers;
use crate::origin::tiers::signed_host::{Scheme, SignedHost};
use crate::origin::tiers::trial;
use crate::oss::signature::Bound;

/// A connection with its host and tier.
#[derive(Debug)]
pub(in crate::origin) struct Chosen {
    pub(in crate::origin) host: Arc<Host>,
    /// The tier of the host; 0 is the best.
    pub(in crate::origin) tier: usize,
    pub(in crate::origin) connection: Connection,
}

/// Why a request got no connection.
#[derive(Debug)]
pub(in crate::origin) struct NoConnection {
    /// The errors of [`Host::connection`] for the tier tried last; [`Error::SignatureBound`] if the signature
    /// does not permit a tier that could have been tried.
    pub(in crate::origin) error: Error,
    /// The host that was tried last.
    pub(in crate::origin) host: Arc<Host>,
}

/// Returns a connection for the request with `head` to one of `tiers`.
///
/// # Errors
///
/// [`NoConnection`] if no permitted tier is reachable.
pub(in crate::origin) async fn connection(
    tiers: &Arc<Tiers>,
    head: &request::Parts,
    context: &RequestContext,
    acceptable: Acceptable,
) -> Result<Chosen, NoConnection> {
    if tiers.has_alternatives() {
        // Boxed, so that with only one endpoint the future of a request reserves no space for the choice
        // among several.
        return Box::pin(among_several(tiers, head, context, acceptable)).await;
    }
    first_only(tiers, context, acceptable).await
}

/// Returns a connection to the first host. Waits for new addresses from DNS if necessary, because there is
/// no other host to try.
async fn first_only(
    tiers: &Tiers,
    context: &RequestContext,
    acceptable: Acceptable,
) -> Result<Chosen, NoConnection> {
    let host = tiers.first();
    let connection = host.connection(context, acceptable, IfUnreachable::FollowDns);
    let host = Arc::clone(host);
    match connection.await {
        Ok(connection) => Ok(Chosen {
            connection,
            host,
            tier: 0,
        }),
        Err(error) => Err(NoConnection { error, host }),
    }
}

async fn among_several(
    tiers: &Arc<Tiers>,
    head: &request::Parts,
    context: &RequestContext,
    acceptable: Acceptable,
) -> Result<Chosen, NoConnection> {
    let active = tiers.active();
    if active > 0 {
        trial::start_if_due(tiers);
    }
    let began = Instant::now();
    let query = head.uri.query();
    let host = context.text.host();
    let signed = SignedHost::of(&head.headers, query, host, Scheme::of(context));
    let has_signed_host = |host: &Host| signed.is_none_or(|signed| signed.is_that_of(host));
    let own = tiers.hosts().iter().position(|host| has_signed_host(host));
    let own = own.unwrap_or(0);
    let best = tiers.hosts().get(own).unwrap_or_else(|| tiers.first());
    let generation = best.addresses.generation();
    let mut bound = None;
    let mut failure = NoConnection {
        error: Error::SignatureBound,
        host: Arc::clone(best),
    };
    let mut is_bound = false;
    let count = tiers.hosts().len();
    // If the active tier is failing, it is tried last.
    let start = active + usize::from(tiers.state.is_failing(began));
    for step in 0..count {
        let tier = (start + step) % count;
        let Some(host) = tiers.hosts().get(tier) else {
            continue;
        };
        // The first tier with the signed host is tried regardless of its region. If the region is wrong, the
        // error response of OSS then names the right one.
        if tier != own {
            let bound = bound.get_or_insert_with(|| Bound::of(&head.headers, query));
            if !has_signed_host(host) || !is_region_of(host, bound) {
                is_bound = true;
                continue;
            }
        }
        match host
            .connection(context, acceptable, IfUnreachable::Fail)
            .await
        {
            Ok(connection) => {
                // A reused connection does not show that new connects succeed.
                if tier != active || connection.age == Age::Fresh {
                    tiers.note_connected(active, tier, Instant::now());
                }
                return Ok(Chosen {
                    host: Arc::clone(host),
                    tier,
                    connection,
                });
            }
            Err(error) if !error.is_unreachable() => {
                let host = Arc::clone(host);
                return Err(NoConnection { error, host });
            }
            Err(error) => {
                if tier == active {
                    tiers.state.note_unreachable(began);
                }
                let host = Arc::clone(host);
                failure = NoConnection { error, host };
            }
        }
    }
    if !is_bound {
        return Err(failure);
    }
    // The signature excluded at least one tier. Therefore the request waits for new addresses of the first
    // tier that has the signed host, as it does if there is only one host.
    let deadline = Instant::now() + best.connect_timeout;
    if best.addresses.learns_more(generation, deadline).await
        && let Ok(connection) = best
            .connection(context, acceptable, IfUnreachable::Fail)
            .await
    {
        return Ok(Chosen {
            host: Arc::clone(best),
            tier: own,
            connection,
        });
    }
    failure.error = Error::SignatureBound;
    Err(failure)
}

/// Whether `host` may be in the region that the signature names. If the region of the host or of the
/// signature is unknown, the function returns true.
fn is_region_of(host: &Host, bound: &Bound<'_>) -> bool {
    match (&host.info.region, &bound.region) {
        (Some(own), Some(signed)) => **own == **signed,
        (None, _) | (_, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::link::host::tests::host;

    #[test]
    fn a_signature_permits_hosts_of_its_region() {
        let bound = |region: Option<&'static str>| Bound {
            has_host: false,
            region: region.map(Into::into),
        };
        for (own, signed, expected) in [
            (Some("cn-hangzhou"), Some("cn-hangzhou"), true),
            (Some("cn-shanghai"), Some("cn-hangzhou"), false),
            (Some("cn-shanghai"), None, true),
            (None, Some("cn-hangzhou"), true),
        ] {
            let is_permitted = is_region_of(&host("a", own), &bound(signed));
            assert_eq!(is_permitted, expected, "{own:?} {signed:?}");
        }
    }
}
