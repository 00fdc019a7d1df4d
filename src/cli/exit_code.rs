//! The exit codes of the commands. Success is 0.

/// The command failed, or its output could not be written.
pub const FAILED: u8 = 1;
/// The arguments are wrong.
pub const USAGE: u8 = 2;
/// `explain`: the proxy would refuse the request.
pub const REFUSED: u8 = 3;
/// `import nginx`: the config would serve requests that nginx refuses, so it was not written.
pub const LOSSES: u8 = 3;
/// A resource is currently not available, such as the address of a listener (sysexits `EX_TEMPFAIL`).
pub const NOT_NOW: u8 = 75;
/// The config is not valid (sysexits `EX_CONFIG`).
pub const BAD_CONFIG: u8 = 78;
