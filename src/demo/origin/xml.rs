//! The XML of answers.

use crate::oss::error::escape;

/// An answer being written.
pub(super) struct Xml(String);

impl Xml {
    /// Begins a document with `root` open.
    pub(super) fn new(root: &str) -> Self {
        let mut xml = Self(String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"));
        xml.open(root);
        xml
    }

    pub(super) fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    pub(super) fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    pub(super) fn text(&mut self, text: &str) {
        escape(&mut self.0, text);
    }

    pub(super) fn leaf(&mut self, name: &str, text: &str) {
        self.open(name);
        escape(&mut self.0, text);
        self.close(name);
    }

    /// Ends the document by closing `root`.
    pub(super) fn finish(mut self, root: &str) -> String {
        self.close(root);
        self.0
    }
}
