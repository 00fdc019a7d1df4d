//! Which cross-origin requests the rules of a bucket allow.
//!
//! As on the pages of PutBucketCors and OptionObject: the first rule whose origin, method and headers
//! all match decides, and later ones are not looked at. Origins are compared as a whole and with
//! their case, header names without it.

use std::fmt;

/// One of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Origins it is for.
    pub origins: Vec<Star>,
    /// Methods it allows, in upper case.
    pub methods: Vec<String>,
    /// Headers a preflight may ask for.
    pub headers: Vec<Star>,
}

/// A text with at most one `*`, which is any run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Star {
    /// No `*`.
    Exact(String),
    /// Before and after the `*`.
    Around(String, String),
}

/// A text has more than one `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwoStars;

impl Star {
    /// Reads a text.
    ///
    /// # Errors
    ///
    /// [`TwoStars`].
    pub fn parse(text: &str) -> Result<Self, TwoStars> {
        match text.split_once('*') {
            None => Ok(Self::Exact(text.to_owned())),
            Some((_, after)) if after.contains('*') => Err(TwoStars),
            Some((before, after)) => Ok(Self::Around(before.to_owned(), after.to_owned())),
        }
    }

    /// Whether it is the `*` alone.
    #[must_use]
    pub fn is_any(&self) -> bool {
        matches!(self, Self::Around(before, after) if before.is_empty() && after.is_empty())
    }

    /// Whether it is all of `text`.
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

    /// [`Star::matches`] without ASCII case.
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
    /// Its index.
    pub rule: usize,
    /// Whether its origin is the `*` alone, which is then answered instead of the origin.
    pub is_any: bool,
}

/// The rule for a request from `origin` with `method`; for a preflight these are the asked method and
/// the asked headers, else there are no headers.
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

/// The names in `Access-Control-Request-Headers`.
pub fn asked_headers(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_once() {
        let star = Star::parse("https://*.example.com").unwrap();
        assert!(star.matches(b"https://a.b.example.com"));
        assert!(!star.matches(b"https://example.com"));
        assert!(!star.matches(b"https://a.example.com.evil.org"));
        assert_eq!(Star::parse("*.a.*"), Err(TwoStars));
        let name = Star::parse("x-oss-*").unwrap();
        assert!(name.matches_name(b"X-OSS-Date"));
        assert!(!name.matches_name(b"x-os"));
        // The two halves do not share characters.
        assert!(!Star::parse("aba*ba").unwrap().matches(b"aba"));
    }
}
