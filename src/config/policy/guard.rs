//! `[route.guard]`: which operations of OSS a route serves.

use serde::Serialize;

use crate::config::reader::Reader;

pub use crate::oss::guard::Preset;

/// `[route.guard]`.
#[derive(Clone, Debug, Serialize)]
pub struct Guard {
    /// The operations that pass. Default `data-plane`.
    #[serde(serialize_with = "serialize_preset")]
    pub preset: Preset,
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
        Self {
            preset: reader.word("preset", &words).unwrap_or(Preset::DataPlane),
        }
    }
}
