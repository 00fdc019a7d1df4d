//! Recognizes redirects.

use crate::cli::import::nginx::syntax::Directive;

/// Whether a `rewrite` is a redirect.
pub(super) fn is_redirecting_rewrite(directive: &Directive) -> bool {
    let flag = directive.rest().get(2).map(String::as_str);
    matches!(flag, Some("permanent" | "redirect"))
        || ["http://", "https://", "$scheme"]
            .iter()
            .any(|start| directive.second().starts_with(start))
}

/// Whether the directive redirects every request to the same path and query with scheme `https`, on the same host
/// or on a fixed one.
pub(super) fn is_https_redirect(directive: &Directive) -> bool {
    let names = ["$host", "$http_host", "$server_name"];
    let after_host = |target: &str| {
        let rest = target.strip_prefix("https://")?.to_owned();
        names
            .iter()
            .find_map(|name| rest.strip_prefix(name).map(str::to_owned))
            .or_else(|| {
                // The host may also be a fixed text.
                let at = rest.find(['$', '/'])?;
                rest.get(at..).map(str::to_owned)
            })
    };
    match directive.name() {
        "return" => {
            let target = directive.rest().last();
            target.and_then(|target| after_host(target)).as_deref() == Some("$request_uri")
        }
        "rewrite" => {
            let rest = after_host(directive.second());
            matches!(
                (directive.first(), rest.as_deref()),
                (
                    "^" | ".*" | "^(.*)$" | "(.*)" | "^(.*)" | "^.*$",
                    Some("$request_uri?" | "$request_uri"),
                ) | ("^(.*)$" | "(.*)" | "^(.*)" | "^(/.*)$", Some("$1"))
                    | ("^/(.*)$" | "^/(.*)", Some("/$1"))
            )
        }
        _ => false,
    }
}
