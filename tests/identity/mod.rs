//! The signatures of OSS: the crate's implementation against another one, directly and over a socket; and the
//! signatures that the proxy makes itself.

mod attempts;
mod credentials;
mod private;
mod refresh;
mod secrets;
mod signature;
mod signed_host;
mod signer;
mod vectors;
