use super::*;

fn single() -> Rewrite {
    Rewrite {
        buckets: Buckets::One("examplebucket".into()),
        addressing: Addressing::VirtualHost,
        layout: Layout::default(),
    }
}

fn gateway() -> Rewrite {
    Rewrite {
        buckets: Buckets::Many(vec![
            BucketPattern::Exact("examplebucket".into()),
            BucketPattern::Glob {
                prefix: "team-".into(),
                suffix: String::new(),
            },
        ]),
        layout: Layout {
            suffixes: Some(vec!["proxy.example.com".into()]),
            ..Layout::default()
        },
        ..single()
    }
}

fn below(path: &str, prefix: &str) -> Rewrite {
    Rewrite {
        layout: Layout {
            strip: path.as_bytes().into(),
            prefix: prefix.into(),
            suffixes: None,
        },
        ..single()
    }
}

const IP: &str = "203.0.113.7";

fn mapped(rewrite: &Rewrite, host: &str, target: &str) -> Result<(String, String), &'static str> {
    rewrite
        .map(|| host, target)
        .map(|mapped| (mapped.bucket.into_owned(), mapped.target.into_owned()))
        .map_err(|error| error.kind())
}

/// The rewriting table of the OSS documentation, row by row. Rows 11 and 12 are about a bound domain. Both
/// equal row 1 here, because the domain only changes the `Host` that is sent to OSS.
#[test]
fn every_style_leads_to_the_bucket_and_keeps_the_bytes() {
    let ok = |bucket: &str, target: &str| Ok((bucket.to_owned(), target.to_owned()));
    let eb = "examplebucket";
    for (row, rewrite, host, target, expected) in [
        (1, single(), IP, "/a/b.jpg", ok(eb, "/a/b.jpg")),
        (
            2,
            gateway(),
            IP,
            "/examplebucket/a/b.jpg",
            ok(eb, "/a/b.jpg"),
        ),
        (3, gateway(), IP, "/examplebucket/", ok(eb, "/")),
        (4, gateway(), IP, "/examplebucket", ok(eb, "/")),
        (5, gateway(), IP, "/", Err("no_bucket")),
        (
            6,
            single(),
            IP,
            "/examplebucket%2Fa.jpg",
            ok(eb, "/examplebucket%2Fa.jpg"),
        ),
        (7, single(), IP, "/a//b/../c", ok(eb, "/a//b/../c")),
        (
            7,
            gateway(),
            IP,
            "/examplebucket/a//b/../c",
            ok(eb, "/a//b/../c"),
        ),
        (8, single(), IP, "/a%2Fb", ok(eb, "/a%2Fb")),
        (9, gateway(), IP, "/other/a.jpg", Err("no_such_bucket")),
        (
            10,
            gateway(),
            "examplebucket.proxy.example.com",
            "/k",
            ok(eb, "/k"),
        ),
        (11, single(), "img.example.com", "/k", ok(eb, "/k")),
        (
            13,
            Rewrite {
                addressing: Addressing::Path,
                ..single()
            },
            IP,
            "/k",
            ok(eb, "/examplebucket/k"),
        ),
    ] {
        assert_eq!(mapped(&rewrite, host, target), expected, "row {row}");
    }
}

#[test]
fn queries_and_patterns_are_kept_and_matched() {
    assert_eq!(
        mapped(&gateway(), IP, "/examplebucket?uploads"),
        Ok(("examplebucket".into(), "/?uploads".into()))
    );
    assert_eq!(
        mapped(&gateway(), IP, "/team-a/k?x=/y"),
        Ok(("team-a".into(), "/k?x=/y".into()))
    );
    assert_eq!(
        mapped(&gateway(), "EXAMPLEBUCKET.proxy.example.com", "/k"),
        Ok(("examplebucket".into(), "/k".into()))
    );
}

#[test]
fn a_location_of_oss_becomes_the_path_that_the_client_uses() {
    let site = below("/img", "site/");
    let by_path = Rewrite {
        addressing: Addressing::Path,
        ..single()
    };
    for (rewrite, location, asked, expected) in [
        (single(), "/docs/?x", "/docs", Some("/docs/?x")),
        (site.clone(), "/site/docs/", "/img/docs", Some("/img/docs/")),
        (site.clone(), "/other/docs/", "/img/docs", None),
        (
            site.clone(),
            "/s%69te/docs/",
            "/%69mg%2Fdocs",
            Some("/%69mg/docs/"),
        ),
        (site, "/site%2Fdocs/", "/img/docs", Some("/img/docs/")),
        (by_path, "/examplebucket/docs/", "/docs", Some("/docs/")),
        (
            gateway(),
            "/docs/",
            "/examplebucket/docs",
            Some("/examplebucket/docs/"),
        ),
        (
            gateway(),
            "/docs/",
            "/example%62ucket%2Fdocs",
            Some("/examplebucket/docs/"),
        ),
    ] {
        let found = rewrite.unmap("examplebucket", location, || IP, asked);
        assert_eq!(found.as_deref(), expected, "{location} for {asked}");
    }
    // The host names the bucket, so the first segment is a part of the key.
    let host = "examplebucket.proxy.example.com";
    for (location, asked) in [
        ("/docs/", "/docs"),
        ("/examplebucket/docs/", "/examplebucket/docs"),
    ] {
        let found = gateway().unmap("examplebucket", location, || host, asked);
        assert_eq!(found.as_deref(), Some(location));
    }
}

#[test]
fn no_path_or_label_leads_to_another_host() {
    for target in [
        "/evil@host/k",
        "/team-a:80/k",
        "/../k",
        "/team-%00/k",
        "/team-a%2e/k",
        "/team-a%40evil/k",
        "/team-a%3A80/k",
        "/team-a%2525/k",
        "/%2Fteam-a/k",
        "/%54eam-a/k",
        "/TEAM-A/k",
        "/team-a.evil.com/k",
        "//examplebucket/k",
        "/team-a#/k",
        "/./examplebucket/k",
    ] {
        assert!(mapped(&gateway(), IP, target).is_err(), "{target}");
    }
    for host in [
        "a.b.proxy.example.com",
        "evil.proxy.example.com",
        ".proxy.example.com",
    ] {
        assert!(mapped(&gateway(), host, "/k").is_err(), "{host}");
    }
}

#[test]
fn prefix_and_strip_change_the_front_only() {
    let rewrite = below("/img", "site/");
    assert_eq!(
        mapped(&rewrite, IP, "/img/a//b?x"),
        Ok(("examplebucket".into(), "/site/a//b?x".into()))
    );
    assert_eq!(
        mapped(&rewrite, IP, "/img"),
        Ok(("examplebucket".into(), "/site/".into()))
    );
}

#[test]
fn what_is_cut_may_be_spelled_in_any_way_and_the_rest_stays() {
    let by_path = Rewrite {
        addressing: Addressing::Path,
        ..gateway()
    };
    for (rewrite, target, expected) in [
        (below("/img", ""), "/img%2Fa.jpg", "/a.jpg"),
        (
            below("/img", ""),
            "/%69mg%2fa%2Fb.jpg?x=%2F",
            "/a%2Fb.jpg?x=%2F",
        ),
        (below("/img", ""), "/img%2F", "/"),
        (below("/img", ""), "/im%67?x", "/?x"),
        (below("/img", "s%20/"), "/img%2F%61", "/s%20/%61"),
        (below("/a/b", ""), "/a%2Fb//c", "//c"),
        (gateway(), "/example%62ucket/k", "/k"),
        (gateway(), "/examplebucket%2Fk%2Fl", "/k%2Fl"),
        (gateway(), "/examplebucke%74?acl", "/?acl"),
        (by_path, "/example%62ucket%2fk", "/examplebucket/k"),
    ] {
        let expected = Ok(("examplebucket".to_owned(), expected.to_owned()));
        assert_eq!(mapped(&rewrite, IP, target), expected, "{target}");
    }
}
