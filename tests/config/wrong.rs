//! The configs that a new operator writes wrongly, and what `ossgate check` prints about each.
//!
//! Rows: each case of `tests/data/wrong-configs.txt`, with the whole printed text; the characters and encodings of
//! other systems. Left out: the exact places of single keys (`tables`, `origins`, `policies`).

use std::path::Path;

use ossgate::cli::check::{Format, check};
use ossgate::config::NamedFiles;

use crate::support::config::{Files, LISTENER, ROUTE, expect};

/// Returns the cases of the data file: the title, the config, and the expected text. The title follows `=== `, and
/// the expected text follows a line `---`.
fn cases() -> Vec<(&'static str, &'static str, &'static str)> {
    let text = include_str!("../data/wrong-configs.txt");
    let cases = text.split("=== ").skip(1).map(|case| {
        let (title, rest) = case.split_once('\n').unwrap();
        let (config, expected) = rest.split_once("---\n").unwrap();
        (title, config, expected)
    });
    cases.collect()
}

#[test]
fn each_wrong_config_gets_the_message_that_leads_on() {
    let files = Files::new();
    let cases = cases();
    assert!(cases.len() >= 110, "{}", cases.len());
    for (title, config, expected) in cases {
        let found = match files.read(config) {
            Ok(loaded) => loaded.warnings.render(),
            Err(problems) => problems.render(),
        };
        assert_eq!(found, expected, "{title}\n{config}\n{found}");
    }
}

#[test]
fn no_secret_is_in_the_message_about_a_wrong_config() {
    let files = Files::new();
    for key in ["token", "access_key_secret"] {
        for form in [
            "[admin]\nKEY = hunter2-hunter2-x\n",
            "[admin]\nKEY \"hunter2-hunter2-x\"\n",
            "// KEY = \"hunter2-hunter2-x\"\n",
            "[admin]\nKEY: hunter2-hunter2-x\n",
            "[admin]\nKEY = \"hunter2-hunter2-x\n",
            "[admin]\nKEY = \"hunter2\\x\"\n",
            "[admin]\nKEY = \u{201c}hunter2-hunter2-x\u{201d}\n",
            "[admin]\nKEY = \"hunter2-hunter2-x\";\n",
            "[admin]\nKEY = [\"hunter2-hunter2-x\"]\n",
            "[admin]\nKEY = hunter2-hunter2-x\nKEY = hunter2-hunter2-y\n",
            "admin = { KEY = hunter2-hunter2-x }\n",
            "admin = { KEY = \"hunter2-hunter2-x\", x = y }\n",
        ] {
            let text = format!("{}{LISTENER}{ROUTE}", form.replace("KEY", key));
            let problems = files.read(&text).unwrap_err();
            let shown = format!("{problems}{problems:?}{}", problems.to_json());
            assert!(!shown.contains("hunter2"), "{text}\n{shown}");
        }
    }
}

#[test]
fn line_ends_tabs_and_a_byte_order_mark_make_no_difference() {
    let files = Files::new();
    let text = format!("{LISTENER}{ROUTE}");
    for good in [
        text.replace('\n', "\r\n"),
        format!("\u{feff}{text}"),
        text.replace("address", "\taddress\t"),
    ] {
        expect(&files, &good, &[]);
    }
    let bad = format!("[[listener]]\naddres = \"127.0.0.1:80\"\n{ROUTE}");
    for bad in [bad.replace('\n', "\r\n"), format!("\u{feff}{bad}")] {
        expect(
            &files,
            &bad,
            &[
                "1:1: listener[0].address: is missing",
                "2:1: listener[0].addres: unknown key `addres`",
            ],
        );
    }
    // The byte order mark is not a character of the first line.
    expect(
        &files,
        &format!("\u{feff}colour = 1\n{text}"),
        &["1:1: colour: unknown key `colour`"],
    );
}

#[test]
fn a_text_in_another_encoding_is_named() {
    let files = Files::new();
    let path = files.path("encoded.toml");
    let checked = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let mut out = Vec::new();
        let code = check(&path, Format::Text, NamedFiles::Read, &|_| None, &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    };
    let name = path.display();
    let hint = "  hint: save the file as UTF-8; some editors on Windows write GBK or UTF-16\n";
    let end = format!("{name}: 1 error; this would not start\n");
    let utf16: Vec<u8> = "\u{feff}[log]\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(
        checked(&utf16),
        (
            78,
            format!("{name}: the file is UTF-16 text, and TOML is UTF-8\n{hint}{end}")
        )
    );
    assert_eq!(
        checked(b"[log]\n# \xc5\xe4\xd6\xc3\n"),
        (
            78,
            format!("{name}: line 2 has a byte that is not UTF-8\n{hint}{end}")
        )
    );
    let (code, out) = {
        let mut out = Vec::new();
        let directory = Path::new("/");
        let code = check(
            directory,
            Format::Text,
            NamedFiles::Read,
            &|_| None,
            &mut out,
        )
        .unwrap();
        (code, String::from_utf8(out).unwrap())
    };
    assert_eq!(code, 78);
    assert!(
        out.starts_with("/: cannot read the file: it is not a regular file"),
        "{out}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_place_where_it_was_looked_for() {
    let files = Files::new();
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:443\"\ntls = true\n[[certificate]]\n\
         cert = \"C:\\tls\\fullchain.pem\"\nkey = \"none.pem\"\n{ROUTE}"
    );
    let problems = files.read(&text).unwrap_err();
    let found: Vec<(String, String)> = problems
        .iter()
        .map(|problem| (problem.message.clone(), problem.hint.clone().unwrap()))
        .collect();
    let missing = "cannot be read: No such file or directory (os error 2)";
    let place = files.path("none.pem");
    assert_eq!(
        found,
        [
            (
                // The escapes of the string became a tab and a form feed.
                format!("`C:\\tls\\u{{c}}ullchain.pem` {missing}"),
                "`\\` begins an escape in a string with double quotes; put the path in single quotes".to_owned(),
            ),
            (
                format!("`none.pem` {missing}"),
                format!(
                    "looked for at `{}`; `ossgate check --without-files` does not look at files",
                    place.display()
                ),
            ),
        ]
    );
}

#[test]
fn a_listener_on_the_port_of_the_other_protocol_gets_a_warning() {
    let files = Files::new();
    let tls = "tls = true\n[[certificate]]\ncert = \"fullchain.pem\"\nkey = \"privkey.pem\"\n";
    let clear_on_443 =
        "2:11: warning: listener[0].address: is the port of HTTPS, and this listener has no TLS";
    let tls_on_80 = "3:7: warning: listener[0].tls: is on the port of HTTP: browsers send requests without TLS to it";
    for (port, keys, expected) in [
        (443, "", Some(clear_on_443)),
        (443, "trusted_proxies = [\"10.0.0.0/8\"]\n", None),
        (443, tls, None),
        (80, tls, Some(tls_on_80)),
        (80, "", None),
        (8443, "", None),
    ] {
        let text = format!("[[listener]]\naddress = \"127.0.0.1:{port}\"\n{keys}{ROUTE}");
        expect(&files, &text, expected.as_slice());
    }
    // A request can come over TLS from a trusted proxy, from a Unix socket, or to another listener.
    let https = format!("{ROUTE}https = {{}}\n");
    let warning = "warning: route[0].https.mode: sends every request to HTTPS, and no listener has `tls = true`";
    for (listeners, line) in [
        ("address = \"127.0.0.1:80\"\n", Some(5)),
        (
            "address = \"127.0.0.1:80\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n",
            None,
        ),
        ("address = \"unix:/run/a.sock\"\n", None),
        ("address = \"fd:http\"\n", None),
    ] {
        let expected = line.map(|line| format!("{line}:9: {warning}"));
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        expect(
            &files,
            &format!("[[listener]]\n{listeners}{https}"),
            &expected,
        );
    }
    let both = format!("{LISTENER}[[listener]]\naddress = \"127.0.0.1:443\"\n{tls}{https}");
    expect(&files, &both, &[]);
}
