//! Problems in the credentials of an origin and in `sign`, and the sources that are read from the environment.
//!
//! One row for each problem: the keys as written, and the exact line that reports it.

use std::path::Path;

use ossgate::config::{CredentialSource, from_str};

use crate::support::config::{LISTENER, expect_rows};

fn origin(credentials: &str) -> String {
    format!(
        "[[route]]\norigin = {{ bucket = \"examplebucket\", region = \"cn-hangzhou\" }}\norigin.credentials = {{ {credentials} }}"
    )
    .replace(" }\norigin.credentials = {", ", credentials = {")
        + " }"
}

#[test]
fn credentials_without_a_meaning_are_reported_at_their_place() {
    let rows: Vec<(String, String)> = [
        ("source = \"ecs-ram-role\"", ""),
        (
            "",
            "2:76: route[0].origin.credentials.source: is missing: one of `env`, `static`, `file`, `profile`, `ecs-ram-role`, `chain`",
        ),
        (
            "source = \"oidc\"",
            "2:87: route[0].origin.credentials.source: `oidc` is none of `env`, `static`, `file`, `profile`, `ecs-ram-role`, `chain`",
        ),
        (
            "source = \"env\"",
            "2:87: route[0].origin.credentials.source: `env` needs the variables `OSS_ACCESS_KEY_ID` and `OSS_ACCESS_KEY_SECRET`, or `ALIBABA_CLOUD_ACCESS_KEY_ID` and `ALIBABA_CLOUD_ACCESS_KEY_SECRET`",
        ),
        (
            "source = \"static\", access_key_id = \"id\"",
            "2:76: route[0].origin.credentials.access_key_secret: is missing",
        ),
        (
            "source = \"static\", access_key_id = \"id\", access_key_secret = \"s\"",
            "2:139: warning: route[0].origin.credentials.access_key_secret: is written in the config, where everybody who reads the file can read it",
        ),
        (
            "source = \"static\", access_key_id = \"id\", access_key_secret = \"${SECRET}\"",
            "",
        ),
        (
            "source = \"static\", access_key_id = \"id\", access_key_secret = \"${EMPTY}\"",
            "2:139: route[0].origin.credentials.access_key_secret: is empty",
        ),
        (
            "source = \"static\", access_key_id = \"i/d\", access_key_secret = \"${SECRET}\"",
            "2:113: route[0].origin.credentials.access_key_id: has characters that no access key has, such as a blank or a line break",
        ),
        (
            "source = \"file\"",
            "2:76: route[0].origin.credentials.path: is missing",
        ),
        (
            "source = \"file\", path = \"k\", role = \"r\"",
            "2:114: route[0].origin.credentials.role: is only for the source `ecs-ram-role` or `chain`",
        ),
        (
            "source = \"profile\"",
            "2:76: route[0].origin.credentials.path: is missing, and `HOME` is not set for the default `~/.aliyun/config.json`",
        ),
        (
            "source = \"ecs-ram-role\", role = \"a/b\"",
            "2:110: route[0].origin.credentials.role: `a/b` is not the name of a RAM role: letters, digits, `.`, `_` and `-`",
        ),
        (
            "source = \"ecs-ram-role\", metadata = \"http://metadata\"",
            "2:114: route[0].origin.credentials.metadata: `http://metadata` is not `http://` and an IP address, with or without a port",
        ),
        (
            "source = \"ecs-ram-role\", metadata = \"http://[::1]:80\"",
            "",
        ),
    ]
    .into_iter()
    .map(|(credentials, expected)| (origin(credentials), expected.to_owned()))
    .collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|(keys, line)| (&**keys, &**line)).collect();
    expect_rows("", LISTENER, &rows);
}

#[test]
fn sign_needs_credentials_and_a_region() {
    let signed = origin("source = \"ecs-ram-role\"");
    let by_ip = signed.replace(
        "region = \"cn-hangzhou\"",
        "endpoint = \"10.0.0.1\", tls = false",
    );
    let fast = signed.replace(
        "region = \"cn-hangzhou\"",
        "endpoint = \"oss-accelerate.aliyuncs.com\"",
    );
    let missing =
        "is missing: V4 signatures name the region of the bucket, and the endpoint does not";
    let rows = [
        (format!("{signed}\nsign = {{ version = \"v1\", anonymous = [\"HEAD\"] }}"), String::new()),
        (
            format!("{}\nsign = {{}}", signed.replace(", credentials = { source = \"ecs-ram-role\" }", "")),
            "3:8: route[0].sign: needs `origin.credentials`".to_owned(),
        ),
        (
            format!("{signed}\nsign = {{ anonymous = [\"GET\", \"PUT\"] }}"),
            "3:30: route[0].sign.anonymous: `PUT` is neither `GET` nor `HEAD`: only reads are signed for clients that did not sign".to_owned(),
        ),
        (
            format!("{signed}\nsign = {{ version = \"v2\" }}"),
            "3:20: route[0].sign.version: `v2` is none of `v4`, `v1`".to_owned(),
        ),
        (
            format!("{signed}\nsign = {{ region = \"CN\" }}"),
            "3:19: route[0].sign.region: `CN` is not a region id, such as `cn-hangzhou`".to_owned(),
        ),
        (
            format!("{signed}\nsign = {{ region = \"cn-hangzhou\", version = \"v1\" }}"),
            "3:19: route[0].sign.region: has no effect with `version = \"v1\"`".to_owned(),
        ),
        (by_ip.clone(), format!("1:1: route[0].sign: {missing}")),
        (format!("{by_ip}\nsign = {{}}"), format!("3:8: route[0].sign.region: {missing}")),
        (format!("{by_ip}\nsign = {{ region = \"cn-hangzhou\" }}"), String::new()),
        (format!("{by_ip}\nsign = {{ version = \"v1\" }}"), String::new()),
        (fast.clone(), format!("1:1: route[0].sign: {missing}")),
        (format!("{fast}\nsign = {{ region = \"cn-hangzhou\" }}"), String::new()),
        // The accelerated endpoint of a region.
        (signed.replace("region =", "network = \"accelerate\", region ="), String::new()),
    ];
    let rows: Vec<(&str, &str)> = rows.iter().map(|(keys, line)| (&**keys, &**line)).collect();
    expect_rows("", LISTENER, &rows);
}

/// Returns the source that `credentials` describe with these environment variables.
fn source(credentials: &str, variables: &[(&str, &str)]) -> CredentialSource {
    let env = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let text = format!("{}\n{LISTENER}", origin(credentials));
    let loaded = from_str("t.toml", &text, Path::new("/etc"), &env);
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    loaded.config.routes[0].origin.credentials.clone().unwrap()
}

#[test]
fn both_families_of_variables_are_read() {
    let own = [("OSS_ACCESS_KEY_ID", "o"), ("OSS_ACCESS_KEY_SECRET", "os")];
    let cloud = [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "a"),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "as"),
        ("ALIBABA_CLOUD_SECURITY_TOKEN", "at"),
    ];
    let found = |variables: &[(&str, &str)]| {
        let CredentialSource::Env(key) = source("source = \"env\"", variables) else {
            panic!("not from the environment");
        };
        let token = key
            .security_token
            .as_ref()
            .map(|token| token.reveal().to_owned());
        (key.id.clone(), key.secret.reveal().to_owned(), token)
    };
    let expected = |id: &str, secret: &str, token: Option<&str>| {
        (id.to_owned(), secret.to_owned(), token.map(str::to_owned))
    };
    assert_eq!(found(&own), expected("o", "os", None));
    assert_eq!(found(&cloud), expected("a", "as", Some("at")));
    assert_eq!(
        found(&[&own[..], &cloud].concat()),
        expected("o", "os", None)
    );
    let half = [
        &[("OSS_ACCESS_KEY_ID", "o"), ("OSS_ACCESS_KEY_SECRET", "")],
        &cloud[..],
    ]
    .concat();
    assert_eq!(found(&half), expected("a", "as", Some("at")));
    let temporary = [&own[..], &[("OSS_SESSION_TOKEN", "ot")]].concat();
    assert_eq!(found(&temporary), expected("o", "os", Some("ot")));
}

#[test]
fn a_chain_is_the_environment_then_profiles_then_the_role() {
    let kinds = |variables: &[(&str, &str)]| {
        let CredentialSource::Chain(parts) = source("source = \"chain\", role = \"r\"", variables)
        else {
            panic!("no chain");
        };
        parts.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&[]), ["ecs-ram-role:r"]);
    let all = [
        ("OSS_ACCESS_KEY_ID", "o"),
        ("OSS_ACCESS_KEY_SECRET", "os"),
        ("HOME", "/home/u"),
        ("ALIBABA_CLOUD_PROFILE", "p"),
    ];
    assert_eq!(
        kinds(&all),
        [
            "env",
            "profile:/home/u/.aliyun/config.json#p",
            "profile:/home/u/.alibabacloud/credentials.ini#p",
            "ecs-ram-role:r",
        ]
    );
    let one = source("source = \"profile\"", &all[2..]).to_string();
    assert_eq!(one, "profile:/home/u/.aliyun/config.json#p");
    let one = source("source = \"file\", path = \"k.json\"", &[]).to_string();
    assert_eq!(one, "file:/etc/k.json");
}
