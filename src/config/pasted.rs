//! Hints for values that are copied from elsewhere: URLs, host names and names of the OSS console in place of
//! a bucket, a region, an endpoint or a host.
//!
//! Callers pass the text as written in the file, never an interpolated text.

use crate::config::pattern::host_name;
use crate::config::suggest::nearest;
use crate::oss::addressing::is_bucket_name;
use crate::oss::endpoint;

/// The parts of a URL, or of a text that is a part of a URL.
struct Parts<'t> {
    scheme: Option<&'t str>,
    host: &'t str,
    /// The path without its first `/`.
    path: &'t str,
}

fn parts(text: &str) -> Parts<'_> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    Parts { scheme, host, path }
}

/// Returns a hint with the config lines to write in place of a wrong `endpoint`. Returns `None` if the right
/// lines are not known.
pub(super) fn endpoint(text: &str) -> Option<String> {
    let Parts { scheme, host, path } = parts(text);
    let known = endpoint::classify(host)?;
    let mut lines = Vec::new();
    let mut name = host.to_ascii_lowercase();
    if let Some(bucket) = &known.bucket {
        lines.push(format!("`bucket = \"{bucket}\"`"));
        name = name.strip_prefix(&format!("{bucket}."))?.to_owned();
    }
    lines.push(format!("`endpoint = \"{name}\"`"));
    if scheme == Some("http") {
        lines.push("`tls = false`".to_owned());
    }
    let end = if path.is_empty() {
        ""
    } else {
        "; the path comes from each request"
    };
    Some(format!("write {}{end}", lines.join(" and ")))
}

/// Returns a hint with the config lines to write in place of a wrong `bucket`. Returns `None` if the right
/// lines are not known.
pub(super) fn bucket(text: &str) -> Option<String> {
    let names: Vec<&str> = text
        .split([',', ' '])
        .filter(|name| !name.is_empty())
        .collect();
    if names.len() > 1 && names.iter().all(|name| is_bucket_name(name)) {
        return Some(format!("write `buckets = {names:?}`"));
    }
    let Parts { host, path, .. } = parts(text);
    let mut lines = Vec::new();
    let known = endpoint::classify(host);
    if let Some((bucket, region)) = known.and_then(|known| known.bucket.zip(known.region)) {
        lines.push(format!("`bucket = \"{bucket}\"`"));
        lines.push(format!("`region = \"{region}\"`"));
    } else {
        let lower = host.to_ascii_lowercase();
        // Only the names of old buckets have a `_`. A user would copy such a name without changing its case,
        // so a text with `_` and capitals is not taken for a bucket.
        if !is_bucket_name(&lower) || (lower != host && lower.contains('_')) {
            return None;
        }
        lines.push(format!("`bucket = \"{lower}\"`"));
    }
    if !path.is_empty() {
        lines.push(format!("`prefix = \"{path}\"`"));
    }
    Some(format!("write {}", lines.join(" and ")))
}

/// Returns a hint with the table to write for `origin`, whose value is the string `text` by mistake.
pub(super) fn origin(text: &str) -> String {
    let Parts { scheme, host, .. } = parts(text);
    let known = endpoint::classify(host);
    let (bucket, region) = match known.map(|known| (known.bucket, known.region)) {
        Some((bucket, region)) => (
            bucket.as_deref().map(str::to_owned),
            region.as_deref().map(str::to_owned),
        ),
        None => (
            Some(host.to_owned()).filter(|name| is_bucket_name(name)),
            None,
        ),
    };
    let bucket = bucket.unwrap_or_else(|| "examplebucket".to_owned());
    let region = region.unwrap_or_else(|| "cn-hangzhou".to_owned());
    let tls = match scheme {
        Some("http") => ", tls = false",
        Some(_) | None => "",
    };
    format!("write `origin = {{ bucket = {bucket:?}, region = {region:?}{tls} }}`")
}

/// Returns the hint for an unknown region: the region that `text` probably means, and how to name a region
/// that this version does not know. Returns `None` if `text` is empty.
pub(super) fn unknown_region(text: &str) -> Option<String> {
    let id = text.strip_prefix("oss-").unwrap_or(text);
    let is_part = |part: &str| {
        !part.is_empty()
            && (part.bytes()).all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let is_id = id.contains('-') && id.split('-').all(is_part);
    let newer = |id: &str| {
        format!(
            "if the region is newer than this version, write `endpoint = \"oss-{id}-internal.aliyuncs.com\"`"
        )
    };
    if text.is_empty() {
        return None;
    }
    Some(match (respelled(text), region(text)) {
        (None, Some(likely)) if is_id => format!("{likely} {}", newer(id)),
        (_, Some(likely)) => likely,
        (_, None) if is_id => newer(id),
        (_, None) => newer("REGION"),
    })
}

/// Returns the id of the region that `text` names in another form: as an endpoint or a part of one, with a
/// scheme, in capitals, or with `_` in place of `-`.
fn respelled(text: &str) -> Option<String> {
    let host = parts(text).host;
    if let Some(region) = endpoint::classify(host).and_then(|known| known.region)
        && endpoint::region(&region).is_some()
    {
        return Some(region.into_owned());
    }
    let lower = host.to_ascii_lowercase().replace('_', "-");
    let bare = bare_region(&lower);
    endpoint::region(bare).map(|_| bare.to_owned())
}

/// Returns `lower`, the name of an endpoint, without the parts before and after the region.
fn bare_region(lower: &str) -> &str {
    let bare = lower.strip_prefix("oss-").unwrap_or(lower);
    let bare = bare.strip_suffix(".aliyuncs.com").unwrap_or(bare);
    bare.strip_suffix("-internal").unwrap_or(bare)
}

/// Returns a hint with the region that `text` probably means.
pub(super) fn region(text: &str) -> Option<String> {
    if let Some(region) = respelled(text) {
        return Some(format!("did you mean `{region}`?"));
    }
    let lower = parts(text).host.to_ascii_lowercase().replace('_', "-");
    let bare = bare_region(&lower);
    // The console shows names such as "China (Hangzhou)" and "Singapore".
    let is_named = |region: &&endpoint::Region| {
        bare.len() >= 4 && region.name.to_ascii_lowercase().contains(bare)
    };
    if let Some(region) = endpoint::regions().iter().find(is_named) {
        return Some(format!("did you mean `{}`?", region.id));
    }
    let ids: Vec<&str> = endpoint::regions().iter().map(|region| region.id).collect();
    nearest(bare, &ids)
}

/// Returns a hint for an item of `hosts` that is not a host.
pub(super) fn host(text: &str) -> Option<String> {
    const EVERY: &str =
        "leave `hosts` out: a route without `hosts` serves every host, and requests by IP address";
    if matches!(text, "" | "*" | "_" | "*.*" | "default") || text.starts_with("*:") {
        return Some(EVERY.to_owned());
    }
    if !text.is_ascii() {
        let hint = "write the name in its ASCII form (punycode), which begins with `xn--` where it has other characters";
        return Some(hint.to_owned());
    }
    if text.starts_with('~') || text.contains(['^', '$', '(', '|']) {
        let hint =
            "regular expressions are not supported; list the hosts, or write `*.example.com`";
        return Some(hint.to_owned());
    }
    if let Some(name) = text.strip_prefix('.').and_then(host_name) {
        return Some(format!("write `\"{name}\", \"*.{name}\"`"));
    }
    let names: Vec<&str> = text
        .split([',', ' '])
        .filter(|name| !name.is_empty())
        .collect();
    if names.len() > 1 && names.iter().all(|name| host_name(name).is_some()) {
        let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        return Some(format!("write `{}`", names.join(", ")));
    }
    let host = parts(text).host;
    let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
    let name = host_name(bare.strip_prefix("*.").unwrap_or(bare))?;
    let star = if bare.starts_with("*.") { "*." } else { "" };
    (format!("{star}{name}") != text).then(|| format!("write `\"{star}{name}\"`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_value_is_shown_as_lines_of_a_config() {
        for (text, expected) in [
            (
                "https://oss-cn-hangzhou.aliyuncs.com/",
                "write `endpoint = \"oss-cn-hangzhou.aliyuncs.com\"`",
            ),
            (
                "http://Examplebucket.OSS-cn-hangzhou.aliyuncs.com",
                "write `bucket = \"examplebucket\"` and `endpoint = \"oss-cn-hangzhou.aliyuncs.com\"` and `tls = false`",
            ),
            (
                "examplebucket.oss-cn-hangzhou-internal.aliyuncs.com/a/b",
                "write `bucket = \"examplebucket\"` and `endpoint = \"oss-cn-hangzhou-internal.aliyuncs.com\"`; \
                 the path comes from each request",
            ),
        ] {
            assert_eq!(endpoint(text).as_deref(), Some(expected), "{text}");
        }
        for (text, expected) in [
            ("oss://examplebucket/", "write `bucket = \"examplebucket\"`"),
            (
                "oss://examplebucket/a/",
                "write `bucket = \"examplebucket\"` and `prefix = \"a/\"`",
            ),
            ("ExampleBucket", "write `bucket = \"examplebucket\"`"),
            ("one, two", "write `buckets = [\"one\", \"two\"]`"),
            (
                "https://examplebucket.oss-cn-hangzhou.aliyuncs.com/",
                "write `bucket = \"examplebucket\"` and `region = \"cn-hangzhou\"`",
            ),
        ] {
            assert_eq!(bucket(text).as_deref(), Some(expected), "{text}");
        }
        for (text, expected) in [
            ("Hangzhou", "cn-hangzhou"),
            ("cn-hangzhou-h", "cn-hangzhou"),
            ("oss-cn-hangzhou-internal", "cn-hangzhou"),
            ("https://oss-cn-shanghai.aliyuncs.com", "cn-shanghai"),
            ("cn_beijing", "cn-beijing"),
            ("singapore", "ap-southeast-1"),
            ("frankfurt", "eu-central-1"),
        ] {
            assert_eq!(
                region(text),
                Some(format!("did you mean `{expected}`?")),
                "{text}"
            );
        }
        for (text, expected) in [
            ("https://img.example.com/a", "write `\"img.example.com\"`"),
            ("img.example.com:443", "write `\"img.example.com\"`"),
            ("*.example.com:443", "write `\"*.example.com\"`"),
            (".example.com", "write `\"example.com\", \"*.example.com\"`"),
            ("a.com b.com", "write `\"a.com\", \"b.com\"`"),
        ] {
            assert_eq!(host(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["*", "_", ""] {
            assert!(
                host(text).unwrap().starts_with("leave `hosts` out"),
                "{text}"
            );
        }
        assert_eq!(
            (host("a.*.b"), bucket("a"), endpoint("a.b/c")),
            (None, None, None)
        );
    }
}
