//! Decides which cross-origin requests the CORS rules of a bucket allow.
//!
//! This module follows the OSS documentation of PutBucketCors and OptionObject. The first rule whose origin,
//! method and headers all match decides; later rules are ignored. Origins must match as a whole and are
//! case-sensitive; header names are not case-sensitive.

use std::fmt;

/// One CORS rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Origins that the rule allows.
    pub origins: Vec<Star>,
    /// Methods that the rule allows, in upper case.
    pub methods: Vec<String>,
    /// Header names that a preflight may request.
    pub headers: Vec<Star>,
}

/// A pattern with at most one `*`, which stands for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Star {
    /// A pattern without `*`.
    Exact(String),
    /// A pattern with a `*`: the parts before and after the `*`.
    Around(String, String),
}

/// The error for a pattern with more than one `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwoStars;

impl Star {
    /// Parses a pattern.
    ///
    /// # Errors
    ///
    /// [`TwoStars`] when the pattern has more than one `*`.
    pub fn parse(text: &str) -> Result<Self, TwoStars> {
        match text.split_once('*') {
            None => Ok(Self::Exact(text.to_owned())),
            Some((_, after)) if after.contains('*') => Err(TwoStars),
            Some((before, after)) => Ok(Self::Around(before.to_owned(), after.to_owned())),
        }
    }

    /// Whether the pattern is a single `*`.
    #[must_use]
    pub fn is_any(&self) -> bool {
        matches!(self, Self::Around(before, after) if before.is_empty() && after.is_empty())
    }

    /// Whether the pattern matches the whole of `text`. Case matters.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => exact.as_bytes() == text,
            Self::Around(before, after) => {
                text.len() >= before.len() + after.len()
                    && text.starts_with(before.as_bytes())
                    && text.ends_with(after.as_bytes())
            }
        }
    }

    /// Whether the pattern matches the whole of `text`. ASCII case is ignored.
    #[must_use]
    pub fn matches_name(&self, text: &[u8]) -> bool {
        let start = |text: &[u8], part: &str| {
            text.get(..part.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(part.as_bytes()))
        };
        match self {
            Self::Exact(exact) => exact.as_bytes().eq_ignore_ascii_case(text),
            Self::Around(before, after) => {
                text.len() >= before.len() + after.len()
                    && start(text, before)
                    && text
                        .get(text.len() - after.len()..)
                        .is_some_and(|end| start(end, after))
            }
        }
    }
}

impl fmt::Display for Star {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => f.write_str(exact),
            Self::Around(before, after) => write!(f, "{before}*{after}"),
        }
    }
}

/// A rule that matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched {
    /// The index of the rule.
    pub rule: usize,
    /// Whether the origin matched a single `*`. The response then allows `*` instead of the origin.
    pub is_any: bool,
}

/// Returns the first rule that allows a request from `origin` with `method`. For a preflight, `method`
/// and `headers` are the requested ones; for any other request `headers` is empty.
pub fn find<'h, H>(rules: &[Rule], origin: &[u8], method: &[u8], headers: &H) -> Option<Matched>
where
    H: Iterator<Item = &'h [u8]> + Clone,
{
    rules.iter().enumerate().find_map(|(index, rule)| {
        let matched = rule.origins.iter().find(|star| star.matches(origin))?;
        let has_method = rule.methods.iter().any(|one| one.as_bytes() == method);
        let has_headers = || {
            headers
                .clone()
                .all(|name| rule.headers.iter().any(|star| star.matches_name(name)))
        };
        (has_method && has_headers()).then_some(Matched {
            rule: index,
            is_any: matched.is_any(),
        })
    })
}

/// Returns the names in a value of `Access-Control-Request-Headers`.
pub fn requested_headers(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_run_of_characters() {
        let star = Star::parse("https://*.example.com").unwrap();
        assert!(star.matches(b"https://a.b.example.com"));
        assert!(!star.matches(b"https://example.com"));
        assert!(!star.matches(b"https://a.example.com.evil.org"));
        assert_eq!(Star::parse("*.a.*"), Err(TwoStars));
        let name = Star::parse("x-oss-*").unwrap();
        assert!(name.matches_name(b"X-OSS-Date"));
        assert!(!name.matches_name(b"x-os"));
        // The parts before and after the star must not overlap in the matched text.
        assert!(!Star::parse("aba*ba").unwrap().matches(b"aba"));
    }
}
