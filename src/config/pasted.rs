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

/// Returns the lines that stand for a wrong `endpoint`; `None` if they are not known.
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

/// Returns the lines that stand for a wrong `bucket`; `None` if they are not known.
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
        if !is_bucket_name(&lower) {
            return None;
        }
        lines.push(format!("`bucket = \"{lower}\"`"));
    }
    if !path.is_empty() {
        lines.push(format!("`prefix = \"{path}\"`"));
    }
    Some(format!("write {}", lines.join(" and ")))
}

/// Returns a hint with the region that `text` probably stands for.
pub(super) fn region(text: &str) -> Option<String> {
    let host = parts(text).host;
    if let Some(region) = endpoint::classify(host).and_then(|known| known.region)
        && endpoint::region(&region).is_some()
    {
        return Some(format!("did you mean `{region}`?"));
    }
    let lower = host.to_ascii_lowercase().replace('_', "-");
    let bare = lower.strip_prefix("oss-").unwrap_or(&lower);
    let bare = bare.strip_suffix(".aliyuncs.com").unwrap_or(bare);
    let bare = bare.strip_suffix("-internal").unwrap_or(bare);
    if endpoint::region(bare).is_some() {
        return Some(format!("did you mean `{bare}`?"));
    }
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
