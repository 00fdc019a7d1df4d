//! What a person types: arguments, texts and exit codes.

pub mod run;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Exit code of a config that cannot be served (sysexits `EX_CONFIG`).
pub const BAD_CONFIG: u8 = 78;
/// Exit code when something is not available now, such as an address to listen on (`EX_TEMPFAIL`).
pub const NOT_NOW: u8 = 75;

/// A reverse proxy that gives Alibaba Cloud OSS a fixed IP.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Check the config and exit, like `ossgate check`.
    #[arg(short = 't')]
    test: bool,
    #[command(flatten)]
    file: ConfigFile,
}

#[derive(Args, Debug)]
struct ConfigFile {
    /// The config file; default: `ossgate.toml`, else `/etc/ossgate/ossgate.toml`.
    #[arg(short = 'c', long = "config", env = "OSSGATE_CONFIG", global = true)]
    config: Option<PathBuf>,
}

impl ConfigFile {
    fn path(&self) -> PathBuf {
        if let Some(path) = &self.config {
            return path.clone();
        }
        let here = PathBuf::from("ossgate.toml");
        if here.exists() {
            here
        } else {
            PathBuf::from("/etc/ossgate/ossgate.toml")
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve.
    Run,
}

/// Runs the command line; the exit code.
#[must_use]
pub fn main() -> u8 {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Run) => run::run(&arguments.file.path()),
        None => 2,
    }
}

/// Looks up an environment variable for the config.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line reads the environment for the rest"
)]
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
