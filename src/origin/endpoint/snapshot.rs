//! The addresses of one endpoint at one moment, and the order in which a new connection tries them. The terms
//! fresh, rotating and leaving are explained at [`Standing`].

use std::sync::Arc;

use tokio::time::Instant;

use crate::origin::endpoint::address_health::Address;
use crate::origin::endpoint::membership::Standing;

/// The maximum number of addresses that one connect tries. If this many addresses fail, further ones are
/// unlikely to work.
pub(crate) const ATTEMPTS: usize = 10;

/// The addresses at one moment, in the order in which new connections prefer them: fresh, rotating,
/// leaving.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    addresses: Vec<Arc<Address>>,
    /// The number of addresses at the start of `addresses` that are in the latest DNS answer.
    fresh: usize,
    /// The number of addresses at the start of `addresses` that are fresh or rotating. The addresses after
    /// them are leaving DNS.
    settled: usize,
}

impl Snapshot {
    /// Creates a snapshot from addresses and their standings. The addresses must be sorted by standing.
    pub(super) fn new<'a>(usable: impl Iterator<Item = (&'a Arc<Address>, Standing)>) -> Self {
        let mut snapshot = Self::default();
        for (address, standing) in usable {
            snapshot.addresses.push(Arc::clone(address));
            snapshot.fresh += usize::from(standing == Standing::Fresh);
            snapshot.settled += usize::from(standing != Standing::Leaving);
        }
        snapshot
    }

    /// Whether both snapshots have the same addresses in the same order and in the same groups.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let pointers = |one: &Self| one.addresses.iter().map(Arc::as_ptr).collect::<Vec<_>>();
        self.fresh == other.fresh
            && self.settled == other.settled
            && pointers(self) == pointers(other)
    }

    /// Whether both snapshots have the same addresses, in any order.
    pub(super) fn has_same_members(&self, other: &Self) -> bool {
        self.addresses.len() == other.addresses.len()
            && self.addresses.iter().all(|address| other.contains(address))
    }

    /// Returns all addresses, including those that are ejected.
    #[must_use]
    pub(crate) fn addresses(&self) -> &[Arc<Address>] {
        &self.addresses
    }

    /// Whether `address` is in the snapshot. A withdrawn address is not.
    #[must_use]
    pub(crate) fn contains(&self, address: &Arc<Address>) -> bool {
        self.addresses
            .iter()
            .any(|known| Arc::ptr_eq(known, address))
    }

    /// Whether `address` is leaving and a healthy address can replace it. If so, the pool does not reuse the
    /// idle connections to `address`, so that requests move to the addresses that DNS still returns.
    #[must_use]
    pub(crate) fn is_leaving(&self, address: &Arc<Address>) -> bool {
        let (settled, leaving) = self.split(self.settled);
        leaving.iter().any(|known| Arc::ptr_eq(known, address))
            && settled.iter().any(|other| !other.is_ejected())
    }

    fn split(&self, at: usize) -> (&[Arc<Address>], &[Arc<Address>]) {
        self.addresses.split_at(at.min(self.addresses.len()))
    }

    /// Returns the addresses that a new connection should try, best first, at most [`ATTEMPTS`]: an ejected
    /// address that this request must probe, the healthy fresh addresses, and the other healthy ones. If
    /// there are none of these, returns the ejected addresses. Each group is rotated by `rotation`, so that
    /// connections spread over the addresses.
    #[must_use]
    pub(crate) fn candidates(&self, now: Instant, rotation: usize) -> Vec<Arc<Address>> {
        let (fresh, held) = self.split(self.fresh);
        let mut chosen = Vec::with_capacity(ATTEMPTS);
        if let Some(probe) = self
            .addresses
            .iter()
            .find(|address| address.takes_probe(now))
        {
            chosen.push(Arc::clone(probe));
        }
        for group in [fresh, held] {
            let healthy = turned(group, rotation).filter(|address| !address.is_ejected());
            chosen.extend(healthy.take(ATTEMPTS - chosen.len().min(ATTEMPTS)).cloned());
        }
        if chosen.is_empty() {
            chosen.extend(turned(&self.addresses, rotation).take(ATTEMPTS).cloned());
        }
        chosen
    }
}

/// Iterates over `group`, rotated so that it starts at index `rotation % len`.
fn turned(group: &[Arc<Address>], rotation: usize) -> impl Iterator<Item = &Arc<Address>> {
    let turn = rotation.checked_rem(group.len()).unwrap_or(0);
    let (tail, head) = group.split_at(turn);
    head.iter().chain(tail)
}
