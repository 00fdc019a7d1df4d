//! Keyed hashes, and their comparison.

use aws_lc_rs::hmac;

/// Returns the HMAC of `text` under `key`.
pub(super) fn mac(algorithm: hmac::Algorithm, key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(algorithm, key), text)
}

/// Whether both texts are equal. The time of the comparison does not depend on their content.
pub(super) fn is_same(left: &[u8], right: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}
