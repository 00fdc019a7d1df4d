use super::*;

/// Feeds `pieces`, one read each, to an [`InputFraming`] and returns the outcome of each request. `requests`
/// states for each request whether it is chunked.
fn outcomes(pieces: &[&[u8]], requests: &[bool]) -> Vec<AfterChunked> {
    let framing = InputFraming::default();
    for piece in pieces {
        framing.follow(piece);
    }
    requests
        .iter()
        .map(|is_chunked| framing.take(*is_chunked).after_chunked)
        .collect()
}

const OPEN: AfterChunked = AfterChunked::KeepOpen;
const CLOSE: AfterChunked = AfterChunked::Close;

const CHUNKED: &str = "PUT /a HTTP/1.1\r\nhost: x\r\nTransfer-Encoding:chunked\r\n\r\n\
    5\r\nGET /\r\n000A\r\n\r\n0\r\n\r\n\n\r\n\r\n0\r\nx: content-length\r\n\r\n";
const BOTH: &str = "PUT /b HTTP/1.1\r\nTRANSFER-ENCODING: \tChunked \r\ncOnTeNt-LeNgTh: 3\r\n\r\n\
    3\r\nabc\r\n0\r\n\r\n";
const LENGTH: &str = "PUT /c HTTP/1.1\r\ncontent-length: 51\r\n\r\n\
    POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r";
const PLAIN: &str = "GET /d HTTP/1.1\r\nhost: x\r\nx-content-length: 3\r\n\r\n";

#[test]
fn requests_with_both_are_found_wherever_the_bytes_are_split() {
    let whole = [PLAIN, CHUNKED, LENGTH, CHUNKED, BOTH, PLAIN, CHUNKED].concat();
    let bytes = whole.as_bytes();
    let requests = [false, true, false, true, true, false, true];
    let expected = [OPEN, OPEN, OPEN, OPEN, CLOSE, OPEN, OPEN];
    assert_eq!(outcomes(&[bytes], &requests), expected);
    for first in 0..bytes.len() {
        let (one, rest) = bytes.split_at(first);
        assert_eq!(outcomes(&[one, rest], &requests), expected, "{first}");
        for second in (0..rest.len()).step_by(7) {
            let (two, three) = rest.split_at(second);
            assert_eq!(outcomes(&[one, two, three], &requests), expected);
        }
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(outcomes(&single, &requests), expected);
}

#[test]
fn anything_but_the_plain_form_closes_wherever_the_bytes_are_split() {
    let head = |fields: &str| format!("PUT /a HTTP/1.1\r\n{fields}\r\n\r\n0\r\n\r\n");
    let te = "transfer-encoding: chunked";
    let long = format!("x: {}\r\n content-length: 3\r\n{te}", "a".repeat(500));
    let padded = format!("content-length:{}3\r\n{te}", " ".repeat(500));
    let cr = format!("x: {}\rb\r\n{te}", "a".repeat(500));
    for first in [
        head(&format!("content-length: 0\r\n{te}")),
        head(&format!("{te}\r\ncontent-length: 3\r\ncontent-length: 3")),
        head(&format!("{te}\r\nContent-Length : 3")),
        head(&format!("{te}\r\ncontent-length:\r\n 3")),
        head(&format!("{te}\r\nx: a\r\n\tcontent-length: 3")),
        head(&format!("{te}\r\ncontent-length: 3, 3")),
        head(&format!("{te}\r\ncontent-length: +3")),
        head(&format!("{te}\ncontent-length: 3")),
        head(&format!("x: a\rb\r\n{te}")),
        head(&format!("{te}\r\n{te}")),
        head("transfer-encoding: gzip, chunked"),
        head("transfer-encoding:\r\n chunked"),
        head(&long),
        head(&padded),
        head(&cr),
        format!("\r\n{}", head(te)),
    ] {
        for at in 0..first.len() {
            let (one, two) = first.as_bytes().split_at(at);
            let found = outcomes(&[one, two], &[true]);
            assert_eq!(found, [CLOSE], "{first:?} {at}");
        }
    }
    for body in [
        "5;a=b\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "5\r\nhelloX\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nx: a\n\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
    ] {
        let start = format!("PUT /a HTTP/1.1\r\n{te}\r\n\r\n{body}");
        let both = [start.as_str(), CHUNKED].concat();
        for at in 0..both.len() {
            let (one, two) = both.as_bytes().split_at(at);
            assert_eq!(outcomes(&[one, two], &[true, true])[1], CLOSE, "{body:?}");
        }
    }
}

#[test]
fn a_request_that_is_not_the_followed_one_closes() {
    assert_eq!(outcomes(&[PLAIN.as_bytes()], &[true]), [CLOSE]);
    assert_eq!(outcomes(&[CHUNKED.as_bytes()], &[false]), [CLOSE]);
    assert_eq!(outcomes(&[], &[true]), [CLOSE]);
    let framing = InputFraming::default();
    framing.follow(PLAIN.as_bytes());
    assert_eq!(framing.take(false).after_chunked, OPEN);
    framing.lose();
    framing.follow(CHUNKED.as_bytes());
    assert_eq!(framing.take(true).after_chunked, CLOSE);
}

#[test]
fn memory_is_bounded() {
    let framing = InputFraming::default();
    framing.follow(&CHUNKED.as_bytes().repeat(1000));
    assert!(framing.state().chunked.len() <= WAITING);
    let framing = InputFraming::default();
    for _ in 0..1000 {
        framing.follow(&[b'a'; 1000]);
        framing.follow(&[b'\r'; 1000]);
    }
    assert!(framing.state().line.bytes.len() <= KEPT + 3);
}

#[test]
fn a_fragment_is_found_wherever_the_bytes_are_split() {
    let long = format!("GET /{}#x HTTP/1.1\r\n\r\n", "a".repeat(200));
    let body = "PUT /p HTTP/1.1\r\ncontent-length: 9\r\n\r\n\n GET /a#b";
    let whole = [
        PLAIN,
        body,
        "DELETE /dir/#1.jpg HTTP/1.1\r\nx: #\r\n\r\n",
        CHUNKED,
        &long,
        "GET /e HTTP/1.1\r\nreferer: /a#b\r\n\r\n",
    ]
    .concat();
    let body_length = body.len() - body.find("\r\n\r\n").unwrap() - 4;
    let whole = whole.replacen("length: 9", &format!("length: {body_length}"), 1);
    let bytes = whole.as_bytes();
    for split in 0..bytes.len() {
        let framing = InputFraming::default();
        framing.follow(&bytes[..split]);
        framing.follow(&bytes[split..]);
        let chunked = [false, false, false, true, false, false];
        let found = chunked.map(|is_chunked| framing.take(is_chunked).has_fragment);
        let expected = [false, false, true, false, true, false].map(Some);
        assert_eq!(found, expected, "split at {split}");
    }
}

#[test]
fn a_fragment_is_unknown_once_the_place_is_lost() {
    let framing = InputFraming::default();
    framing.follow(b"GET /a#b HTTP/1.1\n\n");
    assert_eq!(framing.take(false).has_fragment, None);
}
