//! The access keys of the operator. Each distinct source in the config has one [`Source`].
//!
//! | Module | Responsibility |
//! | --- | --- |
//! | [`registry`] | the sources in use; equal sources are created once |
//! | [`source`] | the key that one source currently has |
//! | [`schedule`] | when a key is refreshed |
//! | `fetch`, `fetched` | one attempt to get a key, and its outcome |
//! | `document`, `profile`, `metadata` | the JSON documents, the profiles and the metadata service with keys |
//!
//! Keys in the config and in the environment are read with the config, so they are not fetched later.

mod document;
mod fetch;
mod fetched;
mod metadata;
mod profile;
pub mod registry;
pub mod schedule;
pub mod source;

pub use registry::{Runner, Sources, sources};
pub use source::{Key, Source, SourceState};
