//! Errors of the command line, with tips for arguments that people know from other programs.

use std::io::Write;
use std::path::Path;

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::exit_code::{FAILED, USAGE};

/// Prints an error of the argument parser, or the help or version that was asked for. Returns the exit code.
pub(super) fn report(error: &Error) -> u8 {
    // If printing fails, the output is closed, so the failure cannot be reported either.
    let _printed = error.print();
    if let Some(tip) = tip(error) {
        let _written = writeln!(std::io::stderr(), "\n{tip}");
    }
    match error.exit_code() {
        0 => 0,
        code => u8::try_from(code).map_or(FAILED, |code| code.max(USAGE)),
    }
}

/// Returns a tip if the path of a config file was given where a command is expected.
fn tip(error: &Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let is_config = Path::new(given).extension().is_some_and(|it| it == "toml");
    is_config.then(|| {
        format!("to check this config: `ossgate check {given}`; to serve it: `ossgate run {given}`")
    })
}
