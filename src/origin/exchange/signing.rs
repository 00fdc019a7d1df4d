//! Signs the requests of a route with credentials, immediately before they are sent.
//!
//! Whether a request is signed is decided once. The signature is made for each attempt, because it contains the
//! time. If a signed request gets a 403 response, the clock or the key of the proxy may be wrong.
//! [`Signing::learns`] finds this out, and the request is then signed and sent once more.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header, request};
use http_body::Body;
use hyper::body::Incoming;

use crate::config::Addressing;
use crate::http::body::poll_data;
use crate::http::signing::{Admission, Forbidden, SignRequests, Stamp, ToSign};
use crate::origin::error::Error;
use crate::origin::link::connection::Connection;
use crate::oss::signature::Resource;
use crate::oss::spelling;

/// The maximum size of an error document that is read, in bytes. The error documents of OSS have a few KiB.
const LONGEST_DOCUMENT: u64 = 64 << 10;

/// The signer of a route, with the bucket of one request.
#[derive(Clone, Debug)]
pub(super) struct Signing {
    signer: Arc<dyn SignRequests>,
    bucket: Arc<str>,
    addressing: Addressing,
}

/// Decides whether a request is signed. `bucket` is `None` for a request to the service. `target` is the path
/// and query that are sent to OSS.
///
/// # Errors
///
/// [`Error::NotSigned`].
pub(super) fn admit(
    signer: &dyn SignRequests,
    (method, headers): (&Method, &HeaderMap),
    bucket: Option<&str>,
    addressing: Addressing,
    (path, query): (&str, Option<&str>),
) -> Result<Admission, Error> {
    let key = bucket.map_or(Cow::Borrowed(&b""[..]), |bucket| {
        key(path, bucket, addressing)
    });
    let request = ToSign {
        method,
        query,
        headers,
        resource: Resource { bucket, key: &key },
    };
    let admitted = signer.admit(&request);
    admitted.map_err(|why| Error::NotSigned(Box::new(why)))
}

/// Returns the decoded key in the path that is sent to OSS.
fn key<'p>(path: &'p str, bucket: &str, addressing: Addressing) -> Cow<'p, [u8]> {
    let rest = match addressing {
        Addressing::VirtualHost => path,
        Addressing::Path => path.get(1 + bucket.len()..).unwrap_or_default(),
    };
    spelling::decode(rest.strip_prefix('/').unwrap_or(rest))
}

impl Signing {
    /// Decides whether the request with `head` is signed. Returns `None` if the request is sent without a
    /// signature of the proxy. If the signer has not yet tried to get a key, waits for its first attempt.
    ///
    /// # Errors
    ///
    /// [`Error::NotSigned`] and [`Error::NoCredentials`].
    pub(super) async fn of(
        signer: &Arc<dyn SignRequests>,
        head: &mut request::Parts,
        bucket: Option<&Arc<str>>,
        addressing: Addressing,
    ) -> Result<Option<Self>, Error> {
        let parts = (&head.method, &head.headers);
        let target = (head.uri.path(), head.uri.query());
        let admission = admit(
            &**signer,
            parts,
            bucket.map(|name| &**name),
            addressing,
            target,
        )?;
        let (Admission::Sign, Some(bucket)) = (admission, bucket) else {
            return Ok(None);
        };
        if let Some(first) = signer.first_key() {
            first.await;
        }
        // `sign` also fails without a key. The key is checked here too, so that no connection is opened in vain.
        signer.has_key().map_err(Error::NoCredentials)?;
        signer.clean(&mut head.headers);
        Ok(Some(Self {
            signer: Arc::clone(signer),
            bucket: Arc::clone(bucket),
            addressing,
        }))
    }

    /// Signs `head` immediately before it is sent.
    ///
    /// # Errors
    ///
    /// [`Error::NoCredentials`].
    pub(super) fn sign(&self, head: &mut request::Parts) -> Result<Stamp, Error> {
        // The target is cloned, because the key borrows from its path while the header fields of `head` change.
        // The clone copies no bytes.
        let uri = head.uri.clone();
        let key = key(uri.path(), &self.bucket, self.addressing);
        let resource = Resource {
            bucket: Some(&self.bucket),
            key: &key,
        };
        self.signer
            .sign(head, resource)
            .map_err(Error::NoCredentials)
    }

    /// Learns from a 403 response to a signed request whether the key or the clock was wrong.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] if the body breaks off or does not arrive within `idle`.
    pub(super) async fn learns(
        &self,
        stamp: Stamp,
        answer: &mut http::Response<Incoming>,
        connection: &mut Connection,
        idle: Duration,
    ) -> Result<Learned, Error> {
        if answer.status() != StatusCode::FORBIDDEN {
            return Ok(Learned::default());
        }
        let length = answer.body().size_hint().exact();
        let is_readable = length.is_some_and(|length| (1..=LONGEST_DOCUMENT).contains(&length));
        let body = if is_readable {
            let whole = read_whole(answer.body_mut(), connection);
            let whole = tokio::time::timeout(idle, whole).await.ok().flatten();
            Some(whole.ok_or(Error::BadAnswer("an error document that breaks off"))?)
        } else {
            None
        };
        let code = code(answer.headers(), body.as_deref());
        let refusal = Forbidden {
            code: &code,
            date: answer.headers().get(header::DATE),
        };
        let is_again = self.signer.learn(stamp, refusal).await;
        // `x-oss-ec` contains the number of the error. The numbers of signature errors begin with `0002-`.
        let ec = answer.headers().get("x-oss-ec");
        let is_of_signature = OF_SIGNATURES.contains(&code.as_str())
            || ec.is_some_and(|ec| ec.as_bytes().starts_with(b"0002-"));
        Ok(Learned {
            is_again,
            body,
            own_fault: is_of_signature.then(|| {
                let harmless = code.chars().filter(char::is_ascii_alphanumeric);
                harmless.take(64).collect()
            }),
        })
    }
}

/// The codes with which OSS refuses the signature, the key or the clock of a request.
const OF_SIGNATURES: [&str; 5] = [
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "InvalidSecurityToken",
    "SecurityTokenExpired",
    "RequestTimeTooSkewed",
];

/// What a 403 response to a signed request says.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// Whether the request should be signed and sent again.
    pub(super) is_again: bool,
    /// The body of the response, if it has been read.
    pub(super) body: Option<Bytes>,
    /// The `Code` of the response, if OSS has refused the signature itself. The error document of such a response
    /// can contain the proxy's security token, so no client may get it.
    pub(super) own_fault: Option<Box<str>>,
}

/// Returns the `Code` of an error document. Without a body, for example after HEAD, the document is in the
/// header field `x-oss-err`. If there is no `Code`, returns an empty text.
fn code(headers: &HeaderMap, body: Option<&[u8]>) -> String {
    let from_header = || {
        let value = headers.get("x-oss-err")?;
        STANDARD.decode(value.as_bytes()).ok()
    };
    let text = match body {
        Some(body) => Some(body.to_vec()),
        None => from_header(),
    };
    let text = text.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"));
    code.map_or(String::new(), |(code, _)| code.trim().to_owned())
}

/// Reads `body` to its end, and polls its connection meanwhile. Returns `None` if the connection breaks.
async fn read_whole(body: &mut Incoming, connection: &mut Connection) -> Option<Bytes> {
    let mut read = BytesMut::new();
    poll_fn(|cx| {
        // The driver wakes this task, so the channel of the body needs no waker.
        let mut quiet = Context::from_waker(Waker::noop());
        let mut driver = connection.driver.turn(cx);
        // When the connection is polled, hyper puts the bytes that it reads into a channel, from which the body
        // takes them. So after each poll of the connection, the body is polled once more.
        let mut is_last_look = false;
        let mut is_over = false;
        loop {
            match poll_data(Pin::new(&mut *body), &mut quiet) {
                Poll::Ready(Some(Ok(frame))) => {
                    read.extend_from_slice(&frame.into_data().unwrap_or_default());
                    is_last_look = is_over;
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(None),
                Poll::Ready(None) => return Poll::Ready(Some(read.split().freeze())),
                Poll::Pending if is_over => return Poll::Ready(None),
                Poll::Pending if is_last_look => return Poll::Pending,
                Poll::Pending => {
                    is_over = driver.poll();
                    is_last_look = true;
                }
            }
        }
    })
    .await
}
