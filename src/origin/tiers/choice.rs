//! Chooses the connection for one request: to the tier in use, or to the next reachable tier.
//!
//! If the connect of a request fails, the request uses the next tier at once, because nothing of it was
//! sent. If connects to a tier have been failing for a while, requests use the next tier without trying it
//! first.
//!
//! If a client's signature covers the host or is for another region, the request cannot be sent to another
//! tier ([`Bound`]). Such a request is only sent to the first tier, and fails with
//! [`Error::SignatureBound`] if that tier is unreachable.

use std::sync::Arc;

use http::request;
use tokio::time::Instant;

use crate::http::context::RequestContext;
use crate::origin::error::Error;
use crate::origin::link::connection::Connection;
use crate::origin::link::host::{Host, IfUnreachable};
use crate::origin::link::reuse::{Acceptable, Age};
use crate::origin::tiers::group::Tiers;
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

/// Returns a connection for the request with `head` to one of `tiers`.
///
/// # Errors
///
/// The errors of [`Host::connection`] for the tier tried last; [`Error::SignatureBound`] if the signature
/// does not permit a tier that could have been tried.
pub(in crate::origin) async fn connection(
    tiers: &Arc<Tiers>,
    head: &request::Parts,
    context: &RequestContext,
    acceptable: Acceptable,
) -> Result<Chosen, Error> {
    if tiers.has_alternatives() {
        // Boxed, so that only origins with several endpoints have its state in the future of a request.
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
) -> Result<Chosen, Error> {
    let host = tiers.first();
    let connection = host.connection(context, acceptable, IfUnreachable::FollowDns);
    Ok(Chosen {
        connection: connection.await?,
        host: Arc::clone(host),
        tier: 0,
    })
}

async fn among_several(
    tiers: &Arc<Tiers>,
    head: &request::Parts,
    context: &RequestContext,
    acceptable: Acceptable,
) -> Result<Chosen, Error> {
    let active = tiers.active();
    if active > 0 {
        trial::start_if_due(tiers);
    }
    let began = Instant::now();
    let first = tiers.first();
    let generation = first.addresses.generation();
    let mut bound = None;
    let mut failure = Error::SignatureBound;
    let mut is_bound = false;
    let count = tiers.hosts().len();
    // If the active tier is failing, it is tried last.
    let start = active + usize::from(tiers.state.is_failing(began));
    for step in 0..count {
        let tier = (start + step) % count;
        let Some(host) = tiers.hosts().get(tier) else {
            continue;
        };
        if tier > 0 {
            let bound = bound.get_or_insert_with(|| Bound::of(&head.headers, head.uri.query()));
            if !permits(bound, host, first) {
                is_bound = true;
                continue;
            }
        }
        match host
            .connection(context, acceptable, IfUnreachable::Fail)
            .await
        {
            Ok(connection) => {
                // A reused connection does not show that connects succeed.
                if tier != active || connection.age == Age::Fresh {
                    tiers.note_connected(active, tier, Instant::now());
                }
                return Ok(Chosen {
                    host: Arc::clone(host),
                    tier,
                    connection,
                });
            }
            Err(error) if !error.is_unreachable() => return Err(error),
            Err(error) => {
                if tier == active {
                    tiers.state.note_unreachable(began);
                }
                failure = error;
            }
        }
    }
    if !is_bound {
        return Err(failure);
    }
    // The signature allows only the first tier, so this request waits for new DNS addresses, as an origin
    // with a single host does.
    let deadline = Instant::now() + first.connect_timeout;
    if first.addresses.learns_more(generation, deadline).await
        && let Ok(connection) = first
            .connection(context, acceptable, IfUnreachable::Fail)
            .await
    {
        return Ok(Chosen {
            host: Arc::clone(first),
            tier: 0,
            connection,
        });
    }
    Err(Error::SignatureBound)
}

/// Whether a request with this signature, which was addressed to `first`, may be sent to `host`.
fn permits(bound: &Bound<'_>, host: &Host, first: &Host) -> bool {
    let is_same_region = match (&host.region, &bound.region) {
        (Some(own), Some(signed)) => **own == **signed,
        (None, _) | (_, None) => true,
    };
    is_same_region && (!bound.has_host || host.host == first.host)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::origin::link::host::tests::host;

    #[test]
    fn a_signature_permits_hosts_of_its_region_and_host() {
        let own = host("a", Some("cn-hangzhou"));
        let other = host("b", Some("cn-shanghai"));
        let unknown = host("a", None);
        assert_eq!(own.host, HeaderValue::from_static("a"));
        let bound = |has_host, region: Option<&'static str>| Bound {
            has_host,
            region: region.map(Into::into),
        };
        for (bound, permits_own, permits_other) in [
            (bound(false, None), true, true),
            (bound(false, Some("cn-hangzhou")), true, false),
            (bound(true, None), true, false),
        ] {
            // `unknown` has the same `Host` as `own`, so a signature that covers the host permits only
            // `own`.
            assert_eq!(permits(&bound, &own, &unknown), permits_own, "{bound:?}");
            assert_eq!(
                permits(&bound, &other, &unknown),
                permits_other,
                "{bound:?}"
            );
            assert!(permits(&bound, &unknown, &own), "{bound:?}");
        }
    }
}
