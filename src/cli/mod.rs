//! The command line: arguments, help texts and exit codes.

pub mod admin;
pub mod check;
pub mod demo;
mod environment;
pub mod exit_code;
pub mod explain;
pub mod import;
pub mod run;
pub mod show;

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::cli::admin::AdminCommand;
use crate::cli::check::Format;
use crate::cli::demo::Mode;
use crate::cli::environment::env;
use crate::cli::exit_code::{FAILED, USAGE};
use crate::cli::explain::RequestArguments;
use crate::cli::import::Source;

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
    /// The config file. Default: `ossgate.toml` in the working directory if it exists, else
    /// `/etc/ossgate/ossgate.toml`.
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
    /// Serve until SIGTERM or SIGINT.
    Run,
    /// Make the running process load its config again; prints the problems if it cannot.
    Reload,
    /// Take the running process out of its load balancer: it reports that it is not ready, and closes
    /// client connections after their current request.
    Drain,
    /// End the drain: the running process reports that it is ready again.
    Undrain,
    /// Make the running process start the binary that is installed now, pass its sockets to it, and exit.
    Upgrade,
    /// Print the state of the running process as JSON.
    Status,
    /// Check the config; prints all problems with their positions.
    Check {
        /// The format of the result.
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Run the proxy in front of an OSS-like origin; needs no account and no root, and uses loopback only.
    Demo {
        /// Send a fixed set of requests and exit, with 0 if all results are as expected.
        #[arg(long)]
        once: bool,
    },
    /// Show how a request would be answered and which rule decides; nothing is sent. The exit code is 0 if it
    /// would be served, and 3 if it would be refused.
    Explain {
        /// The URL that a client would request, with `http://` or `https://`.
        url: String,
        /// The method.
        #[arg(short = 'X', long, default_value = "GET")]
        method: String,
        /// A header field, `Name: value`. Can be repeated.
        #[arg(short = 'H', long = "header")]
        headers: Vec<String>,
        /// The address of the client: the one behind all trusted proxies. Header fields do not change it.
        #[arg(long, value_name = "ADDRESS")]
        client: Option<IpAddr>,
    },
    /// Write a config from nginx files, or from the settings of a bucket at OSS. Settings that cannot be
    /// imported are listed on standard error.
    Import {
        #[command(subcommand)]
        from: ImportFrom,
    },
    /// Print the effective config, with all defaults.
    Show,
    /// Print the JSON Schema of the config, for editors.
    Schema,
    /// Print a commented config for one bucket.
    Init {
        /// The bucket.
        #[arg(long)]
        bucket: String,
        /// The region of the bucket, such as `cn-hangzhou`.
        #[arg(long)]
        region: String,
        /// The network of the endpoint: `internal` on an ECS instance in the region, else `public`.
        #[arg(long, default_value = "internal")]
        network: String,
    },
}

#[derive(Debug, Subcommand)]
enum ImportFrom {
    /// Import nginx configuration files that follow the recipe of the OSS documentation or a variant of it.
    Nginx {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Import the XML responses of GetBucketReferer, GetBucketCors or GetBucketWebsite.
    BucketXml {
        /// The bucket that the responses are about.
        #[arg(long)]
        bucket: String,
        /// The region of the bucket.
        #[arg(long)]
        region: String,
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Runs the command line. Returns the exit code.
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
        Some(Command::Reload) => admin::send(&path, AdminCommand::Reload, &env, &mut out),
        Some(Command::Drain) => admin::send(&path, AdminCommand::Drain, &env, &mut out),
        Some(Command::Undrain) => admin::send(&path, AdminCommand::Undrain, &env, &mut out),
        Some(Command::Upgrade) => admin::send(&path, AdminCommand::Upgrade, &env, &mut out),
        Some(Command::Status) => admin::send(&path, AdminCommand::Status, &env, &mut out),
        Some(Command::Check { format }) => check::check(&path, format, &env, &mut out),
        Some(Command::Demo { once }) => {
            let mode = if once { Mode::Once } else { Mode::Serve };
            demo::demo(mode, &mut out)
        }
        Some(Command::Explain {
            url,
            method,
            headers,
            client,
        }) => {
            let arguments = RequestArguments {
                url: &url,
                method: &method,
                headers: &headers,
                client,
            };
            explain::explain_request(&path, &arguments, &env, &mut out)
        }
        Some(Command::Import { from }) => {
            let source = match &from {
                ImportFrom::Nginx { files } => Source::Nginx(files),
                ImportFrom::BucketXml {
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
            // These writes fail only if the output is closed. Such an error could not be reported anywhere,
            // so it is ignored.
            let _printed = Arguments::command().print_help();
            let _written = writeln!(
                std::io::stderr(),
                "\nno command given; to serve, use `ossgate run`"
            );
            return USAGE;
        }
    };
    // Writing fails if the process that reads the pipe has exited, as with `| head`. This needs no message.
    written.unwrap_or(FAILED)
}
