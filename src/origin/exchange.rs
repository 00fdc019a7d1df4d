//! One request and the head of its answer on one upstream connection.
//!
//! The connection is polled here, by the request that uses it. Deadlines: while the body is on its
//! way, only a side that does not move is cut off (`idle`; the client's side has its own deadline at
//! the listener); from its end on, the answer must begin within `first_byte`. An answer that begins
//! before the body has ended is taken at once, and a refusal stops the body.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::{Instant, Sleep};

use crate::origin::condition;
use crate::origin::error::Error;
use crate::origin::pool::Connection;
use crate::origin::upload::{Upload, UploadBody};

/// How long a body is held back for an origin that does not answer `Expect: 100-continue`: what
/// clients themselves wait (curl, the Go SDK).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// How long a request waits on a kept connection before its address is asked, by a connect, whether it
/// is still there: a network that swallows everything leaves such connections open. Most answers begin
/// within a tenth of it.
const SUSPICIOUS: Duration = Duration::from_secs(1);
/// An address that has accepted a connection within this time is not asked.
const TRUSTED: Duration = Duration::from_secs(2);
/// How often that is looked at.
const AGAIN: Duration = Duration::from_millis(500);

/// Deadlines of one exchange.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the end of the request to the first byte of the answer.
    pub first_byte: Duration,
    /// Longest time OSS takes no byte of the body.
    pub idle: Duration,
}

/// An exchange without an answer.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub error: Error,
    /// The request, when hyper is sure that nothing of it was written.
    pub unsent: Option<Request<UploadBody>>,
}

/// Sends `request` and waits for the head of the answer. `may_move`: it can be sent to another address
/// when this one is gone.
///
/// # Errors
///
/// A [`Failure`]; the connection must not be used again then.
pub async fn exchange(
    connection: &mut Connection,
    request: Request<UploadBody>,
    upload: Option<&Arc<Upload>>,
    deadlines: Deadlines,
    may_move: bool,
    now: Instant,
) -> Result<http::Response<Incoming>, Failure> {
    // The driver is muted: it is polled below anyway.
    let answer = connection.sender.try_send_request(request);
    let mut answer = pin!(answer);
    let driver = &mut connection.driver;
    let address = &connection.address;
    let mut watch = Watch::new(upload, deadlines, connection.timer.as_mut(), now);
    watch.asks_at = may_move.then_some(SUSPICIOUS);
    let mut asking = None;
    let outcome = poll_fn(|cx| {
        let mut driver = driver.turn(cx);
        loop {
            let was_held = watch.is_held();
            let is_over = driver.poll();
            // The driver wakes this task; the channel to the answer need not.
            let mut quiet = Context::from_waker(Waker::noop());
            if let Poll::Ready(answer) = answer.as_mut().poll(if is_over { cx } else { &mut quiet })
            {
                return Poll::Ready(Outcome::Answer(answer));
            }
            if was_held && !watch.is_held() {
                continue;
            }
            return match watch.poll(cx) {
                Poll::Ready(Verdict::GoOn) => continue,
                Poll::Ready(Verdict::Late(error)) => Poll::Ready(Outcome::Late(error)),
                Poll::Ready(Verdict::Ask) => {
                    if asking.is_none() && !address.has_connected(Instant::now(), TRUSTED) {
                        // Boxed: rare, and its state must not ride in every request's future.
                        asking = Some(Box::pin(condition::accepts(Arc::clone(address))));
                    }
                    continue;
                }
                Poll::Pending => match &mut asking {
                    Some(asked) => match asked.as_mut().poll(cx) {
                        Poll::Ready(false) => Poll::Ready(Outcome::Late(Error::Gone)),
                        Poll::Ready(true) => {
                            asking = None;
                            Poll::Pending
                        }
                        Poll::Pending => Poll::Pending,
                    },
                    None => Poll::Pending,
                },
            };
        }
    })
    .await;
    match outcome {
        Outcome::Answer(Ok(answer)) => {
            if let Some(upload) = upload
                && !upload.is_done()
                && !answer.status().is_success()
            {
                upload.freeze();
            }
            Ok(answer)
        }
        Outcome::Answer(Err(failure)) => Err(explain(failure, upload)),
        Outcome::Late(error) => Err(Failure {
            error,
            unsent: None,
        }),
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "lives for one poll, in one place"
)]
enum Outcome {
    Answer(Result<http::Response<Incoming>, TrySendError<Request<UploadBody>>>),
    Late(Error),
}

fn explain(
    mut failure: TrySendError<Request<UploadBody>>,
    upload: Option<&Arc<Upload>>,
) -> Failure {
    let unsent = failure.take_message();
    let error = failure.into_error();
    let error = if upload.is_some_and(|upload| upload.has_failed()) {
        Error::ClientBody
    } else if error.is_parse() {
        Error::BadAnswer("not valid HTTP")
    } else {
        Error::Reset(error)
    };
    Failure { error, unsent }
}

enum Verdict {
    /// Something changed for the connection: poll it again.
    GoOn,
    /// The answer takes long: is the address still there?
    Ask,
    Late(Error),
}

/// The deadlines of a running exchange. The connection's timer serves them all; when it fires, the
/// watch looks at what the exchange waits for by then.
struct Watch<'a> {
    upload: Option<&'a Arc<Upload>>,
    deadlines: Deadlines,
    timer: Pin<&'a mut Sleep>,
    phase_began: Instant,
    sent: u64,
    is_sending: bool,
    /// When to ask whether the address is still there, after the end of the request.
    asks_at: Option<Duration>,
}

impl<'a> Watch<'a> {
    fn new(
        upload: Option<&'a Arc<Upload>>,
        deadlines: Deadlines,
        timer: Pin<&'a mut Sleep>,
        now: Instant,
    ) -> Self {
        Self {
            upload,
            deadlines,
            timer,
            phase_began: now,
            sent: 0,
            is_sending: upload.is_some(),
            asks_at: None,
        }
    }

    fn is_held(&self) -> bool {
        self.upload.is_some_and(|upload| upload.is_held())
    }

    /// How long the present phase may last.
    fn limit(&self) -> Duration {
        if self.is_held() {
            CONTINUE_WAIT
        } else if self.is_sending {
            self.deadlines.idle
        } else {
            let first_byte = self.deadlines.first_byte;
            self.asks_at.map_or(first_byte, |at| at.min(first_byte))
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Verdict> {
        if self.is_sending && self.upload.is_none_or(|upload| upload.is_done()) {
            self.is_sending = false;
            self.restart();
        }
        loop {
            let due = self.phase_began + self.limit();
            if self.timer.deadline() > due {
                self.timer.as_mut().reset(due);
            }
            // Outside tokio's budget: an origin that keeps the connection busy would use it up.
            let mut timer = tokio::task::unconstrained(self.timer.as_mut());
            if Pin::new(&mut timer).poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() < due {
                // Set for an earlier request or phase.
                self.timer.as_mut().reset(due);
                continue;
            }
            let Some(upload) = self.upload.filter(|_| self.is_sending) else {
                if let Some(at) = self.asks_at.filter(|at| *at < self.deadlines.first_byte) {
                    self.asks_at = Some(at + AGAIN);
                    return Poll::Ready(Verdict::Ask);
                }
                return Poll::Ready(Verdict::Late(Error::FirstByteTimeout));
            };
            if upload.is_held() {
                upload.open_gate();
                self.restart();
                return Poll::Ready(Verdict::GoOn);
            }
            if !upload.waits_for_client() && upload.sent() == self.sent {
                return Poll::Ready(Verdict::Late(Error::UploadStalled));
            }
            self.sent = upload.sent();
            self.restart();
        }
    }

    fn restart(&mut self) {
        self.phase_began = Instant::now();
    }
}
