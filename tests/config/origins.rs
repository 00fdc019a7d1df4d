//! Problems of buckets, endpoints and fallbacks.
//!
//! One row for each problem: the keys as written, and the exact line that reports it.

use crate::support::config::{Files, LISTENER, expect, expect_rows};

#[test]
fn problems_of_buckets_and_their_addressing_are_reported_at_their_place() {
    let endpoint = "region = \"cn-hangzhou\"\n";
    let before = format!("[[route]]\n[route.origin]\n{endpoint}");
    expect_rows(
        &before,
        LISTENER,
        &[
            (
                "",
                "2:1: route[0].origin: needs either `bucket` or `buckets`",
            ),
            (
                "bucket = \"abc\"\nbuckets = [\"abc\"]",
                "5:11: route[0].origin.buckets: cannot be used together with `bucket`",
            ),
            (
                "bucket = \"a.b\"",
                "4:10: route[0].origin.bucket: `a.b` is not a bucket name: 3 to 63 of `a-z`, `0-9` and `-`",
            ),
            (
                "bucket = \"team-*\"",
                "4:10: route[0].origin.bucket: `team-*` is not a bucket name: 3 to 63 of `a-z`, `0-9` and `-`",
            ),
            ("buckets = []", "4:11: route[0].origin.buckets: is empty"),
            (
                "buckets = [\"abc\", \"*\"]",
                "4:19: route[0].origin.buckets: `*` matches every bucket, so anybody could reach any bucket of the region through this proxy",
            ),
            (
                "buckets = [\"a*b*c\"]",
                "4:12: route[0].origin.buckets: `a*b*c` is not a bucket pattern: one `*` among the characters of a bucket name",
            ),
            (
                "buckets = [\"Abc\"]",
                "4:12: route[0].origin.buckets: `Abc` is not a bucket name: 3 to 63 of `a-z`, `0-9` and `-`",
            ),
            ("buckets = [\"abc\", \"team-*\"]", ""),
            (
                "buckets = [\"abc\"]\nhost = \"img.example.com\"",
                "5:8: route[0].origin.host: cannot be used with `buckets`: one host stands for one bucket",
            ),
            (
                "bucket = \"abc\"\nhost = \"http://img.example.com\"",
                "5:8: route[0].origin.host: `http://img.example.com` is not `host` or `host:port`",
            ),
            ("bucket = \"abc\"\nhost = \"img.example.com:8080\"", ""),
            (
                "bucket = \"abc\"\naddressing = \"path\"",
                "5:14: warning: route[0].origin.addressing: this endpoint answers path style with 403 SecondLevelDomainForbidden",
            ),
            (
                "bucket = \"abc\"\nprefix = \"/a\"",
                "5:10: route[0].origin.prefix: `/a` must not begin with `/`",
            ),
            (
                "bucket = \"abc\"\nprefix = \"%2Fa\"",
                "5:10: route[0].origin.prefix: `%2Fa` must not begin with `/`",
            ),
            (
                "bucket = \"abc\"\nprefix = \"a?b\"",
                "5:10: route[0].origin.prefix: `a?b` has characters that must be percent-encoded",
            ),
            (
                "bucket = \"abc\"\nstrip_path = true",
                "5:14: route[0].origin.strip_path: needs a route with a `path` other than `/`",
            ),
            (
                "bucket = \"abc\"\ntls = false\nca = \"fullchain.pem\"",
                "6:6: route[0].origin.ca: has no effect with `tls = false`",
            ),
            (
                "bucket = \"abc\"\nca = \"fullchain.pem\"\nserver_name = \"oss.example.com\"",
                "",
            ),
            (
                "bucket = \"abc\"\nca = \"empty.pem\"",
                "5:6: route[0].origin.ca: `empty.pem` contains no PEM certificate",
            ),
            (
                "bucket = \"abc\"\nserver_name = \"a b\"",
                "5:15: route[0].origin.server_name: `a b` is not a host name or address; write it without scheme, port and path",
            ),
            (
                "bucket = \"abc\"\ntimeouts = { connect = \"0s\" }",
                "5:24: route[0].origin.timeouts.connect: `0s` must be at least 1ms",
            ),
            (
                "bucket = \"abc\"\npool = { idle = \"0s\" }",
                "5:17: route[0].origin.pool.idle: `0s` must be at least 1ms",
            ),
            (
                "bucket = \"abc\"\npool = { max_per_address = 1000001 }",
                "5:28: route[0].origin.pool.max_per_address: must be from 0 to 1000000",
            ),
        ],
    );
}

#[test]
fn problems_of_endpoints_are_reported_at_their_place() {
    let path = "3:12: route[0].origin.endpoint";
    let refused =
        |value: &str, reason: &str| (value.to_owned(), format!("{path}: `{value}` {reason}"));
    let none_served =
        "is the metadata service or not the address of one host, and is never proxied";
    let files = Files::new();
    for (value, expected) in [
        refused(
            "https://oss-cn-hangzhou.aliyuncs.com",
            "has a scheme; `tls` chooses between HTTP and HTTPS",
        ),
        refused("me@oss-cn-hangzhou.aliyuncs.com", "has a user in it"),
        refused("oss-cn-hangzhou.aliyuncs.com/b", "has a path in it"),
        refused("oss-cn-hangzhou.aliyuncs.com:0", "is not an endpoint"),
        refused("oss-cn-hangzhou.aliyuncs.com:+80", "is not an endpoint"),
        refused("", "is not an endpoint"),
        refused(
            "examplebucket.oss-cn-hangzhou.aliyuncs.com",
            "has a bucket in it",
        ),
        refused("169.254.169.254", none_served),
        refused("169.254.0.1:80", none_served),
        refused("100.100.100.200", none_served),
        refused("[::ffff:100.100.100.200]:80", none_served),
        refused("[fe80::1]:80", none_served),
        refused("0.0.0.0:80", none_served),
        ("oss.example.com:8443".to_owned(), String::new()),
        ("oss-cn-hangzhou.aliyuncs.com".to_owned(), String::new()),
        (
            "oss-cn-hangzou.aliyuncs.com".to_owned(),
            format!(
                "{}: is of a region that ossgate does not know",
                path.replace(": ", ": warning: ")
            ),
        ),
        (
            "10.0.0.9:8443".to_owned(),
            format!(
                "{}: is an IP address, which no certificate of OSS names, so HTTPS to it fails",
                path.replace(": ", ": warning: ")
            ),
        ),
    ] {
        let text = format!(
            "[[route]]\n[route.origin]\nendpoint = {value:?}\nbucket = \"abc\"\n{LISTENER}"
        );
        let expected: &[&str] = if expected.is_empty() {
            &[]
        } else {
            &[&expected]
        };
        expect(&files, &text, expected);
    }
    expect_rows(
        "[[route]]\n[route.origin]\nbucket = \"abc\"\n",
        LISTENER,
        &[
            (
                "region = \"cn-hangzou\"",
                "4:10: route[0].origin.region: `cn-hangzou` is not a region of OSS",
            ),
            (
                "region = \"cn-hangzhou\"\nendpoint = \"a.example.com\"",
                "4:10: route[0].origin.region: cannot be used together with `endpoint`",
            ),
            (
                "network = \"public\"",
                "4:11: route[0].origin.network: needs a `region`",
            ),
            ("", "2:1: route[0].origin.region: is missing"),
            (
                "region = \"cn-nanjing\"\nnetwork = \"dualstack\"",
                "5:11: route[0].origin.network: this region has no endpoint on network `dualstack`",
            ),
            (
                "endpoint = \"127.0.0.1:9000\"\ntls = false\naddressing = \"virtual-host\"",
                "6:14: route[0].origin.addressing: an endpoint that is an IP address has no host to put a bucket before",
            ),
            (
                "endpoint = \"ep-a.oss.cn-hangzhou.privatelink.aliyuncs.com\"\naddressing = \"virtual-host\"",
                "5:14: route[0].origin.addressing: a PrivateLink endpoint takes the bucket in the path only",
            ),
        ],
    );
}

#[test]
fn a_fallback_must_be_able_to_serve_the_bucket() {
    let file = "[[route]]\n[route.origin]\nbucket = \"abc\"\n";
    let hangzhou = "region = \"cn-hangzhou\"\nfallback = ";
    let row = |line: &str| format!("{hangzhou}[{line}]");
    let private = "ep-a.oss.cn-hangzhou.privatelink.aliyuncs.com";
    let rows = [
        (row("{ network = \"public\" }, { network = \"dualstack\" }"), ""),
        (row("{ endpoint = \"oss.example.com:8443\" }"), ""),
        (
            row("{ network = \"internal\" }"),
            "5:13: route[0].origin.fallback[0]: `oss-cn-hangzhou-internal.aliyuncs.com:443` is already listed before this one",
        ),
        (
            row("{ network = \"public\" }, { endpoint = \"oss-cn-hangzhou.aliyuncs.com\" }"),
            "5:37: route[0].origin.fallback[1]: `oss-cn-hangzhou.aliyuncs.com:443` is already listed before this one",
        ),
        (
            row("{}"),
            "5:13: route[0].origin.fallback[0].region: is missing",
        ),
        (
            row("{ network = \"publik\" }"),
            "5:25: route[0].origin.fallback[0].network: `publik` is none of `internal`, `public`, `accelerate`, `accelerate-overseas`, `dualstack`",
        ),
        (
            format!("{hangzhou}3"),
            "5:12: route[0].origin.fallback: must be a list of tables, `[[route.origin.fallback]]`, not a number",
        ),
        (
            row(&format!("{{ endpoint = \"{private}\" }}")),
            "5:13: route[0].origin.fallback[0]: takes the bucket in the path only, and this origin puts it into the host",
        ),
        (
            row("{ region = \"cn-shanghai\" }"),
            "5:13: warning: route[0].origin.fallback[0]: is of region `cn-shanghai`: a bucket of `cn-hangzhou` is refused there with 403",
        ),
        (
            format!("endpoint = \"{private}\"\nfallback = [{{ network = \"internal\" }}]"),
            "5:13: route[0].origin.fallback[0]: answers path style, which this origin uses, with 403 SecondLevelDomainForbidden",
        ),
        (
            "endpoint = \"oss.example.com\"\nfallback = [{ network = \"public\" }]".to_owned(),
            "5:25: route[0].origin.fallback[0].network: needs a `region`",
        ),
        (
            "endpoint = \"oss.example.com:80\"\ntls = false\nfallback = [{ endpoint = \"10.0.0.9\" }]".to_owned(),
            "6:13: route[0].origin.fallback[0]: is an IP address, which has no host to put a bucket before",
        ),
    ];
    let rows: Vec<(&str, &str)> = rows
        .iter()
        .map(|(text, problem)| (text.as_str(), *problem))
        .collect();
    expect_rows(file, LISTENER, &rows);
}
