//! The body of a response to the client. The request is in flight until the body is dropped.
//!
//! On HTTP/2 the body also splits the bytes into pieces, and records when the client must accept a piece.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::http::activity::Activity;
use crate::listener::streams::StreamState;

/// The maximum number of bytes passed to an HTTP/2 stream at a time. hyper polls for the next piece when
/// the client has accepted the previous piece. The stall time applies to each piece, so a piece is small
/// enough for a slow client.
const PIECE: usize = 16 * 1024;

/// One request in flight. The request ends when this value is dropped.
#[derive(Debug)]
pub(super) struct InFlight(pub(super) Arc<Activity>);

impl InFlight {
    /// Records the beginning of a request.
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        activity.begin_request();
        Self(Arc::clone(activity))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.end_request();
    }
}

/// The body of a response, which keeps its request in flight.
#[derive(Debug)]
pub(super) struct TrackedBody<B> {
    inner: B,
    /// The part of the last frame that has not been passed on yet.
    rest: Bytes,
    stream: Option<Arc<StreamState>>,
    in_flight: Option<InFlight>,
}

impl<B> TrackedBody<B> {
    /// Wraps the body of a response. `stream` is `None` on HTTP/1.1.
    pub(super) fn new(
        inner: B,
        stream: Option<Arc<StreamState>>,
        in_flight: Option<InFlight>,
    ) -> Self {
        Self {
            inner,
            rest: Bytes::new(),
            stream,
            in_flight,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrackedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            let polled = Pin::new(&mut this.inner).poll_frame(cx);
            let Some(stream) = &this.stream else {
                return polled;
            };
            // The client must accept a frame before hyper polls for the next one.
            stream.set_waits_for_client(polled.is_ready());
            match polled {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return other,
            }
        } else if let Some(stream) = &this.stream {
            stream.set_waits_for_client(true);
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        if let Some(InFlight(activity)) = &this.in_flight {
            // A client sends WINDOW_UPDATE frames for the bytes that it accepts, so each piece adds to the
            // frame budget of the client's connection.
            activity.earn(piece.len() / 16 + 64);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (
            self.inner.size_hint(),
            u64::try_from(self.rest.len()).unwrap_or(u64::MAX),
        );
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(inner.lower().saturating_add(rest));
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::streams::Streams;

    #[tokio::test]
    async fn a_stream_gets_a_frame_in_pieces() {
        let sent: Vec<u8> = (0..40_000_u32)
            .map(|place| place.to_le_bytes()[0])
            .collect();
        let full = http_body_util::Full::new(Bytes::from(sent.clone()));
        let mut body = TrackedBody::new(full, Some(Streams::default().open()), None);
        let (mut came, mut pieces) = (Vec::new(), 0);
        while !body.is_end_stream() {
            assert_eq!(body.size_hint().exact(), Some(40_000 - came.len() as u64));
            let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            let data = frame.unwrap().unwrap().into_data().unwrap();
            assert!(!data.is_empty() && data.len() <= PIECE);
            came.extend_from_slice(&data);
            pieces += 1;
        }
        assert!(came == sent && pieces == 3);
    }
}
