//! Finds the secrets in the text of a config file, so that no message shows them.
//!
//! A value is taken for a secret if its key or its table suggests one, or if it is the value of a header
//! field. The text may be invalid TOML, because messages show the lines with errors. If the end of a value is
//! not certain, too much is masked rather than too little.

use std::ops::Range;

pub(crate) use crate::config::mask::names::suggests_secret;
use crate::config::mask::scan::Scanner;

mod ends;
mod names;
mod scan;
#[cfg(test)]
mod tests;

/// Returns the byte ranges of the secrets in `text`, ordered by their start. Takes time proportional to the
/// length of `text`.
pub(crate) fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut found = Scanner::new(text).scan();
    found.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            Some(_) | None => merged.push(range),
        }
    }
    merged
}
