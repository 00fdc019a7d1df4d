//! The bytes that a `Range` header selects, by the rules of OSS, which differ from RFC 9110.
//!
//! By default, OSS ignores a range that extends past the end of the object and returns the whole object with
//! 200. With `x-oss-range-behavior: standard`, OSS shortens such a range, or returns 416 if the object
//! contains no byte of the range. Under both rules, a header with several ranges or with a unit other than
//! `bytes` selects the whole object.

/// The rules for a range that extends past the end of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RangeRules {
    /// The default of OSS: the range is ignored and the whole object is returned.
    Oss,
    /// The rules of `x-oss-range-behavior: standard`: the range is shortened, or the response is 416.
    Standard,
}

/// The part of the object that the response contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// The response is 200 with the whole object.
    Whole,
    /// The response is 206 with the bytes from `first` to `last`.
    Part {
        /// The offset of the first byte.
        first: u64,
        /// The offset of the last byte, inclusive.
        last: u64,
    },
    /// The response is 416 `InvalidRange`.
    Unsatisfiable,
}

/// Returns the selection of the `Range` value `header` in an object of `length` bytes.
pub(super) fn select(header: Option<&[u8]>, length: u64, rules: RangeRules) -> Selection {
    let Some((first, last)) = header
        .and_then(|value| std::str::from_utf8(value).ok())
        .and_then(|value| value.trim().strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
    else {
        return Selection::Whole;
    };
    let (first, last) = match (number(first), number(last)) {
        (Number::Is(first), Number::Is(last)) if first <= last => (first, last),
        (Number::Is(first), Number::Absent) => (first, u64::MAX),
        (Number::Absent, Number::Is(suffix)) => {
            return select_suffix(suffix, length, rules);
        }
        _ => return Selection::Whole,
    };
    let is_open = last == u64::MAX;
    let end = length.saturating_sub(1);
    match (first < length, is_open || last < length, rules) {
        (true, true, _) | (true, false, RangeRules::Standard) => Selection::Part {
            first,
            last: last.min(end),
        },
        (false, _, RangeRules::Standard) => Selection::Unsatisfiable,
        (true, false, RangeRules::Oss) | (false, _, RangeRules::Oss) => Selection::Whole,
    }
}

/// Returns the selection of `bytes=-SUFFIX`: the last `suffix` bytes.
fn select_suffix(suffix: u64, length: u64, rules: RangeRules) -> Selection {
    match (suffix == 0 || length == 0, suffix <= length, rules) {
        (true, _, RangeRules::Standard) => Selection::Unsatisfiable,
        (false, true, _) | (false, false, RangeRules::Standard) => Selection::Part {
            first: length.saturating_sub(suffix),
            last: length.saturating_sub(1),
        },
        (true, _, RangeRules::Oss) | (false, false, RangeRules::Oss) => Selection::Whole,
    }
}

enum Number {
    Absent,
    Is(u64),
    Bad,
}

fn number(text: &str) -> Number {
    if text.is_empty() {
        Number::Absent
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_or(Number::Bad, Number::Is)
    } else {
        Number::Bad
    }
}

#[cfg(test)]
mod tests {
    use super::RangeRules::{Oss, Standard};
    use super::Selection::{Part, Unsatisfiable, Whole};
    use super::*;

    #[test]
    fn ranges_of_a_thousand_bytes() {
        let part = |first, last| Part { first, last };
        for (header, default, standard) in [
            ("bytes=0-499", part(0, 499), part(0, 499)),
            ("bytes=500-", part(500, 999), part(500, 999)),
            ("bytes=-500", part(500, 999), part(500, 999)),
            ("bytes=500-2000", Whole, part(500, 999)),
            ("bytes=0-1000", Whole, part(0, 999)),
            ("bytes=0-999", part(0, 999), part(0, 999)),
            ("bytes=999-999", part(999, 999), part(999, 999)),
            ("bytes=1000-", Whole, Unsatisfiable),
            ("bytes=1000-2000", Whole, Unsatisfiable),
            ("bytes=-2000", Whole, part(0, 999)),
            ("bytes=-0", Whole, Unsatisfiable),
            ("byte=0-499", Whole, Whole),
            ("bytes=0-1,4-5", Whole, Whole),
            ("bytes=5-4", Whole, Whole),
            ("bytes=-", Whole, Whole),
            ("bytes=a-b", Whole, Whole),
            ("bytes=+1-2", Whole, Whole),
            ("bytes=99999999999999999999-", Whole, Whole),
        ] {
            assert_eq!(
                select(Some(header.as_bytes()), 1000, Oss),
                default,
                "{header}"
            );
            assert_eq!(
                select(Some(header.as_bytes()), 1000, Standard),
                standard,
                "{header}, standard"
            );
        }
        assert_eq!(select(None, 1000, Standard), Whole);
    }

    #[test]
    fn an_empty_object_has_no_range() {
        for header in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(select(Some(header.as_bytes()), 0, Oss), Whole, "{header}");
            assert_eq!(
                select(Some(header.as_bytes()), 0, Standard),
                Unsatisfiable,
                "{header}"
            );
        }
    }
}
