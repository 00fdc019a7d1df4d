use super::*;

#[test]
fn every_endpoint_of_the_table_is_read_as_its_region() {
    assert_eq!(regions().len(), 46);
    for region in regions() {
        for endpoint in [region.public, region.internal] {
            if endpoint.is_empty() {
                continue;
            }
            let host = format!("b1.{endpoint}");
            let read = classify(&host).unwrap_or_else(|| panic!("{host}"));
            assert_eq!(read.bucket.as_deref(), Some("b1"), "{host}");
            assert_eq!(read.region.as_deref(), Some(region.id), "{host}");
        }
    }
}

#[test]
fn host_names_are_read_from_the_right() {
    use HostKind::*;
    for (host, kind, bucket, region, is_internal) in [
        (
            "b1.oss-cn-hangzhou.aliyuncs.com",
            Regional,
            Some("b1"),
            Some("cn-hangzhou"),
            false,
        ),
        (
            "b1.oss-cn-hangzhou-internal.aliyuncs.com",
            Regional,
            Some("b1"),
            Some("cn-hangzhou"),
            true,
        ),
        (
            "oss-cn-hangzhou.aliyuncs.com",
            ServiceRoot,
            None,
            Some("cn-hangzhou"),
            false,
        ),
        (
            "b1.cn-hangzhou.oss.aliyuncs.com",
            DualStack,
            Some("b1"),
            Some("cn-hangzhou"),
            false,
        ),
        (
            "b1.oss-accelerate.aliyuncs.com",
            Acceleration,
            Some("b1"),
            None,
            false,
        ),
        (
            "b1.oss-accelerate-overseas.aliyuncs.com",
            AccelerationOverseas,
            Some("b1"),
            None,
            false,
        ),
        (
            "b1.s3.oss-us-east-1.aliyuncs.com",
            S3,
            Some("b1"),
            Some("us-east-1"),
            false,
        ),
        (
            "b1.s3.oss-us-east-1-internal.aliyuncs.com",
            S3,
            Some("b1"),
            Some("us-east-1"),
            true,
        ),
        (
            "ap1-0123abcd-ossalias.oss-cn-shanghai-internal.aliyuncs.com",
            AccessPointAlias,
            Some("ap1-0123abcd-ossalias"),
            Some("cn-shanghai"),
            true,
        ),
        (
            "ap1-1234567890.oss-cn-shanghai.oss-accesspoint.aliyuncs.com",
            AccessPoint,
            Some("ap1-1234567890"),
            Some("cn-shanghai"),
            false,
        ),
        (
            "b1.oss.aliyuncs.com",
            Legacy,
            Some("b1"),
            Some("cn-hangzhou"),
            false,
        ),
        (
            "b1.oss-cn-hzfinance-internal.aliyuncs.com",
            Regional,
            Some("b1"),
            Some("cn-hangzhou-finance"),
            true,
        ),
        (
            "b1.oss-cn-shanghai-finance-1-pub-internal.aliyuncs.com",
            Regional,
            Some("b1"),
            Some("cn-shanghai-finance-1"),
            true,
        ),
        (
            "ep-abc.oss.cn-hangzhou.privatelink.aliyuncs.com",
            PrivateLink,
            None,
            Some("cn-hangzhou"),
            true,
        ),
        (
            "B1.OSS-CN-HANGZHOU.ALIYUNCS.COM",
            Regional,
            Some("b1"),
            Some("cn-hangzhou"),
            false,
        ),
        (
            "b1.oss-cn-hangzhou.aliyuncs.com.",
            Regional,
            Some("b1"),
            Some("cn-hangzhou"),
            false,
        ),
        (
            "oss-cn-hangzhou.oss-cn-beijing.aliyuncs.com",
            Regional,
            Some("oss-cn-hangzhou"),
            Some("cn-beijing"),
            false,
        ),
    ] {
        let read = classify(host).unwrap_or_else(|| panic!("{host}"));
        let got = (
            read.kind,
            read.bucket.as_deref(),
            read.region.as_deref(),
            read.is_internal,
        );
        assert_eq!(got, (kind, bucket, region, is_internal), "{host}");
    }
    let read = classify("b1.oss-cn-hangzhou.aliyuncs.com:8080").unwrap();
    assert_eq!(
        (read.bucket.as_deref(), read.port),
        (Some("b1"), Some(8080))
    );
}

#[test]
fn rare_forms_are_read() {
    use HostKind::*;
    let hangzhou = Some("cn-hangzhou");
    for (name, kind, bucket, region, is_internal) in [
        ("cn-hangzhou.oss", DualStack, None, hangzhou, false),
        ("oss-accelerate", Acceleration, None, None, false),
        ("b1.s3.oss-accelerate", S3, Some("b1"), None, false),
        ("s3.oss-cn-hangzhou", S3, None, hangzhou, false),
        ("b1.oss-internal", Legacy, Some("b1"), hangzhou, true),
        ("oss", Legacy, None, hangzhou, false),
        ("cn-fuzhou.oss", Legacy, Some("cn-fuzhou"), hangzhou, false),
        (
            "b1.vpc100-oss-cn-hangzhou",
            Regional,
            Some("b1"),
            hangzhou,
            false,
        ),
        (
            "b1.cn-nowhere.oss",
            DualStack,
            Some("b1"),
            Some("cn-nowhere"),
            false,
        ),
        (
            "b1.oss-cn-nowhere-internal",
            Regional,
            Some("b1"),
            Some("cn-nowhere"),
            true,
        ),
        (
            "a-1-opapalias.oss-cn-hangzhou",
            AccessPointAlias,
            Some("a-1-opapalias"),
            hangzhou,
            false,
        ),
        (
            "ap-1.oss-cn-hangzhou-internal.oss-object-process",
            ObjectProcess,
            Some("ap-1"),
            hangzhou,
            true,
        ),
        (
            "b1.cb-1.cn-hangzhou.oss-cloudbox",
            CloudBox,
            Some("b1"),
            hangzhou,
            true,
        ),
        (
            "cb-1.cn-hangzhou.oss-cloudbox",
            CloudBox,
            None,
            hangzhou,
            true,
        ),
        (
            "oss-accelerate.oss-cn-hangzhou",
            Regional,
            Some("oss-accelerate"),
            hangzhou,
            false,
        ),
    ] {
        let host = format!("{name}.aliyuncs.com");
        let read = classify(&host).unwrap_or_else(|| panic!("{host}"));
        let got = (
            read.kind,
            read.bucket.as_deref(),
            read.region.as_deref(),
            read.is_internal,
        );
        assert_eq!(got, (kind, bucket, region, is_internal), "{host}");
    }
}

#[test]
fn names_that_only_resemble_oss_are_rejected() {
    for host in [
        "",
        ".",
        ":80",
        "oss-cn-hangzhou.aliyuncs.com.evil.org",
        "oss-cn-hangzhou.aliyuncs.com..",
        "evil-oss-cn-hangzhou.aliyuncs.com",
        "example.com",
        "aliyuncs.com",
        ".aliyuncs.com",
        "b1..aliyuncs.com",
        "x.aliyuncs.com",
        "oss-admin-console.aliyuncs.com",
        "oss-cn-.aliyuncs.com",
        // Names without a label, or with several labels, before the endpoint.
        ".oss-cn-hangzhou.aliyuncs.com",
        "a.b1.oss-cn-hangzhou.aliyuncs.com",
        "b1/.oss-cn-hangzhou.aliyuncs.com",
        "a.b1.cn-hangzhou.oss.aliyuncs.com",
        "b1.cn-fuzhou.oss.aliyuncs.com",
        ".s3.oss-cn-hangzhou.aliyuncs.com",
        ".oss-cn-hangzhou.oss-accesspoint.aliyuncs.com",
        "ap-1.oss-accesspoint.aliyuncs.com",
        "b1.ep-abc.oss.cn-hangzhou.privatelink.aliyuncs.com",
        "oss.cn-hangzhou.privatelink.aliyuncs.com",
        "ep-abc.oss.evil.privatelink.aliyuncs.com",
        "cn-hangzhou.oss-cloudbox.aliyuncs.com",
        // Names with an invalid port.
        "b1.oss-cn-hangzhou.aliyuncs.com:",
        "b1.oss-cn-hangzhou.aliyuncs.com:+80",
        "b1.oss-cn-hangzhou.aliyuncs.com:65536",
        "[::1]:80",
    ] {
        assert_eq!(classify(host), None, "{host}");
    }
}

#[test]
fn a_region_has_the_endpoints_of_the_table() {
    let region = region("cn-shenzhen-finance-1").unwrap();
    for (network, expected) in [
        (
            Network::Internal,
            Some("oss-cn-szfinance-internal.aliyuncs.com"),
        ),
        (Network::Public, Some("oss-cn-szfinance.aliyuncs.com")),
        (Network::Accelerate, Some("oss-accelerate.aliyuncs.com")),
        (
            Network::AccelerateOverseas,
            Some("oss-accelerate-overseas.aliyuncs.com"),
        ),
        (Network::DualStack, None),
    ] {
        assert_eq!(region.endpoint(network), expected, "{network:?}");
    }
    assert!(super::region("cn-nowhere").is_none());
}
