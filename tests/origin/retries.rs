//! Requests that are sent again, and requests that must not be sent again.
//!
//! Rows: a kept connection that the origin closes; reads on new connections that break; POST; responses that
//! break off inside the head. Left out: downloads (`resume`), other addresses (`moving`) and endpoints
//! (`tier_change`).

use crate::support::origin::{RawOrigin, Reply, ok};
use crate::support::proxy::{Proxy, bucket_at, one_route, pair, status};

/// The origin may close a kept-alive connection just when the proxy sends a request on it. If the request is
/// safe to repeat, the proxy sends it once more.
#[tokio::test(flavor = "multi_thread")]
async fn a_get_on_a_connection_that_the_origin_closes_is_sent_again_once() {
    let (origin, proxy) = pair(|request| {
        // The origin closes the first connection at its second request, without a response.
        let text = String::from_utf8_lossy(&request.head).into_owned();
        if text.contains("second") && request.connection == 0 {
            Reply::Close(Vec::new())
        } else {
            ok("x")
        }
    })
    .await;
    assert_eq!(status(&proxy.get("x", "/first").await), 200);
    assert_eq!(status(&proxy.get("x", "/second").await), 200);
    let requests = origin.received();
    assert_eq!(requests.len(), 3);
    assert_eq!(proxy.stop()[1]["retries"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_on_a_new_connection_that_breaks_is_sent_again_twice() {
    for (method, breaks, code, sent) in [
        ("GET", 1, 200, 2),
        ("HEAD", 1, 200, 2),
        ("GET", 2, 200, 3),
        ("GET", 3, 502, 3),
        ("PUT", 1, 200, 2),
        ("PUT", 2, 200, 3),
        ("PUT", 3, 502, 3),
    ] {
        let (origin, proxy) = pair(move |request| {
            if request.connection < breaks {
                Reply::Close(Vec::new())
            } else {
                ok("x")
            }
        })
        .await;
        let request = format!(
            "{method} /k HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let answer = proxy.text(&request).await;
        assert_eq!(status(&answer), code, "{method}: {answer}");
        assert_eq!(origin.received().len(), sent, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_never_sent_twice() {
    let (origin, proxy) = pair(|request| {
        if request.line().starts_with("POST") {
            Reply::Close(Vec::new())
        } else {
            ok("x")
        }
    })
    .await;
    assert_eq!(status(&proxy.get("x", "/first").await), 200);
    let post = "POST /k?append&position=0 HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
    let answer = proxy.text(post).await;
    assert_eq!(status(&answer), 502, "{answer}");
    assert!(answer.contains("UpstreamReset"), "{answer}");
    let posts = origin
        .received()
        .iter()
        .filter(|request| request.line().starts_with("POST"))
        .count();
    assert_eq!(posts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_not_sent_again_once_its_answer_has_begun() {
    for beginning in [
        &b"HTTP/1.1 204 No Content\r\nx-oss"[..],
        b"HTTP/1.1 102 P\r\n\r\n",
    ] {
        for (method, length, times) in [
            ("DELETE", "", 1),
            ("PUT", "content-length: 0\r\n", 1),
            ("GET", "", 3),
        ] {
            let origin = RawOrigin::start(move |request| match request.line().contains("/twice") {
                true => Reply::Close(beginning.to_vec()),
                false => ok("x"),
            })
            .await;
            let proxy = Proxy::start(&one_route(&bucket_at(origin.address)));
            assert_eq!(status(&proxy.get("x", "/k").await), 200);
            let request =
                format!("{method} /twice HTTP/1.1\r\nhost: x\r\n{length}connection: close\r\n\r\n");
            let answer = proxy.text(&request).await;
            assert_eq!(status(&answer), 502, "{answer}");
            let received = origin.received();
            let received = received
                .iter()
                .filter(|received| received.line().contains("/twice"));
            assert_eq!(received.count(), times, "{method}");
        }
    }
}
