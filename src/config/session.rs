//! The state that all readers of one file share: its text, its surroundings, the problems so far.

use std::cell::RefCell;
use std::path::Path;

use crate::config::interpolate::Env;
use crate::config::problem::Problem;

/// The state of reading one file.
pub(crate) struct Session<'a> {
    pub(crate) text: &'a str,
    pub(crate) env: Env<'a>,
    /// The directory that relative paths are relative to.
    pub(crate) base: &'a Path,
    /// The current time, in seconds since 1970.
    pub(crate) now: i64,
    pub(crate) problems: RefCell<Vec<Problem>>,
}

impl<'a> Session<'a> {
    /// Creates a session without problems.
    pub(crate) fn new(text: &'a str, env: Env<'a>, base: &'a Path, now: i64) -> Self {
        Self {
            text,
            env,
            base,
            now,
            problems: RefCell::default(),
        }
    }

    /// Returns the problems, in the order they were found.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}
