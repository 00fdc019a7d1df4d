//! Changes the header fields of requests to OSS as `[route.origin.headers]` says.
//!
//! A field that the client's signature covers is sent as the client sent it, because OSS would otherwise refuse
//! the request. Some fields are covered by every signature; the config does not accept changes of these. This
//! file checks the further fields, which the client chooses and lists in its signature.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::OriginHeaders;
use crate::oss::signature::for_each_listed_field;

/// The changes of header fields that an origin makes, at most 64.
#[derive(Debug)]
pub(crate) struct FieldChanges {
    /// Sorted by name. No name occurs twice.
    changes: Box<[(HeaderName, Option<HeaderValue>)]>,
}

/// One change of a header field, for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldChange<'a> {
    /// The name of the field.
    pub name: &'a HeaderName,
    /// The new value; `None` if the field is removed. A value that may contain a secret is marked as sensitive.
    pub value: Option<&'a HeaderValue>,
    /// Whether the client's signature covers the field. If so, the field is not changed.
    pub is_signed: bool,
}

impl FieldChanges {
    /// Combines the fields to set and to remove into one sorted list.
    #[must_use]
    pub(crate) fn new(settings: &OriginHeaders) -> Self {
        let set =
            (settings.set.iter()).map(|field| (field.name.clone(), Some(field.value.clone())));
        let remove = settings.remove.iter().map(|name| (name.clone(), None));
        let mut changes: Vec<_> = set.chain(remove).collect();
        changes.sort_unstable_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        Self {
            changes: changes.into(),
        }
    }

    /// Returns all changes, and for each whether the signature of a request with these header fields and this
    /// query covers the field.
    pub(crate) fn of_request<'s>(
        &'s self,
        headers: &HeaderMap,
        raw_query: Option<&str>,
    ) -> impl Iterator<Item = FieldChange<'s>> + use<'s> {
        let signed = self.signed(headers, raw_query);
        let changes = self.changes.iter().enumerate();
        changes.map(move |(index, (name, value))| FieldChange {
            name,
            value: value.as_ref(),
            is_signed: signed & bit(index) != 0,
        })
    }

    /// Changes the header fields of a request with the query `raw_query`.
    pub(crate) fn apply(&self, headers: &mut HeaderMap, raw_query: Option<&str>) {
        if self.changes.is_empty() {
            return;
        }
        for change in self.of_request(headers, raw_query) {
            match change.value {
                _ if change.is_signed => {}
                Some(value) => drop(headers.insert(change.name, value.clone())),
                None => drop(headers.remove(change.name)),
            }
        }
    }

    /// Returns which changes concern a field that the signature of a request covers; bit `n` stands for change
    /// `n`. Each listed name is looked up by binary search, because a client can list thousands of names.
    fn signed(&self, headers: &HeaderMap, raw_query: Option<&str>) -> u64 {
        let mut signed = 0;
        for_each_listed_field(headers, raw_query, |listed| {
            let listed = || listed.bytes().map(|byte| byte.to_ascii_lowercase());
            let found =
                (self.changes).binary_search_by(|(name, _)| name.as_str().bytes().cmp(listed()));
            signed |= found.map_or(0, bit);
        });
        signed
    }
}

/// Returns the bit of the change with this index. The config has at most 64 changes, so no bit is lost.
fn bit(index: usize) -> u64 {
    u32::try_from(index)
        .ok()
        .and_then(|index| 1_u64.checked_shl(index))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, COOKIE, REFERER, USER_AGENT};

    use super::*;
    use crate::config::Field;

    fn changes() -> FieldChanges {
        let field = |name: HeaderName, value: &'static str| Field {
            name,
            value: HeaderValue::from_static(value),
            written: value.to_owned(),
        };
        FieldChanges::new(&OriginHeaders {
            set: vec![
                field(USER_AGENT, "ossgate"),
                field(REFERER, "https://a.cn/"),
            ],
            remove: vec![COOKIE],
        })
    }

    #[test]
    fn fields_are_replaced_and_removed_with_all_their_repetitions() {
        let mut headers = HeaderMap::new();
        for (name, value) in [(COOKIE, "a"), (COOKIE, "b"), (REFERER, "c"), (REFERER, "d")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        changes().apply(&mut headers, None);
        let found: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name, value.to_str().unwrap()))
            .collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found.contains(&(&USER_AGENT, "ossgate"))
                && found.contains(&(&REFERER, "https://a.cn/"))
        );
    }

    #[test]
    fn a_signed_field_is_not_changed_in_whatever_case_it_is_listed() {
        for (list, cookie, agent) in [
            ("cookie", true, false),
            ("range;COOKIE; User-Agent", true, true),
            ("cookies;user-agen", false, false),
            ("", false, false),
        ] {
            let value = format!("OSS4-HMAC-SHA256 AdditionalHeaders={list},Signature=0");
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
            headers.insert(COOKIE, HeaderValue::from_static("a"));
            headers.insert(USER_AGENT, HeaderValue::from_static("sdk"));
            changes().apply(&mut headers, None);
            assert_eq!(headers.contains_key(COOKIE), cookie, "{list}");
            assert_eq!(headers[USER_AGENT] == "sdk", agent, "{list}");
            assert_eq!(headers[REFERER], "https://a.cn/", "{list}");
        }
    }
}
