//! Hotlink protection: whether a Referer may have an object, by the rules of a bucket.
//!
//! The algorithm and its texts are those of the OSS pages on hotlink protection and PutBucketReferer;
//! where those pages differ from each other: an empty allow list lets every Referer pass, an empty one
//! included.

use memchr::memchr;

use crate::oss::glob::{GlobList, TooLarge};

/// What OSS says with every refusal.
pub const MESSAGE: &str = "You are denied by bucket referer policy.";

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No rule is against it.
    NotListed,
    /// Allowed by this pattern of the allow list.
    Allowed(usize),
    /// Allowed without a Referer.
    EmptyAllowed,
    /// Refused without a Referer.
    EmptyDenied,
    /// Refused by this pattern of the deny list.
    Denied(usize),
    /// Refused because no pattern of the allow list matches.
    NotAllowed,
}

impl Verdict {
    /// Whether the request is refused.
    #[must_use]
    pub fn is_refused(self) -> bool {
        self.ec().is_some()
    }

    /// OSS's number for a refusal.
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

/// Switches of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// Whether a request without Referer, or with a blank one, is allowed.
    pub allow_empty: bool,
    /// Whether the query of the Referer is dropped first.
    pub truncate_query: bool,
    /// Whether its path is dropped first, too.
    pub truncate_path: bool,
    /// Whether a pattern that ends inside a host must end at its end, which OSS does not ask for:
    /// `http://www.example.com` then does not allow `http://www.example.com.evil.org`.
    pub strict_host: bool,
}

/// The rules of a bucket, compiled.
#[derive(Debug)]
pub struct Rules {
    switches: Switches,
    allow: GlobList,
    deny: GlobList,
    /// For each pattern of the two lists, whether it ends inside a host.
    ends_in_host: [Vec<bool>; 2],
}

impl Rules {
    /// Compiles the two lists.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub fn new(switches: Switches, allow: &[&str], deny: &[&str]) -> Result<Self, TooLarge> {
        let ends_in_host =
            |list: &[&str]| list.iter().map(|pattern| ends_in_host(pattern)).collect();
        Ok(Self {
            switches,
            ends_in_host: [ends_in_host(allow), ends_in_host(deny)],
            allow: GlobList::new(allow)?,
            deny: GlobList::new(deny)?,
        })
    }

    /// What becomes of a request with this Referer; `None` and blank are the same.
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
        let [allow_ends, deny_ends] = &self.ends_in_host;
        let host_end = if self.switches.strict_host {
            host_end(referer)
        } else {
            0
        };
        let may_end = |ends: &[bool], index: usize, end: usize| {
            !self.switches.strict_host
                || !ends.get(index).is_some_and(|is| *is)
                || (end <= host_end
                    && matches!(referer.get(end), None | Some(b'/' | b':' | b'?' | b'#')))
        };
        let denied = self
            .deny
            .find(referer, |index, end| may_end(deny_ends, index, end));
        if let Some(index) = denied {
            return Verdict::Denied(index);
        }
        if self.allow.is_empty() {
            return Verdict::NotListed;
        }
        self.allow
            .find(referer, |index, end| may_end(allow_ends, index, end))
            .map_or(Verdict::NotAllowed, Verdict::Allowed)
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

/// Where the host of a Referer ends, port included.
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

/// Whether the end of a pattern can lie inside the host of what it matches.
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
        ] {
            let referer = Some(referer.as_bytes());
            assert_eq!(!rules.check(referer).is_refused(), is_strict, "{referer:?}");
            assert_eq!(!loose.check(referer).is_refused(), is_loose, "{referer:?}");
        }
    }
}
