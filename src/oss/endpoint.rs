//! Regions, their endpoints, and the parsing of OSS host names.
//!
//! A host name is classified by its form alone; nothing is resolved, and the bucket need not exist. Names
//! are matched from the right, longest suffix first and without case, because a bucket may be named like
//! an endpoint. The part before an endpoint is one label, because no bucket name has a dot.

use std::borrow::Cow;
use std::sync::OnceLock;

use serde::Serialize;

/// The region table. The first line names the columns; `-` stands for an empty value.
const TABLE: &str = include_str!("regions.tsv");

/// One region of OSS.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// The region id, such as `cn-hangzhou`.
    pub id: &'static str,
    /// The name for people, such as `China (Hangzhou)`.
    pub name: &'static str,
    /// The endpoint on the internet. Empty when the region has none.
    pub public: &'static str,
    /// The endpoint inside the region's network. Empty when the region has none.
    pub internal: &'static str,
    /// The endpoint with IPv6 addresses; `None` when the region has none.
    pub dual_stack: Option<&'static str>,
    /// Address ranges of the internal endpoint, comma-separated. Empty when they are unknown.
    pub internal_ranges: &'static str,
}

/// The network that an endpoint is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The network inside the region. It is free of charge and has addresses in 100.64.0.0/10.
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

/// Returns all regions in the order of the table. The row of the legacy names is left out.
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

/// Returns the region with this id.
#[must_use]
pub fn region(id: &str) -> Option<&'static Region> {
    regions().iter().find(|region| region.id == id)
}

impl Region {
    /// Returns the region's endpoint on `network`; `None` when it has none.
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

/// The kinds of OSS host names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKind {
    /// A bucket on a region's endpoint.
    Regional,
    /// A region's endpoint without bucket.
    ServiceRoot,
    /// A region's endpoint that also has IPv6 addresses.
    DualStack,
    /// Transfer acceleration.
    Acceleration,
    /// Transfer acceleration outside the Chinese mainland.
    AccelerationOverseas,
    /// The S3-compatible endpoint.
    S3,
    /// An alias of an access point, which has the form of a bucket name.
    AccessPointAlias,
    /// The host of an access point.
    AccessPoint,
    /// The host of an object-processing access point.
    ObjectProcess,
    /// An old name without a region. It stands for Hangzhou.
    Legacy,
    /// A PrivateLink endpoint, which supports only path style.
    PrivateLink,
    /// The endpoint of a cloud box.
    CloudBox,
}

/// The parts of an OSS host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OssHost<'a> {
    /// The kind of the name.
    pub kind: HostKind,
    /// The bucket, alias or access point before the endpoint.
    pub bucket: Option<Cow<'a, str>>,
    /// The region; `None` when the name has none.
    pub region: Option<Cow<'a, str>>,
    /// Whether the host can be reached only from inside the region.
    pub is_internal: bool,
    /// The port; `None` when the name has none.
    pub port: Option<u16>,
}

/// Parses a host name, with or without a port. Returns `None` when it is not an OSS host name.
#[must_use]
pub fn classify(host: &str) -> Option<OssHost<'_>> {
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) => (host, Some(read_port(port)?)),
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

/// Parses a port as in a Host header: only digits, without a sign.
fn read_port(text: &str) -> Option<u16> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten()
}

/// The parts of a host name: its kind, the bucket, the region, and whether it is internal.
type NameParts<'a> = (HostKind, Option<&'a str>, Option<&'a str>, bool);

fn read_name(host: &str) -> Option<NameParts<'_>> {
    let name = host.strip_suffix(".aliyuncs.com")?;
    let read = if let Some(rest) = name.strip_suffix(".privatelink") {
        let (point, region) = rest.rsplit_once('.')?;
        let is_whole = is_label(point.strip_suffix(".oss")?) && is_region(region);
        is_whole.then_some((HostKind::PrivateLink, None, Some(region), true))?
    } else if let Some(rest) = name.strip_suffix(".oss-cloudbox") {
        let (before, region) = rest.rsplit_once('.')?;
        let (bucket, cloud_box) = split_last(before);
        let is_whole = is_label(cloud_box) && is_region(region);
        is_whole.then_some((HostKind::CloudBox, bucket, Some(region), true))?
    } else if let Some(rest) = name.strip_suffix(".oss-accesspoint") {
        read_point(HostKind::AccessPoint, rest)?
    } else if let Some(rest) = name.strip_suffix(".oss-object-process") {
        read_point(HostKind::ObjectProcess, rest)?
    } else {
        match split_last(name) {
            (before, "oss") => read_second_level(before, false)?,
            (before, "oss-internal") => read_second_level(before, true)?,
            (before, label) => read_bucket(before, label)?,
        }
    };
    let (_, bucket, _, _) = read;
    bucket.is_none_or(is_label).then_some(read)
}

/// Splits a name into the text before its last label, and that label.
fn split_last(name: &str) -> (Option<&str>, &str) {
    match name.rsplit_once('.') {
        Some((before, last)) => (Some(before), last),
        None => (None, name),
    }
}

fn read_point(kind: HostKind, rest: &str) -> Option<NameParts<'_>> {
    let (point, endpoint) = rest.rsplit_once('.')?;
    let (region, is_internal) = read_endpoint(endpoint)?;
    Some((kind, Some(point), Some(region), is_internal))
}

/// Parses a name that ends in `.oss` or `.oss-internal`: a dual-stack name, or an old name of Hangzhou.
fn read_second_level(before: Option<&str>, is_internal: bool) -> Option<NameParts<'_>> {
    if let Some(before) = before.filter(|_| !is_internal) {
        let (bucket, id) = split_last(before);
        let is_dual_stack = match region(id) {
            Some(region) => region.dual_stack.is_some(),
            // A single unknown label is probably a bucket in a legacy host name
            // (`BUCKET.oss.aliyuncs.com`), not an unknown region.
            None => bucket.is_some() && is_region(id),
        };
        if is_dual_stack {
            return Some((HostKind::DualStack, bucket, Some(id), false));
        }
    }
    Some((HostKind::Legacy, before, Some("cn-hangzhou"), is_internal))
}

fn read_bucket<'a>(before: Option<&'a str>, label: &'a str) -> Option<NameParts<'a>> {
    let (kind, region, is_internal) = match label {
        "oss-accelerate" => (HostKind::Acceleration, None, false),
        "oss-accelerate-overseas" => (HostKind::AccelerationOverseas, None, false),
        label => {
            let (region, is_internal) = read_endpoint(label)?;
            (HostKind::Regional, Some(region), is_internal)
        }
    };
    let is_alias = |name: &str| name.ends_with("-ossalias") || name.ends_with("-opapalias");
    let (kind, bucket) = match before {
        None if kind == HostKind::Regional => (HostKind::ServiceRoot, None),
        None => (kind, None),
        Some("s3") => (HostKind::S3, None),
        Some(before) => match before.strip_suffix(".s3") {
            Some(bucket) => (HostKind::S3, Some(bucket)),
            None if kind == HostKind::Regional && is_alias(before) => {
                (HostKind::AccessPointAlias, Some(before))
            }
            None => (kind, Some(before)),
        },
    };
    Some((kind, bucket, region, is_internal))
}

/// Parses the first label of an endpoint, such as `oss-cn-hangzhou-internal`. Returns the region, and whether
/// the endpoint is internal.
fn read_endpoint(label: &str) -> Option<(&str, bool)> {
    let label = label.strip_prefix("vpc100-").unwrap_or(label);
    let name = label.strip_prefix("oss-")?;
    // The names of finance zones do not contain the region id, so the table is searched first.
    let is_of = |host: &str| host.strip_suffix(".aliyuncs.com") == Some(label);
    for region in regions() {
        if is_of(region.internal) {
            return Some((region.id, true));
        }
        if is_of(region.public) {
            return Some((region.id, false));
        }
    }
    // A region that is newer than the table is recognized by the form of its id.
    let (name, is_internal) = match name.strip_suffix("-internal") {
        Some(name) => (name, true),
        None => (name, false),
    };
    is_region(name).then_some((name, is_internal))
}

/// Whether `name` is one label of a host name.
fn is_label(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=63).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// Whether `id` has the form of a region id: two letters, then words and numbers separated by `-`.
fn is_region(id: &str) -> bool {
    let Some((area, place)) = id.split_once('-') else {
        return false;
    };
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    area.len() == 2
        && area.bytes().all(|byte| byte.is_ascii_lowercase())
        && place.split('-').all(is_word)
}

#[cfg(test)]
mod tests;
