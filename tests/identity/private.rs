//! A private bucket for clients that do not sign.
//!
//! Rows: what is signed, with V4 and V1, over HTTP/1.1 and HTTP/2; what is refused, in every spelling; what passes
//! as it is; the header fields of the client; a website. Left out: further attempts (`attempts`), and where keys come
//! from (`credentials`, `refresh`).

use crate::support::origin::{RawOrigin, ok};
use crate::support::private::{Private, STATIC, assert_signed, one_key, route};
use crate::support::proxy::{Proxy, header, one_route, status};

async fn start(more: &str) -> (Private, Proxy) {
    let bucket = Private::start().await;
    for key in [
        "k",
        "目录/照片 1+2.jpg",
        "a!*'()$&,;=:@[]~-_.b",
        "index.html",
        "404.html",
        "a.jpg",
    ] {
        bucket.put(key);
    }
    let proxy = Proxy::start(&one_route(&format!(
        "{}{more}",
        route(bucket.address, STATIC)
    )));
    (bucket, proxy)
}

fn request(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nhost: x\r\n{headers}connection: close\r\n\r\n")
}

const READS: [(&str, &str, &str, u16); 19] = [
    ("GET", "/k", "", 200),
    ("HEAD", "/k", "", 200),
    ("GET", "/missing", "", 404),
    ("HEAD", "/missing", "", 404),
    ("GET", "/k", "range: bytes=0-0\r\n", 206),
    (
        "GET",
        "/k",
        "if-modified-since: Fri, 01 Jan 2100 00:00:00 GMT\r\n",
        304,
    ),
    ("GET", "/k", "if-match: \"x\"\r\n", 412),
    (
        "GET",
        "/%E7%9B%AE%E5%BD%95/%E7%85%A7%E7%89%87%201%2B2.jpg",
        "",
        200,
    ),
    (
        "GET",
        "/%e7%9b%ae%e5%bd%95%2F%e7%85%a7%e7%89%87%201+2.jpg",
        "",
        200,
    ),
    ("GET", "/%6B", "", 200),
    ("GET", "/a!*'()$&,;=:@[]~-_.b", "", 200),
    (
        "GET",
        "/a.jpg?x-oss-process=image/resize,w_100/format,png",
        "",
        200,
    ),
    ("GET", "/a.jpg?x%2Doss-process=style%2Fsmall", "", 200),
    ("GET", "/k?v=2&b=%20&&a=1+2&b=&a", "", 200),
    ("GET", "/k?", "", 200),
    ("GET", "/k", "authorization: Basic aWQ6c2VjcmV0\r\n", 200),
    (
        "GET",
        "/k",
        "content-type: a/b\r\ncontent-type: c/d\r\ncontent-md5: x\r\ndate: never\r\n",
        200,
    ),
    (
        "GET",
        "/k",
        "x-oss-date: 1\r\nx-oss-meta-a: 1\r\nx-oss-meta-a: 2\r\nx-oss-security-token: t\r\n",
        200,
    ),
    (
        "GET",
        "/k",
        "x-oss-range-behavior: standard\r\nx-oss-range-behavior: x\r\n",
        200,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_objects_are_signed() {
    for version in ["", "\nsign = { version = \"v1\" }"] {
        let bucket = Private::start().await;
        for key in ["k", "目录/照片 1+2.jpg", "a!*'()$&,;=:@[]~-_.b", "a.jpg"] {
            bucket.put(key);
        }
        let route = route(bucket.address, STATIC);
        let route = match version {
            "" => route,
            version => format!("{}{version}", route.lines().next().unwrap()),
        };
        let proxy = Proxy::start(&one_route(&route));
        for (method, target, headers, expected) in READS {
            let answer = proxy.text(&request(method, target, headers)).await;
            assert_eq!(
                status(&answer),
                expected,
                "{version} {method} {target} {headers}: {answer}"
            );
            assert_eq!(header(&answer, "x-ossgate-error"), [""; 0], "{target}");
            let seen = bucket.origin.seen().pop().unwrap();
            assert_eq!(seen.target, target, "sent as received");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_over_http2_is_signed() {
    let (bucket, proxy) = start("").await;
    for target in ["/k", "/%6b?v=1"] {
        let request = http::Request::get(format!("http://x{target}")).header("x-oss-meta-a", "1");
        assert_eq!(
            proxy.http2(request, "").await,
            (200, String::new()),
            "{target}"
        );
    }
    let request = http::Request::get("http://x/k?%61cl");
    assert_eq!(
        proxy.http2(request, "").await,
        (403, "sign_refused".to_owned())
    );
    let request = http::Request::put("http://x/k");
    assert_eq!(
        proxy.http2(request, "").await,
        (403, "sign_refused".to_owned())
    );
    assert_eq!(bucket.origin.requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_more_than_a_read_is_refused_in_every_spelling() {
    let cors = "cors = { rules = [{ origins = [\"https://a.org\"], methods = [\"GET\", \"HEAD\", \"PUT\", \"DELETE\", \"POST\"] }] }\n";
    let (bucket, proxy) = start(cors).await;
    for (method, target) in [
        ("PUT", "/k"),
        ("DELETE", "/k"),
        ("POST", "/k"),
        ("POST", "/?delete"),
        ("GET", "/"),
        ("HEAD", "/"),
        ("GET", "//"),
        ("GET", "/%2F"),
        ("GET", "/%2f/"),
        ("GET", "/?prefix=a"),
        ("GET", "/?list-type=2"),
        ("GET", "/?acl"),
        ("GET", "/k?acl"),
        ("GET", "/k?acl="),
        ("GET", "/k?acl=1&acl"),
        ("GET", "/k?%61cl"),
        ("GET", "/k?a%63L"),
        ("GET", "/k?ACL"),
        ("GET", "/k?x=1&Acl"),
        ("GET", "/k?x-oss-process=image/info&acl"),
        ("GET", "/k?versionId=null"),
        ("GET", "/k?version%49d=null"),
        ("GET", "/k?x-oss-process=doc/edit,export_1"),
        ("GET", "/k?x-oss-process=hls/sign"),
        ("GET", "/k?x-oss-process=image/watermark,image_YQ"),
        ("GET", "/k?x-oss-process=image/info%7cdoc/edit"),
        ("GET", "/k?x-oss-process="),
        ("GET", "/k?acl%00"),
        ("GET", "/k?acl+"),
        ("GET", "/k?acl;x=1"),
        ("GET", "/k??acl"),
        ("GET", "/k?uploads"),
        ("GET", "/k?upload%73"),
        ("GET", "/k?uploadId=1"),
        ("GET", "/k?policy"),
        ("GET", "/k?tagging"),
        ("GET", "/k?symlink"),
        ("GET", "/k?legalHold"),
        ("GET", "/k?response-content-type=text/html"),
        ("GET", "/k?response%2Dcontent-disposition=attachment"),
        ("GET", "/k?versionid=1"),
        ("GET", "/k?X-Oss-Process=image/info"),
        ("GET", "/k?x-oss-traffic-limit=819200"),
        ("GET", "/k?x-oss-new=1"),
        ("GET", "/k?X-OSS-credential=1"),
        ("GET", "/k?x-amz-acl=private"),
        ("GET", "/k?security-token=t"),
        ("GET", "/k?Signature=s"),
        ("GET", "/k?OSSAccessKeyId=i"),
        ("GET", "/k?x-oss-process=image/info%7csys%2fsaveas,o_a"),
        ("GET", "/k?x-oss-process=image/info|sys/SaveAs,o_a"),
    ] {
        let headers = "origin: https://a.org\r\ncontent-length: 0\r\n";
        let answer = proxy.text(&request(method, target, headers)).await;
        assert_eq!(status(&answer), 403, "{method} {target}: {answer}");
        assert_eq!(
            header(&answer, "x-ossgate-error"),
            ["sign_refused"],
            "{method} {target}"
        );
        let allowed = header(&answer, "access-control-allow-origin");
        assert_eq!(
            allowed,
            ["https://a.org"],
            "policies apply to refusals: {target}"
        );
        if method != "HEAD" {
            assert!(
                answer.contains("<Code>ProxyAccessDenied</Code>"),
                "{answer}"
            );
        }
    }
    assert_eq!(bucket.origin.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_path_style_the_bucket_is_not_a_part_of_the_key() {
    let bucket = Private::start().await;
    bucket.put("k");
    bucket.put("site/k");
    for (prefix, target, expected) in [
        ("", "/examplebucket/k", 200),
        ("", "/%65xamplebucket/k?v=1", 200),
        ("", "/examplebucket%2F%6B", 200),
        ("", "/examplebucket", 403),
        ("", "/examplebucket/", 403),
        ("", "/examplebucket//", 403),
        ("", "/examplebucket%2F", 403),
        ("", "/examplebucket/k?acl", 403),
        ("", "/", 403),
        ("site/", "/examplebucket/k", 200),
        // With a prefix, the empty key is the object `site/`.
        ("site/", "/examplebucket/", 404),
    ] {
        let proxy = Proxy::start(&one_route(&format!(
            "origin = {{ buckets = [\"example*\"], endpoint = \"{}\", tls = false, prefix = \"{prefix}\", credentials = {{ {STATIC} }} }}\n\
             sign = {{ region = \"cn-hangzhou\" }}",
            bucket.address
        )));
        let answer = proxy.text(&request("GET", target, "")).await;
        assert_eq!(status(&answer), expected, "{prefix} {target}: {answer}");
        let kinds = header(&answer, "x-ossgate-error");
        assert_eq!(
            kinds.is_empty(),
            expected != 403,
            "{prefix} {target}: {answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_route_says_which_methods_are_signed() {
    let bucket = Private::start().await;
    bucket.put("k");
    for (methods, get, head) in [
        ("[]", 403, 403),
        ("[\"HEAD\"]", 403, 200),
        ("[\"GET\"]", 200, 403),
    ] {
        let sign = format!("sign = {{ anonymous = {methods}, ");
        let route = route(bucket.address, STATIC).replace("sign = { ", &sign);
        let proxy = Proxy::start(&one_route(&route));
        let answer = proxy.text(&request("GET", "/k", "")).await;
        assert_eq!(status(&answer), get, "{methods}: {answer}");
        let answer = proxy.text(&request("HEAD", "/k", "")).await;
        assert_eq!(status(&answer), head, "{methods}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_no_signature_passes_unchanged() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = Proxy::start(&one_route(&route(origin.address, STATIC)));
    for (method, target, headers) in [
        (
            "GET",
            "/k?acl",
            "authorization: OSS a:b\r\nx-oss-meta-a: 1\r\n",
        ),
        (
            "PUT",
            "/k",
            "authorization: OSS a:b\r\nx-oss-object-acl: private\r\n",
        ),
        (
            "GET",
            "/",
            "authorization: OSS4-HMAC-SHA256 Credential=a\r\n",
        ),
        (
            "GET",
            "/k?OSSAccessKeyId=a&Expires=1&Signature=b",
            "x-oss-meta-a: 1\r\n",
        ),
        ("GET", "/k?x-oss-signature=b", ""),
        ("OPTIONS", "/k", "origin: https://a.org\r\n"),
        (
            "POST",
            "/",
            "content-type: Multipart/Form-Data; boundary=b\r\n",
        ),
    ] {
        let sent = format!("{headers}content-length: 0\r\n");
        let answer = proxy.text(&request(method, target, &sent)).await;
        assert_eq!(status(&answer), 200, "{method} {target}: {answer}");
        let received = origin.received().pop().unwrap();
        let head = String::from_utf8(received.head).unwrap();
        assert!(head.starts_with(&format!("{method} {target} ")), "{head}");
        assert!(!head.contains("x-oss-date"), "{head}");
        for line in headers.lines() {
            assert!(
                head.to_lowercase().contains(&line.to_lowercase()),
                "{line}: {head}"
            );
        }
    }
    let other = "content-type: application/x-www-form-urlencoded\r\ncontent-length: 0\r\n";
    let answer = proxy.text(&request("POST", "/", other)).await;
    assert_eq!(status(&answer), 403, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_instruction_of_the_client_is_signed() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let proxy = Proxy::start(&one_route(&route(origin.address, STATIC)));
    let headers = "X-Oss-Request-Payer: requester\r\nx-oss-security-token: t\r\nx-oss-date: 20250102T030405Z\r\n\
                   x-amz-acl: private\r\nsecurity-token: t\r\nContent-Type: a/b\r\nContent-MD5: m\r\nDate: d\r\n\
                   X-OSS-Range-Behavior: standard\r\nreferer: https://a.org/\r\nauthorization: Bearer b\r\n";
    let answer = proxy.text(&request("GET", "/k", headers)).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let received = origin.received().pop().unwrap();
    assert_eq!(assert_signed(&one_key(), &received), "id");
    let head = String::from_utf8_lossy(&received.head).to_lowercase();
    let names: Vec<&str> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split(':').next())
        .collect();
    let mut names: Vec<&str> = names
        .into_iter()
        .filter(|name| *name != "connection")
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "authorization",
            "host",
            "referer",
            "x-oss-content-sha256",
            "x-oss-date",
            "x-oss-range-behavior",
        ],
        "{head}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_website_works_on_a_private_bucket() {
    let (bucket, proxy) =
        start("website = { error = \"404.html\", subdirectories = \"redirect\" }\n").await;
    bucket.put("docs/index.html");
    for (method, target, headers, expected, end) in [
        ("GET", "/", "", 200, "index.html"),
        ("HEAD", "/", "", 200, ""),
        ("GET", "/", "range: bytes=0-4\r\n", 206, "index"),
        ("GET", "/docs/", "", 200, "docs/index.html"),
        ("GET", "/docs", "", 302, ""),
        ("GET", "/none", "", 404, "404.html"),
        ("GET", "/none", "range: bytes=0-4\r\n", 404, "404.html"),
        ("GET", "/?x=1", "", 200, "index.html"),
    ] {
        let answer = proxy.text(&request(method, target, headers)).await;
        assert_eq!(status(&answer), expected, "{method} {target}: {answer}");
        assert!(answer.ends_with(end), "{method} {target}: {answer}");
    }
    // With a sub-resource the request is not for the website, and `/` is the bucket.
    for target in ["/?acl", "/?a%63l", "/?x-oss-process=image/info"] {
        let answer = proxy.text(&request("GET", target, "")).await;
        assert_eq!(
            header(&answer, "x-ossgate-error"),
            ["sign_refused"],
            "{answer}"
        );
    }
}
