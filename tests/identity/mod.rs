//! Signatures of OSS.

mod signature;
mod vectors;
