//! `[[route.headers]]` and `[route.origin.headers]`: problems, `show` and `explain`.
//!
//! One row for each problem: the keys as written, and the exact line that reports it. The names in the rows are
//! written in several cases.

use ossgate::cli::explain::{RequestArguments, explain_request};
use ossgate::cli::show::show;

use crate::support::config::{Files, LISTENER, ROUTE, expect_rows};

#[test]
fn problems_of_response_fields_are_reported_at_their_place() {
    let long = format!(
        "headers = [{{ set = {{ X-A = \"{}\" }} }}]",
        "a".repeat(8193)
    );
    let fits = long.replace("aa\"", "a\"");
    let many: Vec<String> = (0..65)
        .map(|number| format!("X-{number} = \"a\""))
        .collect();
    let many = format!("headers = [{{ set = {{ {} }} }}]", many.join(", "));
    let rules = |count| {
        format!(
            "headers = [{}]",
            vec!["{ remove = [\"X-A\"] }"; count].join(", ")
        )
    };
    let cors = "cors = { rules = [{ origins = [\"*\"], methods = [\"GET\"] }] }";
    let with_cors = |rule: &str| format!("{cors}\nheaders = [{rule}]");
    let no_vary = with_cors("{ set = { Vary = \"a\" } }")
        .replace("rules = [{", "vary_origin = false, rules = [{");
    let (fields, names) = (
        |row: &str| format!("headers = [{{ set = {{ {row} }} }}]"),
        |row: &str| format!("headers = [{{ remove = [{row}] }}]"),
    );
    let add = |row: &str| format!("headers = [{{ add = {{ {row} }} }}]");
    let rows: Vec<(String, &str)> = vec![
        ("headers = []".to_owned(), ""),
        ("headers = {}".to_owned(), "3:11: route[0].headers: must be a list of tables, `[[route.headers]]`, not a table"),
        ("headers = [{}]".to_owned(), "3:12: route[0].headers[0]: has no effect without `set`, `add` or `remove`"),
        ("headers = [{ suffix = [\".a\"] }]".to_owned(), "3:12: route[0].headers[0]: has no effect without `set`, `add` or `remove`"),
        ("headers = [{ suffix = [], remove = [\"X-A\"] }]".to_owned(), "3:23: route[0].headers[0].suffix: is empty"),
        ("headers = [{ suffix = [\"\"], remove = [\"X-A\"] }]".to_owned(), "3:24: route[0].headers[0].suffix: `` is empty"),
        ("headers = [{ suffix = [\"*.a\"], remove = [\"X-A\"] }]".to_owned(), "3:24: route[0].headers[0].suffix: `*.a` begins with `*`, but a suffix is not a pattern"),
        ("headers = [{ suffix = [\".a?\"], remove = [\"X-A\"] }]".to_owned(), "3:24: route[0].headers[0].suffix: `.a?` has characters that must be percent-encoded"),
        ("headers = [{ suffix = [\".a\", \"%2E%61\"], remove = [\"X-A\"] }]".to_owned(), "3:30: route[0].headers[0].suffix: `%2E%61` is listed twice"),
        ("headers = [{ suffix = [\".a\", \".A\", \"%2A\", \"/\", \"a%20b\"], remove = [\"X-A\"] }]".to_owned(), ""),
        (fields("a = 1"), "3:26: route[0].headers[0].set.a: must be a string, not a number"),
        ("headers = [{ set = [] }]".to_owned(), "3:20: route[0].headers[0].set: must be a table, not a list"),
        (fields("\"a b\" = \"1\""), "3:22: route[0].headers[0].set.a b: is not the name of a header field"),
        (fields("\":path\" = \"1\""), "3:22: route[0].headers[0].set.:path: is not the name of a header field"),
        (fields("\"\" = \"1\""), "3:22: route[0].headers[0].set.: is not the name of a header field"),
        (fields("X-A = \"1\", x-a = \"2\""), "3:33: route[0].headers[0].set.x-a: is the same field as `X-A`"),
        (fields("X-A = \"\""), "3:28: route[0].headers[0].set.X-A: is empty"),
        (fields("X-A = \" a\""), "3:28: route[0].headers[0].set.X-A: begins or ends with white space"),
        (fields("X-A = \"a\\nb: c\""), "3:28: route[0].headers[0].set.X-A: has characters that are not allowed: only visible ASCII characters, spaces and tabs are"),
        (fields("X-A = \"\\u00e9\""), "3:28: route[0].headers[0].set.X-A: has characters that are not allowed: only visible ASCII characters, spaces and tabs are"),
        (fields("X-A = \"a \\t b\""), ""),
        (fits, ""),
        (many, "3:20: route[0].headers[0].set: has more than 64 fields"),
        (rules(64), ""),
        (rules(65), "3:1420: route[0].headers[64]: is one rule too many: a route has at most 64"),
        (fields("CONNECTION = \"close\""), "3:22: route[0].headers[0].set.CONNECTION: belongs to one connection and cannot be changed"),
        (names("\"Transfer-encoding\""), "3:24: route[0].headers[0].remove: `Transfer-encoding` belongs to one connection and cannot be changed"),
        (add("Upgrade = \"h2c\""), "3:22: route[0].headers[0].add.Upgrade: belongs to one connection and cannot be changed"),
        (names("\"content-LENGTH\""), "3:24: route[0].headers[0].remove: `content-LENGTH` describes the bytes of the body and cannot be changed"),
        (fields("Content-Range = \"bytes 0-0/1\""), "3:22: route[0].headers[0].set.Content-Range: describes the bytes of the body and cannot be changed"),
        (fields("Date = \"a\""), "3:22: route[0].headers[0].set.Date: is the time of the response and cannot be changed"),
        (fields("location = \"/\""), "3:22: route[0].headers[0].set.location: is the destination of a redirect and cannot be changed"),
        (fields("ETag = \"a\""), "3:22: route[0].headers[0].set.ETag: identifies one version of an object and cannot be set"),
        (add("Last-Modified = \"a\""), "3:22: route[0].headers[0].add.Last-Modified: identifies one version of an object and cannot be set"),
        (names("\"ETag\", \"Last-Modified\""), ""),
        (fields("strict-transport-security = \"max-age=1\""), "3:22: route[0].headers[0].set.strict-transport-security: is a field of `https.hsts`, which never sends it over clear text"),
        (names("\"X-Oss-Request-Id\""), "3:24: route[0].headers[0].remove: `X-Oss-Request-Id` shows whether OSS answered and cannot be changed"),
        (fields("x-oss-ec = \"1\""), "3:22: route[0].headers[0].set.x-oss-ec: shows whether OSS answered and cannot be changed"),
        (names("\"x-oss-force-download\""), "3:24: route[0].headers[0].remove: `x-oss-force-download` is a field of `preview`"),
        (fields("X-Oss-Meta-A = \"1\""), "3:22: route[0].headers[0].set.X-Oss-Meta-A: is a field of OSS and cannot be set"),
        (names("\"x-oss-server-time\", \"Server\""), ""),
        (add("X-Ossgate-Error = \"1\""), "3:22: route[0].headers[0].add.X-Ossgate-Error: is a field of the proxy and cannot be changed"),
        (names("\"x-ossgate-request-id\""), "3:24: route[0].headers[0].remove: `x-ossgate-request-id` is a field of the proxy and cannot be changed"),
        (fields("Server = \"Tengine, aliyunOSS\""), "3:22: route[0].headers[0].set.Server: must not name OSS, because it is also on responses that OSS did not send"),
        (fields("Server = \"web\""), ""),
        (add("Content-Type = \"text/html\""), "3:22: route[0].headers[0].add.Content-Type: can only occur once in a response"),
        (names("\"X-A\", \"X-B\", \"x-A\""), "3:38: route[0].headers[0].remove: `x-A` is the same field as `X-A`"),
        (names("\"X A\""), "3:24: route[0].headers[0].remove: `X A` is not the name of a header field"),
        ("headers = [{ set = { X-A = \"1\" }, remove = [\"x-a\"] }]".to_owned(), "3:45: route[0].headers[0].remove: `x-a` is also in `set`"),
        ("headers = [{ add = { X-A = \"1\" }, remove = [\"x-a\"] }]".to_owned(), "3:45: route[0].headers[0].remove: `x-a` is also in `add`"),
        ("headers = [{ set = { X-A = \"1\" }, add = { x-a = \"2\" } }]".to_owned(), ""),
        (fields("Access-Control-Allow-Origin = \"*\", Vary = \"a\""), ""),
        (with_cors("{ set = { access-control-max-age = \"1\" } }"), "4:22: route[0].headers[0].set.access-control-max-age: is a field of `cors`"),
        (with_cors("{ remove = [\"Access-Control-Allow-Origin\"] }"), "4:24: route[0].headers[0].remove: `Access-Control-Allow-Origin` is a field of `cors`"),
        (with_cors("{ set = { VARY = \"a\" } }"), "4:22: route[0].headers[0].set.VARY: would lose the `Vary: Origin` of `cors`"),
        (with_cors("{ remove = [\"Vary\"] }"), "4:24: route[0].headers[0].remove: `Vary` would lose the `Vary: Origin` of `cors`"),
        (with_cors("{ add = { Vary = \"a\" } }"), ""),
        (no_vary, ""),
    ];
    let rows: Vec<(&str, &str)> = rows
        .iter()
        .map(|(keys, line)| (keys.as_str(), *line))
        .collect();
    expect_rows(ROUTE, LISTENER, &rows);
    let files = Files::new();
    let problems = files
        .read(&format!("{ROUTE}{long}\n{LISTENER}"))
        .unwrap_err();
    let found: Vec<&str> = problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    assert!(
        matches!(found[..], [one] if one.ends_with("is longer than 8192 bytes")),
        "{found:?}"
    );
}

/// The names that no rule may change, all in one table. The rows above have the whole lines.
#[test]
fn every_protected_name_is_refused_in_each_list() {
    const CONNECTION: &str = "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade";
    const BODY: &str = "content-length content-range content-md5";
    const ONCE: &str = "content-type content-disposition expires retry-after server";
    const STORED: &str =
        "cache-control content-disposition content-encoding content-language expires";
    let files = Files::new();
    let refused = |table: &str, key: &str, names: &str| {
        let names: Vec<&str> = names.split(' ').collect();
        let written: Vec<String> = match key {
            "remove" => names.iter().map(|name| format!("{name:?}")).collect(),
            _ => names.iter().map(|name| format!("{name} = \"1\"")).collect(),
        };
        let list = match key {
            "remove" => format!("[{}]", written.join(", ")),
            _ => format!("{{ {} }}", written.join(", ")),
        };
        let text = format!(
            "{LISTENER}[[route]]\norigin.bucket = \"examplebucket\"\norigin.region = \"cn-hangzhou\"\n{}\n",
            table.replace("TABLE", &format!("{{ {key} = {list} }}"))
        );
        let problems = files
            .read(&text)
            .map(|_| 0)
            .map_err(|problems| problems.errors().count());
        assert_eq!(problems, Err(names.len()), "{text}");
    };
    for key in ["set", "add", "remove"] {
        refused("headers = [TABLE]", key, CONNECTION);
        refused("headers = [TABLE]", key, BODY);
    }
    refused("headers = [TABLE]", "add", ONCE);
    for key in ["set", "remove"] {
        refused("origin.headers = TABLE", key, CONNECTION);
        refused("origin.headers = TABLE", key, STORED);
    }
}

#[test]
fn problems_of_fields_towards_oss_are_reported_at_their_place() {
    let route = |table: &str| {
        format!(
            "[[route]]\n[route.origin]\nbucket = \"examplebucket\"\nregion = \"cn-hangzhou\"\n{table}\n"
        )
    };
    let set = |row: &str| route(&format!("headers = {{ set = {{ {row} }} }}"));
    let remove = |row: &str| route(&format!("headers = {{ remove = [{row}] }}"));
    let many = |count| -> String {
        let names: Vec<String> = (0..count).map(|number| format!("\"X-{number}\"")).collect();
        names.join(", ")
    };
    let both = |count| {
        route(&format!(
            "headers = {{ set = {{ X-A = \"1\" }}, remove = [{}] }}",
            many(count)
        ))
    };
    let signed = "is part of a signature and cannot be changed";
    let decides = "decides which response OSS sends and cannot be changed";
    let stored = "is stored with an uploaded object and cannot be changed";
    let client = "describes the client and cannot be set to a fixed value";
    let mut rows: Vec<(String, String)> = vec![
        (route("headers = {}"), String::new()),
        (route("headers = []"), "5:11: route[0].origin.headers: must be a table, not a list".to_owned()),
        (route("headers = { add = {} }"), "5:13: route[0].origin.headers.add: unknown key `add`".to_owned()),
        (set("User-Agent = \"a\", Referer = \"https://a.cn/\", Accept-Encoding = \"identity\""), String::new()),
        (remove("\"cookie\", \"X-Forwarded-For\", \"Forwarded\", \"x-real-ip\", \"Origin\""), String::new()),
        (both(63), String::new()),
        (both(64), "5:11: route[0].origin.headers: has more than 64 fields in `set` and `remove`".to_owned()),
        (set("X-A = \"1\", x-a = \"2\""), "5:32: route[0].origin.headers.set.x-a: is the same field as `X-A`".to_owned()),
        (set("X-A = \"a\\u0000\""), "5:27: route[0].origin.headers.set.X-A: has characters that are not allowed: only visible ASCII characters, spaces and tabs are".to_owned()),
        (route("headers = { set = { X-A = \"1\" }, remove = [\"x-a\"] }"), "5:44: route[0].origin.headers.remove: `x-a` is also in `set`".to_owned()),
    ];
    for (name, reason) in [
        (
            "HOST",
            "is made from bucket and endpoint and cannot be changed here",
        ),
        (
            "Proxy-Connection",
            "belongs to one connection and cannot be changed",
        ),
        ("te", "belongs to one connection and cannot be changed"),
        (
            "Content-Length",
            "is needed to send the body and cannot be changed",
        ),
        ("expect", "is needed to send the body and cannot be changed"),
        ("AUTHORIZATION", signed),
        ("Content-Type", signed),
        ("content-md5", signed),
        ("Date", signed),
        ("X-OSS-Meta-a", signed),
        ("x-oss-date", signed),
        ("X-Amz-Date", signed),
        ("Range", decides),
        ("If-Range", decides),
        ("if-none-match", decides),
        ("Cache-Control", stored),
        ("content-encoding", stored),
        ("Expires", stored),
    ] {
        rows.push((
            set(&format!("{name} = \"a\"")),
            format!("5:21: route[0].origin.headers.set.{name}: {reason}"),
        ));
        rows.push((
            remove(&format!("\"{name}\"")),
            format!("5:23: route[0].origin.headers.remove: `{name}` {reason}"),
        ));
    }
    for name in [
        "Forwarded",
        "X-REAL-IP",
        "X-Forwarded-For",
        "x-forwarded-proto",
    ] {
        rows.push((
            set(&format!("{name} = \"a\"")),
            format!("5:21: route[0].origin.headers.set.{name}: {client}"),
        ));
    }
    let rows: Vec<(&str, &str)> = rows
        .iter()
        .map(|(text, line)| (text.as_str(), line.as_str()))
        .collect();
    expect_rows("", LISTENER, &rows);
}

const SECRETS: &str = "[[listener]]\naddress = \"127.0.0.1:80\"\n[[route]]\nhosts = [\"h\"]\n\
    headers = [{ set = { X-Open = \"$${a}\", X-Secret = \"a ${SECRET}\", Cache-Control = \"max-age=60\" }, add = { Link = \"b\" }, remove = [\"server\"] },\n\
    { suffix = [\"/\", \"a%20b\"], remove = [\"X-A\"] }, { remove = [\"X-B\"] }]\n\
    [route.origin]\nbucket = \"examplebucket\"\nregion = \"cn-hangzhou\"\n\
    headers = { set = { X-Token = \"${SECRET}\", User-Agent = \"a b\" }, remove = [\"Cookie\"] }\n\
    fallback = [{ network = \"public\" }]\n";

fn secret(name: &str) -> Option<String> {
    (name == "SECRET").then(|| "Hunter2!".to_owned())
}

/// `check` accepts what `show` prints, and neither prints the value of a variable.
#[test]
fn show_prints_values_as_written() {
    let files = Files::new();
    let path = files.path("t.toml");
    std::fs::write(&path, SECRETS).unwrap();
    let print = || {
        let mut out = Vec::new();
        assert_eq!(show(&path, &secret, &mut out).unwrap(), 0);
        String::from_utf8(out).unwrap()
    };
    let shown = print();
    for line in [
        "x-open = \"$${a}\"",
        "x-secret = \"a ${SECRET}\"",
        "x-token = \"${SECRET}\"",
        "suffix = [",
        "remove = [\"cookie\"]",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    std::fs::write(&path, &shown).unwrap();
    assert_eq!(print(), shown);
    let loaded = ossgate::config::load(&path, &secret).unwrap();
    let route = &loaded.config.routes[0];
    let value = |name: &str| {
        route.policies.headers[0]
            .set
            .iter()
            .find(|field| field.name == name)
            .unwrap()
    };
    assert_eq!(value("x-secret").value, "a Hunter2!");
    assert_eq!(value("x-open").value, "${a}");
    assert_eq!(value("cache-control").value, "max-age=60");
    assert_eq!(route.policies.headers[1].suffix, ["/", "a%20b"]);
    let debug = format!("{:?} {:?}", loaded.config, loaded.warnings);
    assert!(
        !debug.contains("Hunter2") && !shown.contains("Hunter2"),
        "{debug}"
    );
}

#[test]
fn a_problem_of_a_value_does_not_show_the_secret() {
    let files = Files::new();
    let text = SECRETS
        .replace("a ${SECRET}", " ${SECRET}")
        .replace("\"${SECRET}\"", "\"${SECRET}\\u0000\"");
    let env = |name: &str| secret(name);
    let problems =
        ossgate::config::from_str("t.toml", &text, files.path("").as_path(), &env).unwrap_err();
    assert_eq!(problems.errors().count(), 2);
    let text = format!("{problems} {} {problems:?}", problems.to_json());
    assert!(
        !text.contains("${SECRET}") && !text.contains("Hunter2"),
        "{text}"
    );
}

#[test]
fn explain_shows_the_changes_of_response_and_request() {
    let files = Files::new();
    let path = files.path("t.toml");
    std::fs::write(&path, SECRETS).unwrap();
    let explained = |url: &str, headers: &[&str]| {
        let mut out = Vec::new();
        let headers: Vec<String> = headers.iter().map(|line| (*line).to_owned()).collect();
        let arguments = RequestArguments {
            url: Some(url),
            method: "GET",
            headers: &headers,
            named_files: ossgate::config::NamedFiles::Read,
            client: None,
        };
        assert_eq!(
            explain_request(&path, &arguments, &secret, &mut out).unwrap(),
            0
        );
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains("Hunter2"), "{text}");
        let fields = text
            .lines()
            .filter(|line| line.starts_with("  headers ") || line.starts_with("  to OSS "));
        fields
            .map(|line| line.replace(&path.display().to_string(), "F"))
            .collect::<Vec<_>>()
    };
    let first = "  headers  removes server; sets x-open: $${a}; sets x-secret: a ${SECRET}; \
                 sets cache-control: max-age=60 (only with the object); adds link: b  (F:5)";
    let third = "  headers  removes X-B  (F:6)".replace("X-B", "x-b");
    let sent = "  to OSS   removes cookie; sets user-agent: a b; sets x-token: ***";
    assert_eq!(explained("http://h/k", &[]), [first, &third, sent]);
    let second = "  headers  removes x-a  (F:6)";
    assert_eq!(
        explained("http://h/docs%2F?x", &[]),
        [first, second, &third, sent]
    );
    let v4 =
        "Authorization: OSS4-HMAC-SHA256 Credential=a,AdditionalHeaders=Cookie;range,Signature=0";
    let left = "  to OSS   leaves cookie, because the signature covers it; sets user-agent: a b; sets x-token: ***";
    assert_eq!(
        explained("http://h/a%20%62", &[v4]),
        [first, second, &third, left]
    );
    let rest = SECRETS
        .replace("{ remove = [\"X-B\"] }", "")
        .replace("headers = [{ set", "headers = [{ suffix = [\".x\"], set");
    std::fs::write(&path, rest).unwrap();
    assert_eq!(
        explained("http://h/k", &[]),
        ["  headers  no rule is for this path", sent]
    );
}
