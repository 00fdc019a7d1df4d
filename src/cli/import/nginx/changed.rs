//! Reads the directives with which nginx changes header fields.

use std::rc::Rc;

use crate::cli::import::nginx::notes::Notes;
use crate::cli::import::nginx::syntax::Directive;
use crate::cli::import::nginx::units::seconds;

/// A header field that nginx changes.
#[derive(Clone, Debug)]
pub(super) struct Changed {
    pub(super) name: String,
    pub(super) value: String,
    /// Whether nginx keeps other fields of the same name. Otherwise, this field replaces them.
    pub(super) is_added: bool,
    pub(super) directive: Rc<Directive>,
}

impl Changed {
    /// Reads `add_header`.
    pub(super) fn added(directive: &Directive) -> Self {
        Self {
            name: directive.first().to_owned(),
            value: directive.second().to_owned(),
            is_added: true,
            directive: Rc::new(directive.clone()),
        }
    }

    /// Reads `more_set_headers` and `more_clear_headers`. A field that is cleared gets an empty value. `None`
    /// means that the directive has a pattern with `*`, or options, which choose responses by status or type.
    pub(super) fn more(directive: &Directive) -> Option<Vec<Self>> {
        let words = directive.rest();
        if words
            .iter()
            .any(|word| word.starts_with('-') || word.contains('*'))
        {
            return None;
        }
        let clears = directive.name() == "more_clear_headers";
        let changed = words.iter().map(|word| {
            let (name, value) = word.split_once(':').unwrap_or((word, ""));
            let value = if clears { "" } else { value.trim() };
            Self {
                name: name.trim().to_owned(),
                value: value.to_owned(),
                is_added: false,
                directive: Rc::new(directive.clone()),
            }
        });
        Some(changed.collect())
    }

    /// Reads `expires`. `None` means that the time is not valid, or that it depends on the request, the object or
    /// the time of day.
    pub(super) fn expires(directive: &Directive) -> Option<Vec<Self>> {
        const MAX: &str = "max-age=315360000";
        let value = match directive.rest() {
            [word] => match word.as_str() {
                "off" => return Some(Vec::new()),
                "max" => MAX.to_owned(),
                "epoch" => "no-cache".to_owned(),
                time => match time.strip_prefix('-') {
                    Some(time) => seconds(time).map(|_| "no-cache".to_owned())?,
                    None => format!("max-age={}", seconds(time)?),
                },
            },
            _ => return None,
        };
        let field = |name: &str, value: &str| Self {
            name: name.to_owned(),
            value: value.to_owned(),
            is_added: false,
            directive: Rc::new(directive.clone()),
        };
        // nginx sets both fields. A client that knows `Cache-Control` ignores `Expires`. The time in `Expires`
        // differs from response to response, so this field is only removed.
        Some(vec![field("Cache-Control", &value), field("Expires", "")])
    }

    /// Whether this is a header field of CORS. Such fields are imported as the table `cors`, not as `headers`.
    pub(super) fn is_of_cors(&self) -> bool {
        self.name
            .to_ascii_lowercase()
            .starts_with("access-control-")
    }

    pub(super) fn note(&self, notes: &mut Notes, reason: &str) {
        let name = &self.name;
        let text = match self.directive.name() {
            "expires" => format!("`expires` is not carried over: {reason}"),
            directive => format!("`{directive} {name}` is not carried over: {reason}"),
        };
        notes.add(&self.directive, &text);
    }
}
