//! Imported nginx files, compared with nginx itself.
//!
//! Each file of `tests/data/nginx` runs in a real nginx and, imported, in ossgate, both in front of the same
//! origin. Rows: what nginx serves, ossgate serves from the same object; what nginx refuses, ossgate refuses; or
//! the import has stopped and named the line. When it stops, the test shows that the stop was right: with
//! `--accept-loss`, ossgate serves a request that nginx refuses. The files are changed in their listeners, which
//! are sockets in a temporary directory, and in the addresses of the hosts of OSS. Left out: directives of modules
//! that this nginx does not have (`import_losses`), and client certificates.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use ossgate::cli::import::{Losses, Source, import};
use ossgate::demo::dns::{Dns, DnsAnswer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::support::certificates::leaf;
use crate::support::nginx::Nginx;
use crate::support::origin::{RawOrigin, Received, Reply};
use crate::support::proxy::{Proxy, status};

const INTERNAL: &str = "oss-cn-hangzhou-internal.aliyuncs.com";
const PUBLIC: &str = "oss-cn-hangzhou.aliyuncs.com";
const BUCKETS: [&str; 3] = ["examplebucket", "bucket-a", "bucket-b"];

/// The objects of each bucket.
const OBJECTS: [&str; 20] = [
    "a.jpg",
    "a.png",
    "a b.jpg",
    "a.sql",
    "index.html",
    "404.html",
    "img/a.jpg",
    "imgx",
    "ro/a.jpg",
    "pub/a.jpg",
    "b/a.jpg",
    "open/a.jpg",
    "nested/a.jpg",
    "partner/a.jpg",
    "private/a.jpg",
    "logs/a.jpg",
    "public/a.jpg",
    "secret.txt",
    ".git",
    "bucket-a/a.jpg",
];

/// The files that are imported.
const IMPORTED: [&str; 14] = [
    "recipe",
    "variable",
    "map",
    "captures",
    "gateway",
    "strip",
    "website",
    "cors",
    "proxy_protocol",
    "hotlink",
    "methods",
    "one_host",
    "https",
    "rates",
];

/// The files with losses.
const STOPPED: [&str; 10] = [
    "several",
    "addresses",
    "password",
    "subrequest",
    "private",
    "conditions",
    "secure_link",
    "partial_methods",
    "hotlink_images",
    "rewrites",
];

/// What the file `NAME.requests` says about `NAME.conf`. A request begins with a sign: `+` nginx and ossgate serve
/// the same object, `-` both refuse, `>` both redirect, `!` nginx refuses, and ossgate serves if the loss is
/// accepted. It goes on with the method, the host, the target, and a header field, if it has one.
struct Case {
    /// The buckets of `--bucket`.
    buckets: Vec<String>,
    /// The lines that the import must name: number and directive.
    losses: Vec<String>,
    requests: Vec<String>,
}

impl Case {
    fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(data(name, "requests")).unwrap();
        let with = |word: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix(word));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let is_request = |line: &&str| line.starts_with(['+', '-', '>', '!']);
        let case = Self {
            buckets: with("bucket "),
            losses: with("loss "),
            requests: text.lines().filter(is_request).map(str::to_owned).collect(),
        };
        let count = case.buckets.len() + case.losses.len() + case.requests.len();
        assert_eq!(count, text.lines().count(), "{name}");
        case
    }
}

/// Returns the path of a file of `tests/data/nginx`.
fn data(name: &str, kind: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join(format!("tests/data/nginx/{name}.{kind}"))
}

/// The result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// The response is a success. The text is the object, or empty for a preflight.
    Served(String),
    Redirected,
    Refused,
}

/// Responds like OSS: with an object, with 404, or to an operation on a bucket.
fn oss(request: &Received) -> Reply {
    let line = request.line();
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let host = request.header("host").first().cloned().unwrap_or_default();
    let host = String::from_utf8(host).unwrap();
    let bucket = host.split('.').next().unwrap();
    let bucket = Some(bucket).filter(|bucket| BUCKETS.contains(bucket));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let key = percent_encoding::percent_decode_str(&path[1..])
        .decode_utf8()
        .unwrap();
    let is_stored = matches!(method, "PUT" | "POST") || query == "policy";
    let (code, text) = match bucket {
        Some(bucket) if is_stored || OBJECTS.contains(&&*key) => {
            ("200 OK", format!("{method} {bucket}/{key}"))
        }
        _ => ("404 Not Found", "NoSuchKey".to_owned()),
    };
    let body = if method == "HEAD" { "" } else { text.as_str() };
    let head = format!(
        "HTTP/1.1 {code}\r\nx-object: {text}\r\ncontent-length: {}\r\n\r\n{body}",
        text.len()
    );
    Reply::Close(head.into_bytes())
}

/// Returns the hosts of OSS in the files.
fn hosts() -> Vec<String> {
    let mut hosts = Vec::new();
    for endpoint in [INTERNAL, PUBLIC] {
        hosts.push(endpoint.to_owned());
        let buckets = BUCKETS.iter().chain(&["other"]);
        hosts.extend(buckets.map(|bucket| format!("{bucket}.{endpoint}")));
    }
    hosts
}

/// The origin, its name server and the certificate, for all files.
struct World {
    origin: RawOrigin,
    dns: Dns,
    certificates: String,
}

impl World {
    async fn start() -> Self {
        let dns = Dns::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        dns.set(DnsAnswer::Addresses {
            ips: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            ttl: 60,
        });
        let leaf = leaf(&["img.example.com", "closed.example.com"]);
        Self {
            origin: RawOrigin::start(oss).await,
            dns,
            certificates: leaf.cert.parent().unwrap().display().to_string(),
        }
    }

    /// Returns the text of the nginx file, with the paths of the certificate.
    fn text(&self, name: &str) -> String {
        let text = std::fs::read_to_string(data(name, "conf")).unwrap();
        text.replace("/etc/nginx/ssl", &self.certificates)
    }

    /// Starts ossgate with an imported config on free ports, with the addresses of the origin. Returns it with
    /// the number of the listener for port 80.
    fn ossgate(&self, config: &str) -> (Proxy, usize) {
        let port = self.origin.address.port();
        let mut text = format!(
            "[server]\nworkers = 1\n[dns]\nservers = [\"{}\"]\nallow = [\"127.0.0.0/8\"]\n",
            self.dns.addr()
        );
        let (mut listeners, mut clear) = (0, 0);
        for line in config.lines() {
            if let Some(address) = line.strip_prefix("address = ") {
                if address == "\"0.0.0.0:80\"" {
                    clear = listeners;
                }
                listeners += 1;
                text.push_str("address = \"127.0.0.1:0\"\n");
                continue;
            }
            let line = line
                .replace(
                    "region = \"cn-hangzhou\", network = \"internal\"",
                    &format!("endpoint = \"{INTERNAL}:{port}\""),
                )
                .replace(
                    "region = \"cn-hangzhou\", network = \"public\"",
                    &format!("endpoint = \"{PUBLIC}:{port}\""),
                );
            writeln!(text, "{line}").unwrap();
        }
        (Proxy::start(&text), clear)
    }
}

/// Imports a file. Returns the exit code, the config and the messages.
fn imported(text: &str, buckets: &[String], losses: Losses) -> (u8, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("site.conf");
    std::fs::write(&path, text).unwrap();
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let source = Source::Nginx {
        files: &[path],
        buckets,
        losses,
    };
    let code = import(&source, &mut out, &mut errors).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (code, text(out), text(errors))
}

/// Sends a request, without its sign, and returns the verdict.
async fn verdict(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
    front: &str,
) -> Verdict {
    let mut words = request.splitn(4, ' ');
    let [method, host, target] = [(); 3].map(|()| words.next().unwrap());
    let field = words
        .next()
        .map_or(String::new(), |field| format!("{field}\r\n"));
    let preflight = match method {
        "OPTIONS" => "access-control-request-method: PUT\r\n",
        "PUT" | "POST" => "content-length: 0\r\n",
        _ => "",
    };
    let text = format!(
        "{front}{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{field}{preflight}\r\n"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // nginx closes the connection for its status 444.
    let _end = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    match status(&answer) {
        200..=299 => {
            let mut lines = answer.lines();
            let object = lines.find_map(|line| line.strip_prefix("x-object: "));
            Verdict::Served(object.unwrap_or_default().to_owned())
        }
        300..=399 => Verdict::Redirected,
        _ => Verdict::Refused,
    }
}

/// Sends each request to nginx and to ossgate, and compares the verdicts with the sign.
async fn compare(name: &str, nginx: &Nginx, proxy: (&Proxy, usize), requests: &[String]) {
    let front = if name == "proxy_protocol" {
        "PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n"
    } else {
        ""
    };
    for line in requests {
        let (sign, request) = line.split_once(' ').unwrap();
        let stream = UnixStream::connect(nginx.socket()).await.unwrap();
        let of_nginx = verdict(stream, request, front).await;
        let address = proxy.0.addresses[proxy.1].unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let of_ossgate = verdict(stream, request, front).await;
        let is_expected = match sign {
            "+" => matches!(of_nginx, Verdict::Served(_)) && of_nginx == of_ossgate,
            "-" => of_nginx == Verdict::Refused && of_ossgate == Verdict::Refused,
            ">" => of_nginx == Verdict::Redirected && of_ossgate == Verdict::Redirected,
            "!" => of_nginx != of_ossgate && matches!(of_ossgate, Verdict::Served(_)),
            _ => panic!("{sign}"),
        };
        assert!(
            is_expected,
            "{name}: {line}: nginx {of_nginx:?}, ossgate {of_ossgate:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_file_serves_and_refuses_what_nginx_does() {
    let world = World::start().await;
    for name in IMPORTED {
        let text = world.text(name);
        let case = Case::read(name);
        let (code, config, notes) = imported(&text, &case.buckets, Losses::Stop);
        assert_eq!(code, 0, "{name}: {notes}");
        let nginx = Nginx::start(&text, &hosts(), world.origin.address).await;
        let (proxy, clear) = world.ossgate(&config);
        compare(name, &nginx, (&proxy, clear), &case.requests).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_would_open_what_nginx_closed_stops() {
    let world = World::start().await;
    for name in STOPPED {
        let text = world.text(name);
        let case = Case::read(name);
        let (code, config, messages) = imported(&text, &[], Losses::Stop);
        assert_eq!((code, config.as_str()), (3, ""), "{name}: {messages}");
        let (code, config, _) = imported(&text, &[], Losses::Accept);
        assert_eq!(code, 0, "{name}");
        for line in &case.losses {
            let (number, directive) = line.split_once(' ').unwrap();
            let loss = format!("site.conf:{number}: {directive}: nginx refuses ");
            assert!(messages.contains(&loss), "{name}: {line}: {messages}");
            let mut comments = config
                .lines()
                .filter(|line| line.starts_with("# NOT CARRIED OVER: "));
            assert!(
                comments.any(|comment| comment.contains(&loss)),
                "{name}: {line}: {config}"
            );
        }
        let count = messages.matches(": nginx refuses ").count();
        assert_eq!(count, case.losses.len(), "{name}: {messages}");
        assert!(
            !messages.contains("s3cret") && !config.contains("s3cret"),
            "{messages}{config}"
        );
        let nginx = Nginx::start(&text, &hosts(), world.origin.address).await;
        let (proxy, clear) = world.ossgate(&config);
        let is_lost = |request: &String| request.starts_with('!');
        assert!(case.requests.iter().any(is_lost), "{name}");
        compare(name, &nginx, (&proxy, clear), &case.requests).await;
    }
}
