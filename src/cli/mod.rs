//! The command line: arguments, help texts and exit codes.

pub mod admin;
pub mod check;
pub mod demo;
mod environment;
mod errors;
pub mod exit_code;
pub mod explain;
pub mod import;
pub mod run;
pub mod show;
mod tls_step;

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::cli::admin::AdminCommand;
use crate::cli::check::Format;
use crate::cli::demo::Mode;
use crate::cli::environment::env;
use crate::cli::exit_code::{FAILED, USAGE};
use crate::cli::explain::RequestArguments;
use crate::cli::import::{Losses, Source};
use crate::config::NamedFiles;

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

/// The config file as an argument of a command, which people also type without `-c`.
#[derive(Args, Debug)]
struct File {
    /// The config file, like `-c FILE`.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct WithoutFiles {
    /// Do not look at the files that the config names, such as certificates, keys and tokens. So the config of
    /// a server can be checked on another machine. Included config files are read in any case, and environment
    /// variables without a default must be set.
    #[arg(long)]
    without_files: bool,
}

impl WithoutFiles {
    fn named_files(&self) -> NamedFiles {
        if self.without_files {
            NamedFiles::Skip
        } else {
            NamedFiles::Read
        }
    }
}

impl ConfigFile {
    /// Returns the path of the config file. `argument` is the file that the command has as an argument; it has
    /// priority over the environment variable.
    ///
    /// # Errors
    ///
    /// A message when `-c` and `argument` name different files.
    fn path(&self, argument: Option<&PathBuf>, matches: &ArgMatches) -> Result<PathBuf, String> {
        let is_written = matches.value_source("config") == Some(ValueSource::CommandLine);
        if let (Some(config), Some(argument)) = (&self.config, argument)
            && is_written
            && config != argument
        {
            let (config, argument) = (config.display(), argument.display());
            return Err(format!(
                "two config files are named: `-c {config}` and `{argument}`"
            ));
        }
        Ok(match argument.or(self.config.as_ref()) {
            Some(path) => path.clone(),
            None => Self::default_path(),
        })
    }

    fn default_path() -> PathBuf {
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
    Run(File),
    /// Make the running process load its config again; prints the problems if it cannot.
    Reload(File),
    /// Take the running process out of its load balancer: it reports that it is not ready, and closes
    /// client connections after their current request.
    Drain(File),
    /// End the drain: the running process reports that it is ready again.
    Undrain(File),
    /// Make the running process start the binary that is installed now, pass its sockets to it, and exit.
    Upgrade(File),
    /// Print the state of the running process as JSON.
    Status(File),
    /// Check the config; prints the first 50 problems with their positions, or all as JSON. The exit code is 0 if the
    /// config can be served, perhaps with warnings, and 78 if it cannot.
    Check {
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        files: WithoutFiles,
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
    #[command(override_usage = "ossgate explain [OPTIONS] [FILE] URL")]
    Explain {
        #[command(flatten)]
        files: WithoutFiles,
        /// The URL that a client would request, with `http://` or `https://`. The config file may stand before or
        /// after it, like `-c FILE`.
        #[arg(value_name = "URL", num_args = 1..=2, required = true)]
        words: Vec<PathBuf>,
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
    Show(File),
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
    /// Import nginx configuration files that follow the recipe of the OSS documentation or a variant of it. The
    /// exit code is 3 if nginx refuses requests that the config would serve; then no config is written.
    Nginx {
        /// A bucket that may be served, by name or by a pattern such as `team-*`, for files that let the client
        /// choose the bucket. Can be repeated.
        #[arg(long = "bucket")]
        buckets: Vec<String>,
        /// Write the config although it serves requests that nginx refuses. Comments name the directives.
        #[arg(long)]
        accept_loss: bool,
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

impl Command {
    /// Returns the config file that the command has as an argument.
    fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Run(file)
            | Self::Reload(file)
            | Self::Drain(file)
            | Self::Undrain(file)
            | Self::Upgrade(file)
            | Self::Status(file)
            | Self::Check { file, .. }
            | Self::Show(file) => file.file.as_ref(),
            Self::Explain { words, .. } => explain::split(words).0,
            Self::Demo { .. } | Self::Import { .. } | Self::Schema | Self::Init { .. } => None,
        }
    }
}

/// Runs the command line. Returns the exit code.
#[must_use]
pub fn main() -> u8 {
    let parsed = Arguments::command().try_get_matches().and_then(|matches| {
        let arguments = Arguments::from_arg_matches(&matches)?;
        Ok((arguments, matches))
    });
    let (arguments, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return errors::report(&error),
    };
    let argument = arguments.command.as_ref().and_then(Command::file);
    let path = match arguments.file.path(argument, &matches) {
        Ok(path) => path,
        Err(error) => {
            // An error here means that the output is closed, so it could not be reported.
            let _written = writeln!(std::io::stderr(), "{error}");
            return USAGE;
        }
    };
    let read = NamedFiles::Read;
    let mut out = std::io::stdout().lock();
    let written = match arguments.command {
        Some(Command::Run(_)) if arguments.test => {
            check::check(&path, Format::Text, read, &env, &mut out)
        }
        Some(Command::Run(_)) => {
            drop(out);
            return run::run(&path);
        }
        Some(Command::Check { format, files, .. }) => {
            check::check(&path, format, files.named_files(), &env, &mut out)
        }
        Some(Command::Demo { once }) => {
            let mode = if once { Mode::Once } else { Mode::Serve };
            demo::demo(mode, &mut out)
        }
        Some(Command::Explain {
            words,
            method,
            headers,
            files,
            client,
            ..
        }) => {
            let arguments = RequestArguments {
                url: explain::split(&words).1,
                method: &method,
                headers: &headers,
                named_files: files.named_files(),
                client,
            };
            explain::explain_request(&path, &arguments, &env, &mut out)
        }
        Some(Command::Import { from }) => {
            let source = match &from {
                ImportFrom::Nginx {
                    buckets,
                    accept_loss,
                    files,
                } => Source::Nginx {
                    files,
                    buckets,
                    losses: if *accept_loss {
                        Losses::Accept
                    } else {
                        Losses::Stop
                    },
                },
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
        Some(Command::Show(_)) => show::show(&path, &env, &mut out),
        Some(Command::Schema) => show::schema(&mut out),
        Some(Command::Init {
            bucket,
            region,
            network,
        }) => show::init(&bucket, &region, &network, &mut out, &mut std::io::stderr()),
        Some(Command::Reload(_)) => admin::send(&path, AdminCommand::Reload, &env, &mut out),
        Some(Command::Drain(_)) => admin::send(&path, AdminCommand::Drain, &env, &mut out),
        Some(Command::Undrain(_)) => admin::send(&path, AdminCommand::Undrain, &env, &mut out),
        Some(Command::Upgrade(_)) => admin::send(&path, AdminCommand::Upgrade, &env, &mut out),
        Some(Command::Status(_)) => admin::send(&path, AdminCommand::Status, &env, &mut out),
        None if arguments.test => check::check(&path, Format::Text, read, &env, &mut out),
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
