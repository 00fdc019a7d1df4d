//! Counts the instructions per request of the policies and of the signer of a route, without sockets. The inner service of the
//! stack responds immediately.
//!
//!     cargo bench --bench stack                  every row, under valgrind (Debian: valgrind)
//!     cargo bench --bench stack -- ROW COUNT     one row, COUNT requests, without valgrind
//!
//! A busy machine changes times, but not instruction counts. Each row is run twice, with different numbers of
//! requests; the difference of the counts excludes the cost of the start.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a bench prints its figures and stops where it cannot go on"
)]

use std::future::ready;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ossgate::config;
use ossgate::http::authority::AuthoritySpan;
use ossgate::http::context::{ConnectionInfo, LineText, RequestContext, RequestFacts, RequestId};
use ossgate::http::signing::{Admission, SignRequests, ToSign};
use ossgate::http::{Received, Request, RequestBody, Response};
use ossgate::identity::credentials::sources;
use ossgate::identity::sign::Signer;
use ossgate::origin::Failed;
use ossgate::oss::signature::Resource;
use ossgate::policy::referer::Reports;
use ossgate::route::build::{SharedRules, policies};
use ossgate::route::stack::Stack;
use tokio::time::Instant;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const HTTPS: &str = "https = { hsts = { max_age = \"365d\" } }\n";
const CORS: &str = "cors = { rules = [{ origins = [\"https://www.example.com\"], methods = [\"GET\", \"HEAD\"], expose = [\"ETag\"], max_age = \"10m\" }] }\n";
const GUARD: &str = "guard = { preset = \"data-plane\" }\n";

/// The first rule is for the requests of the bench, the second is not.
const HEADERS: &str = "headers = [{ set = { X-Content-Type-Options = \"nosniff\", Cache-Control = \"max-age=60\" } }, \
                       { suffix = [\".html\", \"/\"], set = { X-Frame-Options = \"DENY\" } }]\n";

/// Returns rules of which none is for the requests of the bench.
fn headers(rules: usize) -> String {
    let rule = |number| format!("{{ suffix = [\"{number}.jpg\"], remove = [\"etag\"] }}");
    let rules: Vec<String> = (0..rules).map(rule).collect();
    format!("headers = [{}]\n", rules.join(", "))
}

fn referer(patterns: usize) -> String {
    let mut all: Vec<String> = (1..patterns)
        .map(|number| format!("https://site-{number}.example.org"))
        .collect();
    all.push("https://*.example.com".to_owned());
    format!("referer = {{ allow = {all:?}, allow_empty = false }}\n")
}

/// Returns an `allow` list of `count` networks, one of which contains the client.
fn addresses(count: usize) -> String {
    let networks =
        (0..count).map(|number| format!("{}.{}.0.0/24", 203 - number / 256, number % 256));
    let all: Vec<String> = networks.collect();
    format!("ip = {{ allow = {all:?}, deny = [\"192.0.2.0/24\"] }}\n")
}

/// Returns the policies of a row and the Referer of its requests.
fn row(name: &str) -> Option<(String, String)> {
    let page = "https://www.example.com/page".to_owned();
    let long = format!("https://{}", "a".repeat(8000));
    let hostile = "referer = { allow = [\"*a*a*a*a*a*a*a*b\", \"*a?a?a?a?a?a?b\"] }\n".to_owned();
    Some(match name {
        "none" => (String::new(), page),
        "ip-10" => (addresses(10), page),
        "ip-10000" => (addresses(10_000), page),
        "https" => (HTTPS.to_owned(), page),
        "cors" => (CORS.to_owned(), page),
        "guard" => (GUARD.to_owned(), page),
        "referer-10" => (referer(10), page),
        "referer-10000" => (referer(10_000), page),
        "referer-hostile-1000" => (hostile, long.get(..1000)?.to_owned()),
        "referer-hostile-8000" => (hostile, long),
        "headers" => (HEADERS.to_owned(), page),
        "headers-64" => (headers(64), page),
        "website" => ("website = { error = \"404.html\" }\n".to_owned(), page),
        "sign" | "sign-sts" => (String::new(), page),
        "all" => (format!("{HTTPS}{CORS}{GUARD}{}", referer(20)), page),
        _ => return None,
    })
}

const ROWS: [&str; 16] = [
    "none",
    "ip-10",
    "ip-10000",
    "https",
    "cors",
    "guard",
    "referer-10",
    "referer-10000",
    "referer-hostile-1000",
    "referer-hostile-8000",
    "headers",
    "headers-64",
    "website",
    "all",
    "sign",
    "sign-sts",
];

/// Returns the credentials of a row, as keys of the origin. A token of STS has about 800 characters.
fn credentials(name: &str) -> String {
    let token = match name {
        "sign" => String::new(),
        "sign-sts" => format!(", security_token = \"{}\"", "CAIS".repeat(200)),
        _ => return String::new(),
    };
    format!(
        ", credentials = {{ source = \"static\", access_key_id = \"LTAI5tExampleAccessKey0\", \
         access_key_secret = \"ExampleSecretExampleSecret0000\"{token} }}"
    )
}

/// Signs a request as the origin does before it sends the request.
fn sign(signer: &Signer, request: Request) {
    let (mut head, _) = request.into_inner().0.into_parts();
    let path = head.uri.path().to_owned();
    let resource = Resource {
        bucket: Some("examplebucket"),
        key: path.as_bytes().get(1..).unwrap(),
    };
    let to_sign = ToSign {
        method: &head.method,
        query: head.uri.query(),
        headers: &head.headers,
        resource,
    };
    assert_eq!(signer.admit(&to_sign), Ok(Admission::Sign));
    signer.has_key().unwrap();
    signer.clean(&mut head.headers);
    signer.sign(&mut head, resource).unwrap();
}

fn run(name: &str, count: usize) {
    let (rules, referer) = row(name).expect("a row");
    let credentials = credentials(name);
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:80\"\n[[route]]\n\
         origin = {{ bucket = \"examplebucket\", region = \"cn-hangzhou\"{credentials} }}\n{rules}"
    );
    let loaded = config::from_str("bench", &text, Path::new("/"), &|_| None);
    let config = loaded
        .unwrap_or_else(|problems| panic!("{problems}"))
        .config;
    let route = &config.routes[0];
    let signer = route.sign.as_ref().map(|settings| {
        let (sources, _runner) = sources(|| 1_764_000_000, 0, config::NamedFiles::Read);
        let source = sources.get(route.origin.credentials.as_ref().unwrap());
        Arc::new(Signer::new(settings, source, sources.clock()))
    });
    let service = tower::service_fn(move |request: Request| {
        if let Some(signer) = &signer {
            sign(signer, request);
        }
        let mut response = Response::default();
        // The response has as many fields as a response of OSS. The map has spare capacity, because it would
        // grow in any case when the request id is added.
        *response.headers_mut() = http::HeaderMap::with_capacity(20);
        for (name, value) in [
            ("server", "AliyunOSS"),
            ("date", "Wed, 25 Nov 2026 12:00:00 GMT"),
            ("content-type", "image/jpeg"),
            ("content-length", "0"),
            ("x-oss-request-id", "5C3C1A2E053D763E1B002CC6"),
            ("accept-ranges", "bytes"),
            ("etag", "\"5B3C1A2E053D763E1B002CC607C5A0FE\""),
            ("last-modified", "Wed, 25 Nov 2026 11:00:00 GMT"),
            ("x-oss-object-type", "Normal"),
            ("x-oss-hash-crc64ecma", "11051210869376104954"),
            ("x-oss-storage-class", "Standard"),
            ("x-oss-server-time", "3"),
        ] {
            let value = http::HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        ready(Ok::<_, Failed>(response))
    });
    let stack = Stack::over(
        policies(
            &config.routes[0],
            &mut SharedRules::new(&Reports::default()),
        )
        .unwrap(),
        service,
    );
    let connection = Arc::new(ConnectionInfo {
        listener: "127.0.0.1:443".into(),
        peer: None,
        tls: Some("TLSv1.3"),
        sni: None,
        is_trusted: false,
        trusted_proxies: Arc::default(),
        client: None,
        vpc_id: None,
        endpoint_id: None,
        max_headers: 200,
        health_path: None,
        is_turned_away: false,
        is_plain_on_tls: false,
    });
    let authority = Ok(AuthoritySpan::parse("img.example.com"));
    let start = Instant::now();
    for _ in 0..count {
        let mut received = Received::new(RequestBody::Empty);
        *received.uri_mut() = "/pictures/2026/cat.jpg".parse().unwrap();
        let headers = received.headers_mut();
        for (name, value) in [
            ("host", "img.example.com"),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)"),
            ("accept", "image/avif,image/webp,*/*"),
            ("origin", "https://www.example.com"),
            ("referer", &referer),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let facts = RequestFacts {
            client: Some([203, 7, 0, 7].into()),
            method: http::Method::GET,
            version: http::Version::HTTP_11,
            is_https: true,
            prefers_html: false,
            authority,
        };
        let context = RequestContext::new(
            RequestId::next(1),
            Arc::clone(&connection),
            start,
            facts,
            LineText::new([b"", b"img.example.com", b"", b""]),
        );
        let mut answer = stack.call(Request::new(received, Arc::new(context)));
        let polled = answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(answer)) = polled else {
            panic!("not ready");
        };
        assert!(name.contains("hostile") || answer.status() == 200, "{name}");
    }
}

/// Returns the number of instructions of one run with `requests` requests under valgrind.
fn count(name: &str, requests: usize) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args([name, &requests.to_string()])
        .output()
        .expect("valgrind runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.split("Collected : ").nth(1));
    line.and_then(|count| count.trim().parse().ok())
        .unwrap_or_else(|| panic!("{name}: {text}"))
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|one| !one.starts_with("--"))
        .collect();
    if let [name, count] = &arguments[..] {
        return run(name, count.parse().unwrap());
    }
    let mut base = None;
    for name in ROWS {
        let (few, many) = (200, 1200);
        let each = (count(name, many) - count(name, few)) / (many - few) as u64;
        let base = *base.get_or_insert(each);
        println!(
            "{name:22} {each:8} instructions a request, {:+8} against none",
            each as i64 - base as i64
        );
    }
}
