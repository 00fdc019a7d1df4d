//! Request counters, kept per worker and merged for each scrape.
//!
//! Each worker has its own counters with their own lock. It takes the lock once for a whole batch of finished
//! requests; besides the worker, only a scrape takes it. Label values come from the config and from fixed
//! lists, never from a client: a method that is not in the list is counted as `other`.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::http::context::{Outcome, RequestContext};

/// The upper bounds of the histogram buckets, in seconds.
const BOUNDS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

thread_local! {
    static OWN: OnceCell<Arc<Mutex<Counts>>> = const { OnceCell::new() };
}

/// A histogram of durations.
#[derive(Clone, Debug, Default)]
struct Times {
    /// One count for each bound, and one for all durations above the last bound.
    buckets: [u64; BOUNDS.len() + 1],
    sum: f64,
}

impl Times {
    fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let place = BOUNDS
            .iter()
            .position(|bound| seconds <= *bound)
            .unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket += 1;
        }
        self.sum += seconds;
    }

    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine += theirs;
        }
        self.sum += other.sum;
    }
}

/// The counters of one route.
#[derive(Clone, Debug, Default)]
struct PerRoute {
    by_code: BTreeMap<(&'static str, u16), u64>,
    durations: Times,
    first_bytes: Times,
    bytes_in: u64,
    bytes_out: u64,
    retries: u64,
    resumes: u64,
    reused: u64,
    connects: u64,
    aborted: u64,
    /// The requests that got no response from OSS, by cause.
    failures: BTreeMap<&'static str, u64>,
    referer_reports: u64,
}

impl PerRoute {
    fn add(&mut self, method: &'static str, outcome: &Outcome) {
        let code = outcome.logged_status();
        *self.by_code.entry((method, code)).or_default() += 1;
        self.durations.add(outcome.total);
        if let Some(first_byte) = outcome.first_byte {
            self.first_bytes.add(first_byte);
        }
        self.bytes_in = self.bytes_in.saturating_add(outcome.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(outcome.bytes_out);
        self.retries += u64::from(outcome.retries);
        self.resumes += u64::from(outcome.resumes);
        if outcome.upstream.is_some() {
            self.reused += u64::from(outcome.reused);
            self.connects += u64::from(!outcome.reused);
        }
        self.aborted += u64::from(outcome.aborted.is_some());
        if let Some(cause) = outcome.cause {
            *self.failures.entry(cause).or_default() += 1;
        }
        self.referer_reports += u64::from(outcome.would_refuse_referer);
    }

    fn merge(&mut self, other: &Self) {
        for (key, count) in &other.by_code {
            *self.by_code.entry(*key).or_default() += count;
        }
        self.durations.merge(&other.durations);
        self.first_bytes.merge(&other.first_bytes);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.retries += other.retries;
        self.resumes += other.resumes;
        self.reused += other.reused;
        self.connects += other.connects;
        self.aborted += other.aborted;
        for (cause, count) in &other.failures {
            *self.failures.entry(cause).or_default() += count;
        }
        self.referer_reports += other.referer_reports;
    }
}

/// The counters of one worker.
#[derive(Debug, Default)]
struct Counts {
    /// The counters, keyed by route name. Requests without a route are counted under the empty name.
    routes: BTreeMap<Arc<str>, PerRoute>,
    refusals: BTreeMap<&'static str, u64>,
    gauges: WorkerGauges,
}

/// The values that each worker thread reports about itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkerGauges {
    /// The number of idle upstream connections.
    pub idle_upstream: usize,
    /// The number of bytes of request bodies kept for a retry.
    pub retry_buffer: usize,
    /// The number of request bodies that were not kept for a retry, because `server.retry_buffer` was full.
    /// It never decreases.
    pub retry_declined: u64,
}

impl Counts {
    fn add(&mut self, context: &RequestContext) {
        let outcome = context.outcome();
        if let Some(kind) = outcome.error {
            *self.refusals.entry(kind).or_default() += 1;
        }
        let method = method(&context.method);
        let route = outcome.route.as_deref().unwrap_or_default();
        match self.routes.get_mut(route) {
            Some(counts) => counts.add(method, &outcome),
            None => self
                .routes
                .entry(route.into())
                .or_default()
                .add(method, &outcome),
        }
    }

    fn merge(&mut self, other: &Self) {
        for (route, counts) in &other.routes {
            self.routes
                .entry(Arc::clone(route))
                .or_default()
                .merge(counts);
        }
        for (kind, count) in &other.refusals {
            *self.refusals.entry(kind).or_default() += count;
        }
        self.gauges.idle_upstream += other.gauges.idle_upstream;
        self.gauges.retry_buffer += other.gauges.retry_buffer;
        self.gauges.retry_declined += other.gauges.retry_declined;
    }
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// The request counters of all workers.
#[derive(Debug, Default)]
pub struct RequestMetrics {
    workers: Mutex<Vec<Arc<Mutex<Counts>>>>,
}

impl RequestMetrics {
    /// Counts finished requests on the calling worker thread.
    pub fn count(&self, batch: &[Arc<RequestContext>]) {
        self.with_own(|counts| {
            for context in batch {
                counts.add(context);
            }
        });
    }

    /// Sets the gauges of the calling worker thread.
    pub fn note_worker(&self, gauges: WorkerGauges) {
        self.with_own(|counts| counts.gauges = gauges);
    }

    fn with_own(&self, act: impl FnOnce(&mut Counts)) {
        OWN.with(|own| {
            let own = own.get_or_init(|| {
                let counts = Arc::default();
                let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
                workers.push(Arc::clone(&counts));
                counts
            });
            act(&mut own.lock().unwrap_or_else(PoisonError::into_inner));
        });
    }

    fn merged(&self) -> Counts {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Counts::default();
        for worker in &*workers {
            all.merge(&worker.lock().unwrap_or_else(PoisonError::into_inner));
        }
        all
    }
}

impl Collector for RequestMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let all = self.merged();
        let name = "requests";
        let help = "Requests that have ended";
        let mut requests = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (route, counts) in &all.routes {
            for ((method, code), count) in &counts.by_code {
                let code = code.to_string();
                let labels = [("route", &**route), ("method", *method), ("code", &*code)];
                requests
                    .encode_family(&labels)?
                    .encode_counter::<NoLabelSet, _, u64>(count, None)?;
            }
        }
        type Pick = fn(&PerRoute) -> u64;
        let counters: [(&str, &str, Pick); 8] = [
            ("received_bytes", "Request body bytes", |route| {
                route.bytes_in
            }),
            ("sent_bytes", "Answer body bytes", |route| route.bytes_out),
            ("upstream_retries", "Requests sent again", |route| {
                route.retries
            }),
            (
                "upstream_resumes",
                "Downloads that broke and went on elsewhere",
                |route| route.resumes,
            ),
            (
                "upstream_connects",
                "Requests that opened an upstream connection",
                |route| route.connects,
            ),
            (
                "upstream_reuses",
                "Requests on a kept-alive upstream connection",
                |route| route.reused,
            ),
            (
                "requests_aborted",
                "Requests whose answer did not reach the client whole",
                |route| route.aborted,
            ),
            (
                "referer_reports",
                "Requests that the Referer rules would refuse, in their mode report",
                |route| route.referer_reports,
            ),
        ];
        for (name, help, pick) in counters {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (route, counts) in &all.routes {
                family
                    .encode_family(&[("route", &**route)])?
                    .encode_counter::<NoLabelSet, _, u64>(&pick(counts), None)?;
            }
        }
        type PickTimes = fn(&PerRoute) -> &Times;
        let times: [(&str, &str, PickTimes); 2] = [
            (
                "request_duration_seconds",
                "From a request's head to the end of its answer",
                |route| &route.durations,
            ),
            (
                "request_ttfb_seconds",
                "From a request's head to the head of its answer",
                |route| &route.first_bytes,
            ),
        ];
        for (name, help, pick) in times {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            for (route, counts) in &all.routes {
                let times = pick(counts);
                let bounds = BOUNDS.iter().copied().chain([f64::INFINITY]);
                let buckets: Vec<(f64, u64)> = bounds.zip(times.buckets).collect();
                let count = times.buckets.iter().sum();
                family
                    .encode_family(&[("route", &**route)])?
                    .encode_histogram::<NoLabelSet>(times.sum, count, &buckets, None)?;
            }
        }
        let help = "Requests that got no response from OSS, by cause";
        let mut failures =
            encoder.encode_descriptor("upstream_failures", help, None, MetricType::Counter)?;
        for (route, counts) in &all.routes {
            for (cause, count) in &counts.failures {
                failures
                    .encode_family(&[("route", &**route), ("cause", *cause)])?
                    .encode_counter::<NoLabelSet, _, u64>(count, None)?;
            }
        }
        let help = "Answers the proxy made itself, by kind";
        let mut denied = encoder.encode_descriptor("denied", help, None, MetricType::Counter)?;
        for (kind, count) in &all.refusals {
            denied
                .encode_family(&[("reason", *kind)])?
                .encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
        let gauge = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
        let help = "Idle connections to OSS";
        encoder
            .encode_descriptor("upstream_idle_connections", help, None, MetricType::Gauge)?
            .encode_gauge(&gauge(all.gauges.idle_upstream))?;
        let help = "Bytes of request bodies kept until their answer begins";
        encoder
            .encode_descriptor("retry_buffer_bytes", help, None, MetricType::Gauge)?
            .encode_gauge(&gauge(all.gauges.retry_buffer))?;
        let help = "Request bodies not kept because server.retry_buffer was full";
        encoder
            .encode_descriptor("retry_buffer_declined", help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&all.gauges.retry_declined, None)
    }
}
