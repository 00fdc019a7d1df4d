//! Decides whether the `Referer` of a request is allowed (hotlink protection of a bucket).
//!
//! The algorithm and the messages follow the OSS documentation of hotlink protection and of PutBucketReferer.
//! The documentation contradicts itself in one point. This module follows the version in which an empty allow
//! list allows every Referer, and also requests without a Referer.

use std::fmt;

use memchr::memchr;

use crate::oss::glob::{GlobList, TooLarge};

/// The message of OSS for every refusal.
pub const MESSAGE: &str = "You are denied by bucket referer policy.";

/// The decision about a request, with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed: the allow list is empty, and no pattern of the deny list matches.
    NotListed,
    /// Allowed by the pattern at this index of the allow list.
    Allowed(usize),
    /// Allowed: the request has no Referer, and none is required.
    EmptyAllowed,
    /// Refused: the request has no Referer, but one is required.
    EmptyDenied,
    /// Refused by the pattern at this index of the deny list.
    Denied(usize),
    /// Refused: no pattern of the allow list matches.
    NotAllowed,
}

impl Verdict {
    /// Whether the request is refused.
    #[must_use]
    pub fn is_refused(self) -> bool {
        self.ec().is_some()
    }

    /// Returns the `EC` in OSS's error document for this refusal; `None` when the request is allowed.
    #[must_use]
    pub fn ec(self) -> Option<&'static str> {
        match self {
            Self::NotListed | Self::Allowed(_) | Self::EmptyAllowed => None,
            Self::EmptyDenied => Some("0003-00000501"),
            Self::Denied(_) => Some("0003-00000502"),
            Self::NotAllowed => Some("0003-00000503"),
        }
    }
}

/// The settings of hotlink protection besides the allow list and the deny list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Switches {
    /// Whether a request without a Referer, or with a blank Referer, is allowed.
    pub allow_empty: bool,
    /// Whether the query of the Referer is removed before matching.
    pub truncate_query: bool,
    /// Whether path and query of the Referer are removed before matching.
    pub truncate_path: bool,
    /// Whether the host in a pattern must match the whole host of the Referer. OSS does not require this: in
    /// OSS, `http://www.example.com` also allows `http://www.example.com.evil.org`.
    pub strict_host: bool,
}

/// The error for a list of patterns that is too large to be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListTooLarge {
    /// The allow list is too large.
    Allow,
    /// The deny list is too large.
    Deny,
}

impl fmt::Display for ListTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "the list `referer.allow` is too large",
            Self::Deny => "the list `referer.deny` is too large",
        })
    }
}

impl std::error::Error for ListTooLarge {}

/// The compiled rules of a bucket.
#[derive(Debug)]
pub struct Rules {
    switches: Switches,
    allow: List,
    deny: List,
}

/// A list of patterns.
#[derive(Debug)]
struct List {
    globs: GlobList,
    /// For each pattern of `globs`: its index in the configured list, and whether it ends inside the host.
    places: Vec<(usize, bool)>,
    /// With `strict_host`: the patterns that have a path, each cut after the slash before the path. They are
    /// compared with the host of the Referer alone, because a `*` of the whole pattern could match beyond
    /// the host, into the path of another site's URL.
    cut: GlobList,
    /// For each pattern of `cut`: its index in the configured list, and its path. The path is `None` if it
    /// matches everything.
    rests: Vec<(usize, Option<GlobList>)>,
}

impl List {
    fn new(patterns: &[&str], is_strict: bool) -> Result<Self, TooLarge> {
        let (mut whole, mut cut) = (Vec::new(), Vec::new());
        let (mut places, mut rests) = (Vec::new(), Vec::new());
        for (place, pattern) in patterns.iter().enumerate() {
            let path = path_start(pattern).filter(|_| is_strict);
            if let Some((host, rest)) = path.and_then(|at| pattern.split_at_checked(at)) {
                let is_selective = rest.bytes().any(|byte| byte != b'*');
                let rest = is_selective.then(|| GlobList::new(&[rest])).transpose()?;
                cut.push(host);
                rests.push((place, rest));
            } else {
                whole.push(*pattern);
                places.push((place, ends_in_host(pattern)));
            }
        }
        Ok(Self {
            globs: GlobList::new(&whole)?,
            places,
            cut: GlobList::new(&cut)?,
            rests,
        })
    }

    fn is_empty(&self) -> bool {
        self.globs.is_empty() && self.cut.is_empty()
    }

    /// Returns the index of a pattern that matches.
    fn find(&self, referer: &[u8], is_strict: bool) -> Option<usize> {
        let host_end = if is_strict { host_end(referer) } else { 0 };
        let found = self.globs.find(referer, |index, end| {
            !is_strict
                || !self.places.get(index).is_some_and(|(_, ends)| *ends)
                || (end <= host_end
                    && matches!(referer.get(end), None | Some(b'/' | b':' | b'?' | b'#')))
        });
        if let Some(index) = found {
            return self.places.get(index).map(|(place, _)| *place);
        }
        if self.cut.is_empty() || referer.get(host_end) != Some(&b'/') {
            return None;
        }
        let (host, path) = referer.split_at_checked(host_end + 1)?;
        let found = self.cut.find(host, |index, end| {
            end == host.len()
                && self.rests.get(index).is_some_and(|(_, rest)| {
                    rest.as_ref()
                        .is_none_or(|rest| rest.find(path, |_, _| true).is_some())
                })
        });
        found.and_then(|index| Some(self.rests.get(index)?.0))
    }
}

/// Returns the index where the path of a pattern begins, after the slash that follows the host.
fn path_start(pattern: &str) -> Option<usize> {
    // A pattern may begin with `*//`, so the scheme is recognized by `//` and not by `://`.
    let first = pattern.find('/')?;
    let has_scheme = pattern.get(first..)?.starts_with("//");
    let host = if has_scheme { first + 2 } else { 0 };
    let slash = pattern.get(host..)?.find('/')?;
    Some(host + slash + 1)
}

impl Rules {
    /// Compiles the two lists.
    ///
    /// # Errors
    ///
    /// [`ListTooLarge`] names the list that cannot be compiled.
    pub fn new(switches: Switches, allow: &[&str], deny: &[&str]) -> Result<Self, ListTooLarge> {
        let list =
            |patterns, error| List::new(patterns, switches.strict_host).map_err(|TooLarge| error);
        Ok(Self {
            switches,
            allow: list(allow, ListTooLarge::Allow)?,
            deny: list(deny, ListTooLarge::Deny)?,
        })
    }

    /// Decides about a request with this Referer. A blank Referer counts as no Referer.
    #[must_use]
    pub fn check(&self, referer: Option<&[u8]>) -> Verdict {
        let referer = referer.unwrap_or_default().trim_ascii();
        if referer.is_empty() {
            return if self.switches.allow_empty || self.allow.is_empty() {
                Verdict::EmptyAllowed
            } else {
                Verdict::EmptyDenied
            };
        }
        let referer = self.truncate(referer);
        let is_strict = self.switches.strict_host;
        if let Some(place) = self.deny.find(referer, is_strict) {
            return Verdict::Denied(place);
        }
        if self.allow.is_empty() {
            return Verdict::NotListed;
        }
        let allowed = self.allow.find(referer, is_strict);
        allowed.map_or(Verdict::NotAllowed, Verdict::Allowed)
    }

    fn truncate<'r>(&self, referer: &'r [u8]) -> &'r [u8] {
        let end = if self.switches.truncate_path {
            Some(host_end(referer))
        } else if self.switches.truncate_query {
            memchr(b'?', referer)
        } else {
            None
        };
        end.and_then(|end| referer.get(..end)).unwrap_or(referer)
    }
}

/// Returns the index where the host of a Referer ends, after the port if there is one.
fn host_end(referer: &[u8]) -> usize {
    let host = referer
        .windows(3)
        .position(|three| three == b"://")
        .map_or(0, |at| at + 3);
    referer
        .iter()
        .skip(host)
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .map_or(referer.len(), |at| host + at)
}

/// Whether the end of a pattern can be inside the host of a Referer that the pattern matches.
fn ends_in_host(pattern: &str) -> bool {
    let after_scheme = pattern.split_once("://").map_or(pattern, |(_, rest)| rest);
    !after_scheme.contains('/') && !pattern.ends_with('*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWITCHES: Switches = Switches {
        allow_empty: true,
        truncate_query: true,
        truncate_path: false,
        strict_host: false,
    };

    #[test]
    fn strict_hosts_end_where_the_host_ends() {
        let strict = Switches {
            strict_host: true,
            ..SWITCHES
        };
        let allow = [
            "http://www.example.com",
            "http://*.oss.cn",
            "http://a.cn/x",
            "http://any.*",
            "https://*.cut.org/",
            "https://*.star.org/*",
            "https://*.deep.org/a/*/b",
            "*//any.net/x",
        ];
        let rules = Rules::new(strict, &allow, &[]).unwrap();
        let loose = Rules::new(SWITCHES, &allow, &[]).unwrap();
        for (referer, is_strict, is_loose) in [
            ("http://www.example.com", true, true),
            ("http://www.example.com/a", true, true),
            ("http://www.example.com:8080/", true, true),
            ("http://www.example.com.evil.org/", false, true),
            ("http://a.oss.cn/", true, true),
            ("http://a.oss.cnx/", false, true),
            ("http://a.oss.cnx/.oss.cn", false, true),
            ("http://a.cn/xyz", true, true),
            ("http://any.where", true, true),
            ("https://a.cut.org/", true, true),
            ("https://a.cut.org/x/y", true, true),
            ("https://evil.net/x.cut.org/", false, true),
            ("https://evil.net/#.cut.org/", false, true),
            ("https://a.star.org/x", true, true),
            ("https://evil.net/.star.org/x", false, true),
            ("https://any.net/xy", true, true),
            ("https://evil.net//any.net/x", false, true),
            ("https://a.deep.org/a/x/b", true, true),
            ("https://a.deep.org/a/x/c", false, false),
            ("https://evil.net/.deep.org/a/x/b", false, true),
        ] {
            let referer = Some(referer.as_bytes());
            assert_eq!(!rules.check(referer).is_refused(), is_strict, "{referer:?}");
            assert_eq!(!loose.check(referer).is_refused(), is_loose, "{referer:?}");
        }
    }
}
