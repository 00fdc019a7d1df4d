//! Writes the XML documents of responses.

use crate::oss::error::escape;

/// A document that is being written.
pub(super) struct Xml(String);

impl Xml {
    /// Starts a document and opens its element `root`.
    pub(super) fn new(root: &str) -> Self {
        let mut xml = Self(String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"));
        xml.open(root);
        xml
    }

    /// Opens element `name`.
    pub(super) fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    /// Closes element `name`.
    pub(super) fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    /// Writes `text`, escaped.
    pub(super) fn text(&mut self, text: &str) {
        escape(&mut self.0, text);
    }

    /// Writes element `name` with the escaped `text`.
    pub(super) fn leaf(&mut self, name: &str, text: &str) {
        self.open(name);
        escape(&mut self.0, text);
        self.close(name);
    }

    /// Closes `root` and returns the document.
    pub(super) fn finish(mut self, root: &str) -> String {
        self.close(root);
        self.0
    }
}

/// Writes the `Owner` element. The demo origin reports the access key id of the request as the owner of every
/// bucket and object.
pub(super) fn write_owner(xml: &mut Xml, owner: &str) {
    xml.open("Owner");
    xml.leaf("ID", owner);
    xml.leaf("DisplayName", owner);
    xml.close("Owner");
}

/// Returns the response document of `?acl`.
pub(super) fn acl_document(owner: &str, grant: &str) -> String {
    let mut xml = Xml::new("AccessControlPolicy");
    write_owner(&mut xml, owner);
    xml.open("AccessControlList");
    xml.leaf("Grant", grant);
    xml.close("AccessControlList");
    xml.finish("AccessControlPolicy")
}
