//! Problems in the rules of a route.
//!
//! One row for each problem: the keys as written, and the exact line that reports it.

use crate::support::config::{Files, LISTENER, ROUTE, expect_rows};

/// A listener behind a load balancer, which may end TLS.
const PROXIED: &str =
    "[[listener]]\naddress = \"127.0.0.1:80\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n";

#[test]
fn rules_without_a_meaning_are_reported_at_their_place() {
    expect_rows(
        ROUTE,
        PROXIED,
        &[
            ("https = {}", ""),
            (
                "https = { mode = \"redirct\" }",
                "3:18: route[0].https.mode: `redirct` is none of `redirect`, `require`, `off`",
            ),
            (
                "https = { port = 0 }",
                "3:18: route[0].https.port: must be from 1 to 65535",
            ),
            (
                "https = { hsts = { preload = true } }",
                "3:30: warning: route[0].https.hsts.preload: is ignored by browsers without `max_age` of a year and `include_subdomains`",
            ),
            (
                "cors = {}",
                "3:8: route[0].cors.rules: is missing: every preflight would be refused",
            ),
            (
                "cors = { rules = [{ origins = [\"https://*.a.*\"], methods = [\"GET\"] }] }",
                "3:32: route[0].cors.rules[0].origins: `https://*.a.*` has more than one `*`, which OSS does not allow",
            ),
            (
                "cors = { rules = [{ origins = [\"a.com\"], methods = [\"GET\"] }] }",
                "3:32: route[0].cors.rules[0].origins: `a.com` has no scheme, so no browser's Origin is equal to it; write `https://...` or begin with `*`",
            ),
            (
                "cors = { rules = [{ origins = [\"https://a.com/\"], methods = [\"GET\"] }] }",
                "3:32: route[0].cors.rules[0].origins: `https://a.com/` is not an origin: scheme, host and port, without a path",
            ),
            (
                "cors = { rules = [{ origins = [\"*\"], methods = [\"\"] }] }",
                "3:49: route[0].cors.rules[0].methods: `` is not a method of a rule: `GET`, `PUT`, `DELETE`, `POST` or `HEAD`",
            ),
            (
                "cors = { rules = [{ origins = [\"*\"], methods = [\"GET\"], expose = [\"x-*\"] }] }",
                "3:67: route[0].cors.rules[0].expose: `x-*` has a `*`, which cannot be exposed; name the headers",
            ),
            (
                "cors = { rules = [{ origins = [\"*\"], methods = [\"GET\"], headers = [\"a b\"] }] }",
                "3:68: route[0].cors.rules[0].headers: `a b` is not the name of a header",
            ),
            (
                "guard = { preset = \"readonly\" }",
                "3:20: route[0].guard.preset: `readonly` is none of `full`, `data-plane`, `read-only`",
            ),
            (
                "guard = { allow = [\"GET ?acl\", \"POST ?metaQuery&comp\"] }",
                "",
            ),
            (
                "guard = { allow = [\"GET ?acl\", \"GET ?alc\"] }",
                "3:32: route[0].guard.allow: `GET ?alc` has a name that is not a sub-resource of OSS",
            ),
            (
                "guard = { allow = [\"GET ?ACL\"] }",
                "3:20: route[0].guard.allow: `GET ?ACL` has a name that is not a sub-resource of OSS",
            ),
            (
                "guard = { allow = [\"GET acl\"] }",
                "3:20: route[0].guard.allow: `GET acl` is not `METHOD ?subresource`, such as `GET ?acl`",
            ),
            (
                "guard = { allow = [\"get ?acl\"] }",
                "3:20: route[0].guard.allow: `get ?acl` has another method than `GET`, `HEAD`, `PUT`, `POST` or `DELETE`",
            ),
            (
                "guard = { preset = \"full\", allow = [\"GET ?acl\"] }",
                "3:36: warning: route[0].guard.allow: has no effect: `full` allows every operation",
            ),
            (
                "cors = { rules = [{ origins = [\"*\"], methods = [\"GET\"], private_network = \"yes\" }] }",
                "3:75: route[0].cors.rules[0].private_network: must be true or false, not a string",
            ),
            (
                "list_buckets = \"pass\"",
                "3:16: route[0].list_buckets: needs `origin.buckets`",
            ),
            (
                "referer = { allow = [\"www.example.com\"] }",
                "3:22: warning: route[0].referer.allow: `www.example.com` matches no browser: a Referer begins with `http://` or `https://`; begin with `*`",
            ),
            (
                "referer = { deny = [\" \"] }",
                "3:21: route[0].referer.deny: ` ` is empty; `allow_empty` is about requests without Referer",
            ),
            (
                "referer = { allow = [\"*\"], truncate_query = false, truncate_path = true }",
                "3:68: route[0].referer.truncate_path: needs `truncate_query = true`",
            ),
            (
                "referer = { allow_empty = false }",
                "3:27: warning: route[0].referer.allow_empty: has no effect without `allow`, as at OSS",
            ),
            (
                "website = { index = \"a/b\" }",
                "3:21: route[0].website.index: `a/b` is not a name: it is put behind every path that ends in `/`",
            ),
            (
                "website = { error = \"/404.html\" }",
                "3:21: route[0].website.error: `/404.html` is not a key; a key does not begin with `/`",
            ),
            (
                "website = { error = \"a b\" }",
                "3:21: route[0].website.error: `a b` has characters that must be percent-encoded",
            ),
            (
                "website = { error = \"e\", error_status = 403 }",
                "3:41: route[0].website.error_status: must be 404 or 200",
            ),
            (
                "website = { error_status = 200 }",
                "3:28: route[0].website.error_status: needs `error`",
            ),
            (
                "preview = { strip_force_download = true }",
                "3:36: warning: route[0].preview.strip_force_download: works round a policy of OSS's default domains; you answer for what is shown",
            ),
        ],
    );
}

#[test]
fn a_list_of_all_buckets_needs_several_buckets_and_no_guard_against_it() {
    let route = "[[route]]\norigin = { buckets = [\"team-*\"], region = \"cn-hangzhou\" }\n";
    let refused = "3:16: route[0].list_buckets: `pass` has no effect: the guard refuses the listing of buckets";
    expect_rows(
        route,
        LISTENER,
        &[
            ("list_buckets = \"refuse\"", ""),
            ("list_buckets = \"pass\"", ""),
            ("list_buckets = \"refuse\"\nguard = {}", ""),
            ("list_buckets = \"pass\"\nguard = { preset = \"full\" }", ""),
            ("list_buckets = \"pass\"\nguard = {}", refused),
            (
                "list_buckets = \"pass\"\nguard = { preset = \"read-only\" }",
                refused,
            ),
            (
                "list_buckets = \"passs\"",
                "3:16: route[0].list_buckets: `passs` is none of `refuse`, `pass`",
            ),
        ],
    );
}

#[test]
fn a_sub_resource_that_is_not_known_gets_the_nearest_one() {
    let files = Files::new();
    let text =
        format!("{LISTENER}{ROUTE}guard = {{ allow = [\"GET ?lifecyle\", \"GET ?ACL\"] }}\n");
    let problems = files.read(&text).unwrap_err();
    let hints: Vec<_> = problems
        .iter()
        .filter_map(|problem| problem.hint.clone())
        .collect();
    assert_eq!(hints, ["did you mean `lifecycle`?", "did you mean `acl`?"]);
}
