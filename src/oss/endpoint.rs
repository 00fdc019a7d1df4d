//! Regions, their endpoints, and what a host name of OSS says.
//!
//! Names are matched from the right, longest suffix first, without case: a bucket may itself be named
//! like an endpoint.

use std::borrow::Cow;
use std::sync::OnceLock;

use serde::Serialize;

/// The region table; its columns are named in its first line, `-` stands for nothing.
const TABLE: &str = include_str!("regions.tsv");

/// One region of OSS.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// General region id, such as `cn-hangzhou`.
    pub id: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// Endpoint on the internet; empty where there is none.
    pub public: &'static str,
    /// Endpoint inside the region's network; empty where there is none.
    pub internal: &'static str,
    /// Endpoint with IPv6 addresses, where there is one.
    pub dual_stack: Option<&'static str>,
    /// Ranges of the internal endpoint's addresses, comma-separated; empty when unknown.
    pub internal_ranges: &'static str,
}

/// The network an endpoint is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Inside the region; free of charge, addresses in 100.64.0.0/10.
    Internal,
    /// The internet.
    Public,
    /// Transfer acceleration.
    Accelerate,
    /// Transfer acceleration outside the Chinese mainland.
    AccelerateOverseas,
    /// The internet, with IPv6.
    #[serde(rename = "dualstack")]
    DualStack,
}

/// All regions, in the table's order.
#[must_use]
pub fn regions() -> &'static [Region] {
    static REGIONS: OnceLock<Vec<Region>> = OnceLock::new();
    REGIONS.get_or_init(|| TABLE.lines().skip(1).filter_map(read_line).collect())
}

fn read_line(line: &'static str) -> Option<Region> {
    let mut columns = line
        .split('\t')
        .map(|column| if column == "-" { "" } else { column });
    let (id, name, public, internal) = (
        columns.next()?,
        columns.next()?,
        columns.next()?,
        columns.next()?,
    );
    let (dual_stack, _s3, internal_ranges) = (columns.next()?, columns.next()?, columns.next()?);
    let status = columns.next()?;
    (!id.is_empty() && status != "legacy").then_some(Region {
        id,
        name,
        public,
        internal,
        dual_stack: Some(dual_stack).filter(|host| !host.is_empty()),
        internal_ranges,
    })
}

/// The region called `id`.
#[must_use]
pub fn region(id: &str) -> Option<&'static Region> {
    regions().iter().find(|region| region.id == id)
}

impl Region {
    /// The region's endpoint on `network`; `None` where it has none.
    #[must_use]
    pub fn endpoint(&self, network: Network) -> Option<&'static str> {
        match network {
            Network::Internal => Some(self.internal).filter(|host| !host.is_empty()),
            Network::Public => Some(self.public).filter(|host| !host.is_empty()),
            Network::Accelerate => Some("oss-accelerate.aliyuncs.com"),
            Network::AccelerateOverseas => Some("oss-accelerate-overseas.aliyuncs.com"),
            Network::DualStack => self.dual_stack,
        }
    }
}

/// What kind of OSS host a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKind {
    /// A bucket on a region's endpoint.
    Regional,
    /// A region's endpoint without bucket.
    ServiceRoot,
    /// A region's endpoint with IPv6.
    DualStack,
    /// Transfer acceleration.
    Acceleration,
    /// Transfer acceleration outside the mainland.
    AccelerationOverseas,
    /// The S3-compatible endpoint.
    S3,
    /// A bucket-like alias of an access point.
    AccessPointAlias,
    /// An access point's own host.
    AccessPoint,
    /// An object-processing access point's own host.
    ObjectProcess,
    /// The names without a region, which mean Hangzhou.
    Legacy,
    /// A PrivateLink endpoint: path style only.
    PrivateLink,
    /// A cloud box.
    CloudBox,
}

/// What a host name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OssHost<'a> {
    /// Its kind.
    pub kind: HostKind,
    /// The bucket, alias or access point before the endpoint.
    pub bucket: Option<Cow<'a, str>>,
    /// The region, where the name tells.
    pub region: Option<Cow<'a, str>>,
    /// Whether it is reached inside the region only.
    pub is_internal: bool,
    /// The port, kept apart.
    pub port: Option<u16>,
}

/// Reads a host name; `None` when it is not one of OSS.
#[must_use]
pub fn classify(host: &str) -> Option<OssHost<'_>> {
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (host, None),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    };
    let (kind, bucket, region, is_internal) = match host {
        Cow::Borrowed(host) => {
            let (kind, bucket, region, is_internal) = read_name(host)?;
            (
                kind,
                bucket.map(Cow::Borrowed),
                region.map(Cow::Borrowed),
                is_internal,
            )
        }
        Cow::Owned(host) => {
            let (kind, bucket, region, is_internal) = read_name(&host)?;
            let owned = |text: &str| Cow::Owned(text.to_owned());
            (kind, bucket.map(owned), region.map(owned), is_internal)
        }
    };
    Some(OssHost {
        kind,
        bucket,
        region,
        is_internal,
        port,
    })
}

type Read<'a> = (HostKind, Option<&'a str>, Option<&'a str>, bool);

fn read_name(host: &str) -> Option<Read<'_>> {
    let name = host.strip_suffix(".aliyuncs.com")?;
    if let Some(rest) = name.strip_suffix(".privatelink") {
        let (_endpoint, region) = rest.split_once(".oss.")?;
        return Some((HostKind::PrivateLink, None, Some(region), true));
    }
    if let Some(rest) = name.strip_suffix(".oss-cloudbox") {
        let mut labels = rest.rsplitn(3, '.');
        let region = labels.next();
        let _box = labels.next()?;
        return Some((HostKind::CloudBox, labels.next(), region, true));
    }
    for (suffix, kind) in [
        (".oss-accesspoint", HostKind::AccessPoint),
        (".oss-object-process", HostKind::ObjectProcess),
    ] {
        if let Some(rest) = name.strip_suffix(suffix) {
            let (point, endpoint) = rest.rsplit_once('.')?;
            let (region, is_internal) = read_endpoint(endpoint)?;
            return Some((kind, Some(point), Some(region), is_internal));
        }
    }
    let (before, last) = match name.rsplit_once('.') {
        Some((before, last)) => (Some(before), last),
        None => (None, name),
    };
    match last {
        "oss-accelerate" => return Some((HostKind::Acceleration, before, None, false)),
        "oss-accelerate-overseas" => {
            return Some((HostKind::AccelerationOverseas, before, None, false));
        }
        // Either the second-level form of the dual-stack name, or the old name of Hangzhou.
        "oss" | "oss-internal" => {
            let is_internal = last == "oss-internal";
            let before = before.unwrap_or_default();
            let (bucket, region) = match before.rsplit_once('.') {
                Some((bucket, region)) => (Some(bucket), region),
                None => (None, before),
            };
            if !is_internal
                && self::region(region).is_some_and(|region| region.dual_stack.is_some())
            {
                return Some((HostKind::DualStack, bucket, Some(region), false));
            }
            let bucket = Some(before).filter(|bucket| !bucket.is_empty());
            return Some((HostKind::Legacy, bucket, Some("cn-hangzhou"), is_internal));
        }
        _ => {}
    }
    let (region, is_internal) = read_endpoint(last)?;
    match before {
        None => Some((HostKind::ServiceRoot, None, Some(region), is_internal)),
        Some("s3") => Some((HostKind::S3, None, Some(region), is_internal)),
        Some(before) => {
            if let Some(bucket) = before.strip_suffix(".s3") {
                return Some((HostKind::S3, Some(bucket), Some(region), is_internal));
            }
            let is_alias = before.ends_with("-ossalias") || before.ends_with("-opapalias");
            let kind = if is_alias {
                HostKind::AccessPointAlias
            } else {
                HostKind::Regional
            };
            Some((kind, Some(before), Some(region), is_internal))
        }
    }
}

/// Region and side of an endpoint's first label, such as `oss-cn-hangzhou-internal`.
fn read_endpoint(label: &str) -> Option<(&str, bool)> {
    let first = |host: &'static str| host.split('.').next().unwrap_or_default();
    for region in regions() {
        if !region.internal.is_empty() && first(region.internal) == label {
            return Some((region.id, true));
        }
        if first(region.public) == label {
            return Some((region.id, false));
        }
    }
    let label = label.strip_prefix("vpc100-").unwrap_or(label);
    let name = label.strip_prefix("oss-")?;
    let (name, is_internal) = match name.strip_suffix("-internal") {
        Some(name) => (name, true),
        None => (name, false),
    };
    // A region newer than the table still has the form of one.
    let has_form = name.split('-').count() >= 2
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    has_form.then_some((name, is_internal))
}

#[cfg(test)]
mod tests;
