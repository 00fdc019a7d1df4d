//! HTTP/2 uploads whose client does not wait, and uploads that break off.
//!
//! Rows: a whole upload, then the end of the connection in each form; a half-closed client that reads its answers;
//! an upload without END_STREAM, whatever its length says. Left out: HTTP/1.1 (`client/whole_upload`).

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::support::frames::{DATA, HEADERS, RST_STREAM, Raw};
use crate::support::origin::ok;
use crate::support::proxy::{Proxy, pair};

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
static BODY: [u8; 60_000] = [7; 60_000];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    HalfClose,
    Close,
    Reset,
}

/// Sends a PUT of `body` on stream 1. The last frame has these flags.
async fn put(proxy: &Proxy, body: &[u8], length: Option<usize>, flags: u8) -> Raw {
    let mut client = Raw::connect(proxy, 65_535).await;
    let length = length.map(|length| length.to_string());
    let fields: Vec<_> = length
        .iter()
        .map(|length| ("content-length", length.as_str()))
        .collect();
    client.head(END_HEADERS, "PUT", 1, "/k", &fields).await;
    for (number, piece) in body.chunks(body.len() / 4).enumerate() {
        let flags = if number == 3 { flags } else { 0 };
        client.send(DATA, flags, 1, piece).await;
    }
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_came_whole_is_delivered_however_its_client_ends() {
    let (origin, mut proxy) = pair(|_| ok("x")).await;
    let mut sent = 0;
    for end in [End::HalfClose, End::Close, End::Reset] {
        // A reset discards what the client's kernel could not send yet.
        let body = &BODY[..if end == End::Reset { 4_000 } else { BODY.len() }];
        for length in [None, Some(body.len())] {
            for _ in 0..3 {
                let mut client = put(&proxy, body, length, END_STREAM).await;
                sent += 1;
                match end {
                    End::HalfClose => {
                        let mut socket = client.into_inner();
                        socket.shutdown().await.unwrap();
                        client = Raw::from_inner(socket);
                        client.until(|frame| frame.kind == HEADERS).await;
                        client.until(|frame| frame.kind == DATA).await;
                    }
                    End::Close => drop(client),
                    End::Reset => {
                        let socket = client.into_inner();
                        let raw = socket2::SockRef::from(&socket);
                        raw.set_linger(Some(Duration::ZERO)).unwrap();
                    }
                }
            }
        }
    }
    proxy.drain().await;
    let lines = proxy.stop();
    assert_eq!(lines.len(), sent, "{lines:?}");
    let received = origin.received();
    assert_eq!(received.len(), sent);
    let least = lines
        .iter()
        .map(|line| line["bytes_in"].as_u64().unwrap())
        .min();
    assert!(received.iter().all(|request| request.body.len() >= 4_000));
    assert_eq!(least, Some(4_000), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_without_end_stream_never_looks_complete() {
    let (origin, mut proxy) = pair(|_| ok("x")).await;
    let mut sent = 0;
    for length in [None, Some(BODY.len()), Some(BODY.len() + 1)] {
        for reset in [None, Some(0_u32), Some(8)] {
            let mut client = put(&proxy, &BODY, length, 0).await;
            sent += 1;
            if let Some(code) = reset {
                client.send(RST_STREAM, 0, 1, &code.to_be_bytes()).await;
            }
            drop(client);
        }
    }
    proxy.drain().await;
    let lines = proxy.stop();
    // A stream that was reset before its request was handed on has no line.
    assert!(lines.len() <= sent && lines.len() >= sent / 2, "{lines:?}");
    for line in lines {
        assert_eq!(line["abort_reason"], "upload_incomplete", "{line}");
    }
    // The origin keeps a request only when its body has come whole.
    assert_eq!(origin.received().len(), 0);
}

/// The head alone would be a complete upload for OSS.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_announces_no_bytes_is_sent_once_its_stream_has_ended() {
    let (origin, proxy) = pair(|_| ok("x")).await;
    for (frame, reset) in [(None, true), (None, false), (Some(&b"hello"[..]), false)] {
        let mut client = Raw::connect(&proxy, 65_535).await;
        let fields = [("content-length", "0")];
        client.head(END_HEADERS, "PUT", 1, "/k", &fields).await;
        if let Some(bytes) = frame {
            client.send(DATA, END_STREAM, 1, bytes).await;
        }
        if reset {
            client.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes()).await;
        }
        // The answer to another stream shows that the frames before were handled.
        client.get(3, "/other", &[]).await;
        client.until(|frame| frame.stream == 3).await;
    }
    let mut client = Raw::connect(&proxy, 65_535).await;
    let fields = [("content-length", "0")];
    client.head(END_HEADERS, "PUT", 1, "/whole", &fields).await;
    client.send(DATA, END_STREAM, 1, b"").await;
    client.until(|frame| frame.stream == 1).await;
    let lines: Vec<String> = origin.received().iter().map(|one| one.line()).collect();
    let puts: Vec<&String> = lines
        .iter()
        .filter(|line| line.starts_with("PUT"))
        .collect();
    assert_eq!(puts, ["PUT /whole HTTP/1.1"]);
}
