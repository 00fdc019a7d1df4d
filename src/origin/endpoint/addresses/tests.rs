use super::*;

const HOLD: Duration = Duration::from_secs(30);

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
fn the_set_is_the_union_of_recent_answers_each_with_its_own_expiry() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    set.publish(&[ip(1), ip(2)], HOLD, start);
    set.publish(&[ip(3)], HOLD, start + Duration::from_secs(10));
    assert_eq!(set.snapshot().addresses().len(), 3);
    assert_eq!(
        lasts(&set.snapshot().candidates(start, 0)),
        [3, 1, 2],
        "the latest answer first"
    );
    set.publish(&[ip(3)], HOLD, start + Duration::from_secs(31));
    assert_eq!(lasts(set.snapshot().addresses()), [3]);
}

#[test]
fn an_equal_answer_is_not_a_change() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    set.publish(&[ip(1), ip(2)], HOLD, start);
    let before = set.generation();
    set.publish(&[ip(2), ip(1)], HOLD, start);
    assert_eq!(set.generation(), before);
}

#[test]
fn a_failed_resolution_keeps_the_set_for_the_stale_time() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    let stale = Duration::from_secs(3600);
    set.publish(&[ip(1)], HOLD, start);
    set.note_failure(
        DnsFailure::Timeout,
        stale,
        start + Duration::from_secs(3599),
    );
    assert_eq!(set.snapshot().addresses().len(), 1);
    assert_eq!(set.failure(), Some(DnsFailure::Timeout));
    set.note_failure(
        DnsFailure::Timeout,
        stale,
        start + Duration::from_secs(3601),
    );
    assert!(set.snapshot().addresses().is_empty());
}

#[test]
fn a_failed_address_is_ejected_then_probed_by_one_request_at_a_time() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    set.publish(&[ip(1), ip(2)], HOLD, start);
    let snapshot = set.snapshot();
    let Some(first) = snapshot.addresses().first() else {
        panic!("empty")
    };
    first.note_failure(start, "x");
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
    set.publish(&[ip(1), ip(2)], HOLD, start);
    let snapshot = set.snapshot();
    let Some(first) = snapshot.addresses().first() else {
        panic!("empty")
    };
    for _ in 0..20 {
        first.note_failure(start, "x");
    }
    let probe = start + Duration::from_millis(1001);
    assert_eq!(lasts(&snapshot.candidates(probe, 0)), [1, 2]);
    first.note_failure(probe, "x");
    let early = probe + Duration::from_millis(1900);
    assert_eq!(lasts(&snapshot.candidates(early, 0)), [2]);
    let late = probe + Duration::from_millis(2001);
    assert_eq!(lasts(&snapshot.candidates(late, 0)), [1, 2]);
}

#[test]
fn when_all_are_ejected_all_are_used() {
    let set = AddressSet::new("e", 443, 0);
    let start = Instant::now();
    set.publish(&[ip(1), ip(2)], HOLD, start);
    let snapshot = set.snapshot();
    for address in snapshot.addresses() {
        address.note_failure(start, "x");
    }
    assert_eq!(lasts(&snapshot.candidates(start, 1)), [2, 1]);
}

#[test]
fn an_address_that_accepts_and_breaks_is_ejected_for_longer_each_time() {
    let start = Instant::now();
    let set = AddressSet::new("e", 443, 0);
    set.publish(&[ip(1), ip(2)], HOLD, start);
    let snapshot = set.snapshot();
    let Some(first) = snapshot.addresses().first() else {
        panic!("empty")
    };
    first.note_break(start, "x");
    let probe = start + Duration::from_millis(1001);
    assert_eq!(lasts(&snapshot.candidates(probe, 0)), [1, 2]);
    // A connect says nothing about what comes after it.
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
    set.publish(&[ip(1), ip(2), ip(3)], HOLD, start);
    let snapshot = set.snapshot();
    let [never, once, breaking] = snapshot.addresses() else {
        panic!("three")
    };
    once.note_connected(start);
    breaking.note_connected(start);
    never.note_failure(start, "x");
    once.note_failure(start, "x");
    breaking.note_break(start, "x");
    let is_lost = |after: u64| {
        let now = start + Duration::from_millis(after);
        [never, once, breaking].map(|address| address.is_lost(now, PATIENCE))
    };
    assert_eq!(is_lost(500), [true, false, false]);
    assert_eq!(is_lost(1500), [true, true, false]);
}
