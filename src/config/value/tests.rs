use super::*;

#[test]
fn durations_and_sizes_round_trip() {
    for text in ["500ms", "30s", "2m", "1h", "365d", "1500ms", "0s"] {
        assert_eq!(format_duration(parse_duration(text).unwrap()), text);
    }
    for text in ["64KiB", "16MiB", "1GiB", "100B", "0B"] {
        assert_eq!(format_size(parse_size(text).unwrap()), text);
    }
    for text in [
        "",
        "30",
        "s",
        "-1s",
        "1.5s",
        "30 s",
        "99999999999999999999s",
        "1w",
    ] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
    for text in ["", "64", "64KB", "-1KiB", "KiB"] {
        assert!(parse_size(text).is_err(), "{text}");
    }
}

#[test]
fn paths_are_written_as_requests_carry_them() {
    for text in ["", "a/b", "/a%2Fb/", "a+b@c;d=e"] {
        assert_eq!(check_encoded(text), Ok(()), "{text}");
    }
    for text in ["a b", "a?b", "a#b", "\u{e9}", "%2", "%zz", "a\\b", "a\nb"] {
        assert_eq!(check_encoded(text), Err(Invalid::Unencoded), "{text}");
    }
}

#[test]
fn bucket_patterns() {
    let team = BucketPattern::parse("team-*").unwrap();
    assert!(team.matches("team-a"));
    for name in [
        "team-",
        "teams-a",
        "team-A",
        "team-a.evil",
        "xteam-a",
        "team-a/",
    ] {
        assert!(!team.matches(name), "{name}");
    }
    for text in ["*", "a*b*c", "Team-*", "ab", "a.b", "team/*"] {
        assert!(BucketPattern::parse(text).is_err(), "{text}");
    }
}

#[test]
fn host_patterns() {
    assert_eq!(
        HostPattern::parse("Img.Example.com").unwrap(),
        HostPattern::Exact("img.example.com".into())
    );
    assert_eq!(
        HostPattern::parse("*.a.b").unwrap(),
        HostPattern::Wildcard("a.b".into())
    );
    assert_eq!(
        HostPattern::parse("[::1]").unwrap(),
        HostPattern::Exact("::1".into())
    );
    for text in [
        "",
        "*",
        "*.1.2.3.4",
        "[1.2.3.4]",
        "a:80",
        "http://a",
        "a/b",
        "*.*.a",
        "a.*.b",
        "a..b",
        "user@a",
    ] {
        assert!(HostPattern::parse(text).is_err(), "{text}");
    }
}
