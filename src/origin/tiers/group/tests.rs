//! Tests of the tier state. The effects on requests are tested in `tests/origin/tiers.rs`.

use std::time::Duration;

use super::*;
use crate::origin::link::host::tests::host;
use crate::origin::tiers::buckets::BucketTable;
use crate::origin::tiers::state::{FAILING, LASTING};

fn three(now: Instant) -> Arc<Tiers> {
    let [first, second, third] = ["first", "second", "third"].map(|name| Arc::new(named(name)));
    Arc::new(Tiers::new(first, [second, third], now))
}

fn named(name: &str) -> Host {
    let mut host = host(name, None);
    host.endpoint = name.into();
    host
}

/// Records a failure of the tier in use, and a later connect to `to`.
fn leave(tiers: &Tiers, to: usize, now: Instant) {
    tiers.state.note_unreachable(now);
    tiers.note_connected(tiers.active(), to, now + FAILING);
}

#[test]
fn a_tier_is_left_only_after_it_has_failed_for_a_while() {
    let start = Instant::now();
    let tiers = three(start);
    let at = |millis| start + Duration::from_millis(millis);
    tiers.state.note_unreachable(at(1000));
    tiers.note_connected(0, 1, at(1400));
    assert_eq!(tiers.active(), 0, "too early");
    tiers.note_connected(0, 0, at(1450));
    tiers.note_connected(0, 1, at(1600));
    assert_eq!(tiers.active(), 0, "the tier has recovered");
    tiers.state.note_unreachable(at(2000));
    tiers.state.note_unreachable(at(2400));
    tiers.note_connected(0, 1, at(2500));
    assert_eq!(tiers.active(), 1);
    assert!(
        !tiers.state.is_failing(at(9000)),
        "the new tier has not failed"
    );
}

#[test]
fn the_active_tier_of_a_table_is_that_of_the_bucket_furthest_down() {
    let start = Instant::now();
    let tiers = three(start);
    let copy = Arc::clone(&tiers);
    let table = BucketTable::new(["a"], Box::new(move |_| Some(Arc::clone(&copy))));
    assert_eq!(table.active_tier(), 0);
    leave(&tiers, 2, start + LASTING);
    assert_eq!(table.active_tier(), 2);
}

#[test]
fn a_return_that_does_not_last_makes_the_next_one_wait_longer() {
    let mut now = Instant::now();
    let tiers = three(now);
    let mut pauses = Vec::new();
    for lasting in [10, 10, 10, 10, 10, 10, 100, 10] {
        now += Duration::from_secs(5);
        leave(&tiers, 1, now);
        pauses.push(tiers.state.pause().as_secs());
        tiers.change(1, 0, now + FAILING);
        now += Duration::from_secs(lasting);
    }
    assert_eq!(pauses, [2, 4, 8, 16, 30, 30, 30, 2]);
}

/// Collects the events of a test.
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
    // The threads of other tests have no subscriber. If the process has only one subscriber and such a thread
    // reaches the event first, tracing concludes that nobody wants the event and does not ask again. The
    // second dispatcher prevents this.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().finish());
    let start = Instant::now();
    let tiers = three(start);
    tracing::subscriber::with_default(subscriber, || {
        for second in 1..4 {
            leave(&tiers, 1, start + Duration::from_secs(second));
        }
        tiers.note_connected(1, 1, start + LASTING);
        tiers.change(1, 0, start + LASTING);
        tiers.change(1, 0, start + LASTING);
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
