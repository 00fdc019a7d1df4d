//! OSS's error document, in the form that every SDK can parse.
//!
//! The caller chooses the code and the names of further elements. If an SDK cannot parse the document, it
//! reports an error code of its own. The values may contain any text that a peer sent, so every value is
//! escaped.

/// The fields of an error document.
#[derive(Clone, Copy, Debug)]
pub struct ErrorXml<'a> {
    /// The `Code` element, for programs.
    pub code: &'a str,
    /// The `Message` element, for people.
    pub message: &'a str,
    /// The `RequestId` element.
    pub request_id: &'a str,
    /// The `HostId` element: the host of the request.
    pub host_id: &'a str,
    /// Further elements, in this order.
    pub extra: &'a [(&'a str, &'a str)],
}

impl ErrorXml<'_> {
    /// Returns the document. Every value is escaped. Characters that XML does not allow become `?`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut xml = String::with_capacity(256 + self.message.len());
        xml.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>\n");
        let fixed = [
            ("Code", self.code),
            ("Message", self.message),
            ("RequestId", self.request_id),
            ("HostId", self.host_id),
        ];
        for (name, value) in fixed.iter().chain(self.extra) {
            for piece in ["  <", name, ">"] {
                xml.push_str(piece);
            }
            escape(&mut xml, value);
            for piece in ["</", name, ">\n"] {
                xml.push_str(piece);
            }
        }
        xml.push_str("</Error>\n");
        xml.into_bytes()
    }
}

/// Appends `text` as XML character data.
pub fn escape(xml: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\t' | '\n' => xml.push(character),
            '\r' => xml.push_str("&#13;"),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => xml.push('?'),
            _ => xml.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_break_the_document() {
        let xml = ErrorXml {
            code: "NoSuchKey",
            message: "<&>\"\0",
            request_id: "og-1",
            host_id: "h",
            extra: &[("Key", "a&b")],
        };
        let text = String::from_utf8(xml.to_bytes()).unwrap();
        assert!(
            text.contains("<Message>&lt;&amp;&gt;&quot;?</Message>"),
            "{text}"
        );
        assert!(text.contains("<Key>a&amp;b</Key>"), "{text}");
    }
}
