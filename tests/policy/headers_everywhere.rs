//! Header fields that are changed in responses: which responses are changed.
//!
//! Rows: responses of OSS by status and method; responses of every policy and of the proxy itself; documents of a
//! website; all over HTTP/1.1 and HTTP/2. Left out: which rules are for a request, and their order (`headers`).

use crate::support::origin::{RawOrigin, Received, Reply, ok};
use crate::support::proxy::{Proxy, bucket_at, header, proxy, status};

/// Returns a response without a body.
fn head(line: &str) -> Reply {
    Reply::Bytes(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n").into_bytes())
}

/// Responds with the status that the path names.
fn by_path(request: &Received) -> Reply {
    let line = request.line();
    let name = line.split(['/', ' ']).nth(2).unwrap();
    let (line, more) = match name {
        "200" => ("200 OK", ""),
        "204" => ("204 No Content", ""),
        "206" => ("206 Partial Content", "content-range: bytes 0-0/2\r\n"),
        "301" => ("301 Moved Permanently", "location: http://a.cn/\r\n"),
        "302" => ("302 Found", "location: http://a.cn/\r\n"),
        "304" => ("304 Not Modified", ""),
        "307" => ("307 Temporary Redirect", "location: http://a.cn/\r\n"),
        "308" => ("308 Permanent Redirect", "location: http://a.cn/\r\n"),
        "403" => ("403 Forbidden", ""),
        "404" => ("404 Not Found", ""),
        "416" => ("416 Range Not Satisfiable", ""),
        "503" => ("503 Service Unavailable", ""),
        _ => panic!("{name}"),
    };
    let length = if matches!(name, "204" | "304") {
        ""
    } else {
        "content-length: 0\r\n"
    };
    Reply::Bytes(format!("HTTP/1.1 {line}\r\n{more}{length}\r\n").into_bytes())
}

const LIFETIME: &str = "max-age=31536000, immutable";

#[tokio::test(flavor = "multi_thread")]
async fn fields_about_the_object_are_only_on_responses_with_the_object() {
    let origin = RawOrigin::start(by_path).await;
    let proxy = proxy(
        origin.address,
        &format!(
            "headers = [{{ set = {{ Cache-Control = \"{LIFETIME}\", Content-Type = \"text/x\", X-Frame-Options = \"DENY\" }}, \
             add = {{ CDN-Cache-Control = \"public\", Surrogate-Control = \"no-store\" }} }}]"
        ),
    );
    for (method, code, is_object) in [
        ("GET", 200, true),
        ("HEAD", 200, true),
        ("GET", 206, true),
        ("GET", 301, true),
        ("GET", 304, true),
        ("HEAD", 304, true),
        ("GET", 308, true),
        ("PUT", 200, false),
        ("POST", 200, false),
        ("DELETE", 200, false),
        ("DELETE", 204, false),
        ("GET", 302, false),
        ("GET", 307, false),
        ("GET", 403, false),
        ("GET", 404, false),
        ("HEAD", 404, false),
        ("GET", 416, false),
        ("GET", 503, false),
    ] {
        let length = if method == "PUT" || method == "POST" {
            "content-length: 0\r\n"
        } else {
            ""
        };
        let answer = proxy
            .text(&format!(
                "{method} /{code} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{length}\r\n"
            ))
            .await;
        assert_eq!(status(&answer), code, "{answer}");
        for (name, value, is_about_object) in [
            ("cache-control", LIFETIME, true),
            ("content-type", "text/x", true),
            ("cdn-cache-control", "public", true),
            ("surrogate-control", "no-store", false),
            ("x-frame-options", "DENY", false),
        ] {
            let expected: &[&str] = if is_about_object && !is_object {
                &[]
            } else {
                &[value]
            };
            assert_eq!(
                header(&answer, name),
                expected,
                "{method} {code} {name}: {answer}"
            );
        }
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://h/{code}"));
        let (found, headers) = proxy.http2_head(request, "").await;
        assert_eq!(found, code, "HTTP/2 {method}");
        assert_eq!(headers["x-frame-options"], "DENY", "HTTP/2 {method} {code}");
        let has = headers
            .get("cache-control")
            .is_some_and(|value| value == LIFETIME);
        assert_eq!(has, is_object, "HTTP/2 {method} {code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_control_without_a_lifetime_is_on_every_response() {
    let origin = RawOrigin::start(by_path).await;
    for value in [
        "no-store",
        "No-Cache",
        "max-age=0, must-revalidate",
        "private",
    ] {
        let rules = format!("headers = [{{ set = {{ Cache-Control = \"{value}\" }} }}]");
        let proxy = proxy(origin.address, &rules);
        for target in ["/200", "/302", "/404", "/503"] {
            let answer = proxy.get("h", target).await;
            assert_eq!(
                header(&answer, "cache-control"),
                [value],
                "{target}: {answer}"
            );
        }
    }
}

/// Every response that a policy or the proxy itself makes has the fields of the rules.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_redirects_preflights_and_errors_of_the_proxy_are_changed() {
    let origin = RawOrigin::start(by_path).await;
    // Nothing listens at this address, so the proxy responds with 502.
    let gone = RawOrigin::start(|_| ok("x")).await.address;
    let rules = format!(
        "headers = [{{ set = {{ X-Frame-Options = \"DENY\", Cache-Control = \"{LIFETIME}\", Content-Type = \"text/x\" }}, \
         add = {{ Vary = \"Accept\" }}, remove = [\"Retry-After\"] }}]\n"
    );
    let listener = "[server]\nworkers = 1\n[[listener]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let text = format!(
        "{listener}[[route]]\nhosts = [\"img.cn\"]\n{}\nmethods = [\"GET\", \"PUT\", \"OPTIONS\"]\nguard = {{ preset = \"read-only\" }}\n\
         https = {{ hsts = {{}} }}\nreferer = {{ deny = [\"*evil*\"] }}\nwebsite = {{ subdirectories = \"redirect\" }}\n\
         cors = {{ rules = [{{ origins = [\"https://a.cn\"], methods = [\"GET\"] }}] }}\n{rules}\
         [[route]]\nhosts = [\"gone.cn\"]\n{}\n{rules}\
         [[route]]\nhosts = [\"*.many.cn\"]\norigin = {{ buckets = [\"team-*\"], endpoint = \"{}\", tls = false }}\n{rules}",
        bucket_at(origin.address),
        bucket_at(gone),
        origin.address,
    );
    let proxy = Proxy::start(&text);
    let preflight =
        |method| format!("origin: https://a.cn\r\naccess-control-request-method: {method}\r\n");
    for (method, host, target, lines, over_tls, code, kind, is_object) in [
        ("GET", "img.cn", "/200", String::new(), true, 200, "", true),
        ("GET", "img.cn", "/404", String::new(), true, 404, "", false),
        ("GET", "img.cn", "/200", String::new(), false, 301, "", true),
        (
            "GET",
            "img.cn",
            "/200?Signature=a&OSSAccessKeyId=b",
            String::new(),
            false,
            403,
            "https_required",
            false,
        ),
        (
            "PUT",
            "img.cn",
            "/200",
            "content-length: 0\r\n".to_owned(),
            true,
            403,
            "guard_refused",
            false,
        ),
        (
            "DELETE",
            "img.cn",
            "/200",
            String::new(),
            true,
            405,
            "method_not_allowed",
            false,
        ),
        (
            "GET",
            "img.cn",
            "/200",
            "referer: http://evil.cn/\r\n".to_owned(),
            true,
            403,
            "referer_refused",
            false,
        ),
        (
            "OPTIONS",
            "img.cn",
            "/200",
            preflight("GET"),
            true,
            200,
            "",
            false,
        ),
        (
            "OPTIONS",
            "img.cn",
            "/200",
            preflight("PUT"),
            true,
            403,
            "cors_refused",
            false,
        ),
        (
            "OPTIONS",
            "img.cn",
            "/200",
            preflight("GET"),
            false,
            200,
            "",
            false,
        ),
        (
            "GET",
            "gone.cn",
            "/200",
            String::new(),
            true,
            502,
            "upstream_connect_refused",
            false,
        ),
        (
            "GET",
            "other.many.cn",
            "/200",
            String::new(),
            true,
            404,
            "no_such_bucket",
            false,
        ),
        (
            "GET",
            "img.cn",
            "/200",
            "connection: host\r\n".to_owned(),
            true,
            400,
            "bad_request",
            false,
        ),
        (
            "GET",
            "unknown.cn",
            "/200",
            String::new(),
            true,
            404,
            "unknown_host",
            false,
        ),
    ] {
        let proto = if over_tls { "https" } else { "http" };
        let close = if lines.starts_with("connection") {
            ""
        } else {
            "connection: close\r\n"
        };
        let answer = proxy
            .text(&format!(
                "{method} {target} HTTP/1.1\r\nhost: {host}\r\nx-forwarded-proto: {proto}\r\n{lines}{close}\r\n"
            ))
            .await;
        let label = format!("{method} {host}{target} {lines}: {answer}");
        assert_eq!(status(&answer), code, "{label}");
        assert_eq!(header(&answer, "x-ossgate-error").concat(), kind, "{label}");
        assert_eq!(header(&answer, "x-ossgate-request-id").len(), 1, "{label}");
        let cache = header(&answer, "cache-control");
        // These requests reach no route.
        if matches!(kind, "bad_request" | "unknown_host") {
            assert!(
                header(&answer, "x-frame-options").is_empty() && cache.is_empty(),
                "{label}"
            );
            continue;
        }
        assert_eq!(header(&answer, "x-frame-options"), ["DENY"], "{label}");
        assert_eq!(
            cache,
            if is_object { &[LIFETIME][..] } else { &[] },
            "{label}"
        );
        assert!(header(&answer, "vary").contains(&"Accept"), "{label}");
        if host == "img.cn" {
            assert!(header(&answer, "vary").contains(&"Origin"), "{label}");
            let hsts = header(&answer, "strict-transport-security");
            assert_eq!(hsts.len(), usize::from(over_tls), "{label}");
        }
        if !kind.is_empty() {
            assert_eq!(
                header(&answer, "content-type"),
                ["application/xml"],
                "{label}"
            );
        }
    }
    let referer = http::Request::get("http://img.cn/200")
        .header("x-forwarded-proto", "https")
        .header("referer", "http://evil.cn/");
    for (request, code) in [
        (referer, 403),
        (http::Request::get("http://gone.cn/200"), 502),
    ] {
        let (found, headers) = proxy.http2_head(request, "").await;
        assert_eq!(
            (found, &headers["x-frame-options"]),
            (code, &"DENY".parse().unwrap())
        );
        assert!(!headers.contains_key("cache-control"), "{headers:?}");
    }
}

/// The path of the client's request selects the rules. A build tool's file that is gone must not be replaced for
/// a year by the page of a single-page app.
#[tokio::test(flavor = "multi_thread")]
async fn the_documents_of_a_website_have_the_fields_of_the_requested_path() {
    let origin = RawOrigin::start(|request| match request.line().split(' ').nth(1).unwrap() {
        "/a.js" | "/index.html" | "/docs/index.html" => ok("found"),
        _ => head("404 Not Found"),
    })
    .await;
    for (status_key, missing) in [("", 404), (", error_status = 200", 200)] {
        let proxy = proxy(
            origin.address,
            &format!(
                "website = {{ subdirectories = \"redirect\", error = \"index.html\"{status_key} }}\n\
                 headers = [{{ suffix = [\".js\"], set = {{ Cache-Control = \"{LIFETIME}\" }} }}, \
                 {{ suffix = [\"/\", \".html\"], set = {{ Cache-Control = \"no-cache\" }} }}]"
            ),
        );
        for (target, code, cache) in [
            ("/a.js", 200, LIFETIME),
            ("/gone.js", missing, ""),
            ("/gone.%6As", missing, ""),
            ("/", 200, "no-cache"),
            ("/docs/", 200, "no-cache"),
            ("/docs", 302, ""),
            ("/gone/", missing, "no-cache"),
            ("/gone.html", missing, "no-cache"),
            ("/route", missing, ""),
        ] {
            let answer = proxy.get("h", target).await;
            assert_eq!(status(&answer), code, "{target}: {answer}");
            assert_eq!(
                header(&answer, "cache-control").concat(),
                cache,
                "{target}: {answer}"
            );
        }
    }
}
