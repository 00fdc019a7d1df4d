//! A set of IP addresses, made from ranges.

use std::net::IpAddr;

use ipnet::IpNet;

/// A set of IP addresses. A CDN can have thousands of ranges, and each request looks up several addresses, so
/// a lookup takes logarithmic time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpRanges {
    /// The first and the last address of each range, in ascending order, without overlaps.
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl IpRanges {
    /// Creates the set of all addresses in `ranges`.
    #[must_use]
    pub fn new(ranges: &[IpNet]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for range in ranges {
            match range {
                IpNet::V4(range) => {
                    v4.push((range.network().to_bits(), range.broadcast().to_bits()));
                }
                IpNet::V6(range) => {
                    v6.push((range.network().to_bits(), range.broadcast().to_bits()));
                }
            }
        }
        Self {
            v4: merged(v4),
            v6: merged(v6),
        }
    }

    /// Whether `address` is in the set. An IPv4-mapped IPv6 address counts as its IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => is_in(&self.v4, address.to_bits()),
            IpAddr::V6(address) => is_in(&self.v6, address.to_bits()),
        }
    }
}

/// Sorts `ranges` and joins those that overlap.
fn merged<T: Copy + Ord>(mut ranges: Vec<(T, T)>) -> Box<[(T, T)]> {
    ranges.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if first <= *end => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged.into()
}

fn is_in<T: Copy + Ord>(ranges: &[(T, T)], address: T) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= address);
    let range = behind.checked_sub(1).and_then(|at| ranges.get(at));
    range.is_some_and(|(_, last)| address <= *last)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn an_address_is_found_in_the_same_ranges_as_one_by_one(
            nets in proptest::collection::vec((0_u32..1024, 22_u8..=32), 0..12),
            address in 0_u32..1024,
        ) {
            let nets: Vec<IpNet> = nets
                .into_iter()
                .map(|(bits, length)| IpNet::new(IpAddr::V4(bits.into()), length).unwrap())
                .collect();
            let address = IpAddr::V4(address.into());
            let expected = nets.iter().any(|net| net.contains(&address));
            proptest::prop_assert_eq!(IpRanges::new(&nets).contains(address), expected);
        }
    }

    #[test]
    fn families_are_apart_and_a_mapped_address_is_ipv4() {
        let nets = [
            "10.0.0.0/8",
            "2001:db8::/32",
            "::/128",
            "255.255.255.255/32",
        ];
        let ranges = IpRanges::new(&nets.map(|net| net.parse().unwrap()));
        for (address, expected) in [
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("::ffff:10.0.0.1", true),
            ("2001:db8:ffff::", true),
            ("2001:db9::", false),
            ("::", true),
            ("::1", false),
            ("0.0.0.0", false),
            ("255.255.255.255", true),
        ] {
            assert_eq!(
                ranges.contains(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
    }
}
