//! Problems of the process, DNS, listeners, certificates and routes.
//!
//! One row for each problem: the keys as written, and the exact line that reports it.

use crate::support::config::{Files, LISTENER, ROUTE, expect, expect_rows, lines};

/// A listener with TLS and a certificate. The keys of the certificate follow.
const TLS: &str = "[[listener]]\naddress = \"127.0.0.1:443\"\ntls = true\n[[certificate]]\n";

#[test]
fn problems_of_process_and_dns_are_reported_at_their_place() {
    let after = format!("{LISTENER}{ROUTE}");
    expect_rows(
        "",
        &after,
        &[
            (
                "[server]\nworkers = 1025",
                "2:11: server.workers: must be from 0 to 1024",
            ),
            (
                "[server]\nworkers = -1",
                "2:11: server.workers: must be from 0 to 1024",
            ),
            (
                "[server]\ndrain_timeout = \"1w\"",
                "2:17: server.drain_timeout: `1w` is not a duration; write for example \"500ms\", \"30s\", \"2m\", \"1h\"",
            ),
            ("[server]\ndrain_timeout = \"0s\"", ""),
            ("[dns]\nservers = [\"100.100.2.136\", \"[::1]:5353\"]", ""),
            (
                "[dns]\nservers = [\"ns.example.com\"]",
                "2:12: dns.servers: `ns.example.com` is not a name server; write `ip` or `ip:port`",
            ),
            (
                "[dns]\nservers = [\"127.0.0.1:0\"]",
                "2:12: dns.servers: `127.0.0.1:0` is not a name server; write `ip` or `ip:port`",
            ),
            (
                "[dns]\nallow = [\"10.0.0.0/8\", \"10.0.0.1\", \"10.0.0\"]",
                "2:36: dns.allow: `10.0.0` is not an address, or a range such as `10.0.0.0/8`",
            ),
            (
                "[dns]\nmax_ttl = \"2s\"",
                "2:11: dns.max_ttl: must not be below `min_ttl`",
            ),
            (
                "[dns]\nmin_ttl = \"2m\"",
                "2:11: dns.min_ttl: must not be above `max_ttl`",
            ),
            (
                "[dns]\nmin_ttl = \"0s\"",
                "2:11: dns.min_ttl: `0s` must be at least 1s",
            ),
            (
                "[dns]\ntimeout = \"0\"",
                "2:11: dns.timeout: `0` must be at least 1ms",
            ),
            (
                "[dns]\nfamily = \"ipv5\"",
                "2:10: dns.family: `ipv5` is none of `ipv4`, `ipv6`, `both`",
            ),
            (
                "[log]\naccess_file = \"\"",
                "2:15: log.access_file: is empty",
            ),
            (
                "[log]\nlevel = true",
                "2:9: log.level: must be a string, not true or false",
            ),
        ],
    );
}

#[test]
fn problems_of_listeners_are_reported_at_their_place() {
    expect_rows(
        "[[listener]]\n",
        ROUTE,
        &[
            ("tls = false", "1:1: listener[0].address: is missing"),
            (
                "address = \"localhost:80\"",
                "2:11: listener[0].address: `localhost:80` is not an address to listen on",
            ),
            ("address = \"fd:http\"", ""),
            (
                "address = \"fd:a:b\"",
                "2:11: listener[0].address: `fd:a:b` needs a name of 1 to 255 printable characters, without `:`, after `fd:`",
            ),
            ("address = \"0.0.0.0:80\"\nhealth_path = \"/health\"", ""),
            (
                "address = \"0.0.0.0:80\"\nhealth_path = \"health?\"",
                "3:15: listener[0].health_path: `health?` is not a path",
            ),
            (
                "address = \"unix:\"",
                "2:11: listener[0].address: `unix:` needs a path of 1 to 107 bytes after `unix:`",
            ),
            ("address = \"unix:/run/a.sock\"", ""),
            (
                "address = \"0.0.0.0:80\"\n[[listener]]\naddress = \"127.0.0.1:80\"",
                "",
            ),
            (
                "address = \"0.0.0.0:80\"\n[[listener]]\naddress = \"0.0.0.0:80\"",
                "4:11: listener[1].address: is already the address of `listener[0]` (line 1)",
            ),
            (
                "address = \"127.0.0.1:0\"\n[[listener]]\naddress = \"127.0.0.1:0\"",
                "",
            ),
            (
                "address = \"0.0.0.0:443\"\ntls = true",
                "3:7: listener[0].tls: needs a `[[certificate]]`",
            ),
            (
                "address = \"0.0.0.0:80\"\nproxy_protocol = \"v1\"",
                "3:18: listener[0].proxy_protocol: needs `trusted_proxies`: any other peer could send a PROXY header with a false client address",
            ),
            (
                "address = \"unix:/run/a.sock\"\nproxy_protocol = \"v2\"",
                "",
            ),
            (
                "address = \"0.0.0.0:80\"\nproxy_protocol = \"v3\"",
                "3:18: listener[0].proxy_protocol: `v3` is none of `off`, `v1`, `v2`, `any`",
            ),
            (
                "address = \"0.0.0.0:80\"\ntimeouts = { idle = \"500ms\" }",
                "3:21: listener[0].timeouts.idle: `500ms` must be at least 1s",
            ),
            (
                "address = \"0.0.0.0:80\"\nlimits = { header_bytes = \"1KiB\" }",
                "3:27: listener[0].limits.header_bytes: `1KiB` must be from 4KiB to 1MiB",
            ),
            (
                "address = \"0.0.0.0:80\"\nlimits = { header_bytes = \"64K\" }",
                "3:27: listener[0].limits.header_bytes: `64K` is not a size; write for example \"64KiB\", \"16MiB\"",
            ),
            (
                "address = \"0.0.0.0:80\"\nlimits = { headers = 5 }",
                "3:22: listener[0].limits.headers: must be from 16 to 2000",
            ),
            (
                "address = \"0.0.0.0:80\"\nmax_connections = 99999999999999999999",
                "3:19: listener[0].max_connections: must be from 0 to 10000000",
            ),
        ],
    );
}

#[test]
fn problems_of_certificates_are_reported_at_their_place() {
    expect_rows(
        TLS,
        ROUTE,
        &[
            ("cert = \"fullchain.pem\"\nkey = \"privkey.pem\"", ""),
            (
                "cert = \"fullchain.pem\"",
                "4:1: certificate[0].key: is missing: a certificate needs both `cert` and `key`",
            ),
            (
                "cert = \"fullchain.pem\"\nkey = \"other.pem\"",
                "6:7: certificate[0].key: does not belong to the certificate in `cert`",
            ),
            (
                "cert = \"none.pem\"\nkey = \"privkey.pem\"",
                "5:8: certificate[0].cert: `none.pem` cannot be read: No such file or directory (os error 2)",
            ),
            (
                "cert = \"empty.pem\"\nkey = \"privkey.pem\"",
                "5:8: certificate[0].cert: `empty.pem` contains no PEM certificate",
            ),
            (
                "cert = \"fullchain.pem\"\nkey = \"fullchain.pem\"",
                "6:7: certificate[0].key: `fullchain.pem` contains no PEM private key",
            ),
            (
                "cert = \"fullchain.pem\"\nkey = \"privkey.pem\"\ndefault = true\n[[certificate]]\ncert = \"fullchain.pem\"\nkey = \"privkey.pem\"\ndefault = true",
                "11:11: certificate[1].default: `certificate[0]` (line 4) is already the default with this type of key",
            ),
        ],
    );
    let files = Files::new();
    let pair = "cert = \"fullchain.pem\"\nkey = \"privkey.pem\"\n";
    expect(
        &files,
        &format!("{LISTENER}[[certificate]]\n{pair}{ROUTE}"),
        &["3:1: warning: certificate: is not used: no listener has `tls = true`"],
    );
    for (year, expected) in [
        (2031, "expired on Jan  1 00:00:00 2030 +00:00"),
        (2019, "is not valid yet"),
    ] {
        let loaded = files.read_in(&format!("{TLS}{pair}{ROUTE}"), year).unwrap();
        let line = format!("t.toml:5:8: warning: certificate[0].cert: {expected}");
        assert_eq!(lines(&loaded.warnings), [line]);
    }
}

#[test]
fn problems_of_routes_are_reported_at_their_place() {
    let origin = "origin = { bucket = \"examplebucket\", region = \"cn-hangzhou\" }";
    let before = format!("[[route]]\n{origin}\n");
    let two = |one: &str, other: &str| format!("{one}\n[[route]]\n{origin}\n{other}");
    let rows = [
        (
            "hosts = [\"a.example.com\", \"*.A.example.com\", \"203.0.113.7\", \"[::1]\"]"
                .to_owned(),
            "",
        ),
        ("hosts = []".to_owned(), "3:9: route[0].hosts: is empty"),
        (
            "hosts = [\"a.example.com:80\"]".to_owned(),
            "3:10: route[0].hosts: `a.example.com:80` is not a host name or address; write it without scheme, port and path",
        ),
        (
            "hosts = [\"a.*.com\"]".to_owned(),
            "3:10: route[0].hosts: `a.*.com` is not a host pattern: `*` stands for exactly one first label",
        ),
        (
            "hosts = \"a.example.com\"".to_owned(),
            "3:9: route[0].hosts: must be a list of strings, not a string",
        ),
        (
            "hosts = [\"a.example.com\", \"A.example.com\"]".to_owned(),
            "3:27: route[0].hosts: `A.example.com` is listed twice",
        ),
        (
            "path = \"img\"".to_owned(),
            "3:8: route[0].path: `img` is not a path; it begins with `/`",
        ),
        (
            "path = \"/a b\"".to_owned(),
            "3:8: route[0].path: `/a b` has characters that must be percent-encoded",
        ),
        (
            "methods = []".to_owned(),
            "3:11: route[0].methods: is empty",
        ),
        (
            "methods = [\"get\"]".to_owned(),
            "3:12: route[0].methods: `get` is not a method of OSS: `GET`, `HEAD`, `PUT`, `POST`, `DELETE` or `OPTIONS`",
        ),
        ("name = \"\"".to_owned(), "3:8: route[0].name: is empty"),
        (
            "webdav = {}".to_owned(),
            "3:1: route[0].webdav: unknown key `webdav`",
        ),
        (two("path = \"/a\"", "path = \"/b\""), ""),
        (
            two("", ""),
            "4:1: route[1]: serves every host with path `/`, as `route[0]` (line 1) does",
        ),
        (two("hosts = [\"a.example.com\"]", ""), ""),
        (
            two(
                "hosts = [\"a.example.com\"]\npath = \"/x\"",
                "hosts = [\"A.example.com\"]\npath = \"/x/\"",
            ),
            "7:10: route[1].hosts: `A.example.com` with path `/x/` is already served by `route[0]` (line 1)",
        ),
        // Two spellings of one path are one path; `%25` is a percent sign and not an escape again.
        (
            two(
                "hosts = [\"a.example.com\"]\npath = \"/img\"",
                "hosts = [\"a.example.com\"]\npath = \"/%69m%67%2F\"",
            ),
            "7:10: route[1].hosts: `a.example.com` with path `/%69m%67%2F` is already served by `route[0]` (line 1)",
        ),
        (
            two("path = \"/a%2Fb\"", "path = \"/a/b\""),
            "4:1: route[1]: serves every host with path `/a/b`, as `route[0]` (line 1) does",
        ),
        (two("path = \"/a%252Fb\"", "path = \"/a%2Fb\""), ""),
        (two("path = \"/a+b\"", "path = \"/a%20b\""), ""),
        (
            two("name = \"n\"", "name = \"n\"\npath = \"/x\""),
            "6:8: route[1].name: is already the name of `route[0]` (line 1)",
        ),
    ];
    let rows: Vec<(&str, &str)> = rows
        .iter()
        .map(|(keys, line)| (keys.as_str(), *line))
        .collect();
    expect_rows(&before, LISTENER, &rows);
    expect_rows(
        "",
        LISTENER,
        &[(
            "[[route]]\nname = \"n\"",
            "1:1: route[0].origin: is missing",
        )],
    );
}

#[test]
fn every_route_has_a_name_of_its_own() {
    let files = Files::new();
    let origin = "origin = { bucket = \"examplebucket\", region = \"cn-hangzhou\" }\n";
    let text = format!(
        "{LISTENER}[[route]]\nhosts = [\"a.b\"]\n{origin}[[route]]\nhosts = [\"a.b\"]\npath = \"/x\"\n{origin}\
         [[route]]\n{origin}[[route]]\nname = \"examplebucket\"\npath = \"/y\"\n{origin}"
    );
    let config = files.read(&text).unwrap().config;
    let names: Vec<&str> = config
        .routes
        .iter()
        .map(|route| route.name.as_str())
        .collect();
    assert_eq!(names, ["a.b", "a.b/x", "examplebucket/", "examplebucket"]);
}
