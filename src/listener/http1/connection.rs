//! One HTTP/1.1 connection, from its first request to its close.
//!
//! hyper serves the connection while it is in use. An idle connection is parked: hyper's state and
//! buffers are dropped, and only the socket and rustls's state are kept until bytes arrive. So ten
//! thousand idle clients need little memory. The large states are boxed, so that the task of a parked
//! connection does not contain them.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep};
use tower::Service;

use crate::http::Received;
use crate::http::activity::Activity;
use crate::http::malformed::Malformed;
use crate::listener::client_io::ClientIo;
use crate::listener::closing::{Close, LINGER, close};
use crate::listener::deadline::{ClientTimeout, Deadlines, TICK};
use crate::listener::error::ConnectionError;
use crate::listener::http1::hyper_io::HyperIo;
use crate::listener::http1::malformed;
use crate::listener::http1::parking::{self, AfterPark, IdleTicks};
use crate::listener::places::Admission;
use crate::listener::service::ConnectionService;
use crate::listener::settings::ListenerSettings;
use crate::net::TRANSFER_BUFFER;
use crate::shutdown::Shutdown;

/// The reason why hyper is not polled any further.
enum Paused {
    /// hyper has finished or failed.
    Finished(Result<(), hyper::Error>),
    /// The connection has been idle for a while, or it is idle and the client must reconnect at once.
    Idle,
    /// A deadline has passed.
    TimedOut(ClientTimeout),
}

/// Serves one HTTP/1.1 connection to its end. Dropping the future closes the connection at once.
///
/// # Errors
///
/// [`ConnectionError::Http`] and [`ConnectionError::Timeout`].
pub(in crate::listener) async fn serve<S, B>(
    mut io: ClientIo,
    mut service: ConnectionService<S>,
    settings: &ListenerSettings,
    admission: Admission,
    mut shutdown: Shutdown,
) -> Result<(), ConnectionError>
where
    S: Service<Received, Response = http::Response<B>, Error = Infallible> + Send + Unpin,
    S::Future: Unpin,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let mut builder = http1::Builder::new();
    builder
        .half_close(true)
        .max_headers(settings.limits.headers)
        .max_buf_size(TRANSFER_BUFFER.max(2 * settings.limits.header_bytes))
        .max_header_size(settings.limits.header_bytes)
        // `Deadlines` replaces this timer, which hyper would start for each request.
        .header_read_timeout(None);
    let activity = Arc::clone(service.activity());
    let mut deadlines = settings.deadlines(admission);
    let mut idle = IdleTicks::default();
    loop {
        // Boxed, because it is dropped while the connection is parked.
        let hyper_io = TokioIo::new(HyperIo::new(io));
        let mut connection = Box::new(builder.serve_connection(hyper_io, service));
        let paused = {
            let mut tick = Box::pin(tokio::time::sleep(TICK));
            let mut phase_changes = shutdown.notice();
            poll_fn(|cx| {
                // This registers the task for phase changes. The connection is polled before its state is
                // checked, because a connection that has just received bytes is not idle.
                phase_changes.poll(cx);
                // When `poll` is ready without an error, hyper has also written the rest of the response
                // and shut down the socket.
                if let Poll::Ready(result) = Pin::new(&mut *connection).poll(cx) {
                    return Poll::Ready(Paused::Finished(result));
                }
                if activity.is_useless() {
                    return Poll::Ready(Paused::Idle);
                }
                poll_tick(tick.as_mut(), &mut deadlines, &mut idle, &activity, cx)
            })
            .await
        };
        let parts = connection.into_parts();
        let (client, held) = parts.io.into_inner().into_parts();
        io = client;
        service = parts.service;
        match paused {
            Paused::Idle => {}
            Paused::Finished(Ok(())) => {
                let how = if activity.has_unread_body() {
                    Close::Lingering
                } else {
                    Close::AtOnce
                };
                close(&mut io, how).await;
                return Ok(());
            }
            Paused::Finished(Err(error)) => {
                Box::pin(fail(&mut io, service, held, &error)).await;
                return Err(error.into());
            }
            Paused::TimedOut(timeout) => {
                Box::pin(time_out(&mut io, service, &activity, &parts.read_buf)).await;
                return Err(timeout.into());
            }
        }
        if !parts.read_buf.is_empty() {
            // `input_framing` has already parsed these bytes, and they will be read again. So
            // `input_framing` cannot follow the framing any further.
            activity.input_framing.lose();
        }
        io.put_back(parts.read_buf);
        // Before the first request, the deadline for its head still applies.
        let limit = deadlines
            .first_head_left(Instant::now())
            .unwrap_or_else(|| parking::rest_of(settings.timeouts.idle));
        match parking::wait(&io, limit, &mut shutdown).await {
            AfterPark::Serve => {}
            AfterPark::Close => {
                close(&mut io, Close::AtOnce).await;
                return Ok(());
            }
            AfterPark::Lost => return Ok(()),
        }
        idle.reset();
        deadlines.restart(Instant::now());
    }
}

fn poll_tick(
    mut tick: Pin<&mut Sleep>,
    deadlines: &mut Deadlines,
    idle: &mut IdleTicks,
    activity: &Activity,
    cx: &mut Context<'_>,
) -> Poll<Paused> {
    while tick.as_mut().poll(cx).is_ready() {
        let now = Instant::now();
        if let Err(timeout) = deadlines.check(activity, now) {
            return Poll::Ready(Paused::TimedOut(timeout));
        }
        if idle.tick(activity) {
            return Poll::Ready(Paused::Idle);
        }
        tick.as_mut().reset(now + TICK);
    }
    Poll::Pending
}

/// Ends a connection on which hyper has failed with `error`. `held` is the status of hyper's own error
/// response if that response was held back.
async fn fail<S, B>(
    io: &mut ClientIo,
    service: ConnectionService<S>,
    held: Option<StatusCode>,
    error: &hyper::Error,
) where
    S: Service<Received, Response = http::Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    if let Some(status) = held {
        answer_and_close(io, service, malformed::reason(status)).await;
    } else if error.is_parse() {
        close(io, Close::Lingering).await;
    } else if error.is_user() {
        // The body of the response failed. In HTTP/1.0 the end of the connection is the end of the body,
        // so an orderly close would make the body look complete.
        io.reset_on_close();
    }
}

/// Ends a connection whose client has missed a deadline. `unparsed` holds the bytes that hyper has read
/// but not parsed.
async fn time_out<S, B>(
    io: &mut ClientIo,
    service: ConnectionService<S>,
    activity: &Activity,
    unparsed: &[u8],
) where
    S: Service<Received, Response = http::Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    // Blank lines may come before a request (RFC 9112 section 2.2).
    let is_head = |byte: &u8| !matches!(byte, b'\r' | b'\n');
    if activity.is_write_blocked() {
        // hyper still holds bytes of a response, which will not be sent. The reset shows the client that
        // the response is incomplete.
        io.reset_on_close();
    } else if activity.has_partial_head() && unparsed.iter().any(is_head) {
        answer_and_close(io, service, Malformed::LateHead).await;
    }
}

/// Responds to a request that is not read any further, and gives the client time to read the response.
pub(in crate::listener) async fn answer_and_close<S, B>(
    io: &mut ClientIo,
    service: ConnectionService<S>,
    why: Malformed,
) where
    S: Service<Received, Response = http::Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    let answering = malformed::answer(io, service.into_inner(), why);
    if tokio::time::timeout(LINGER, answering).await.is_ok() {
        close(io, Close::Lingering).await;
    }
}
