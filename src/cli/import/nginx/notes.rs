//! Notes for the operator about directives that are not imported.

use std::collections::HashSet;

use crate::cli::import::nginx::syntax::Directive;

/// Notes in the order in which they were found, each once.
#[derive(Debug, Default)]
pub(super) struct Notes {
    list: Vec<String>,
    seen: HashSet<String>,
}

impl Notes {
    /// Adds a note about `directive`.
    pub(super) fn add(&mut self, directive: &Directive, text: &str) {
        self.push(format!("{}: {text}", directive.place()));
    }

    /// Adds several notes about `directive`.
    pub(super) fn add_all(&mut self, directive: &Directive, texts: &[String]) {
        for text in texts {
            self.add(directive, text);
        }
    }

    /// Adds the note `note` as it is, unless the same note was added before.
    pub(super) fn push(&mut self, note: String) {
        if self.seen.insert(note.clone()) {
            self.list.push(note);
        }
    }

    pub(super) fn into_list(self) -> Vec<String> {
        self.list
    }
}
