//! Reuse of connections to the origin.
//!
//! Rows: requests one after the other; an origin that responds with HTTP/1.0. Left out: connections that
//! break (`retries`), addresses that change (`moving`, `resolve`).

use crate::support::origin::{Reply, ok};
use crate::support::proxy::{pair, status};

#[tokio::test(flavor = "multi_thread")]
async fn upstream_connections_are_reused() {
    let (origin, proxy) = pair(|_| ok("x")).await;
    for _ in 0..20 {
        assert_eq!(status(&proxy.get("x", "/k").await), 200);
    }
    assert_eq!(origin.connections(), 1);
}

/// After an HTTP/1.0 response, hyper would send HTTP/1.0 requests on the connection, and a body without a
/// length would be lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_answers_in_http_1_0_is_used_once() {
    let (origin, proxy) = pair(|_| {
        let head = "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx";
        Reply::Bytes(head.into())
    })
    .await;
    assert_eq!(status(&proxy.get("x", "/k").await), 200);
    let put = "PUT /k HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
               5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(status(&proxy.text(put).await), 200);
    let received = origin.received();
    assert_eq!(received[1].line(), "PUT /k HTTP/1.1");
    assert_eq!(received[1].body, b"5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(origin.connections(), 2);
}
