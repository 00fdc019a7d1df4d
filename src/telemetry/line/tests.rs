use super::*;
use crate::http::authority::AuthoritySpan;
use crate::http::context::{ConnectionInfo, LineText, RequestFacts, RequestId};
use std::sync::Arc;

fn context(target: &str) -> RequestContext {
    let connection = ConnectionInfo {
        listener: "0.0.0.0:80".into(),
        peer: Some("198.51.100.7:5000".parse().unwrap()),
        tls: None,
        sni: None,
        is_trusted: false,
        trusted_proxies: Arc::default(),
        client: None,
        vpc_id: None,
        endpoint_id: None,
        max_headers: 200,
        health_path: None,
        is_turned_away: false,
        is_plain_on_tls: false,
    };
    RequestContext::new(
        RequestId::next(1),
        Arc::new(connection),
        tokio::time::Instant::now(),
        RequestFacts {
            client: Some("198.51.100.7".parse().unwrap()),
            method: http::Method::GET,
            version: Version::HTTP_11,
            is_https: false,
            prefers_html: false,
            authority: Ok(AuthoritySpan::parse("img.example.com")),
        },
        LineText::new([target.as_bytes(), b"img.example.com", b"", b"cu\"rl\xff"]),
    )
}

#[test]
fn json_is_valid_and_holds_no_secret() {
    let context = context("/a%20b?Signature=s3cret&x=1");
    context.outcome().status = Some(http::StatusCode::OK);
    let mut line = Vec::new();
    append_json(&mut line, &context, 1_735_787_045_123);
    let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(value["time"], "2025-01-02T03:04:05.123Z");
    assert_eq!(value["path"], "/a%20b?Signature=*&x=1");
    assert_eq!(value["user_agent"], "cu\"rl\\xff");
    assert_eq!(value["status"], 200);
    assert_eq!(value["client"], "198.51.100.7");
}

#[test]
fn combined_is_the_format_of_nginx() {
    let context = context("/k?x");
    {
        let mut outcome = context.outcome();
        outcome.would_refuse_referer = true;
        outcome.status = Some(http::StatusCode::NOT_FOUND);
        outcome.bytes_out = 153;
    }
    let mut line = Vec::new();
    append_combined(&mut line, &context, 1_735_787_045_123);
    assert_eq!(
        String::from_utf8(line).unwrap(),
        "198.51.100.7 - - [02/Jan/2025:03:04:05 +0000] \"GET /k?x HTTP/1.1\" 404 153 \"-\" \"cu\\x22rl\\xFF\"\n"
    );
}
