use super::*;
use crate::origin::endpoint::snapshot::ATTEMPTS;

const TTL: Duration = Duration::from_secs(1);

fn ip(last: u8) -> IpAddr {
    IpAddr::from([100, 64, 0, last])
}

fn lasts(candidates: &[Arc<Address>]) -> Vec<u8> {
    candidates
        .iter()
        .map(|address| match address.socket.ip() {
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(_) => 0,
        })
        .collect()
}

#[test]
fn the_set_is_the_union_of_recent_answers_the_latest_first() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    set.publish(&[ip(1), ip(2)], TTL, start);
    set.publish(&[ip(3)], TTL, start + Duration::from_secs(5));
    assert_eq!(set.snapshot().addresses().len(), 3);
    assert_eq!(lasts(&set.snapshot().candidates(start, 0)), [3, 1, 2]);
    set.publish(&[ip(3)], TTL, start + Duration::from_secs(10));
    assert_eq!(lasts(set.snapshot().addresses()), [3]);
}

#[test]
fn connections_to_an_address_that_leaves_are_left_alone_while_another_is_healthy() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    set.publish(&[ip(1)], TTL, start);
    let old = Arc::clone(&set.snapshot().addresses()[0]);
    assert!(!set.snapshot().is_leaving(&old));
    set.publish(&[ip(2)], TTL, start + Duration::from_secs(5));
    let snapshot = set.snapshot();
    assert!(snapshot.is_leaving(&old) && snapshot.contains(&old));
    let new = &snapshot.addresses()[0];
    assert!(!snapshot.is_leaving(new));
    new.note_failure(start, start, "x");
    assert!(!snapshot.is_leaving(&old), "the new address has failed");
}

#[test]
fn new_connections_are_spread_over_all_addresses_of_the_answer() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    set.publish(&[ip(1), ip(2), ip(3)], TTL, start);
    let mut first = Vec::new();
    for _ in 0..6 {
        let candidates = set.snapshot().candidates(start, set.next_rotation());
        assert_eq!(candidates.len(), 3, "all are candidates");
        first.push(lasts(&candidates)[0]);
    }
    assert_eq!(first, [1, 2, 3, 1, 2, 3]);
    // The order also rotates among the addresses that are missing from the latest DNS answer, and among all
    // addresses when all are ejected.
    let later = start + Duration::from_secs(1);
    set.publish(&[ip(4)], TTL, later);
    let snapshot = set.snapshot();
    assert_eq!(lasts(&snapshot.candidates(later, 1)), [4, 2, 3, 1]);
    for address in snapshot.addresses() {
        address.note_failure(later, later, "x");
    }
    assert_eq!(lasts(&snapshot.candidates(later, 2)), [2, 3, 4, 1]);
}

#[test]
fn a_connect_has_at_most_ten_candidates() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    let many: Vec<IpAddr> = (1..=12).map(ip).collect();
    set.publish(&many, TTL, start);
    let snapshot = set.snapshot();
    assert_eq!(snapshot.candidates(start, 0).len(), ATTEMPTS);
    snapshot.addresses()[0].note_failure(start, start, "x");
    let later = start + Duration::from_secs(2);
    let candidates = snapshot.candidates(later, 0);
    assert_eq!(candidates.len(), ATTEMPTS);
    assert_eq!(lasts(&candidates)[0], 1, "the probe comes first");
}

#[test]
fn the_age_is_the_time_since_the_last_good_answer() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    assert_eq!(set.age(start), None);
    set.publish(&[ip(1)], TTL, start);
    let later = start + Duration::from_secs(7);
    assert_eq!(set.age(later), Some(Duration::from_secs(7)));
    set.note_failure(DnsFailure::Timeout, Duration::from_secs(60), later);
    assert_eq!(set.age(later), Some(Duration::from_secs(7)));
    let fixed = AddressSet::fixed(ip(1), 443, 0, start);
    assert_eq!(fixed.age(later), Some(Duration::ZERO));
}

#[test]
fn only_added_and_removed_addresses_are_counted_as_changes() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    set.publish(&[ip(1)], TTL, start);
    set.publish(&[ip(2)], TTL, start + Duration::from_secs(1));
    let (changes, generation) = (set.changes(), set.generation());
    assert_eq!(changes, 2);
    set.publish(&[ip(1)], TTL, start + Duration::from_secs(2));
    assert_eq!(set.changes(), changes, "only the order has changed");
    assert!(set.generation() > generation);
}

#[test]
fn a_set_was_reached_once_a_connection_was_established() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    set.publish(&[ip(1)], TTL, start);
    let address = Arc::clone(&set.snapshot().addresses()[0]);
    address.note_accepted(start);
    assert!(!set.was_reached(), "the handshake is still to come");
    address.note_connected(start);
    assert!(set.was_reached());
    address.note_failure(start, start, "x");
    set.publish(&[ip(2)], TTL, start + Duration::from_secs(60));
    assert!(
        set.was_reached(),
        "the endpoint was reached, although its current address was not"
    );
}

#[test]
fn an_address_whose_handshake_failed_is_not_healthy_because_it_accepts_a_connection() {
    let start = Instant::now();
    let address = Address::new(
        &"oss.test:443".into(),
        SocketAddr::new(ip(1), 443),
        0,
        start,
    );
    address.note_tls_failure(start, start, "x");
    address.note_accepted(start);
    assert!(address.is_ejected());
    assert!(
        address.is_lost(start, Duration::from_secs(1)),
        "no connection was ever established"
    );
    address.note_connected(start);
    assert!(!address.is_ejected());
    address.note_break(start, "x");
    address.note_connected(start);
    assert!(address.is_ejected(), "an exchange must succeed first");
    assert!(!address.is_lost(start, Duration::ZERO), "connects succeed");
    address.note_success();
    assert!(!address.is_ejected());
}

#[test]
fn an_equal_answer_is_not_a_change() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    set.publish(&[ip(1), ip(2)], TTL, start);
    let before = set.generation();
    set.publish(&[ip(2), ip(1)], TTL, start);
    assert_eq!(set.generation(), before);
}

#[test]
fn a_failed_resolution_keeps_the_set_for_the_stale_time() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    let stale = Duration::from_secs(3600);
    set.publish(&[ip(1)], TTL, start);
    set.note_failure(DnsFailure::Timeout, stale, start + stale);
    assert_eq!(set.snapshot().addresses().len(), 1);
    assert_eq!(set.failure(), Some(DnsFailure::Timeout));
    let expired = start + stale + Duration::from_nanos(1);
    set.note_failure(DnsFailure::Timeout, stale, expired);
    assert!(set.snapshot().addresses().is_empty());
}

#[test]
fn a_failed_address_is_ejected_then_probed_by_one_request_at_a_time() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    set.publish(&[ip(1), ip(2)], TTL, start);
    let snapshot = set.snapshot();
    let Some(first) = snapshot.addresses().first() else {
        panic!("empty")
    };
    first.note_failure(start, start, "x");
    assert_eq!(lasts(&snapshot.candidates(start, 0)), [2]);
    let later = start + Duration::from_secs(2);
    assert_eq!(lasts(&snapshot.candidates(later, 0)), [1, 2], "the probe");
    assert_eq!(lasts(&snapshot.candidates(later, 0)), [2], "one at a time");
    first.note_success();
    assert_eq!(lasts(&snapshot.candidates(later, 0)), [1, 2]);
}

#[test]
fn failures_at_one_moment_count_once_and_later_ones_double_the_pause() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    set.publish(&[ip(1), ip(2)], TTL, start);
    let snapshot = set.snapshot();
    let Some(first) = snapshot.addresses().first() else {
        panic!("empty")
    };
    for _ in 0..20 {
        first.note_failure(start, start, "x");
    }
    let probe = start + Duration::from_millis(1001);
    assert_eq!(lasts(&snapshot.candidates(probe, 0)), [1, 2]);
    first.note_failure(probe, probe, "x");
    let early = probe + Duration::from_millis(1900);
    assert_eq!(lasts(&snapshot.candidates(early, 0)), [2]);
    let late = probe + Duration::from_millis(2001);
    assert_eq!(lasts(&snapshot.candidates(late, 0)), [1, 2]);
}

#[test]
fn when_all_are_ejected_all_are_used() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    set.publish(&[ip(1), ip(2)], TTL, start);
    let snapshot = set.snapshot();
    for address in snapshot.addresses() {
        address.note_failure(start, start, "x");
    }
    assert_eq!(lasts(&snapshot.candidates(start, 1)), [2, 1]);
}

#[test]
fn an_address_that_accepts_and_breaks_is_ejected_for_longer_each_time() {
    let start = Instant::now();
    let set = AddressSet::new("e", 443, 0);
    set.publish(&[ip(1), ip(2)], TTL, start);
    let snapshot = set.snapshot();
    let Some(first) = snapshot.addresses().first() else {
        panic!("empty")
    };
    first.note_break(start, "x");
    let probe = start + Duration::from_millis(1001);
    assert_eq!(lasts(&snapshot.candidates(probe, 0)), [1, 2]);
    // A successful connect does not show that a later exchange succeeds.
    first.note_connected(probe);
    first.note_break(probe, "x");
    let early = probe + Duration::from_millis(1900);
    assert_eq!(lasts(&snapshot.candidates(early, 0)), [2]);
    first.note_success();
    assert_eq!(lasts(&snapshot.candidates(early, 0)), [1, 2]);
}

#[test]
fn an_address_is_lost_when_it_stays_unreachable_or_never_was() {
    const PATIENCE: Duration = Duration::from_secs(1);
    let start = Instant::now();
    let set = AddressSet::new("e", 443, 0);
    set.publish(&[ip(1), ip(2), ip(3)], TTL, start);
    let snapshot = set.snapshot();
    let [never, once, breaking] = snapshot.addresses() else {
        panic!("three")
    };
    once.note_connected(start);
    breaking.note_connected(start);
    never.note_failure(start, start, "x");
    once.note_failure(start, start, "x");
    breaking.note_break(start, "x");
    let is_lost = |after: u64| {
        let now = start + Duration::from_millis(after);
        [never, once, breaking].map(|address| address.is_lost(now, PATIENCE))
    };
    assert_eq!(is_lost(500), [true, false, false]);
    assert_eq!(is_lost(1500), [true, true, false]);
}
