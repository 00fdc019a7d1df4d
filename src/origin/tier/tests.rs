//! The state of the tiers, step by step; what becomes of requests is in `tests/tiers.rs`.

use std::net::Ipv4Addr;

use http::HeaderValue;

use super::*;
use crate::origin::address::AddressSet;
use crate::origin::buckets::BucketTable;
use crate::origin::pool::Limits;

fn upstream(host: &'static str, region: Option<&str>) -> Upstream {
    let ip = Ipv4Addr::LOCALHOST.into();
    Upstream {
        id: Upstream::next_id(),
        endpoint: host.into(),
        host: HeaderValue::from_static(host),
        addresses: Arc::new(AddressSet::fixed(ip, 443, 0, Instant::now())),
        tls: None,
        connect_timeout: Duration::from_secs(3),
        limits: Limits {
            idle_per_address: 1,
            idle: Duration::from_secs(30),
        },
        region: region.map(Into::into),
        tiers: None,
        has_alternative: true,
    }
}

fn three(now: Instant) -> Arc<Upstream> {
    let others = ["second", "third"].map(|host| Arc::new(upstream(host, None)));
    let mut first = upstream("first", None);
    first.tiers = Some(Tiers::new(others.to_vec(), now));
    Arc::new(first)
}

/// Fails the tier in use and connects to `to`.
fn leave(first: &Arc<Upstream>, to: usize, now: Instant) {
    let tiers = first.tiers.as_ref().unwrap();
    tiers.note_unreachable(now);
    tiers.note_connected(first, tiers.active(), to, now + FAILING);
}

#[test]
fn a_tier_is_left_only_after_it_has_failed_for_a_while() {
    let start = Instant::now();
    let first = three(start);
    let tiers = first.tiers.as_ref().unwrap();
    let at = |millis| start + Duration::from_millis(millis);
    tiers.note_unreachable(at(1000));
    tiers.note_connected(&first, 0, 1, at(1400));
    assert_eq!(first.active_tier(), 0, "too early");
    tiers.note_connected(&first, 0, 0, at(1450));
    tiers.note_connected(&first, 0, 1, at(1600));
    assert_eq!(first.active_tier(), 0, "it has come back");
    tiers.note_unreachable(at(2000));
    tiers.note_unreachable(at(2400));
    tiers.note_connected(&first, 0, 1, at(2500));
    assert_eq!(first.active_tier(), 1);
    assert!(!tiers.is_failing(at(9000)), "the new one has not failed");
}

#[test]
fn the_bucket_furthest_down_tells_the_active_tier() {
    let start = Instant::now();
    let first = three(start);
    let copy = Arc::clone(&first);
    let table = BucketTable::new(["a"], Box::new(move |_| Some(Arc::clone(&copy))));
    assert_eq!(table.active_tier(), 0);
    leave(&first, 2, start + LASTING);
    assert_eq!(table.active_tier(), 2);
}

#[test]
fn a_return_that_does_not_last_makes_the_next_one_wait_longer() {
    let mut now = Instant::now();
    let first = three(now);
    let tiers = first.tiers.as_ref().unwrap();
    let mut pauses = Vec::new();
    for lasting in [10, 10, 10, 10, 10, 10, 100, 10] {
        now += Duration::from_secs(5);
        leave(&first, 1, now);
        pauses.push(tiers.pause().as_secs());
        tiers.go(&first, 1, 0, now + FAILING);
        now += Duration::from_secs(lasting);
    }
    assert_eq!(pauses, [2, 4, 8, 16, 30, 30, 30, 2]);
}

/// Where a test's events go.
#[derive(Clone, Default)]
struct Events(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Events {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_move_is_one_warning_and_a_return_one_event() {
    let events = Events::default();
    let sink = events.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || sink.clone())
        .finish();
    // With a single one in the process, tracing asks the thread that comes to an event first, which may
    // be another test's and have none, and remembers that nobody listens.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().finish());
    let start = Instant::now();
    let first = three(start);
    tracing::subscriber::with_default(subscriber, || {
        let tiers = first.tiers.as_ref().unwrap();
        for second in 1..4 {
            leave(&first, 1, start + Duration::from_secs(second));
        }
        tiers.note_connected(&first, 1, 1, start + LASTING);
        tiers.go(&first, 1, 0, start + LASTING);
        tiers.go(&first, 1, 0, start + LASTING);
    });
    let text = String::from_utf8(events.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].contains("WARN") && lines[0].contains("second"),
        "{text}"
    );
    assert!(
        lines[1].contains("INFO") && lines[1].contains("first"),
        "{text}"
    );
}

#[test]
fn another_tier_takes_what_its_signature_allows() {
    let (own, other) = (
        upstream("a", Some("cn-hangzhou")),
        upstream("b", Some("cn-shanghai")),
    );
    let unknown = upstream("a", None);
    let bound = |has_host, region: Option<&'static str>| Bound {
        has_host,
        region: region.map(Into::into),
    };
    for (bound, takes_own, takes_other) in [
        (bound(false, None), true, true),
        (bound(false, Some("cn-hangzhou")), true, false),
        (bound(true, None), true, false),
    ] {
        // The first one is `own`, so only its host is the signed one.
        assert_eq!(own.takes(&bound, &unknown), takes_own, "{bound:?}");
        assert_eq!(other.takes(&bound, &unknown), takes_other, "{bound:?}");
        assert!(unknown.takes(&bound, &own), "{bound:?}");
    }
}
