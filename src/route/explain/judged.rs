//! Describes the part of a request that the policies check.

use crate::oss::addressing::{Layout, Level, split_query};
use crate::oss::spelling;

/// Describes the bucket or object that the policies check for a request. `target` is the path and the query
/// of the request. Returns `None` when the path already shows the key: the path is the key after a `/`, has
/// no percent-escapes, and no prefix is added.
pub(super) fn judged<'t>(
    layout: &Layout,
    host: impl FnOnce() -> &'t str,
    target: &'t str,
) -> Option<String> {
    let (asked, _) = split_query(target);
    let parts = layout.split(host, target);
    let key = parts.map_or("", |parts| parts.key);
    let is_plain = layout.prefix.is_empty() && asked.strip_prefix('/') == Some(key);
    if is_plain && !asked.contains('%') {
        return None;
    }
    let judged = match layout.level(parts.as_ref()) {
        Level::Service => "the service, without a bucket".to_owned(),
        Level::Bucket => "the bucket".to_owned(),
        Level::Object => {
            let prefix = spelling::decode(&layout.prefix);
            let key = [prefix, spelling::decode(key)].concat();
            format!("object `{}`", shown(&key))
        }
    };
    Some(format!("path `{asked}` is judged as {judged}"))
}

/// Returns decoded bytes as text. Control characters and bytes that are not UTF-8 are escaped.
pub(super) fn shown(key: &[u8]) -> String {
    let mut text = String::new();
    for chunk in key.utf8_chunks() {
        for one in chunk.valid().chars() {
            if one.is_control() {
                text.extend(one.escape_default());
            } else {
                text.push(one);
            }
        }
        text.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_shown_where_it_is_not_the_path() {
        let site = Layout {
            strip: b"/img"[..].into(),
            prefix: "site%20a/".into(),
            suffixes: None,
        };
        let many = Layout {
            suffixes: Some(Vec::new()),
            ..Layout::default()
        };
        for (layout, target, expected) in [
            (&Layout::default(), "/a/b?c%20d", None),
            (&Layout::default(), "/", None),
            (
                &Layout::default(),
                "/a%2Fb%0A%FF",
                Some("path `/a%2Fb%0A%FF` is judged as object `a/b\\n\\xff`"),
            ),
            (
                &site,
                "/img%2Fa?x",
                Some("path `/img%2Fa` is judged as object `site a/a`"),
            ),
            (
                &site,
                "/img?acl",
                Some("path `/img` is judged as object `site a/`"),
            ),
            (
                &many,
                "/bucket%2F",
                Some("path `/bucket%2F` is judged as the bucket"),
            ),
            (
                &many,
                "/%2F",
                Some("path `/%2F` is judged as the service, without a bucket"),
            ),
        ] {
            assert_eq!(
                judged(layout, || "", target).as_deref(),
                expected,
                "{target}"
            );
        }
    }
}
