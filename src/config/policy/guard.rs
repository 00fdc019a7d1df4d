//! `[route.guard]`: the operations of OSS that a route serves.

use serde::Serialize;

use crate::config::reader::{Reader, Text};
use crate::config::suggest::nearest;
use crate::oss::guard::{InvalidOperation, Operation};
use crate::oss::subresource::known;

pub use crate::oss::guard::Preset;

/// `[route.guard]`.
#[derive(Clone, Debug, Serialize)]
pub struct Guard {
    /// The preset: the set of operations that pass. Default `data-plane`.
    #[serde(serialize_with = "serialize_preset")]
    pub preset: Preset,
    /// The line of the preset in the config file, from 1; the line of the table if there is no key `preset`.
    #[serde(skip)]
    pub line: usize,
    /// Operations that pass although the preset refuses them. Default: none.
    pub allow: Vec<AllowedOperation>,
}

/// One entry of `allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedOperation {
    /// The operation.
    pub operation: Operation,
    /// The line of the entry in the config file, counted from 1.
    pub line: usize,
}

impl Serialize for AllowedOperation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.operation)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form serde calls")]
fn serialize_preset<S: serde::Serializer>(
    preset: &Preset,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(preset.as_str())
}

impl Guard {
    pub(crate) fn read(reader: &Reader<'_>) -> Self {
        let presets = [Preset::Full, Preset::DataPlane, Preset::ReadOnly];
        let words = presets.map(|preset| (preset.as_str(), preset));
        let preset = reader.word("preset", &words).unwrap_or(Preset::DataPlane);
        let allow: Vec<_> = reader
            .texts("allow")
            .into_iter()
            .filter_map(|text| allowed(reader, &text))
            .collect();
        if preset == Preset::Full && !allow.is_empty() {
            reader.warn(
                "allow",
                "has no effect: `full` allows every operation",
                None,
            );
        }
        Self {
            preset,
            line: reader.line_of("preset"),
            allow,
        }
    }
}

fn allowed(reader: &Reader<'_>, text: &Text) -> Option<AllowedOperation> {
    match Operation::parse(&text.value) {
        Ok(operation) => Some(AllowedOperation {
            operation,
            line: reader.line(&text.span),
        }),
        Err(reason) => {
            let known: Vec<&str> = known().collect();
            let hint = match &reason {
                // A suggestion would reveal an interpolated name, which may be secret, so it is only made for
                // a name that is written in the file.
                InvalidOperation::Name(name) if text.written == text.value => {
                    nearest(name, &known).or_else(|| nearest(&name.to_ascii_lowercase(), &known))
                }
                _ => None,
            };
            reader.error_at("allow", text, reason, hint);
            None
        }
    }
}
