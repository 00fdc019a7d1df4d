use super::*;

/// Returns `text` with `*` in place of each masked byte that is not white space.
fn masked(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in secrets(text) {
        for byte in &mut bytes[range] {
            if !byte.is_ascii_whitespace() {
                *byte = b'*';
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_secret_is_masked_to_its_end_in_every_form() {
    for text in [
        "token = \"S\"",
        "token = 'S S' # S",
        "token = \"\"\"\n  S \u{e9}\n\"S\n\"\"\"",
        "token = '''\nS\nS'''",
        "token = [\n\"S\",\n'S', # ]\n\"S\" ]",
        "token =\n\"S\"",
        "token =\n\n  [ \"S\" ]",
        "token = \"S\nS\"",
        "token = S\n  S\nS==\nS=S",
        "token = \"\"\"S\nS",
        "token = [ \"S\nS",
        "token: S",
        "token S",
        " token \"S",
        "\"token\" 'S'",
        "// token = \"S\"",
        "# token = S",
        "x = 1 # token: S",
        "- token: S",
        "export TOKEN=S",
        "token = \u{201c}S S\u{201d}",
        "token = \"S\" \"S\"",
        "token = \"S\\\"S\"",
        "\"to\\u006ben\" = \"S\"",
        "\"\\U00000074o\\x6ben\" = \"S\"",
        "a.token.b = \"S\"",
        "a . \"token\" = \"S\"",
        "[admin.token]\nb = \"S\"",
        "[[ \"token\" ]]\nb = \"S\"",
        "a = { token = \"S\" }",
        "a = { token = { b = 'S' }, token = ['S', 'S'] }",
        "a = { token = S }",
        "a = { token = \"S\", \"S\" }",
        "a = [{ token = \"S\" }]",
        "a = \"x\ntoken = \"S\"",
        "a = { b = \"x, token = \"S\" }",
        "a = \"\"\"x\ntoken = \"S\"",
        "a = \"\"\"x\ntoken = \"\"\"\nS\n\"\"\"",
        "a = [\n\"x\",\ntoken = \"S\"",
        "set = { X-A = \"S\", X-B = 'S' }",
        "[[route.headers]]\nadd = { X-A = \"S\" }",
        "headers = [{ set = { X-A = \"S\" } }]",
        "[route.origin.headers.set]\nX-A = \"S\"\n'X-B' = \"\"\"\nS\"\"\"",
        "origin.headers.set.X-A = \"S\"",
        "[[certificate]]\nkey = \"\"\"\n-----BEGIN S-----\nS\n\"\"\"",
        "[[certificate]]\nkey = \"SSSS/SSSS+SSS==\"",
        "[[client]]\nkey = \"S.pem\"",
    ] {
        for after in ["", "\n", "\n[x]\nname = \"n\"\n"] {
            let shown = masked(&format!("{text}{after}"));
            assert!(
                !shown.contains('S') && !shown.contains('\u{e9}'),
                "{text}\n{shown}"
            );
            // If the end of a secret is not known, the rest of the file is masked too.
            let is_ended = !text.ends_with("S\nS") && !text.contains("a = \"\"\"x");
            if !after.is_empty() && is_ended {
                assert!(shown.ends_with(after), "{text}\n{shown}");
            }
        }
    }
}

#[test]
fn what_is_not_a_secret_stays_readable() {
    for text in [
        "path = \"/token\"",
        "hosts = [\n  \"auth.example.com\",\n  \"key\", \"token\",\n]",
        "name = \"\"\"\nplain\ntext\"\"\"",
        "headers = [{ suffix = [\".html\"], remove = [\"cookie\"] }]",
        "[[certificate]]\ncert = \"/etc/c.pem\"\nkey = \"/etc/privkey.pem\"\ndefault = true",
        "[[certificate]]\nkey = /etc/privkey.pem\ncert = \"x.pem\"",
        "certificate = [{ cert = 'c.pem', key = 'k.pem' }]",
        "author = \"a\"\nmonitor = 1\ntask = 'x'",
        "endpoint = \"http://a:80\"",
        "a = [[1, 2], [3]]\n[b]\nc = 1",
    ] {
        assert_eq!(masked(text), text);
    }
    let inline = masked("a = { token = \"S\", b = 1 }\nset = { X-A = \"S\" }\nname = 'n'");
    assert_eq!(
        inline,
        "a = { token = ***, b = 1 }\nset = { X-A = *** }\nname = 'n'"
    );
}

#[test]
fn names_of_secrets_are_recognized() {
    for key in [
        "token",
        "Tokn",
        "api-key",
        "x_key",
        "key",
        "apiKey",
        "keys",
        "sk",
        "x-sk",
        "auth",
        "x.auth",
        "Authorization",
        "Cookie",
        "set-cookie",
        "signature",
        "passwd",
        "PASSWORD",
        "credentials",
        "access_key_id",
        "client_secret",
        "to\\u006ben",
        "\\x6bey",
    ] {
        assert!(suggests_secret(key), "{key}");
    }
    for key in [
        "path",
        "author",
        "authority",
        "task",
        "keyed",
        "hosts",
        "\\",
        "\\u",
        "\\u00",
    ] {
        assert!(!suggests_secret(key), "{key}");
    }
}
