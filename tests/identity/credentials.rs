//! Where the proxy's access key comes from.
//!
//! Rows: files and profiles that change; the metadata service with and without a token, silent, and with bad
//! documents; many routes with one source; metrics and status. Left out: the refresh (`refresh`); the environment
//! and problems of the config (`config/credentials.rs`).

use crate::support::daemon::wait_for;
use crate::support::origin::RawOrigin;
use crate::support::private::{Metadata, Private, STATIC, Service, route, unix_now, until};
use crate::support::proxy::{Proxy, header, one_route, status};

async fn private() -> Private {
    let bucket = Private::start().await;
    bucket.put("k");
    bucket
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_service_is_asked_with_a_token() {
    let bucket = private().await;
    let metadata = Metadata::start(Service::default(), &bucket.keys).await;
    let mut routes = String::new();
    for number in 0..20 {
        let route = route(bucket.address, &metadata.credentials(""));
        routes.push_str(&format!("hosts = [\"h{number}.test\"]\n{route}[[route]]\n"));
    }
    let proxy = Proxy::start(&one_route(&format!(
        "{routes}{}",
        route(bucket.address, STATIC)
    )));
    for number in 0..20 {
        // The first request waits for the first key.
        let answer = proxy.get(&format!("h{number}.test"), "/k").await;
        assert_eq!(status(&answer), 200, "{answer}");
    }
    let role = "GET /latest/meta-data/ram/security-credentials/";
    let expected = [
        "PUT /latest/api/token HTTP/1.1".to_owned(),
        format!("{role} HTTP/1.1"),
        format!("{role}reader HTTP/1.1"),
    ];
    assert_eq!(metadata.lines(), expected, "one key for all routes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metadata_service_without_tokens_is_asked_only_if_allowed() {
    let bucket = private().await;
    for (token, more, expected) in [
        (404, "", 503),
        (403, "", 503),
        (404, ", allow_imdsv1 = true", 200),
        (403, ", allow_imdsv1 = true", 200),
        (500, ", allow_imdsv1 = true", 503),
        (200, ", role = \"reader\"", 200),
    ] {
        let service = Service {
            token,
            ..Service::default()
        };
        let metadata = Metadata::start(service, &bucket.keys).await;
        let proxy = Proxy::start(&one_route(&route(
            bucket.address,
            &metadata.credentials(more),
        )));
        let answer = proxy.get("x", "/k").await;
        assert_eq!(status(&answer), expected, "{token} {more}: {answer}");
        let asks_for_role = metadata
            .lines()
            .iter()
            .any(|line| line.contains("credentials/ "));
        assert_eq!(
            asks_for_role,
            expected == 200 && !more.contains("role"),
            "{token} {more}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_document_is_no_key() {
    let bucket = private().await;
    for (from, to, expected) in [
        ("", "", 200),
        (
            "\"LastUpdated\"",
            "\"Unknown\":{\"a\":[1]},\"LastUpdated\"",
            200,
        ),
        ("Success", "Failed", 503),
        ("\"STS.1\"", "\"\"", 503),
        ("\"hidden-1\"", "\"\"", 503),
        ("\"veiled-1\"", "\"\"", 503),
        ("\"hidden-1\"", "{}", 503),
        ("{", "", 503),
    ] {
        let service = Service {
            replace: (from, to),
            ..Service::default()
        };
        let metadata = Metadata::start(service, &bucket.keys).await;
        let proxy = Proxy::start(&one_route(&route(
            bucket.address,
            &metadata.credentials(""),
        )));
        let answer = proxy.get("x", "/k").await;
        assert_eq!(status(&answer), expected, "{from} {to}: {answer}");
        let failure = proxy.state().status()["credentials"][0]["failure"].to_string();
        assert!(
            !failure.contains("hidden") && !failure.contains("veiled"),
            "{failure}"
        );
        assert_eq!(failure == "null", expected == 200, "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metadata_service_that_is_silent_or_gone_is_no_key() {
    let bucket = private().await;
    let silent = RawOrigin::start(|_| crate::support::origin::Reply::Silent).await;
    let closed = crate::support::tiers::closed().await;
    for address in [silent.address.to_string(), format!("127.0.0.1:{closed}")] {
        let credentials = format!("source = \"ecs-ram-role\", metadata = \"http://{address}\"");
        let proxy = Proxy::start(&one_route(&route(bucket.address, &credentials)));
        let answer = proxy.get("x", "/k").await;
        assert_eq!(
            header(&answer, "x-ossgate-error"),
            ["credentials_unavailable"],
            "{answer}"
        );
    }
    assert_eq!(bucket.origin.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_again_when_it_changes() {
    let bucket = private().await;
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("key.json");
    let cli = dir.path().join("config.json");
    let ini = dir.path().join("credentials.ini");
    type Text = fn(&str) -> String;
    let json_text: Text =
        |secret| format!("{{\"AccessKeyId\":\"id\",\"AccessKeySecret\":\"{secret}\"}}");
    let cli_text: Text = |secret| {
        format!(
            "{{\"current\":\"p\",\"profiles\":[{{\"name\":\"p\",\"mode\":\"AK\",\"access_key_id\":\"id\",\"access_key_secret\":\"{secret}\"}}]}}"
        )
    };
    let ini_text: Text = |secret| {
        format!("[p]\ntype = access_key\naccess_key_id = id\naccess_key_secret = {secret}\n")
    };
    for (path, text, more) in [
        (&json, json_text, "source = \"file\""),
        (&cli, cli_text, "source = \"profile\""),
        (&ini, ini_text, "source = \"profile\", name = \"p\""),
    ] {
        std::fs::write(path, text("wrong")).unwrap();
        let credentials = format!("{more}, path = {path:?}");
        let proxy = Proxy::start(&one_route(&route(bucket.address, &credentials)));
        let answer = proxy.get("x", "/k").await;
        assert!(answer.contains("SignatureDoesNotMatch"), "{answer}");
        std::fs::write(path, text("secret-1")).unwrap();
        until(&proxy, 200).await;
        // A broken file does not replace the key.
        std::fs::write(path, "{").unwrap();
        let state = proxy.state();
        wait_for("a failure", || {
            state.status()["credentials"][0]["failure"]
                .as_str()
                .map(str::to_owned)
        })
        .await;
        assert_eq!(status(&proxy.get("x", "/k").await), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_missing_at_the_start_is_read_when_it_appears() {
    let bucket = private().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.json");
    let credentials = format!("source = \"file\", path = {path:?}");
    let proxy = Proxy::start(&one_route(&route(bucket.address, &credentials)));
    let answer = proxy.get("x", "/k").await;
    assert_eq!(
        header(&answer, "x-ossgate-error"),
        ["credentials_unavailable"],
        "{answer}"
    );
    assert!(
        answer.contains("`file`") && !answer.contains("key.json"),
        "{answer}"
    );
    std::fs::write(
        &path,
        "{\"AccessKeyId\":\"id\",\"AccessKeySecret\":\"secret-1\"}",
    )
    .unwrap();
    until(&proxy, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_status_have_the_expiry_and_the_failures() {
    let bucket = private().await;
    let metadata = Metadata::start(Service::default(), &bucket.keys).await;
    let mut proxy = Proxy::start(&one_route(&format!(
        "{}[[route]]\nhosts = [\"s.test\"]\n{}",
        route(bucket.address, &metadata.credentials(", role = \"reader\"")),
        route(bucket.address, STATIC)
    )));
    assert_eq!(status(&proxy.get("x", "/k").await), 200);
    let metrics = proxy.state().metrics();
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
    };
    let label = "{source=\"ecs-ram-role:reader\"}";
    let expiry = "ossgate_credentials_expiry_timestamp_seconds";
    let expires = value(&format!("{expiry}{label}")).unwrap();
    assert!(expires.abs_diff(unix_now() + 21_600) <= 5, "{expires}");
    assert!(value(&format!("ossgate_credentials_age_seconds{label}")).unwrap() <= 5);
    assert_eq!(
        value(&format!(
            "ossgate_credentials_refresh_failures_total{label}"
        )),
        Some(0)
    );
    assert_eq!(
        value(&format!("{expiry}{{source=\"static:id\"}}")),
        None,
        "it does not expire"
    );
    let status = proxy.state().status()["credentials"].clone();
    assert_eq!(status[0]["source"], "ecs-ram-role:reader");
    assert_eq!(status[0]["key_id"], "STS.1");
    assert_eq!(status[0]["expires"], expires);
    assert_eq!(status[1]["key_id"], "id");
    // A reload keeps the key of a source that the new config has, too.
    let text = one_route(&route(
        bucket.address,
        &metadata.credentials(", role = \"reader\""),
    ));
    proxy.change(&text).unwrap();
    assert_eq!(
        crate::support::proxy::status(&proxy.get("x", "/k").await),
        200
    );
    assert_eq!(metadata.issued(), 1);
}
