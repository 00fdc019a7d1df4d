//! The access keys of the operator, one [`Source`] for each distinct source in the config.
//!
//! | Module | Responsibility |
//! | --- | --- |
//! | [`registry`] | the sources in use; equal sources are created once |
//! | [`source`] | the key in use of one source |
//! | [`schedule`] | when a key is refreshed |
//! | `fetch`, `fetched` | one attempt to get a key, and its outcome |
//! | `document`, `profile`, `metadata` | the forms and the places of keys |
//!
//! Keys in the config and in the environment are complete when the config is read, so they are not fetched.

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
