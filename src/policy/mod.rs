//! The rules of a route, one layer each.
//!
//! The contract of a policy: it refuses by an answer from [`respond`](crate::http::respond), never
//! by an error; it decides before it allocates; what it adds to an answer it adds to every answer
//! from below, refusals and 5xx included; it never reads the body, the clock or the environment; and
//! it calls the inner service at most once, except [`website`]. What a policy decides is a function
//! of its own, which `ossgate explain` asks too. The order of the layers is in
//! [`route::stack`](crate::route::stack).

pub mod cors;
pub mod guard;
pub mod https;
pub mod preview;
pub mod referer;
pub mod website;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::http::Response;

/// The future of a layer that refuses or passes.
#[derive(Debug)]
pub enum Gate<F> {
    /// An answer at once. Boxed: it is large, and rare.
    Refused(Option<Box<Response>>),
    /// The answer from below.
    Passed(F),
}

impl<F> Gate<F> {
    /// Refuses with `response`.
    pub fn refuse(response: Response) -> Self {
        Self::Refused(Some(Box::new(response)))
    }
}

impl<F> Future for Gate<F>
where
    F: Future<Output = Result<Response, Infallible>> + Unpin,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            // Taken once: a future is not polled after it was ready.
            Self::Refused(response) => match response.take() {
                Some(response) => Poll::Ready(Ok(*response)),
                None => Poll::Pending,
            },
            Self::Passed(inner) => Pin::new(inner).poll(cx),
        }
    }
}
