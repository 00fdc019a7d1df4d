//! The exit codes of the commands. 0 is success.

/// The command failed, or its output could not be written.
pub const FAILED: u8 = 1;
/// The arguments are wrong.
pub const USAGE: u8 = 2;
/// `explain`: the proxy would refuse the request.
pub const REFUSED: u8 = 3;
/// Something is not available now, such as the address to listen on (sysexits `EX_TEMPFAIL`).
pub const NOT_NOW: u8 = 75;
/// The config cannot be served (sysexits `EX_CONFIG`).
pub const BAD_CONFIG: u8 = 78;
