use super::*;
use http::Version;

fn request(target: &str, hosts: &[&'static str], version: Version) -> http::Request<()> {
    let mut request = http::Request::new(());
    *request.uri_mut() = target.parse().unwrap();
    *request.version_mut() = version;
    for host in hosts {
        let host = HeaderValue::from_static(host);
        request.headers_mut().append(header::HOST, host);
    }
    request
}

#[test]
fn the_host_is_read_from_the_target_or_the_host_line() {
    for (target, hosts, expected) in [
        ("/", &["img.example.com:80"][..], "img.example.com:80"),
        ("/", &["[2001:db8::1]:443"], "2001:db8::1:443"),
        ("/", &["img.example.com."], "img.example.com"),
        ("http://img.example.com/k", &[], "img.example.com"),
        (
            "http://Img.example.com/k",
            &["img.example.com"],
            "Img.example.com",
        ),
        ("http://a:80/", &["a:80"], "a:80"),
    ] {
        let request = request(target, hosts, Version::HTTP_11);
        let authority = Target::parse(&request).authority().unwrap().unwrap();
        let port = authority.port.map(|port| format!(":{port}"));
        let found = format!("{}{}", authority.host, port.unwrap_or_default());
        assert_eq!(found, expected, "{target} {hosts:?}");
    }
}

#[test]
fn a_request_must_name_one_host() {
    for (target, hosts, expected) in [
        ("/", &[][..], Malformed::MissingHost),
        ("/", &["a", "a"], Malformed::RepeatedHost),
        ("http://a/", &["a", "a"], Malformed::RepeatedHost),
        ("/", &["a, b"], Malformed::BadHost),
        ("/", &["u@a"], Malformed::BadHost),
        ("/", &[""], Malformed::BadHost),
        ("/", &["\t"], Malformed::BadHost),
        ("http://u@a/", &["a"], Malformed::BadHost),
        ("http://u@a/", &[], Malformed::BadHost),
        ("http://b/", &["a"], Malformed::HostsDiffer),
        ("http://a:81/", &["a"], Malformed::HostsDiffer),
    ] {
        let request = request(target, hosts, Version::HTTP_11);
        let found = Target::parse(&request).authority();
        assert_eq!(found, Err(expected), "{target} {hosts:?}");
    }
    let old = request("/", &[], Version::HTTP_10);
    assert_eq!(Target::parse(&old).authority(), Ok(None));
}

#[test]
fn the_host_text_is_the_one_the_authority_is_read_from() {
    for (target, hosts, expected) in [
        ("/", &["a:80"][..], "a:80"),
        ("http://u@b/", &["a"], "u@b"),
        ("/", &["a", "b"], "a"),
        ("/", &[], ""),
    ] {
        let request = request(target, hosts, Version::HTTP_11);
        assert_eq!(Target::parse(&request).host_text(), expected.as_bytes());
    }
}

#[test]
fn path_and_query_are_the_bytes_received() {
    for (target, all, path, query) in [
        (
            "/a//b/../c?x=%2F",
            "/a//b/../c?x=%2F",
            "/a//b/../c",
            Some("x=%2F"),
        ),
        ("/a?b?c", "/a?b?c", "/a", Some("b?c")),
        ("/a?", "/a?", "/a", Some("")),
        ("/a%3Fb", "/a%3Fb", "/a%3Fb", None),
        ("http://a", "/", "/", None),
    ] {
        let request = request(target, &["a"], Version::HTTP_11);
        let target = Target::parse(&request);
        assert_eq!((target.as_str(), target.path()), (all, path));
        assert_eq!(target.query(), query);
    }
}

#[test]
fn a_key_is_decoded_exactly_once() {
    for (target, key) in [
        ("/", &b"/"[..]),
        ("/a/b.jpg?x=%41", b"/a/b.jpg"),
        ("/a+b", b"/a+b"),
        ("/a%2Bb", b"/a+b"),
        ("/a%20b", b"/a b"),
        ("/a%2fb%2Fc", b"/a/b/c"),
        ("/%2541", b"/%41"),
        ("/%%341", b"/%41"),
        ("/a%3Fb%23c", b"/a?b#c"),
        ("/100%", b"/100%"),
        ("/%zz%4", b"/%zz%4"),
        ("/a/../b/./c", b"/a/../b/./c"),
        ("/a/%2e%2E/b", b"/a/../b"),
        ("//a//b/", b"//a//b/"),
        ("/%E4%B8%AD", b"/\xE4\xB8\xAD"),
        ("/%FF%00", b"/\xFF\x00"),
    ] {
        let request = request(target, &["a"], Version::HTTP_11);
        assert_eq!(*Target::parse(&request).key(), *key, "{target}");
    }
}

#[test]
fn a_key_without_escapes_is_borrowed() {
    for (target, is_borrowed) in [("/a//../b+c", true), ("/a%zz", true), ("/a%20b", false)] {
        let request = request(target, &["a"], Version::HTTP_11);
        let key = Target::parse(&request).key();
        assert_eq!(matches!(key, Cow::Borrowed(_)), is_borrowed, "{target}");
    }
}
