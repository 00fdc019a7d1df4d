//! Losses: directives by which nginx refused requests that the imported config would serve.

use std::fmt;

use crate::cli::import::nginx::syntax::Directive;

/// The recommendation for paths that nginx refuses to every client.
pub(super) const CLOSED_REMEDY: &str =
    "keep such objects in another bucket, or deny them with a bucket policy";

/// A directive that refuses requests in nginx and has no counterpart in the config.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Loss {
    /// The position of the directive: `file:line`.
    place: String,
    /// The directive, without values that may be secret.
    directive: String,
    /// The requests that nginx refuses.
    refused: String,
    /// What the operator can do instead.
    remedy: &'static str,
}

impl Loss {
    /// Creates a loss that is shown with the name of the directive.
    pub(super) fn new(directive: &Directive, refused: &str, remedy: &'static str) -> Self {
        Self::named(directive, directive.name(), refused, remedy)
    }

    /// Creates a loss that is shown as `name`, for example with an argument of the directive.
    pub(super) fn named(
        directive: &Directive,
        name: &str,
        refused: &str,
        remedy: &'static str,
    ) -> Self {
        Self {
            place: directive.place(),
            directive: name.to_owned(),
            refused: refused.to_owned(),
            remedy,
        }
    }

    /// Returns this loss for a location for which nginx refuses every request.
    pub(super) fn of_location(&self, location: &str) -> Self {
        Self {
            refused: format!("every request for `location {location}`"),
            remedy: CLOSED_REMEDY,
            ..self.clone()
        }
    }

    /// Returns the loss as one line. Control characters of file names and directives are escaped. So a line break
    /// in them cannot end the comment that contains the line.
    pub(super) fn line(&self) -> String {
        let mut line = String::new();
        for character in self.to_string().chars() {
            if character.is_control() {
                line.extend(character.escape_default());
            } else {
                line.push(character);
            }
        }
        line
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            directive,
            refused,
            remedy,
        } = self;
        write!(
            f,
            "{place}: `{directive}`: nginx refuses {refused}; {remedy}"
        )
    }
}
