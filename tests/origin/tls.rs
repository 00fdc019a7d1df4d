//! TLS towards the origin.

use crate::support::certificates;
use crate::support::proxy::{Proxy, one_route, status};
use crate::support::tls::tls_origin;

#[tokio::test(flavor = "multi_thread")]
async fn the_origins_certificate_must_be_trusted_and_of_its_name() {
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
