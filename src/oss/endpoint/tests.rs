use super::*;

#[test]
fn every_line_of_the_table_is_a_region_whose_names_say_so() {
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
    assert_eq!(
        classify("b1.oss-cn-hangzhou.aliyuncs.com:8080").and_then(|host| host.port),
        Some(8080)
    );
    for host in [
        "oss-cn-hangzhou.aliyuncs.com.evil.org",
        "example.com",
        "aliyuncs.com",
        "x.aliyuncs.com",
    ] {
        assert_eq!(classify(host), None, "{host}");
    }
}
