//! One request and the head of its response on one upstream connection.
//!
//! The function [`attempt`] polls the connection itself, so no separate task is needed. While the body is
//! being sent, OSS must accept bytes within `idle`; the listener has its own deadline for the client. After
//! the whole body has been sent, the response must begin within `first_byte`. A response that begins earlier
//! is accepted at once. If such an early response has no success status (2xx), the rest of the body is not
//! sent.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::{Instant, Sleep};

use crate::origin::error::Error;
use crate::origin::exchange::liveness::{Liveness, NEXT_CHECK};
use crate::origin::exchange::repeat::End;
use crate::origin::link::connection::Connection;
use crate::origin::link::socket::SocketState;
use crate::origin::link::upload::{Upload, UploadBody};

/// How long a body is held if OSS does not respond to `Expect: 100-continue`. curl and the Go SDK wait
/// equally long before they send a body.
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// The deadlines of one exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// The maximum time from the end of the request to the first byte of the response.
    pub(crate) first_byte: Duration,
    /// The maximum time without progress: OSS accepts no byte of the request body, or sends no byte of the
    /// response body.
    pub(crate) idle: Duration,
}

/// A failed attempt: the exchange got no response.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The reason for the failure.
    pub(crate) error: Error,
    /// The request, if hyper guarantees that no byte of it was written; otherwise `None`.
    pub(crate) unsent: Option<Request<UploadBody>>,
}

impl Failure {
    /// Whether the connection broke, or its address is no longer reachable.
    pub(super) fn is_break(&self) -> bool {
        matches!(self.error, Error::Reset(_) | Error::Gone)
    }

    /// Returns how the attempt on `connection` ended.
    pub(super) fn end(&self, connection: &Connection) -> End {
        match &self.error {
            _ if self.unsent.is_some() => End::Unsent,
            Error::Reset(_) | Error::Gone if connection.socket.has_read() => End::Begun,
            Error::Reset(_) | Error::Gone => End::Silent,
            Error::NoSuchBucket
            | Error::NoBucket
            | Error::Dns(_)
            | Error::Connect(_)
            | Error::SpeaksTls
            | Error::BadAnswer(_)
            | Error::FirstByteTimeout
            | Error::UploadStalled
            | Error::ClientBody
            | Error::Busy
            | Error::SignatureBound
            | Error::SignatureBoundToHost(_)
            | Error::NotSigned(_)
            | Error::NoCredentials(_)
            | Error::OwnSignature(_)
            | Error::Rewrite(_) => End::Final,
        }
    }
}

/// Sends `request` and waits for the head of the response. If the response takes long, `liveness` is
/// checked. `now` is the start time of the request.
///
/// # Errors
///
/// Returns a [`Failure`]. The connection must not be used again after that.
pub(super) async fn attempt(
    connection: &mut Connection,
    request: Request<UploadBody>,
    upload: Option<&Arc<Upload>>,
    deadlines: Deadlines,
    liveness: Liveness<'_>,
    now: Instant,
) -> Result<http::Response<Incoming>, Failure> {
    // The driver does not wake this task yet, because the connection is new or was idle. A wake is not
    // necessary, because the loop below polls the driver in any case.
    let answer = connection.sender.try_send_request(request);
    let mut answer = pin!(answer);
    let driver = &mut connection.driver;
    let address = &connection.address;
    let mut watch = Watch::new(upload, deadlines, connection.timer.as_mut(), now);
    watch.next_check = liveness.first_check();
    let mut check = None;
    let outcome = poll_fn(|cx| {
        let mut driver = driver.turn(cx);
        loop {
            let was_held = watch.is_held();
            let is_over = driver.poll();
            // The driver wakes this task, so the response channel needs no waker.
            let mut quiet = Context::from_waker(Waker::noop());
            if let Poll::Ready(answer) = answer.as_mut().poll(if is_over { cx } else { &mut quiet })
            {
                return Poll::Ready(Outcome::Answer(answer));
            }
            if was_held && !watch.is_held() {
                continue;
            }
            return match watch.poll(cx) {
                Poll::Ready(Due::PollAgain) => continue,
                Poll::Ready(Due::Late(error)) => Poll::Ready(Outcome::Late(error)),
                Poll::Ready(Due::CheckLiveness) => {
                    if check.is_none() && upload.is_none_or(|upload| upload.is_repeatable()) {
                        check = liveness.check(address, watch.phase_began);
                    }
                    continue;
                }
                Poll::Pending => match &mut check {
                    Some(running) => match running.as_mut().poll(cx) {
                        Poll::Ready(false) => Poll::Ready(Outcome::Late(Error::Gone)),
                        Poll::Ready(true) => {
                            check = None;
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
            if let Some(upload) = upload {
                upload.release();
                if !upload.is_done() && !answer.status().is_success() {
                    upload.freeze();
                }
            }
            Ok(answer)
        }
        Outcome::Answer(Err(failure)) => Err(explain(failure, upload, &connection.socket)),
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
    socket: &SocketState,
) -> Failure {
    let unsent = failure.take_message();
    let error = failure.into_error();
    let error = if upload.is_some_and(|upload| upload.has_failed()) {
        Error::ClientBody
    } else if error.is_parse() && socket.has_read_tls() {
        Error::SpeaksTls
    } else if error.is_parse() {
        Error::BadAnswer("not valid HTTP")
    } else {
        Error::Reset(error)
    };
    Failure { error, unsent }
}

/// The action to take in a running exchange when its timer fires or its state changes.
enum Due {
    /// Poll the connection again, because a held body was released.
    PollAgain,
    /// Check the liveness of OSS, because the response takes long.
    CheckLiveness,
    /// End the exchange with this error, because a deadline has passed.
    Late(Error),
}

/// The deadlines of a running exchange. An exchange has up to three phases: the body is held, the body is
/// sent, the response is awaited. One timer, which belongs to the connection, is used for all deadlines. When
/// it fires, the deadline of the current phase is checked.
struct Watch<'a> {
    upload: Option<&'a Arc<Upload>>,
    deadlines: Deadlines,
    timer: Pin<&'a mut Sleep>,
    phase_began: Instant,
    sent: u64,
    is_sending: bool,
    /// The time of the next liveness check, measured from the end of the request; `None` if no check is made.
    next_check: Option<Duration>,
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
            next_check: None,
        }
    }

    fn is_held(&self) -> bool {
        self.upload.is_some_and(|upload| upload.is_held())
    }

    /// Returns the maximum duration of the current phase, or the time until the next liveness check if that
    /// is shorter.
    fn limit(&self) -> Duration {
        if self.is_held() {
            CONTINUE_WAIT
        } else if self.is_sending {
            self.deadlines.idle
        } else {
            let first_byte = self.deadlines.first_byte;
            self.next_check.map_or(first_byte, |at| at.min(first_byte))
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        if self.is_sending && self.upload.is_none_or(|upload| upload.is_done()) {
            self.is_sending = false;
            self.restart();
        }
        loop {
            let due = self.phase_began + self.limit();
            if self.timer.deadline() > due {
                self.timer.as_mut().reset(due);
            }
            // Polled outside tokio's cooperative budget. Otherwise an origin that keeps the connection busy
            // could use up the budget, and the timer would never fire.
            let mut timer = tokio::task::unconstrained(self.timer.as_mut());
            if Pin::new(&mut timer).poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() < due {
                // The timer was set for an earlier request or phase.
                self.timer.as_mut().reset(due);
                continue;
            }
            let Some(upload) = self.upload.filter(|_| self.is_sending) else {
                let first_byte = self.deadlines.first_byte;
                if let Some(at) = self.next_check.filter(|at| *at < first_byte) {
                    self.next_check = Some(at + NEXT_CHECK);
                    return Poll::Ready(Due::CheckLiveness);
                }
                return Poll::Ready(Due::Late(Error::FirstByteTimeout));
            };
            if upload.is_held() {
                upload.open_gate();
                self.restart();
                return Poll::Ready(Due::PollAgain);
            }
            if !upload.waits_for_client() && upload.sent() == self.sent {
                return Poll::Ready(Due::Late(Error::UploadStalled));
            }
            self.sent = upload.sent();
            self.restart();
        }
    }

    fn restart(&mut self) {
        self.phase_began = Instant::now();
    }
}
