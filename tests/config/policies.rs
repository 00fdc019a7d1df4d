//! Problems in the rules of a route.
//!
//! One row for each problem: the keys as written, and the exact line that reports it.

use crate::support::config::{LISTENER, ROUTE, expect_rows};

#[test]
fn rules_without_a_meaning_are_reported_at_their_place() {
    expect_rows(
        ROUTE,
        LISTENER,
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
