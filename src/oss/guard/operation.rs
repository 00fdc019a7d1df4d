//! Operations that the config allows individually: a method and the query names that select the
//! operation.

use std::fmt;

use http::Method;

use super::names::{is_common, is_qualifier};
use crate::oss::subresource::{is_setting, is_subresource};

/// An operation of OSS, on a bucket or on an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    method: Method,
    /// The query names, not percent-encoded. There is at least one.
    names: Vec<String>,
}

/// The reason why a text is not an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidOperation {
    /// The text is not `METHOD ?name` or `METHOD ?name&name`.
    Form,
    /// The method is not GET, HEAD, PUT, POST or DELETE.
    Method,
    /// This query name does not select an operation.
    Name(String),
}

impl fmt::Display for InvalidOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("is not `METHOD ?subresource`, such as `GET ?acl`"),
            Self::Method => {
                f.write_str("has another method than `GET`, `HEAD`, `PUT`, `POST` or `DELETE`")
            }
            // The message does not contain the name itself, because the name may be an interpolated
            // secret.
            Self::Name(_) => f.write_str("has a name that is not a sub-resource of OSS"),
        }
    }
}

impl Operation {
    /// Parses `METHOD ?name`, or several names with `&` between them.
    ///
    /// # Errors
    ///
    /// [`InvalidOperation`]; every variant can occur.
    pub fn parse(text: &str) -> Result<Self, InvalidOperation> {
        let (method, names) = text.split_once(" ?").ok_or(InvalidOperation::Form)?;
        let method = match method {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            "PUT" => Method::PUT,
            "POST" => Method::POST,
            "DELETE" => Method::DELETE,
            _ => return Err(InvalidOperation::Method),
        };
        let names: Vec<String> = names.split('&').map(str::to_owned).collect();
        match names.iter().find(|name| !is_known(name)) {
            None => Ok(Self { method, names }),
            Some(name) if name.is_empty() => Err(InvalidOperation::Form),
            Some(name) => Err(InvalidOperation::Name(name.clone())),
        }
    }

    /// Whether a request with `method` is this operation. `selecting` are the query names of the request
    /// that select its operation. They must be exactly the names of this operation.
    pub(super) fn is(&self, method: &Method, selecting: &[impl AsRef<str>]) -> bool {
        let is_selected = |name: &String| selecting.iter().any(|found| found.as_ref() == name);
        let is_own = |found: &str| self.names.iter().any(|name| name == found);
        self.method == *method
            && self.names.iter().all(is_selected)
            && selecting.iter().all(|found| is_own(found.as_ref()))
    }

    /// Whether the operation sets an ACL. Only the requests of such an operation may have header fields that
    /// set an ACL.
    pub(super) fn sets_acl(&self) -> bool {
        self.names.iter().any(|name| name == "acl")
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ?{}", self.method, self.names.join("&"))
    }
}

/// Whether a query name selects an operation.
fn is_known(name: &str) -> bool {
    (is_subresource(name) && !is_common(name) && !is_qualifier(name)) || is_setting(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_a_method_and_known_names() {
        for text in ["GET ?acl", "POST ?metaQuery&comp", "PUT ?retention"] {
            assert_eq!(Operation::parse(text).unwrap().to_string(), text);
        }
        use InvalidOperation::{Form, Method, Name};
        for (text, expected) in [
            ("", Form),
            ("GET", Form),
            ("GET acl", Form),
            ("GET?acl", Form),
            ("GET ?", Form),
            ("GET ?acl&", Form),
            ("GET ?&acl", Form),
            ("?acl", Form),
            ("get ?acl", Method),
            ("OPTIONS ?acl", Method),
            (" ?acl", Method),
            ("GET  ?acl", Method),
            ("GET ?ACL", Name("ACL".into())),
            ("GET ?acl ", Name("acl ".into())),
            ("GET ?acl=", Name("acl=".into())),
            ("GET ?%61cl", Name("%61cl".into())),
            ("GET ?prefix", Name("prefix".into())),
            ("GET ?versionId", Name("versionId".into())),
            ("GET ?security-token", Name("security-token".into())),
        ] {
            assert_eq!(Operation::parse(text), Err(expected), "{text}");
        }
    }
}
