//! HTTP/2 by raw frames: windows, streams, header fields and targets.
//!
//! Rows: stalled windows; idle and half-sent requests; streams opened and reset; fields that HTTP/1.1 cannot
//! carry; field names and forms that HTTP/2 spells differently; the end of an answer during a drain; the preface
//! on a plain listener. Left out: floods of frames (`frame_budget`).

use std::time::Duration;

use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::frames::{DATA, GOAWAY, HEADERS, PING, RST_STREAM, Raw, WINDOW_UPDATE};
use crate::support::origin::{RawOrigin, Reply, ok};
use crate::support::proxy::{Proxy, bucket_at, one_route};

fn proxy(origin: &RawOrigin) -> Proxy {
    Proxy::start(&format!(
        "[server]\nworkers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         timeouts = {{ header = \"2s\", idle = \"6s\", stall = \"2s\" }}\n\
         limits = {{ headers = 20 }}\n\
         [[route]]\n{}\n",
        bucket_at(origin.address)
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_window_stays_shut_is_reset_and_its_connection_goes_on() {
    let origin = RawOrigin::start(|_| ok(&"x".repeat(100_000))).await;
    let proxy = proxy(&origin);
    let mut client = Raw::connect(&proxy, 0).await;
    client.get(1, "/stalled", &[]).await;
    client.get(3, "/moving", &[]).await;
    let _head = client
        .until(|frame| frame.kind == HEADERS && frame.stream == 3)
        .await;
    // Traffic on other streams does not count as progress of the stalled one.
    let mut reset = None;
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    while reset.is_none() {
        pace.tick().await;
        client.send(PING, 0, 0, &[0; 8]).await;
        client
            .send(WINDOW_UPDATE, 0, 3, &500_u32.to_be_bytes())
            .await;
        let frame = client
            .until(|frame| {
                matches!(frame.kind, PING | RST_STREAM) || (frame.kind == DATA && frame.stream == 3)
            })
            .await;
        if frame.kind == RST_STREAM {
            reset = Some(frame.stream);
        }
    }
    assert_eq!(reset, Some(1));
    client.get(5, "/after", &[]).await;
    client
        .until(|frame| frame.kind == HEADERS && frame.stream == 5)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_its_client_stalls_is_reset_and_a_slow_one_is_not() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(&origin);
    let mut client = Raw::connect(&proxy, 65_535).await;
    for (stream, path) in [(1, "/stalled"), (3, "/slow"), (5, "/begun")] {
        client.open("PUT", stream, path).await;
    }
    client.send(DATA, 0, 5, b"hello").await;
    let mut reset = Vec::new();
    let mut pace = tokio::time::interval(Duration::from_millis(200));
    let taking = async {
        while reset.len() < 2 {
            pace.tick().await;
            client.send(DATA, 0, 3, b"y").await;
            client.send(PING, 0, 0, &[0; 8]).await;
            let frame = client
                .until(|frame| matches!(frame.kind, PING | RST_STREAM))
                .await;
            if frame.kind == RST_STREAM {
                reset.push(frame.stream);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), taking)
        .await
        .expect("stalled uploads are reset");
    reset.sort_unstable();
    assert_eq!(reset, [1, 5]);
    client.send(DATA, 1, 3, b"y").await;
    client
        .until(|frame| frame.kind == HEADERS && frame.stream == 3)
        .await;
    let received = origin.received();
    assert_eq!(received.len(), 1, "the others have no end");
    let errors: Vec<_> = proxy
        .stop()
        .iter()
        .map(|line| line["error"].clone())
        .collect();
    assert_eq!(errors.len(), 3, "{errors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_opens_streams_only_to_reset_them_is_cut_off() {
    let origin = RawOrigin::start(|_| Reply::Silent).await;
    let proxy = proxy(&origin);
    let mut client = Raw::connect(&proxy, 65_535).await;
    let begin = tokio::time::Instant::now();
    let mut stream = 1;
    'rounds: loop {
        // hyper limits resets of streams it has not handed out yet. These streams are in flight.
        let round: Vec<u32> = (0..50).map(|nth| stream + 2 * nth).collect();
        for stream in &round {
            client.get(*stream, "/k", &[]).await;
        }
        client.send(PING, 0, 0, &[0; 8]).await;
        loop {
            match client.next().await {
                Some(frame) if frame.kind == PING => break,
                Some(_) => {}
                None => break 'rounds,
            }
        }
        for stream in &round {
            client
                .send(RST_STREAM, 0, *stream, &8_u32.to_be_bytes())
                .await;
        }
        stream += 100;
        assert!(begin.elapsed() < Duration::from_secs(20), "{stream}");
    }
    assert!(stream > 200, "not before it is too much: {stream}");
    assert!(
        origin.received().len() < 2000,
        "{}",
        origin.received().len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stray_frame_does_not_shorten_the_idle_time() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(&origin);
    let mut client = Raw::connect(&proxy, 65_535).await;
    client.get(1, "/k", &[]).await;
    client
        .until(|frame| frame.kind == DATA && frame.stream == 1)
        .await;
    client.send(PING, 0, 0, &[0; 8]).await;
    let begin = tokio::time::Instant::now();
    client.until(|frame| frame.kind == GOAWAY).await;
    let idle = begin.elapsed();
    assert!(
        idle > Duration::from_secs(4),
        "{idle:?}: `header` is no idle time"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_path_is_the_root_and_headers_are_counted() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(&origin);
    let mut client = Raw::connect(&proxy, 65_535).await;
    client.get(1, "#x", &[]).await;
    client
        .until(|frame| frame.stream == 1 && matches!(frame.kind, HEADERS | RST_STREAM))
        .await;
    let lines: Vec<String> = origin
        .received()
        .iter()
        .map(|request| request.line())
        .collect();
    assert_eq!(lines, ["GET / HTTP/1.1"]);
    let many: Vec<(&str, &str)> = vec![("x-many", "1"); 30];
    client.get(3, "/k", &many).await;
    let body = client
        .until(|frame| frame.kind == DATA && frame.stream == 3)
        .await;
    let body = String::from_utf8_lossy(&body.payload).into_owned();
    assert!(body.contains("more header fields than"), "{body}");
    assert_eq!(
        origin.received().len(),
        lines.len(),
        "it never reached the origin"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_answer_ends_in_a_reset_where_the_end_is_the_connection() {
    let origin = RawOrigin::start(|_| {
        Reply::Close(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec(),
        )
    })
    .await;
    let proxy = proxy(&origin);
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    socket
        .write_all(b"GET /k HTTP/1.0\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let end = socket.read_to_end(&mut answer).await;
    assert!(end.is_err(), "{:?}", String::from_utf8_lossy(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_with_other_codings_or_several_lengths_are_not_passed_on() {
    for fields in [
        "transfer-encoding: xchunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "content-length: 5, 5",
        "content-length: 5\r\ncontent-length: 5",
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello");
        let origin = RawOrigin::start(move |_| Reply::Close(head.clone().into_bytes())).await;
        let answer = proxy(&origin).get("x", "/k").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{fields}: {answer}");
    }
}

/// A drain once cut off the tail of an answer. It closed the connection two seconds after the GOAWAY, when
/// the whole answer had been handed to h2, although h2 still waited for the client's window.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_gets_the_tail_of_its_answer_during_a_drain() {
    const WINDOW: usize = 65_535;
    const TAIL: usize = 200;
    let origin = RawOrigin::start(|_| ok(&"x".repeat(WINDOW + TAIL))).await;
    let mut proxy = Proxy::start(&one_route(&bucket_at(origin.address)));
    let mut client = Raw::connect(&proxy, u32::try_from(WINDOW).unwrap()).await;
    client
        .send(WINDOW_UPDATE, 0, 0, &1_000_000_u32.to_be_bytes())
        .await;
    client.get(1, "/k", &[]).await;
    let mut taken = 0;
    while taken < WINDOW {
        let frame = client.until(|frame| frame.kind == DATA).await;
        taken += frame.payload.len();
    }
    let taking = async {
        let mut pace = tokio::time::interval(Duration::from_millis(200));
        while taken < WINDOW + TAIL {
            pace.tick().await;
            client.send(WINDOW_UPDATE, 0, 1, &8_u32.to_be_bytes()).await;
            let frame = client
                .until(|frame| matches!(frame.kind, DATA | PING))
                .await;
            if frame.kind == PING {
                client.send(PING, 1, 0, &frame.payload).await;
            } else {
                taken += frame.payload.len();
            }
        }
    };
    tokio::join!(taking, proxy.drain());
    assert_eq!(taken, WINDOW + TAIL);
}

/// The first byte of a head with status 400, and with 200, from HPACK's static table.
const STATUS_400: u8 = 0x8c;
const STATUS_200: u8 = 0x88;

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_http_1_1_cannot_carry_are_refused() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(&origin);
    let mut client = Raw::connect(&proxy, 65_535).await;
    let lengths = [("content-length", "0"), ("content-length", "0")];
    client.get(1, "/k", &lengths).await;
    client.get(3, "/k", &[("\"x\"", "1")]).await;
    client.get(5, "/k", &[("content-length", "")]).await;
    client.get(7, "/k", &[("x-oss-meta-a", "a ")]).await;
    client.get(9, "/k", &[("x-oss-meta-a", "\ta")]).await;
    for stream in [1, 3, 5, 7, 9] {
        let head = client
            .until(|frame| frame.kind == HEADERS && frame.stream == stream)
            .await;
        assert_eq!(head.payload[0], STATUS_400, "stream {stream}");
    }
    assert!(origin.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn split_cookies_and_a_missing_length_reach_the_origin_in_http_1_1_form() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = proxy(&origin);
    let mut client = Raw::connect(&proxy, 65_535).await;
    let crumbs = [("cookie", "a=b"), ("cookie", "c=d")];
    client.ask("PUT", 1, "/k", &crumbs).await;
    let head = client.until(|frame| frame.kind == HEADERS).await;
    assert_eq!(head.payload[0], STATUS_200);
    let received = origin.received();
    assert_eq!(received[0].header("cookie"), [b"a=b; c=d".to_vec()]);
    assert_eq!(received[0].header("content-length"), [b"0".to_vec()]);
}

/// The kernel resets a socket that is closed with unread bytes, and the client loses what it has not read.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_window_updates_gets_the_whole_answer_during_a_drain() {
    const LENGTH: usize = 700_000;
    let origin = RawOrigin::start(|_| ok(&"x".repeat(LENGTH))).await;
    let mut proxy = Proxy::start(&one_route(&bucket_at(origin.address)));
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let socket = socket.connect(proxy.address).await.unwrap();
    let mut client = Raw::greet(socket, 1 << 20).await;
    let window = 1_000_000_u32.to_be_bytes();
    client.send(WINDOW_UPDATE, 0, 0, &window).await;
    client.get(1, "/k", &[]).await;
    let _head = client.until(|frame| frame.kind == HEADERS).await;
    let taking = async {
        let mut taken = 0;
        while let Some(frame) = client.next().await {
            match frame.kind {
                DATA => {
                    taken += frame.payload.len();
                    let length = u32::try_from(frame.payload.len().max(1)).unwrap();
                    client
                        .send(WINDOW_UPDATE, 0, 0, &length.to_be_bytes())
                        .await;
                }
                PING => client.send(PING, 1, 0, &frame.payload).await,
                _ => {}
            }
        }
        taken
    };
    let (taken, ()) = tokio::join!(taking, proxy.drain());
    assert_eq!(taken, LENGTH);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_listener_recognises_http2_by_its_preface() {
    let origin = RawOrigin::start(|_| ok("hello")).await;
    let proxy = Proxy::start(&one_route(&bucket_at(origin.address)));
    let socket = TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::builder()
        .uri("http://a.example/k")
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
}
