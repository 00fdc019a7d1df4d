use proptest::prelude::*;

use super::*;

#[test]
fn a_query_begins_after_the_first_question_mark() {
    for (text, expected) in [
        ("/k?a?b", ("/k", Some("a?b"))),
        ("/k?", ("/k", Some(""))),
        ("?acl", ("", Some("acl"))),
        ("/k", ("/k", None)),
        ("", ("", None)),
    ] {
        assert_eq!(split_query(text), expected, "{text}");
    }
}

fn parts<'t>(layout: &Layout, host: &'t str, target: &'t str) -> Option<[&'t str; 3]> {
    let parts = layout.split(|| host, target)?;
    assert_eq!([parts.front, parts.key, parts.query].concat(), target);
    Some([parts.front, parts.key, parts.query])
}

#[test]
fn the_key_begins_after_the_name_of_the_bucket() {
    let one = Layout::default();
    let below = Layout {
        strip: b"/img"[..].into(),
        ..Layout::default()
    };
    let many = Layout {
        strip: b"/oss"[..].into(),
        suffixes: Some(vec!["gate.cn".into()]),
        ..Layout::default()
    };
    for (layout, host, target, expected) in [
        (&one, "a.cn", "/k/l?x", Some(["/", "k/l", "?x"])),
        (&one, "a.cn", "/", Some(["/", "", ""])),
        (&one, "a.cn", "/?acl", Some(["/", "", "?acl"])),
        (&one, "a.cn", "?acl", Some(["", "", "?acl"])),
        (&one, "a.cn", "//k", Some(["/", "/k", ""])),
        (&one, "a.cn", "/a%2Fb", Some(["/", "a%2Fb", ""])),
        (&below, "a.cn", "/img", Some(["/img", "", ""])),
        (&below, "a.cn", "/im%67?x", Some(["/im%67", "", "?x"])),
        (&below, "a.cn", "/img%2Fa/b", Some(["/img%2F", "a/b", ""])),
        (&below, "a.cn", "/img%252Fa", Some(["/img", "%252Fa", ""])),
        (
            &many,
            "1.2.3.4",
            "/oss/abc/k?x",
            Some(["/oss/abc/", "k", "?x"]),
        ),
        (&many, "1.2.3.4", "/oss/abc", Some(["/oss/abc", "", ""])),
        (
            &many,
            "1.2.3.4",
            "/oss%2Fabc%2F%2f",
            Some(["/oss%2Fabc%2F", "%2f", ""]),
        ),
        (
            &many,
            "1.2.3.4",
            "/oss/abc?acl=/",
            Some(["/oss/abc", "", "?acl=/"]),
        ),
        (&many, "1.2.3.4", "/oss/", None),
        (&many, "1.2.3.4", "/oss//abc/k", None),
        (&many, "1.2.3.4", "/oss%2f%2Fabc/k", None),
        (&many, "abc.gate.cn", "/oss/k", Some(["/oss/", "k", ""])),
        (&many, "abc.gate.cn", "/oss/", Some(["/oss/", "", ""])),
    ] {
        assert_eq!(parts(layout, host, target), expected, "{host}{target}");
    }
}

#[test]
fn a_bucket_is_named_by_a_label_or_a_segment_in_any_spelling() {
    let many = Layout {
        suffixes: Some(vec!["gate.cn".into()]),
        ..Layout::default()
    };
    for (host, target, bucket) in [
        ("1.2.3.4", "/example%62ucket/k", "examplebucket"),
        ("1.2.3.4", "/examplebucket%2Fk", "examplebucket"),
        ("1.2.3.4", "/Examplebucket/k", "Examplebucket"),
        ("1.2.3.4", "/example%2562ucket/k", "example%62ucket"),
        ("1.2.3.4", "/example%FF/k", "example%FF"),
        ("ExampleBucket.gate.cn", "/other/k", "examplebucket"),
    ] {
        let parts = many.split(|| host, target).unwrap();
        assert_eq!(
            parts.bucket.name().as_deref(),
            Some(bucket),
            "{host}{target}"
        );
    }
}

#[test]
fn behind_a_prefix_every_key_is_one_of_an_object() {
    let mut layout = Layout {
        suffixes: Some(Vec::new()),
        ..Layout::default()
    };
    for (prefix, target, level) in [
        ("", "/abc/k", Level::Object),
        ("", "/abc/?acl", Level::Bucket),
        ("", "/abc", Level::Bucket),
        ("", "/", Level::Service),
        ("site/", "/abc/?acl", Level::Object),
        ("site/", "/abc", Level::Object),
        ("site/", "/", Level::Service),
    ] {
        layout.prefix = prefix.to_owned();
        let parts = layout.split(|| "", target);
        assert_eq!(layout.level(parts.as_ref()), level, "{prefix} {target}");
    }
}

#[test]
fn bucket_names_have_their_characters_and_length() {
    for name in [
        "abc",
        "examplebucket",
        "a-b-c",
        "old_one",
        "0a0",
        &"a".repeat(63),
        "oss-cn-hangzhou",
    ] {
        assert!(is_bucket_name(name), "{name}");
    }
    for name in [
        "",
        "ab",
        "-ab",
        "ab-",
        "Abc",
        "a.b",
        "a/b",
        "a@b",
        "a:b",
        "a%b",
        "..",
        &"a".repeat(64),
        "a b",
    ] {
        assert!(!is_bucket_name(name), "{name}");
    }
}

#[test]
fn exactly_one_label_stands_before_a_suffix() {
    assert_eq!(
        label_before("b.oss.example.com", "oss.example.com"),
        Some("b")
    );
    assert_eq!(
        label_before("B.OSS.example.com", "oss.example.com"),
        Some("B")
    );
    for host in [
        "oss.example.com",
        "a.b.oss.example.com",
        ".oss.example.com",
        "boss.example.com",
        "example.com",
    ] {
        assert_eq!(label_before(host, "oss.example.com"), None, "{host}");
    }
}

/// Writes each byte of `path` either as it is or percent-encoded. The first slash and malformed escapes stay
/// unchanged.
fn respelled(path: &str, choices: &[u8]) -> String {
    let mut choices = choices.iter().cycle();
    let mut spelled = String::from("/");
    for byte in path.bytes().skip(1) {
        match choices.next().map_or(0, |choice| choice % 3) {
            1 => spelled.push_str(&format!("%{byte:02x}")),
            2 => spelled.push_str(&format!("%{byte:02X}")),
            _ if byte == b'%' => spelled.push_str("%25"),
            _ => spelled.push(char::from(byte)),
        }
    }
    spelled
}

proptest! {
    #[test]
    fn every_spelling_of_a_path_has_the_same_parts(
        path in "/(img/)?(abc|[a-z/%.+ ]{0,4})(/[a-z/%.+]{0,9})?",
        choices in prop::collection::vec(any::<u8>(), 1..20),
    ) {
        let plain = respelled(&path, &[0]);
        let spelled = respelled(&path, &choices);
        for suffixes in [None, Some(Vec::new())] {
            for strip in [&b""[..], b"/img"] {
                let layout = Layout { strip: strip.into(), suffixes: suffixes.clone(), prefix: String::new() };
                let expected = layout.split(|| "", &plain);
                let found = layout.split(|| "", &spelled);
                prop_assert_eq!(layout.level(found.as_ref()), layout.level(expected.as_ref()));
                let (Some(expected), Some(found)) = (expected, found) else {
                    continue;
                };
                prop_assert_eq!([found.front, found.key].concat(), spelled.as_str());
                prop_assert_eq!(spelling::decode(found.key), spelling::decode(expected.key));
                prop_assert_eq!(found.bucket.name(), expected.bucket.name());
            }
        }
    }
}
