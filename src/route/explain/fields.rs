//! Explains how header fields are changed, in responses and in requests to OSS.

use http::HeaderValue;

use super::Walk;
use crate::config::policy::HeaderRule;
use crate::config::{self, Field};
use crate::oss::addressing::split_query;
use crate::policy::headers::is_about_object;
use crate::route::Route;

impl Walk<'_> {
    /// Explains which rules of `headers` change the response.
    pub(super) fn response_fields(&mut self, route: &Route, written: Option<&config::Route>) {
        let Some(policy) = &route.policies.headers else {
            return;
        };
        let matching = policy.matching(split_query(self.target).0);
        if matching.is_empty() {
            self.step("headers", "no rule is for this path", None);
            return;
        }
        let rules = written.map_or(&[][..], |written| &written.policies.headers);
        for (index, rule) in rules.iter().enumerate() {
            if matching.contains(index) {
                self.step("headers", describe(rule), Some(rule.line));
            }
        }
    }

    /// Explains which header fields are changed in the request that is sent to OSS.
    pub(super) fn request_fields(&mut self, route: &Route) {
        let (_, query) = split_query(self.target);
        let changes = route.origin.field_changes(self.headers, query);
        let texts: Vec<String> = changes
            .map(|change| match (change.is_signed, change.value) {
                (true, _) => format!("leaves {}, because the signature covers it", change.name),
                (false, Some(value)) => format!("sets {}: {}", change.name, shown(value)),
                (false, None) => format!("removes {}", change.name),
            })
            .collect();
        if !texts.is_empty() {
            self.step("to OSS", texts.join("; "), None);
        }
    }
}

fn describe(rule: &HeaderRule) -> String {
    let field = |verb: &str, field: &Field| {
        let condition = if is_about_object(&field.name, &field.value) {
            " (only with the object)"
        } else {
            ""
        };
        format!("{verb} {}: {}{condition}", field.name, field.written)
    };
    let removed = rule.remove.iter().map(|name| format!("removes {name}"));
    let set = rule.set.iter().map(|set| field("sets", set));
    let added = rule.add.iter().map(|added| field("adds", added));
    let all: Vec<String> = removed.chain(set).chain(added).collect();
    all.join("; ")
}

/// Returns a value as text. A value that may contain a secret is not shown.
fn shown(value: &HeaderValue) -> String {
    if value.is_sensitive() {
        "***".to_owned()
    } else {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    }
}
