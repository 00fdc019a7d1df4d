//! Parses small XML documents into trees: request bodies, and the configurations of a bucket.
//!
//! The parser is quick-xml. A document with a document type, a depth over 8 or more than 20,000 elements is
//! rejected. So the cost of a hostile document stays proportional to its size.

use quick_xml::Reader;
use quick_xml::events::Event;

/// An XML element.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The name of the element, without the namespace prefix.
    pub name: String,
    /// The character data of the element.
    pub text: String,
    /// The child elements, in order.
    pub children: Vec<Node>,
}

impl Node {
    /// Returns the first child with this name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Returns all children with this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Returns the text of the first child with this name.
    #[must_use]
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }
}

/// Parses `body` and returns its root element. Returns `None` when the document is not well-formed, has a
/// document type, exceeds a limit, or refers to an entity other than the five predefined ones.
#[must_use]
pub fn parse(body: &[u8]) -> Option<Node> {
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
    fn hostile_bodies_are_rejected() {
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
