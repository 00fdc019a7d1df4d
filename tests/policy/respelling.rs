//! One request in thousands of spellings, each of which meets the same route, the same rules and the same bucket,
//! and reaches the origin in the bytes of the client.
//!
//! Rows: any byte of a path as an escape of either case, slashes among them; the same for query names and values;
//! letters of a host in either case, with a dot or a port; fields that are repeated, empty or padded; HTTP/1.1
//! with targets in origin and absolute form, TLS, HTTP/2. Each row of the table names its outcome, so a rule that
//! reads another spelling than OSS fails here. Left out: repeated Referer fields (`referer`).

#![allow(clippy::print_stderr, reason = "the test prints its figures")]

use tokio::time::Instant;

use crate::support::certificates::leaf;
use crate::support::kept::{Answer, Form, Head, Http1, Http2};
use crate::support::origin::{RawOrigin, Reply};
use crate::support::proxy::Proxy;
use crate::support::spelling::{Random, odd_fields, spell_host, spell_path, spell_query};

/// How many spellings of each row each client sends.
const SPELLINGS: usize = 24;

/// The expected outcome of each request. Columns: over clear text, TLS or both; method; host; decoded path; query;
/// Referer; the origin that gets the request, or the status and the kind of the proxy's answer. The origin gets the
/// path as spelled; `CUT>TEXT` replaces the first bytes of the key, `+TEXT` is put behind it.
const ROWS: &str = "
both  | GET    | img     | /a.jpg         |              |      | root
both  | GET    | img     | /imgx/a        | ?acl         |      | root
both  | GET    | img     | /im            |              |      | root
both  | GET    | img     | /IMG/a         |              |      | root
both  | GET    | img     | /x/../img/a    |              |      | root
both  | GET    | img     | //img/a        |              |      | root
both  | GET    | img     | /%69mg/a       |              |      | root
both  | GET    | img     | /a b+c?d#e\u{e9}/100% | ?a=b&c |     | root
both  | PUT    | img     | /a.jpg         |              |      | root
both  | GET    | img     | /img/a.jpg     |              |      | 403 referer_refused
both  | GET    | img     | /img/a.jpg     |              | evil | 403 referer_refused
both  | GET    | img     | /img/a.jpg     |              | good | img
both  | GET    | img     | /img           |              | good | img
both  | GET    | img     | /img/          | ?x           | good | img
both  | GET    | img     | /img/../a//b   |              | good | img
both  | GET    | img     | /img/../a      |              |      | 403 referer_refused
both  | GET    | img     | /img/%2Fa      |              | good | img
both  | PUT    | img     | /img/a.jpg     |              | good | 403 guard_refused
both  | DELETE | img     | /img/a.jpg     |              | good | 403 guard_refused
both  | GET    | img     | /img/a.jpg     | ?acl         | good | 403 guard_refused
both  | GET    | img     | /img/a.jpg     | ?versionId=1 | good | img
both  | GET    | img     | /meta x/k      |              |      | meta 8>/s%C3%A9/
both  | PUT    | img     | /meta x//k/    |              |      | meta 8>/s%C3%A9/
both  | GET    | img     | /meta x        | ?x=1         |      | meta 7>/s%C3%A9/
both  | GET    | img     | /meta x/       |              |      | meta 8>/s%C3%A9/
both  | DELETE | img     | /meta x        |              |      | meta 7>/s%C3%A9/
both  | PUT    | img     | /meta x/k      | ?acl         |      | 403 guard_refused
both  | GET    | img     | /meta+x/k      |              |      | root
both  | GET    | img     | /docs/         |              |      | docs +index.html
both  | GET    | img     | /docs/a/       | ?x           |      | docs +index.html
both  | GET    | img     | /docs/a        |              |      | docs
both  | GET    | img     | /docs/         | ?acl         |      | docs
both  | GET    | pre     | /              |              |      | 403 referer_refused
both  | GET    | pre     | /              |              | good | pre 1>/site/
both  | GET    | pre     | /a             |              | good | pre 1>/site/
both  | GET    | pre     | /              | ?versions    | good | 403 guard_refused
both  | GET    | Team-A.gate | /api/k     |              |      | gate 5>/team-a/
both  | PUT    | Team-A.gate | /api//k    |              |      | gate 5>/team-a/
both  | GET    | Team-A.gate | /api       | ?acl         |      | gate 4>/team-a/
both  | GET    | no.gate | /api/k         |              |      | 404 no_such_bucket
both  | GET    | x       | /team-a/k      |              |      | gate 8>/team-a/
both  | GET    | x       | /team-a//k     |              |      | gate 8>/team-a/
both  | GET    | x       | /team-a        |              |      | gate 7>/team-a/
both  | GET    | x       | /team-a/       | ?uploads     |      | gate 8>/team-a/
both  | PUT    | x       | /team-a        |              |      | 403 guard_refused
both  | PUT    | x       | /team-a/k      | ?acl         |      | 403 guard_refused
both  | GET    | x       | //team-a/k     |              |      | 403 guard_refused
both  | GET    | x       | /other/k       |              |      | 404 no_such_bucket
both  | GET    | tls     | /.well-known/acme-challenge/t | | | tls
clear | GET    | img     | /ping          |              |      | 200 -
clear | GET    | tls     | /a b           |              |      | 301 -
clear | GET    | tls     | /x/../.well-known/acme-challenge/t | | | 301 -
tls   | GET    | img     | /ping          |              |      | root
tls   | GET    | tls     | /a b           |              |      | tls
tls   | PUT    | tls     | /a b           |              |      | 405 method_not_allowed
";

#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// The request reaches the origin of this name. The first bytes of the key are replaced by this text, and
    /// another is put behind it.
    Sent(&'static str, usize, &'static str, &'static str),
    /// The proxy answers with this status and kind of error.
    Answered(u16, Option<&'static str>),
}
use Outcome::{Answered, Sent};

#[derive(Clone, Copy, Debug)]
struct Row {
    method: &'static str,
    host: &'static str,
    path: &'static str,
    query: &'static str,
    referer: &'static str,
    outcome: Outcome,
}

/// Returns the rows for one kind of connection, "clear" or "tls".
fn rows(over: &str) -> Vec<Row> {
    let lines = ROWS.lines().filter(|line| !line.is_empty());
    let rows = lines.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let rows = rows.filter(|row| row[0] == "both" || row[0] == over);
    rows.map(|row| {
        let (first, second) = row[6].split_once(' ').unwrap_or((row[6], ""));
        Row {
            method: row[1],
            host: row[2],
            path: row[3],
            query: row[4],
            referer: row[5],
            outcome: match (first.parse(), second.split_once('>')) {
                (Ok(status), _) => Answered(status, Some(second).filter(|kind| *kind != "-")),
                (Err(_), Some((cut, front))) => Sent(first, cut.parse().unwrap(), front, ""),
                (Err(_), None) => Sent(first, 0, "", second.trim_start_matches('+')),
            },
        }
    })
    .collect()
}

fn config(origin: std::net::SocketAddr, files: &str) -> String {
    let route = |host: &str, keys: &str, rules: &str| {
        format!(
            "[[route]]\nhosts = [\"{host}.example.com\"]\n{rules}\n\
             [route.origin]\nendpoint = \"{origin}\"\ntls = false\n{keys}\n"
        )
    };
    let referer = "referer = { allow = [\"https://good.example\"], allow_empty = false }";
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
            "buckets = [\"team-*\"]\nstrip_path = true",
            "path = \"/api\"",
        ),
        format!(
            "[[route]]\nguard = {{}}\n[route.origin]\nbuckets = [\"team-*\"]\nendpoint = \"{origin}\"\ntls = false\n"
        ),
    ]
    .concat()
}

/// A request in one of its spellings, and its target as the origin must get it.
fn spelled(row: &Row, escapes: usize, random: &mut Random) -> (Head, String) {
    let path = spell_path(row.path.as_bytes(), escapes, random);
    let host = format!("{}.example.com", row.host);
    let (query, authority, mut headers) = if escapes == 0 {
        (row.query.to_owned(), host, Vec::new())
    } else {
        let query = spell_query(row.query, random);
        (query, spell_host(&host, random), odd_fields(random))
    };
    if !row.referer.is_empty() {
        let page = format!("https://{}.example/", row.referer);
        headers.push(("referer".to_owned(), page));
    }
    for (name, _) in &mut headers {
        *name = random.case(name);
    }
    let head = Head {
        method: row.method,
        authority,
        target: format!("{}{query}", path.concat()),
        headers,
    };
    let expected = match row.outcome {
        Sent(_, cut, front, behind) => format!("{front}{}{behind}{query}", path[cut..].concat()),
        Answered(..) => String::new(),
    };
    (head, expected)
}

/// Asserts that the answer is the outcome of the row. The origin answers with the head that it got.
fn check(row: &Row, head: &Head, expected: &str, answer: &Answer) {
    let seen = String::from_utf8_lossy(&answer.body);
    let place = || format!("{head:?} of {row:?}: {} {seen}", answer.status);
    match row.outcome {
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
            // In path style OSS is sent the host of the endpoint, and the bucket is in the path.
            if origin != "gate" {
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
    let begin = Instant::now();
    let runs = [
        (http1(clear, None, Form::Origin), rows("clear")),
        (http1(clear, None, Form::Absolute), rows("clear")),
        (http1(tls, secure(), Form::Origin), rows("tls")),
        (http1(tls, secure(), Form::Absolute), rows("tls")),
        (
            Client::Http2(Http2::connect(tls, &leaf, name).await),
            rows("tls"),
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
