//! TLS to the origin: its certificate must be trusted and valid for the server name.
//!
//! Rows: a trusted certificate with the right name, one with another name, and an untrusted one. Left out:
//! the certificates of fallback endpoints (`tiers`) and of moved addresses (`moving`).

use crate::support::certificates;
use crate::support::proxy::{Proxy, one_route, status};
use crate::support::tls::tls_origin;

#[tokio::test(flavor = "multi_thread")]
async fn the_origins_certificate_must_be_trusted_and_name_the_server() {
    let leaf = certificates::leaf(&["oss.test"]);
    let address = tls_origin(&leaf).await;
    let route = |more: &str| {
        format!(
            "origin = {{ bucket = \"examplebucket\", endpoint = \"{address}\", host = \"h\"{more} }}"
        )
    };
    for (more, code) in [
        (
            format!(", ca = {:?}, server_name = \"oss.test\"", leaf.ca),
            200,
        ),
        (
            format!(", ca = {:?}, server_name = \"other.test\"", leaf.ca),
            502,
        ),
        (", server_name = \"oss.test\"".to_owned(), 502),
    ] {
        let proxy = Proxy::start(&one_route(&route(&more)));
        let answer = proxy.get("x", "/k").await;
        assert_eq!(status(&answer), code, "{more}: {answer}");
        assert_eq!(
            answer.contains("<Code>UpstreamTlsFailure</Code>"),
            code == 502,
            "{answer}"
        );
    }
}
