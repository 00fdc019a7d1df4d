//! What a person types: arguments, texts and exit codes.

pub mod admin;
pub mod check;
pub mod demo;
pub mod explain;
pub mod import;
pub mod run;
pub mod show;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::cli::admin::Page;
use crate::cli::check::Format;
use crate::cli::explain::Question;
use crate::cli::import::Source;

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
    /// The config file; default: `ossgate.toml` here, else `/etc/ossgate/ossgate.toml`.
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
    /// Serve until told to stop.
    Run,
    /// Have the running process load its config again; says why when it does not take it.
    Reload,
    /// Have the running process leave its load balancer: not ready, clients are asked to connect anew.
    Drain,
    /// Have it come back.
    Undrain,
    /// Have it start the binary that is installed now, hand over its sockets and end.
    Upgrade,
    /// Print the state of the running process as JSON.
    Status,
    /// Check the config: all problems at once, with their places.
    Check {
        /// Form of the result.
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Run the proxy in front of an OSS-like origin: no account, no root, loopback only.
    Demo {
        /// Try everything once and exit: 0 when all of it works.
        #[arg(long)]
        once: bool,
    },
    /// Tell what would become of a request, and which rule says so. Nothing is sent. Exit 0: served,
    /// 3: refused.
    Explain {
        /// `http://` or `https://`, host, path and query, as a client would ask.
        url: String,
        /// The method.
        #[arg(short = 'X', long, default_value = "GET")]
        method: String,
        /// A header, `Name: value`; repeatable.
        #[arg(short = 'H', long = "header")]
        headers: Vec<String>,
    },
    /// Write a config from nginx files, or from what OSS answers about a bucket. What cannot be carried
    /// over is told on standard error.
    Import {
        #[command(subcommand)]
        from: From,
    },
    /// Print the effective config, defaults included.
    Show,
    /// Print the JSON Schema of the config, for editors.
    Schema,
    /// Print a commented config for one bucket.
    Init {
        /// The bucket.
        #[arg(long)]
        bucket: String,
        /// Its region, such as `cn-hangzhou`.
        #[arg(long)]
        region: String,
        /// `internal` on an ECS instance of the region, else `public`.
        #[arg(long, default_value = "internal")]
        network: String,
    },
}

#[derive(Debug, Subcommand)]
enum From {
    /// From nginx configuration files: the published recipe for OSS and its variants.
    Nginx {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// From the XML of GetBucketReferer, GetBucketCors or GetBucketWebsite.
    BucketXml {
        /// The bucket it is about.
        #[arg(long)]
        bucket: String,
        /// Its region.
        #[arg(long)]
        region: String,
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Runs the command line; the exit code.
#[must_use]
pub fn main() -> u8 {
    let arguments = Arguments::parse();
    let path = arguments.file.path();
    let mut out = std::io::stdout().lock();
    let written = match arguments.command {
        Some(Command::Run) if arguments.test => check::check(&path, Format::Text, &env, &mut out),
        Some(Command::Run) => {
            drop(out);
            return run::run(&path);
        }
        Some(Command::Reload) => admin::ask(&path, Page::Reload, &env, &mut out),
        Some(Command::Drain) => admin::ask(&path, Page::Drain, &env, &mut out),
        Some(Command::Undrain) => admin::ask(&path, Page::Undrain, &env, &mut out),
        Some(Command::Upgrade) => admin::ask(&path, Page::Upgrade, &env, &mut out),
        Some(Command::Status) => admin::ask(&path, Page::Status, &env, &mut out),
        Some(Command::Check { format }) => check::check(&path, format, &env, &mut out),
        Some(Command::Demo { once }) => demo::demo(once, &mut out),
        Some(Command::Explain {
            url,
            method,
            headers,
        }) => {
            let question = Question {
                url: &url,
                method: &method,
                headers: &headers,
            };
            explain::explain_request(&path, &question, &env, &mut out)
        }
        Some(Command::Import { from }) => {
            let source = match &from {
                From::Nginx { files } => Source::Nginx(files),
                From::BucketXml {
                    bucket,
                    region,
                    files,
                } => Source::BucketXml {
                    files,
                    bucket,
                    region,
                },
            };
            import::import(&source, &mut out, &mut std::io::stderr())
        }
        Some(Command::Show) => show::show(&path, &env, &mut out),
        Some(Command::Schema) => show::schema(&mut out),
        Some(Command::Init {
            bucket,
            region,
            network,
        }) => show::init(&bucket, &region, &network, &mut out, &mut std::io::stderr()),
        None if arguments.test => check::check(&path, Format::Text, &env, &mut out),
        None => {
            // Nothing can be done about a closed output.
            let _printed = Arguments::command().print_help();
            let _told = writeln!(
                std::io::stderr(),
                "\nNo command given. To serve: `ossgate run`"
            );
            return 2;
        }
    };
    // A closed output, as of `| head`, is not a failure worth words.
    written.unwrap_or(1)
}

/// Looks up an environment variable for the config.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line reads the environment for the rest"
)]
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
