//! Environment variables for the config.

/// Returns the value of the environment variable `name`, or `None` if it is not set or not UTF-8.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line reads the environment for the rest of the crate"
)]
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
