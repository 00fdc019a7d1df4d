//! Imported nginx files, compared with nginx itself.
//!
//! Each file of `tests/data/nginx` runs in a real nginx and, imported, in ossgate, both in front of the same
//! origin. Rows: what nginx serves, ossgate serves from the same object; what nginx refuses, ossgate refuses; or
//! the import has stopped and named the line. When it stops, the test shows that the stop was right: with
//! `--accept-loss`, ossgate serves a request that nginx refuses. The files are changed in their listeners, which
//! are sockets in a temporary directory, and in the addresses of the hosts of OSS. Left out: directives of modules
//! that this nginx does not have (`import_losses`), and client certificates.

use std::path::{Path, PathBuf};

use ossgate::cli::import::Losses;

use crate::support::nginx::Nginx;
use crate::support::nginx_pair::{Verdict, World, answers, hosts, imported, oss, verdict};
use crate::support::proxy::Proxy;

/// The files that are imported.
const IMPORTED: [&str; 15] = [
    "addresses",
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
    "recipe",
];

/// The files with losses.
const STOPPED: [&str; 11] = [
    "several",
    "address_order",
    "unserved",
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
/// accepted. It goes on with `@` and the address of the client, if that is not 127.0.0.1, the method, the host, the
/// target, and a header field, if it has one.
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

/// Sends each request to nginx and to ossgate, and compares the verdicts with the sign.
async fn compare(name: &str, nginx: &Nginx, proxy: (&Proxy, usize), requests: &[String]) {
    let front = if name == "proxy_protocol" {
        "PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n"
    } else {
        ""
    };
    for line in requests {
        let (sign, request) = line.split_once(' ').unwrap();
        let [of_nginx, of_ossgate] = answers(nginx, proxy, request, front)
            .await
            .map(|answer| verdict(&answer));
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
    let world = World::start(oss).await;
    for name in IMPORTED {
        let text = world.with_certificate(&std::fs::read_to_string(data(name, "conf")).unwrap());
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
    let world = World::start(oss).await;
    for name in STOPPED {
        let text = world.with_certificate(&std::fs::read_to_string(data(name, "conf")).unwrap());
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
