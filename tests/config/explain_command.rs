//! The command `explain`, as people type it, and the lines that it prints.
//!
//! Rows: the order of the arguments; URLs that are wrong or missing; the certificate that a client gets; the line of
//! the config that refuses a request. Left out: whether the explanation is true (`explain`).

use std::process::Command;

use crate::support::certificates;
use crate::support::config::{Files, LISTENER, ROUTE};

/// Runs `ossgate explain` in the directory of `files`. Returns the exit code, and everything that was printed.
fn explain(files: &Files, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ossgate"))
        .arg("explain")
        .args(arguments)
        .current_dir(files.path(""))
        .env_remove("OSSGATE_CONFIG")
        .output()
        .unwrap();
    let printed = [output.stdout.as_slice(), &output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

#[test]
fn the_file_the_url_and_the_options_stand_in_any_order() {
    let files = Files::new();
    std::fs::write(files.path("a.toml"), format!("{LISTENER}{ROUTE}")).unwrap();
    let (url, served) = ("http://a.cn/k", "route    `examplebucket`  (a.toml:3)");
    for arguments in [
        &["a.toml", url, "-H", "X-A: b"][..],
        &["a.toml", "-H", "X-A: b", url],
        &["-H", "X-A: b", "a.toml", "-X", "GET", url],
        &[url, "-X", "GET", "a.toml", "-H", "X-A: b"],
        &["-X", "GET", "-c", "a.toml", "-H", "X-A: b", url],
        &[url, "-c", "a.toml", "--without-files"],
    ] {
        let (code, out) = explain(&files, arguments);
        assert_eq!(code, Some(0), "{arguments:?}\n{out}");
        assert!(
            out.starts_with("GET http://a.cn/k\n") && out.contains(served),
            "{out}"
        );
    }
    let (code, out) = explain(&files, &["a.toml", "HTTP://A.cn/k"]);
    assert!(code == Some(0) && out.contains(served), "{out}");
    for (arguments, part) in [
        (
            &["-H", "X-A: b", "a.toml"][..],
            "the URL is missing: write `ossgate explain a.toml http://HOST/PATH`\n",
        ),
        (
            &["a.toml", "a.cn/k"],
            "`a.cn/k` is not a whole URL; write `http://HOST/PATH`",
        ),
        (
            &["a.cn/k"],
            "`a.cn/k` is not a whole URL; write `http://HOST/PATH`",
        ),
        (
            &["a.toml", "ftp://a.cn/k"],
            "`ftp` is not a scheme that this proxy serves",
        ),
        (
            &["a.toml", "FTP://a.cn/k"],
            "is not a scheme that this proxy serves",
        ),
        (&["a.toml", url, "b.toml"], "unexpected value 'b.toml'"),
    ] {
        let (code, out) = explain(&files, arguments);
        assert!(
            code == Some(2) && out.contains(part),
            "{arguments:?}\n{out}"
        );
    }
}

#[test]
fn a_refusal_names_the_line_that_decides() {
    let files = Files::new();
    let text = format!(
        "{LISTENER}[[route]]\nhosts = [\"a.cn\"]\n\
         methods = [\"GET\"]\n\
         origin = {{ bucket = \"examplebucket\", region = \"cn-hangzhou\" }}\n\
         [route.guard]\n\
         preset = \"read-only\"\n\
         [route.referer]\n\
         allow_empty = false\n\
         deny = [\n\
         \"http://bad.cn/\"]\n\
         allow = [\"https://a.cn/\"]\n\
         [[route]]\nhosts = [\"b.cn\"]\n\
         origin = {{ bucket = \"examplebucket\", region = \"cn-hangzhou\" }}\n\
         guard = {{}}\n\
         [[route]]\nhosts = [\"c.cn\"]\n\
         origin = {{ bucket = \"examplebucket\", region = \"cn-hangzhou\" }}\n\
         https = {{ hsts = {{}} }}\n"
    );
    // Each request is refused, so the listener need not have TLS.
    std::fs::write(files.path("a.toml"), &text).unwrap();
    for (arguments, part) in [
        (
            &["-X", "PUT", "http://a.cn/k"][..],
            "guard    the route does not serve the method  (a.toml:5)\n",
        ),
        (
            &["http://a.cn/k?%61cl"],
            "guard    `read-only` lets no such operation through: `?acl`  (a.toml:8)\n",
        ),
        (
            &["http://b.cn/?acl"],
            "lets no such operation through: `?acl`  (a.toml:17)\n",
        ),
        (
            &["http://A.cn/k"],
            "referer  is refused: there is no Referer  (a.toml:10)\n",
        ),
        (
            &["http://a.cn/k", "-H", "Referer: http://bad.cn/"],
            "referer  is refused by `http://bad.cn/`  (a.toml:12)\n",
        ),
        (
            &["http://a.cn/k", "-H", "referer: https://other.cn/"],
            "referer  is refused: no pattern allows it  (a.toml:13)\n",
        ),
        (
            &["-X", "PUT", "http://c.cn/k", "-H", "Content-Length: 1"],
            "https    is required; a request with a body is not redirected  (a.toml:21)\n",
        ),
    ] {
        let (code, out) = explain(&files, &[&["a.toml"], arguments].concat());
        assert!(
            code == Some(3) && out.contains(part),
            "{arguments:?}\n{out}"
        );
    }
}

#[test]
fn a_client_with_tls_is_told_which_certificate_it_would_get() {
    let files = Files::new();
    let (one, two) = (
        certificates::leaf(&["a.cn", "*.w.cn"]),
        certificates::leaf(&["b.cn"]),
    );
    let config = |default: &str| {
        format!(
            "[[listener]]\naddress = \"127.0.0.1:443\"\ntls = true\n\
             [[certificate]]\ncert = {:?}\nkey = {:?}\n{default}\
             [[certificate]]\ncert = {:?}\nkey = {:?}\n{ROUTE}",
            one.cert, one.key, two.cert, two.key
        )
    };
    std::fs::write(files.path("none.toml"), config("")).unwrap();
    std::fs::write(files.path("default.toml"), config("default = true\n")).unwrap();
    std::fs::write(files.path("plain.toml"), format!("{LISTENER}{ROUTE}")).unwrap();
    let behind = LISTENER.replace("]]\n", "]]\ntrusted_proxies = [\"10.0.0.0/8\"]\n");
    std::fs::write(files.path("behind.toml"), format!("{behind}{ROUTE}")).unwrap();
    let (first, second) = (one.cert.display(), two.cert.display());
    let gets = "tls      the client gets the";
    let fails = "tls      the handshake fails:";
    let no_default = "and no certificate has `default = true`\nthe client would get no response\n";
    for (arguments, code, part) in [
        (
            &["none.toml", "https://A.cn/k"][..],
            0,
            format!("{gets} certificate {first}\n"),
        ),
        (
            &["none.toml", "https://a.cn.:443/k"],
            0,
            format!("{gets} certificate {first}\n"),
        ),
        (
            &["none.toml", "https://x.w.cn/k"],
            0,
            format!("{gets} certificate {first}\n"),
        ),
        (
            &["none.toml", "https://b.cn/k"],
            0,
            format!("{gets} certificate {second}\n"),
        ),
        // The field `Host` is sent after the handshake.
        (
            &["none.toml", "https://b.cn/k", "-H", "Host: a.cn"],
            0,
            format!("{gets} certificate {second}\n"),
        ),
        (
            &["none.toml", "https://c.cn/k"],
            3,
            format!("{fails} no certificate has the name `c.cn`, {no_default}"),
        ),
        (
            &["none.toml", "https://[2001:db8::7]/k"],
            3,
            format!(
                "{fails} a client that connects to an IP address sends no server name, {no_default}"
            ),
        ),
        (
            &["default.toml", "https://203.0.113.7/k"],
            0,
            format!(
                "{gets} default certificate {first}, which does not have `203.0.113.7`, so most clients reject it\n"
            ),
        ),
        (
            &["none.toml", "https://c.cn/k", "--without-files"],
            0,
            "tls      the certificates were not looked at\n".to_owned(),
        ),
        (
            &["plain.toml", "HTTPS://a.cn/k"],
            3,
            "tls      no listener has `tls = true`\nthe client would get no response\n".to_owned(),
        ),
        (
            &["behind.toml", "https://a.cn/k"],
            0,
            "tls      ends at a proxy before this one: no listener has `tls = true`\n".to_owned(),
        ),
    ] {
        let (found, out) = explain(&files, arguments);
        assert!(
            found == Some(code) && out.contains(&part),
            "{arguments:?}\n{out}"
        );
    }
    let (_, out) = explain(&files, &["none.toml", "http://c.cn/k"]);
    assert!(!out.contains("tls  "), "{out}");
}
