//! One request in thousands of spellings, each of which meets the same route, the same rules and the same bucket,
//! and reaches the origin in the bytes of the client.
//!
//! Rows: any byte of a path as an escape of either case, slashes among them; the same for query names and values;
//! letters of a host in either case, with a dot or a port; fields that are repeated, empty or padded; HTTP/1.1
//! with targets in origin and absolute form, TLS, HTTP/2. Each row of the table names its outcome, so a rule that
//! reads another spelling than OSS fails here. Left out: repeated Referer fields (`referer`).

#![allow(clippy::print_stderr, reason = "the test prints its figures")]

use crate::support::certificates::leaf;
use crate::support::kept::{Answer, Form, Head, Http1, Http2};
use crate::support::origin::{RawOrigin, Reply};
use crate::support::proxy::Proxy;
use crate::support::spelling::{Random, odd_fields, spell_host, spell_path, spell_query};

/// How many spellings of each row each client sends.
const SPELLINGS: usize = 24;

#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// The request reaches the origin of this name. The first bytes of the key are replaced by this text, and
    /// another is put behind it.
    Sent(&'static str, usize, &'static str, &'static str),
    /// The proxy answers with this status and kind of error.
    Answered(u16, Option<&'static str>),
}
use Outcome::{Answered, Sent};

/// Method, host, decoded path, query, Referer, outcome.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Outcome,
);

const GOOD: &str = "https://good.example/";
const HOTLINK: Outcome = Answered(403, Some("referer_refused"));
const GUARDED: Outcome = Answered(403, Some("guard_refused"));

fn config(origin: std::net::SocketAddr, files: &str) -> String {
    let route = |host: &str, keys: &str, rules: &str| {
        format!(
            "[[route]]\nhosts = [\"{host}.example.com\"]\n{rules}\n\
             [route.origin]\nendpoint = \"{origin}\"\ntls = false\n{keys}\n"
        )
    };
    let referer = format!("referer = {{ allow = [\"{GOOD}*\"], allow_empty = false }}");
    let bucket = |name: &str| format!("bucket = \"examplebucket\"\nhost = \"{name}\"");
    [
        "[server]\nworkers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\nhealth_path = \"/p%69ng\"\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\ntls = true\n"
            .to_owned(),
        files.to_owned(),
        route("img", &bucket("root"), ""),
        route(
            "img",
            &bucket("img"),
            &format!("path = \"/img\"\n{referer}\nguard = {{ preset = \"read-only\" }}"),
        ),
        route(
            "img",
            &format!("{}\nprefix = \"s%C3%A9/\"\nstrip_path = true", bucket("meta")),
            "path = \"/%6Deta%20x\"\nguard = {}",
        ),
        route(
            "img",
            &bucket("docs"),
            "path = \"/docs\"\nwebsite = { subdirectories = \"not-found\" }",
        ),
        route(
            "pre",
            &format!("{}\nprefix = \"site/\"", bucket("pre")),
            &format!("{referer}\nguard = {{ preset = \"read-only\" }}"),
        ),
        route("tls", &bucket("tls"), "methods = [\"GET\"]\nhttps = {}"),
        route(
            "*.gate",
            "buckets = [\"examplebucket\", \"team-*\"]\nstrip_path = true",
            "path = \"/api\"",
        ),
        format!(
            "[[route]]\nguard = {{}}\n[route.origin]\nbuckets = [\"team-*\"]\nendpoint = \"{origin}\"\ntls = false\n"
        ),
    ]
    .concat()
}

/// The rows for clear text and for TLS.
fn rows() -> Vec<Row> {
    let img = "img.example.com";
    let whole = |name| Sent(name, 0, "", "");
    let prefixed = "/s%C3%A9/";
    let gate = "ExampleBucket.gate.example.com";
    vec![
        ("GET", img, "/a.jpg", "", "", whole("root")),
        ("GET", img, "/imgx/a", "?acl", "", whole("root")),
        ("GET", img, "/im", "", "", whole("root")),
        ("GET", img, "/IMG/a", "", "", whole("root")),
        ("GET", img, "/x/../img/a", "", "", whole("root")),
        ("GET", img, "//img/a", "", "", whole("root")),
        // Spelled `/%2569mg/a`: decoded once, it is not `/img`.
        ("GET", img, "/%69mg/a", "", "", whole("root")),
        (
            "GET",
            img,
            "/a b+c?d#e\u{e9}/100%",
            "?a=b&c",
            "",
            whole("root"),
        ),
        ("PUT", img, "/a.jpg", "", "", whole("root")),
        ("GET", img, "/img/a.jpg", "", "", HOTLINK),
        (
            "GET",
            img,
            "/img/a.jpg",
            "",
            "https://evil.example/",
            HOTLINK,
        ),
        ("GET", img, "/img/a.jpg", "", GOOD, whole("img")),
        ("GET", img, "/img", "", GOOD, whole("img")),
        ("GET", img, "/img/", "?x", GOOD, whole("img")),
        ("GET", img, "/img/../a//b", "", GOOD, whole("img")),
        ("GET", img, "/img/../a", "", "", HOTLINK),
        ("GET", img, "/img/%2Fa", "", GOOD, whole("img")),
        ("PUT", img, "/img/a.jpg", "", GOOD, GUARDED),
        ("DELETE", img, "/img/a.jpg", "", GOOD, GUARDED),
        ("GET", img, "/img/a.jpg", "?acl", GOOD, GUARDED),
        ("GET", img, "/img/a.jpg", "?versionId=1", GOOD, whole("img")),
        (
            "GET",
            img,
            "/meta x/k",
            "",
            "",
            Sent("meta", 8, prefixed, ""),
        ),
        (
            "PUT",
            img,
            "/meta x//k/",
            "",
            "",
            Sent("meta", 8, prefixed, ""),
        ),
        (
            "GET",
            img,
            "/meta x",
            "?x=1",
            "",
            Sent("meta", 7, prefixed, ""),
        ),
        (
            "GET",
            img,
            "/meta x/",
            "",
            "",
            Sent("meta", 8, prefixed, ""),
        ),
        (
            "DELETE",
            img,
            "/meta x",
            "",
            "",
            Sent("meta", 7, prefixed, ""),
        ),
        ("PUT", img, "/meta x/k", "?acl", "", GUARDED),
        ("GET", img, "/meta+x/k", "", "", whole("root")),
        (
            "GET",
            img,
            "/docs/",
            "",
            "",
            Sent("docs", 0, "", "index.html"),
        ),
        (
            "GET",
            img,
            "/docs/a/",
            "?x",
            "",
            Sent("docs", 0, "", "index.html"),
        ),
        ("GET", img, "/docs/a", "", "", whole("docs")),
        ("GET", img, "/docs/", "?acl", "", whole("docs")),
        ("GET", "pre.example.com", "/", "", "", HOTLINK),
        (
            "GET",
            "pre.example.com",
            "/",
            "",
            GOOD,
            Sent("pre", 1, "/site/", ""),
        ),
        (
            "GET",
            "pre.example.com",
            "/a",
            "",
            GOOD,
            Sent("pre", 1, "/site/", ""),
        ),
        ("GET", "pre.example.com", "/", "?versions", GOOD, GUARDED),
        (
            "GET",
            gate,
            "/api/k",
            "",
            "",
            Sent("", 5, "/examplebucket/", ""),
        ),
        (
            "PUT",
            gate,
            "/api//k",
            "",
            "",
            Sent("", 5, "/examplebucket/", ""),
        ),
        (
            "GET",
            gate,
            "/api",
            "?acl",
            "",
            Sent("", 4, "/examplebucket/", ""),
        ),
        (
            "GET",
            "no.gate.example.com",
            "/api/k",
            "",
            "",
            Answered(404, Some("no_such_bucket")),
        ),
        (
            "GET",
            "other.org",
            "/team-a/k",
            "",
            "",
            Sent("", 8, "/team-a/", ""),
        ),
        (
            "GET",
            "other.org",
            "/team-a//k",
            "",
            "",
            Sent("", 8, "/team-a/", ""),
        ),
        (
            "GET",
            "other.org",
            "/team-a",
            "",
            "",
            Sent("", 7, "/team-a/", ""),
        ),
        (
            "GET",
            "other.org",
            "/team-a/",
            "?uploads",
            "",
            Sent("", 8, "/team-a/", ""),
        ),
        ("PUT", "other.org", "/team-a", "", "", GUARDED),
        ("PUT", "other.org", "/team-a/k", "?acl", "", GUARDED),
        ("GET", "other.org", "//team-a/k", "", "", GUARDED),
        (
            "GET",
            "other.org",
            "/other/k",
            "",
            "",
            Answered(404, Some("no_such_bucket")),
        ),
        (
            "GET",
            "tls.example.com",
            "/.well-known/acme-challenge/t",
            "",
            "",
            whole("tls"),
        ),
    ]
}

const CLEAR: [Row; 3] = [
    (
        "GET",
        "img.example.com",
        "/ping",
        "",
        "",
        Answered(200, None),
    ),
    (
        "GET",
        "tls.example.com",
        "/a b",
        "",
        "",
        Answered(301, None),
    ),
    (
        "GET",
        "tls.example.com",
        "/x/../.well-known/acme-challenge/t",
        "",
        "",
        Answered(301, None),
    ),
];
const TLS: [Row; 3] = [
    (
        "GET",
        "img.example.com",
        "/ping",
        "",
        "",
        Sent("root", 0, "", ""),
    ),
    (
        "GET",
        "tls.example.com",
        "/a b",
        "",
        "",
        Sent("tls", 0, "", ""),
    ),
    (
        "PUT",
        "tls.example.com",
        "/a b",
        "",
        "",
        Answered(405, Some("method_not_allowed")),
    ),
];

/// A request in one of its spellings, and its target as the origin must get it.
fn spelled(row: &Row, escapes: usize, random: &mut Random) -> (Head, String) {
    let (method, host, path, query, referer, outcome) = *row;
    let path = spell_path(path.as_bytes(), escapes, random);
    let (query, authority, mut headers) = if escapes == 0 {
        (query.to_owned(), host.to_owned(), Vec::new())
    } else {
        let query = spell_query(query, random);
        (query, spell_host(host, random), odd_fields(random))
    };
    if !referer.is_empty() {
        headers.push(("referer".to_owned(), referer.to_owned()));
    }
    for (name, _) in &mut headers {
        *name = random.case(name);
    }
    let head = Head {
        method,
        authority,
        target: format!("{}{query}", path.concat()),
        headers,
    };
    let expected = match outcome {
        Sent(_, cut, front, behind) => format!("{front}{}{behind}{query}", path[cut..].concat()),
        Answered(..) => String::new(),
    };
    (head, expected)
}

/// Asserts that the answer is the outcome of the row. The origin answers with the head that it got.
fn check(row: &Row, head: &Head, expected: &str, answer: &Answer) {
    let seen = String::from_utf8_lossy(&answer.body);
    let place = || format!("{head:?} of {row:?}: {} {seen}", answer.status);
    match row.5 {
        Answered(status, kind) => {
            let got = (answer.status, answer.header("x-ossgate-error"));
            assert_eq!(got, (status, kind), "{}", place());
            assert!(answer.header("x-seen").is_none(), "{}", place());
            if status == 301 {
                let location = answer.header("location").unwrap();
                assert!(location.ends_with(&head.target), "{location} {}", place());
            }
        }
        Sent(origin, ..) => {
            let line = format!("{} {expected} HTTP/1.1", head.method);
            assert_eq!(seen.lines().next(), Some(&*line), "{}", place());
            let values = |wanted: &str| {
                let fields = seen.lines().skip(1).filter_map(|line| line.split_once(':'));
                let fields = fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
                fields.map(|(_, value)| value.trim()).collect::<Vec<_>>()
            };
            if !origin.is_empty() {
                assert_eq!(values("host"), [origin], "{}", place());
            }
            for (name, _) in &head.headers {
                let same = head
                    .headers
                    .iter()
                    .filter(|(one, _)| one.eq_ignore_ascii_case(name));
                let sent: Vec<&str> = same.map(|(_, value)| value.as_str()).collect();
                assert_eq!(values(name), sent, "{name}: {}", place());
            }
        }
    }
}

enum Client {
    Http1(Http1),
    Http2(Http2),
}

/// Sends all spellings of the rows by one client and returns how many there were.
async fn run(mut client: Client, rows: Vec<Row>, seed: u64) -> usize {
    let mut random = Random(seed);
    let mut count = 0;
    for turn in 0..SPELLINGS {
        for row in &rows {
            // The first is the plain spelling, and one in eight is all escapes.
            let escapes = if turn == 0 {
                0
            } else {
                random.pick(&[1, 2, 2, 3, 3, 5, 5, 9])
            };
            let (head, expected) = spelled(row, escapes, &mut random);
            let answer = match &mut client {
                Client::Http1(client) => client.send(&head).await,
                Client::Http2(client) => client.send(&head).await,
            };
            check(row, &head, &expected, &answer);
            count += 1;
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_a_request_is_treated_as_the_plain_one() {
    let origin = RawOrigin::start(|request| {
        let head = &request.head;
        let front = format!(
            "HTTP/1.1 200 OK\r\nx-seen: 1\r\ncontent-length: {}\r\n\r\n",
            head.len()
        );
        Reply::Bytes([front.as_bytes(), head].concat())
    })
    .await;
    let leaf = leaf(&["img.example.com"]);
    let files = format!(
        "[[certificate]]\ncert = {:?}\nkey = {:?}\ndefault = true\n",
        leaf.cert, leaf.key
    );
    let proxy = Proxy::start(&config(origin.address, &files));
    let [clear, tls] = [0, 1].map(|at| proxy.addresses[at].unwrap());
    while !proxy.get("x", "/ping").await.starts_with("HTTP/1.1 200") {
        tokio::task::yield_now().await;
    }
    let name = "img.example.com";
    let http1 = |address, tls, form| Client::Http1(Http1::new(address, tls, form));
    let secure = || Some((leaf.clone(), name));
    let with = |more: &[Row]| [rows(), more.to_vec()].concat();
    let begin = std::time::Instant::now();
    let runs = [
        (http1(clear, None, Form::Origin), with(&CLEAR)),
        (http1(clear, None, Form::Absolute), with(&CLEAR)),
        (http1(tls, secure(), Form::Origin), with(&TLS)),
        (http1(tls, secure(), Form::Absolute), with(&TLS)),
        (
            Client::Http2(Http2::connect(tls, &leaf, name).await),
            with(&TLS),
        ),
    ];
    let mut running = tokio::task::JoinSet::new();
    for (seed, (client, rows)) in (1..).zip(runs) {
        running.spawn(run(client, rows, seed));
    }
    let mut count = 0;
    while let Some(done) = running.join_next().await {
        count += done.unwrap();
    }
    eprintln!(
        "{count} spellings in {:.1} s",
        begin.elapsed().as_secs_f64()
    );
    assert!(count >= 5000, "{count}");
}
