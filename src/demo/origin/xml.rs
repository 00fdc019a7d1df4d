//! The XML of answers, and the small trees of request bodies.
//!
//! Bodies are read by quick-xml. A document type, a depth over 8 and more than 20,000 elements are
//! refused, so a hostile body costs no more than its bytes.

use quick_xml::Reader;
use quick_xml::events::Event;

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

/// An element of a request body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) children: Vec<Node>,
}

impl Node {
    pub(super) fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of child `name`.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }
}

/// The root element of `body`, `None` when it is not well-formed enough.
pub(super) fn parse(body: &[u8]) -> Option<Node> {
    const DEPTH: usize = 8;
    const ELEMENTS: usize = 20_000;
    let mut reader = Reader::from_str(std::str::from_utf8(body).ok()?);
    let mut open: Vec<Node> = Vec::new();
    let mut elements = 0;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                elements += 1;
                if open.len() >= DEPTH || elements > ELEMENTS {
                    return None;
                }
                open.push(Node {
                    name: local(start.local_name()),
                    ..Node::default()
                });
            }
            Event::Empty(empty) => {
                elements += 1;
                let node = Node {
                    name: local(empty.local_name()),
                    ..Node::default()
                };
                match open.last_mut() {
                    Some(parent) if elements <= ELEMENTS => parent.children.push(node),
                    Some(_) => return None,
                    None => return Some(node),
                }
            }
            Event::End(_) => {
                let node = open.pop()?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(node),
                    None => return Some(node),
                }
            }
            Event::Text(text) => {
                if let Some(node) = open.last_mut() {
                    node.text.push_str(&text.xml10_content());
                }
            }
            Event::CData(text) => {
                if let Some(node) = open.last_mut() {
                    node.text.push_str(&text.xml10_content());
                }
            }
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref().ok()? {
                    Some(character) => character,
                    None => match &*reference.xml10_content() {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "quot" => '"',
                        "apos" => '\'',
                        _ => return None,
                    },
                };
                open.last_mut()?.text.push(character);
            }
            Event::DocType(_) | Event::Eof => return None,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

fn local(name: quick_xml::name::LocalName<'_>) -> String {
    name.as_ref().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_become_trees() {
        let node = parse(
            b"<?xml version=\"1.0\"?><D xmlns=\"x\"><Quiet>true</Quiet><O><Key>a&amp;b&#x4e2d;</Key></O>\
              <O><Key><![CDATA[<]]></Key></O><E/></D>",
        )
        .unwrap();
        assert_eq!(node.text_of("Quiet"), Some("true"));
        let keys: Vec<_> = node.all("O").filter_map(|o| o.text_of("Key")).collect();
        assert_eq!(keys, ["a&b中", "<"]);
        assert!(node.child("E").is_some());
    }

    #[test]
    fn hostile_bodies_are_refused() {
        let deep = "<a>".repeat(9) + &"</a>".repeat(9);
        for body in [
            "",
            "<a>",
            "<a></b>",
            "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>",
            "<a>&e;</a>",
            deep.as_str(),
        ] {
            assert_eq!(parse(body.as_bytes()), None, "{body}");
        }
    }
}
