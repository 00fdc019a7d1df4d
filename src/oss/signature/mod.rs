//! The signatures of OSS, V1 and V4, in the header and in the query.
//!
//! The functions that build the signed text are public, so that signing and verifying code uses the same
//! ones. The current time and the keys are arguments. Header values and object keys are bytes, because old
//! clients sign raw UTF-8 and bytes that are not UTF-8 at all. S3 signatures are not verified here.
//!
//! - `keys`, `request`, `mac`: the access key, the signed parts of a request, and the keyed hashes.
//! - `v1`, `v4`: the two schemes. `verifier`: the data that the verification of both schemes needs;
//!   `verify`: the choice between the two schemes.
//! - `claim`: whether a request is signed; `bound`: the host and region to which its signature binds it.
//!   `covered`: the header fields that its signature lists. None of them verifies the signature.

mod bound;
mod claim;
mod covered;
mod failure;
mod keys;
mod mac;
mod request;
mod time;
mod v1;
mod v4;
mod verifier;
mod verify;

pub use bound::Bound;
pub use claim::{SignedIn, is_signed_in_header, signed_in};
pub use covered::for_each_listed_field;
pub use failure::Failure;
pub use keys::Keys;
pub use request::{Resource, Signable};
pub use time::{format_time, read_rfc3339};
pub use v1::{sign as v1_sign, signature as v1_signature, string_to_sign as v1_string_to_sign};
pub use v4::{
    Scope, SigningKey, canonical_request as v4_canonical_request, credential as v4_credential,
    signature as v4_signature, string_to_sign as v4_string_to_sign,
};
pub use verifier::{MAX_SKEW, Verifier};
pub use verify::Identity;

#[cfg(test)]
mod tests;
