//! No secret part of an access key is written anywhere.
//!
//! Rows: a process at level `trace` with keys from the config, a file and the metadata service, and everything that
//! it prints, logs, returns and shows; commands; `Debug`. Left out: the requests to OSS, which carry the security
//! token.

use std::process::Command;

use crate::support::config::{Files, LISTENER};
use crate::support::daemon::{Daemon, get_from};
use crate::support::private::{Metadata, Private, STATIC, Service, route};

/// The secret parts of the keys in this test.
const SECRETS: [&str; 5] = ["secret-1", "hidden-", "veiled-", "metadata-token", "buried"];

#[track_caller]
fn assert_clean(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{what} has {secret}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_logs_responses_metrics_or_commands() {
    let bucket = Private::start().await;
    bucket.put("k");
    let metadata = Metadata::start(Service::default(), &bucket.keys).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key.json");
    let text =
        "{\"AccessKeyId\":\"id\",\"AccessKeySecret\":\"buried-1\",\"SecurityToken\":\"buried-2\"}";
    std::fs::write(&file, text).unwrap();
    let environment = STATIC.replace("\"secret-1\"", "\"${TEST_SECRET}\"");
    let mut config = "[log]\nlevel = \"trace\"\n[admin]\naddress = \"unix:admin.sock\"\n\
                      [[listener]]\naddress = \"127.0.0.1:0\"\n"
        .to_owned();
    for (host, credentials) in [
        ("static.test", STATIC.to_owned()),
        ("variable.test", environment),
        ("env.test", "source = \"env\"".to_owned()),
        ("file.test", format!("source = \"file\", path = {file:?}")),
        ("role.test", metadata.credentials("")),
    ] {
        let route = route(bucket.address, &credentials);
        config.push_str(&format!("[[route]]\nhosts = [\"{host}\"]\n{route}"));
    }
    let variables = [
        ("TEST_SECRET", "secret-1"),
        ("OSS_ACCESS_KEY_ID", "id"),
        ("OSS_ACCESS_KEY_SECRET", "secret-1"),
    ];
    let daemon = Daemon::start_with(&config, |command| {
        command.envs(variables);
    });
    let address = daemon.addresses(1).await[0];
    let hosts = [
        "static.test",
        "variable.test",
        "env.test",
        "role.test",
        "file.test",
    ];
    for host in hosts {
        let answer = get_from(address, host).await;
        let expected = if host == "file.test" { "502" } else { "200" };
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {expected}")),
            "{host}: {answer}"
        );
        assert_clean(host, &answer);
    }
    metadata.set(|service| service.status = 500);
    bucket.keys.lock().unwrap().remove("STS.1");
    assert_clean("refused", &get_from(address, "role.test").await);
    assert_clean("metrics", &daemon.metrics("admin.sock").await);
    daemon.event("access key not refreshed").await;
    for arguments in [
        &["check"][..],
        &["check", "--format", "json"],
        &["show"],
        &["status"],
        &["reload"],
        &["explain", "http://static.test/k"],
        &["explain", "http://env.test/k"],
        &["explain", "http://file.test/k"],
        &["explain", "http://role.test/k"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_ossgate"))
            .args(arguments)
            .args(["-c", "ossgate.toml"])
            .current_dir(daemon.path("."))
            .envs(variables)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(output.status.success(), "{arguments:?}: {text}");
        assert_clean(&format!("{arguments:?}"), &text);
        match arguments {
            ["explain", "http://static.test/k"] => assert!(
                text.contains(
                    "sign     signs it with V4 for cn-hangzhou, source `static:id`, key `id`"
                ),
                "{text}"
            ),
            ["explain", "http://role.test/k"] => assert!(
                text.contains("source `ecs-ram-role`, a key that is asked for when the proxy runs"),
                "{text}"
            ),
            ["check"] => {
                assert!(
                    text.contains("access_key_secret: is written in the config"),
                    "{text}"
                );
                assert!(
                    text.contains("signs unsigned GET, HEAD with the access key of `ecs-ram-role`"),
                    "{text}"
                );
            }
            _ => {}
        }
    }
    let events = daemon.events();
    assert!(events.contains("access key in use"), "{events}");
    assert_clean("events", &events);
    let access = std::fs::read_to_string(daemon.path("access.log")).unwrap();
    assert_clean("access log", &access);
}

#[test]
fn no_secret_is_in_debug_texts_problems_or_the_shown_config() {
    let files = Files::new();
    let route = route("127.0.0.1:8080".parse().unwrap(), STATIC);
    let text = format!("{LISTENER}[[route]]\n{route}");
    let loaded = files.read(&text).unwrap();
    assert_clean("debug", &format!("{:?}", loaded.config));
    let shown = toml::to_string(&loaded.config).unwrap();
    assert!(shown.contains("access_key_secret = \"***\""), "{shown}");
    assert_clean("show", &shown);
    files
        .read(&shown)
        .expect("`check` accepts what `show` prints");
    for (from, to) in [
        ("", ""),
        ("access_key_id = \"id\"", "access_key_id = \"a b\""),
        ("access_key_id = \"id\", ", ""),
        ("\"static\"", "\"oidc\""),
        ("\"static\"", "\"file\""),
        ("access_key_secret", "acces_key_secret"),
        ("\"secret-1\"", "[\"secret-1\"]"),
        ("\"secret-1\"", "\"secret-1${\""),
        (
            "source = \"static\", ",
            "source = \"static\", security_token = \"veiled- \", ",
        ),
    ] {
        let problems = match files.read(&text.replace(from, to)) {
            Ok(loaded) => loaded.warnings,
            Err(problems) => problems,
        };
        assert!(problems.iter().count() > 0, "{from}");
        assert_clean(from, &problems.to_string());
        assert_clean(from, &problems.to_json().to_string());
    }
}
