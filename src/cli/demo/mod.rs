//! `ossgate demo`: runs the real proxy in front of an OSS-like origin. It needs no account at Alibaba Cloud
//! and no root privileges.

mod client;
mod tries;
mod world;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use crate::cli::exit_code::FAILED;
use crate::telemetry;
use crate::telemetry::sink::SharedSink;
use world::{BUCKET, DemoError, World};

/// The interval after which the DNS server of the demo answers with the next address of the origin.
const ADDRESS_CHANGE: Duration = Duration::from_secs(20);

/// The mode of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Sends a fixed set of requests, prints the results and ends.
    Once,
    /// Serves until SIGINT or SIGTERM.
    Serve,
}

/// Runs the demo. Returns the exit code.
///
/// # Errors
///
/// The [`io::Error`] when `out` cannot be written to.
pub fn demo(mode: Mode, out: &mut dyn Write) -> io::Result<u8> {
    let _last_events = telemetry::init(crate::config::Level::Error, SharedSink::stderr());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        let world = World::start().await?;
        let all_passed = match mode {
            Mode::Once => try_all(&world, out).await?,
            Mode::Serve => serve(&world, out).await?,
        };
        world.stop();
        Ok::<_, DemoError>(all_passed)
    });
    match result {
        Ok(true) => Ok(0),
        Ok(false) => Ok(FAILED),
        Err(error) => {
            writeln!(out, "the demo cannot run: {error}")?;
            Ok(FAILED)
        }
    }
}

async fn try_all(world: &World, out: &mut dyn Write) -> Result<bool, DemoError> {
    writeln!(
        out,
        "ossgate in front of an OSS-like origin with two addresses and a scripted DNS:\n"
    )?;
    let tries = tries::all(world).await;
    let mut failed = 0;
    for one in &tries {
        match &one.result {
            Ok(()) => writeln!(out, "  ok    {}", one.what)?,
            Err(error) => {
                failed += 1;
                writeln!(out, "  FAIL  {}: {error}", one.what)?;
            }
        }
    }
    writeln!(out, "\n{} passed, {failed} failed", tries.len() - failed)?;
    Ok(failed == 0)
}

async fn serve(world: &World, out: &mut dyn Write) -> Result<bool, DemoError> {
    // The handler is installed before the text is printed, because a program that reads the text may send
    // SIGTERM at once.
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    write!(out, "{}", welcome(world))?;
    out.flush()?;
    let mut turn = 0;
    loop {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                break;
            }
            _ = terminate.recv() => break,
            () = tokio::time::sleep(ADDRESS_CHANGE) => {
                turn += 1;
                world.point_dns_at(turn);
                if let Some(origin) = world::ORIGINS.get(turn % world::ORIGINS.len()) {
                    writeln!(out, "DNS now answers {origin}; requests continue there.")?;
                }
            }
        }
    }
    writeln!(
        out,
        "\n{} requests reached the origin.",
        world.origin.requests()
    )?;
    Ok(true)
}

fn welcome(world: &World) -> String {
    let (http, https, directory) = (world.http, world.https, world.directory.display());
    let mut text = String::new();
    // Writing to a string never fails.
    let _written = write!(
        text,
        "ossgate serves the bucket `{BUCKET}` of an OSS-like origin.\n\
         \n\
         Try, in another terminal:\n\
         \n\
           curl http://{http}/{BUCKET}/hello.txt                      # an object, by IP address\n\
           curl -r 0-4 http://{http}/{BUCKET}/hello.txt               # the first 5 bytes of it\n\
           curl --cacert {directory}/ca.pem https://{https}/{BUCKET}/index.html\n\
           curl -H 'Host: img.example.test' http://{http}/hello.txt   # a domain bound to the bucket\n\
           curl -o /dev/null http://{http}/{BUCKET}/gen/1GiB          # 1 GiB, streamed\n\
           curl http://{http}/other/hello.txt                         # a bucket that is not served\n\
         \n\
         proxy    http://{http}\n\
         origin   http://{direct}   (for your own config: endpoint = \"{direct}\", tls = false)\n\
         config   {directory}/ossgate.toml\n\
         log      {directory}/access.log\n\
         \n\
         For an SDK (region {region}):\n{credentials}\n\
         DNS answers with another address of the origin every {seconds} seconds. Ctrl-C ends the demo.\n",
        direct = world.direct,
        region = world::REGION,
        credentials = world::credentials(),
        seconds = ADDRESS_CHANGE.as_secs(),
    );
    text
}
