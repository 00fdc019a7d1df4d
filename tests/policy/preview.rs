//! Forced downloads: passed on, or removed where the operator allows it.

use super::{header, proxy};
use crate::support::origin::{RawOrigin, Reply};

/// An origin that forces a download.
async fn forcing_origin() -> RawOrigin {
    RawOrigin::start(|_| {
        Reply::Bytes(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nx-oss-force-download: true\r\n\
              content-disposition: attachment\r\nx-oss-ec: 0048-00000001\r\ncontent-length: 1\r\n\r\nx"
                .to_vec(),
        )
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn forced_downloads_pass_unless_the_config_strips_them() {
    let origin = forcing_origin().await;
    let answer = proxy(origin.address, "").get("x", "/a.html").await;
    assert_eq!(header(&answer, "x-oss-force-download"), ["true"]);
    assert_eq!(header(&answer, "content-disposition"), ["attachment"]);
    let stripped = proxy(origin.address, "preview = { strip_force_download = true }");
    let answer = stripped.get("x", "/a.html").await;
    assert!(header(&answer, "x-oss-force-download").is_empty());
    assert!(header(&answer, "content-disposition").is_empty());
    assert_eq!(
        header(&answer, "x-oss-ec"),
        ["0048-00000001"],
        "OSS's reason stays visible"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_disposition_without_a_forced_download_stays() {
    let origin = RawOrigin::start(|_| {
        Reply::Bytes(
            b"HTTP/1.1 200 OK\r\ncontent-disposition: attachment\r\ncontent-length: 0\r\n\r\n"
                .to_vec(),
        )
    })
    .await;
    let proxy = proxy(origin.address, "preview = { strip_force_download = true }");
    assert_eq!(
        header(&proxy.get("x", "/k").await, "content-disposition"),
        ["attachment"]
    );
}
