//! The conditions of `if`.

use crate::cli::import::nginx::methods::Methods;

/// The condition of an `if`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// The request has one of these methods.
    Methods(Methods),
    /// The request has none of these methods.
    NotMethods(Methods),
    /// The Referer is invalid according to `valid_referers`.
    InvalidReferer,
    /// The request came without TLS.
    ClearText,
    /// The host is this one.
    HostIs(String),
    /// The host is any other than this one.
    HostIsNot(String),
    /// The host matches this regular expression.
    HostMatches(String),
    /// The variable, with its `$`, is empty.
    Empty(String),
    /// Any other condition. The text is the name of its variable, or its operator, such as `-f`. The value with
    /// which the variable is compared may be secret, so it is not kept.
    Other(String),
}

impl Condition {
    /// Parses the words of an `if` directive, the name included.
    pub(super) fn parse(words: &[String]) -> Self {
        let text = words.get(1..).unwrap_or_default().join(" ");
        let text = text.trim();
        let text = text.strip_prefix('(').unwrap_or(text);
        let text = text.strip_suffix(')').unwrap_or(text).trim();
        let (variable, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        let (operator, value) = rest.split_once(' ').unwrap_or((rest, ""));
        let name: String = variable.replace(['{', '}'], "");
        Self::known(&name, operator, value.trim()).unwrap_or_else(|| Self::Other(shown(&name)))
    }

    fn known(name: &str, operator: &str, value: &str) -> Option<Self> {
        Some(match (name, operator) {
            ("$request_method", "=" | "!=") => {
                let same = Methods::that(|method| method == value);
                match operator {
                    "=" => Self::Methods(same),
                    _ => Self::NotMethods(same),
                }
            }
            ("$request_method", "~" | "~*") => {
                Self::Methods(Methods::matching(value, operator == "~*")?)
            }
            ("$request_method", "!~" | "!~*") => {
                Self::NotMethods(Methods::matching(value, operator == "!~*")?)
            }
            ("$invalid_referer", "") => Self::InvalidReferer,
            ("$invalid_referer", "=") if value == "1" => Self::InvalidReferer,
            ("$scheme", "=") if value == "http" => Self::ClearText,
            ("$scheme", "!=") if value == "https" => Self::ClearText,
            ("$https", "=") if value.is_empty() => Self::ClearText,
            ("$https", "!=") if value == "on" => Self::ClearText,
            ("$ssl_protocol", "=") if value.is_empty() => Self::ClearText,
            ("$server_port", "!~") if value == "443" => Self::ClearText,
            ("$server_port", "=") if value == "80" => Self::ClearText,
            ("$server_port", "!=") if value == "443" => Self::ClearText,
            ("$host" | "$http_host", "=") if is_host(value) => Self::HostIs(value.to_owned()),
            ("$host" | "$http_host", "!=") if is_host(value) => Self::HostIsNot(value.to_owned()),
            ("$host" | "$http_host", "~" | "~*") => Self::HostMatches(value.to_owned()),
            (_, "=") if value.is_empty() && name.starts_with('$') => Self::Empty(name.to_owned()),
            (_, "~") if value == "^$" && name.starts_with('$') => Self::Empty(name.to_owned()),
            _ => return None,
        })
    }
}

/// Whether `text` is a fixed text that `$host` can be equal to. nginx converts `$host` to lower case, so a text
/// with an upper-case letter is never equal to it.
fn is_host(text: &str) -> bool {
    let is_upper = |byte: u8| byte.is_ascii_uppercase();
    !text.is_empty() && !text.contains('$') && !text.bytes().any(is_upper)
}

/// Returns `name`, a variable or an operator, for messages. A text that cannot be a name is shown as `...`.
fn shown(name: &str) -> String {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"$_!-".contains(&byte);
    if !name.is_empty() && name.bytes().all(is_name) {
        name.to_owned()
    } else {
        "...".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> Condition {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        Condition::parse(&words)
    }

    #[test]
    fn conditions_are_recognized_in_their_spellings() {
        let reads = Methods::that(|name| matches!(name, "GET" | "HEAD"));
        for (text, expected) in [
            (
                "if ($request_method !~ ^(GET|HEAD)$)",
                Condition::NotMethods(reads),
            ),
            (
                "if ( ${request_method} !~* ^(get|head)$ )",
                Condition::NotMethods(reads),
            ),
            ("if ($invalid_referer)", Condition::InvalidReferer),
            ("if ($invalid_referer = 1)", Condition::InvalidReferer),
            ("if ($scheme = http)", Condition::ClearText),
            ("if ($https != on )", Condition::ClearText),
            ("if ($host != a.cn)", Condition::HostIsNot("a.cn".into())),
            ("if ($h =  )", Condition::Empty("$h".into())),
            ("if ($host != A.cn)", Condition::Other("$host".into())),
            ("if ($blocked)", Condition::Other("$blocked".into())),
            (
                "if ($arg_token != s3cret)",
                Condition::Other("$arg_token".into()),
            ),
            (
                "if ($request_method !~ ^(GET|.*)$)",
                Condition::Other("$request_method".into()),
            ),
            ("if (-f $request_filename)", Condition::Other("-f".into())),
            ("if ($a$b = x)", Condition::Other("$a$b".into())),
        ] {
            assert_eq!(condition(text), expected, "{text}");
        }
    }
}
