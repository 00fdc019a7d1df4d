//! Imports of the XML of bucket settings.
//!
//! Rows: the three documents of a bucket; documents and arguments that make no usable config; hostile and foreign
//! files. Left out: what the rules do (`policy/`).

use ossgate::cli::import::{Losses, Source};

use crate::support::imported::{Outcome, files, outcome};

fn xml(texts: &[&str]) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    outcome(&Source::BucketXml {
        files: &files(directory.path(), texts),
        bucket: "examplebucket",
        region: "cn-hangzhou",
    })
}

#[test]
fn the_configurations_of_a_bucket_become_its_rules() {
    let outcome = xml(&[
        "<?xml version=\"1.0\"?><RefererConfiguration><AllowEmptyReferer>false</AllowEmptyReferer><TruncatePath>true</TruncatePath>\
         <RefererList><Referer>https://*.example.com</Referer><Referer>https://a.cn/?x=&lt;1</Referer></RefererList>\
         <RefererBlacklist><Referer>*evil*</Referer></RefererBlacklist></RefererConfiguration>",
        "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>PUT</AllowedMethod><AllowedMethod>GET</AllowedMethod>\
         <AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>100</MaxAgeSeconds></CORSRule>\
         <ResponseVary>true</ResponseVary></CORSConfiguration>",
        "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix><SupportSubDir>true</SupportSubDir><Type>2</Type></IndexDocument>\
         <ErrorDocument><Key>目录/404.html</Key><HttpStatus>404</HttpStatus></ErrorDocument>\
         <RoutingRules><RoutingRule/><RoutingRule/></RoutingRules></WebsiteConfiguration>",
    ]);
    assert_eq!(outcome.code, 0, "{}", outcome.notes);
    let policies = outcome.config().routes.remove(0).policies;
    let referer = policies.referer.unwrap();
    let allow: Vec<&str> = referer
        .allow
        .iter()
        .map(|pattern| pattern.text.as_str())
        .collect();
    assert_eq!(allow, ["https://*.example.com", "https://a.cn/?x=<1"]);
    assert!(!referer.allow_empty && referer.truncate_path && referer.truncate_query);
    let cors = policies.cors.unwrap();
    assert_eq!((cors.rules[0].max_age, cors.vary_origin), (Some(100), true));
    assert_eq!(cors.rules[0].rule.methods, ["PUT", "GET"]);
    let website = policies.website.unwrap();
    assert_eq!(
        website.subdirectories,
        ossgate::config::policy::Subdirectories::Index
    );
    assert_eq!(website.error.unwrap(), "%E7%9B%AE%E5%BD%95/404.html");
    assert!(
        outcome.notes.contains("2 RoutingRule were left out"),
        "{}",
        outcome.notes
    );
}

#[test]
fn arguments_and_documents_that_make_no_config_are_refused() {
    let referer = "<RefererConfiguration><RefererList><Referer>https://a.cn</Referer></RefererList></RefererConfiguration>";
    let without_origin = "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>";
    for (bucket, region, texts, code, message) in [
        (
            "examplebucket",
            "hangzhou",
            vec![referer],
            2,
            "--region: `hangzhou` is not a region of OSS; did you mean `cn-hangzhou`?",
        ),
        (
            "examplebucket",
            "oss-cn-hangzhou-internal",
            vec![referer],
            2,
            "did you mean `cn-hangzhou`?",
        ),
        (
            "examplebucket",
            "cn-hangzou",
            vec![referer],
            2,
            "did you mean `cn-hangzhou`?",
        ),
        (
            "examplebucket",
            "CN_Shanghai",
            vec![referer],
            2,
            "did you mean `cn-shanghai`?",
        ),
        (
            "examplebucket",
            "",
            vec![referer],
            2,
            "--region: `` is not a region of OSS\n",
        ),
        (
            "examplebucket",
            "mars",
            vec![referer],
            2,
            "--region: `mars` is not a region of OSS\n",
        ),
        (
            "ExampleBucket",
            "cn-hangzhou",
            vec![referer],
            2,
            "did you mean `examplebucket`?",
        ),
        (
            "oss://b-1/key",
            "cn-hangzhou",
            vec![referer],
            2,
            "did you mean `b-1`?",
        ),
        (
            "b-1.oss-cn-hangzhou.aliyuncs.com",
            "cn-hangzhou",
            vec![referer],
            2,
            "did you mean `b-1`?",
        ),
        (
            "a",
            "nowhere",
            vec![referer],
            2,
            "--bucket: `a` is not a bucket name",
        ),
        (
            "examplebucket",
            "cn-hangzhou",
            vec![referer, referer],
            1,
            "1.conf: `RefererConfiguration` is in ",
        ),
        (
            "examplebucket",
            "cn-hangzhou",
            vec![without_origin],
            1,
            "to be corrected: route[0].cors.rules[0].origins: is missing",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let outcome = outcome(&Source::BucketXml {
            files: &files(directory.path(), &texts),
            bucket,
            region,
        });
        assert_eq!(
            (outcome.code, outcome.text.as_str()),
            (code, ""),
            "{bucket} {region}"
        );
        assert!(
            outcome.notes.contains(message),
            "{message}: {}",
            outcome.notes
        );
    }
}

#[test]
fn hostile_and_foreign_xml_is_rejected() {
    let bomb = "<!DOCTYPE r [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\">]><RefererConfiguration>&b;</RefererConfiguration>";
    let deep = "<a>".repeat(1000);
    for (text, reason) in [
        (bomb, "is not a document of OSS"),
        (deep.as_str(), "is not a document of OSS"),
        ("<AccessControlPolicy/>", "`AccessControlPolicy` is none of"),
        ("", "is not a document of OSS"),
    ] {
        let outcome = xml(&[text]);
        assert_eq!(outcome.code, 1);
        assert!(outcome.notes.contains(reason), "{}", outcome.notes);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large.xml");
    std::fs::write(&path, "x".repeat(2 << 20)).unwrap();
    let missing = directory.path().join("missing");
    for (path, reason) in [(path, "larger than 1 MiB"), (missing, "No such file")] {
        let outcome = outcome(&Source::Nginx {
            files: &[path],
            buckets: &[],
            losses: Losses::Stop,
        });
        assert_eq!(outcome.code, 1);
        assert!(outcome.notes.contains(reason), "{}", outcome.notes);
    }
}

#[test]
fn text_of_a_file_stays_text_in_the_config() {
    let referer = "<RefererConfiguration><RefererList><Referer>https://${file:/etc/hostname}</Referer></RefererList></RefererConfiguration>";
    let outcome = xml(&[referer]);
    assert!(outcome.text.contains("https://$${file:/etc/hostname}"));
    outcome.config();
    let website = "<WebsiteConfiguration><ErrorDocument><Key>e</Key><HttpStatus>404\n[[route]]\nhosts = [\"evil.example\"]</HttpStatus></ErrorDocument></WebsiteConfiguration>";
    let outcome = xml(&[website]);
    assert!(!outcome.text.contains("evil"), "{}", outcome.text);
    assert!(outcome.notes.contains("neither 404 nor 200"));
    outcome.config();
}
