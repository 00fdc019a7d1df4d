//! `ossgate demo`: the real proxy in front of an OSS-like origin, with no account and no root.

mod client;
mod tries;
mod world;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use crate::telemetry;
use crate::telemetry::sink::SharedSink;
use world::{BUCKET, Fault, World};

/// How long DNS says the same address.
const FLIP: Duration = Duration::from_secs(20);

/// Runs the demo: tries everything and ends with `once`, else serves until interrupted. The exit code.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn demo(once: bool, out: &mut dyn Write) -> io::Result<u8> {
    let _last_events = telemetry::init(crate::config::Level::Error, SharedSink::stderr());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        let world = World::start().await?;
        let all_passed = if once {
            try_all(&world, out).await?
        } else {
            serve(&world, out).await?
        };
        world.stop();
        Ok::<_, Fault>(all_passed)
    });
    match result {
        Ok(true) => Ok(0),
        Ok(false) => Ok(1),
        Err(error) => {
            writeln!(out, "the demo cannot run: {error}")?;
            Ok(1)
        }
    }
}

async fn try_all(world: &World, out: &mut dyn Write) -> Result<bool, Fault> {
    writeln!(
        out,
        "ossgate in front of an OSS-like origin on two addresses, by way of a scripted DNS:\n"
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

async fn serve(world: &World, out: &mut dyn Write) -> Result<bool, Fault> {
    write!(out, "{}", welcome(world))?;
    out.flush()?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut turn = 0;
    loop {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                break;
            }
            _ = terminate.recv() => break,
            () = tokio::time::sleep(FLIP) => {
                turn += 1;
                world.point_dns_at(turn);
                if let Some(origin) = world::ORIGINS.get(turn % world::ORIGINS.len()) {
                    writeln!(out, "DNS now says {origin}; requests go on.")?;
                }
            }
        }
    }
    writeln!(
        out,
        "\n{} requests reached the origin. Bye.",
        world.origin.requests()
    )?;
    Ok(true)
}

fn welcome(world: &World) -> String {
    let (http, https, directory) = (world.http, world.https, world.directory.display());
    let mut text = String::new();
    // Writing to a string does not fail.
    let _written = write!(
        text,
        "ossgate serves the bucket `{BUCKET}` of an OSS-like origin.\n\
         \n\
         Try, in another terminal:\n\
         \n\
           curl http://{http}/{BUCKET}/hello.txt                         an object, by the bare IP\n\
           curl -r 0-4 http://{http}/{BUCKET}/hello.txt                  a range of it\n\
           curl --cacert {directory}/ca.pem https://{https}/{BUCKET}/index.html\n\
           curl -H 'Host: img.example.test' http://{http}/hello.txt      a domain bound to the bucket\n\
           curl -o /dev/null http://{http}/{BUCKET}/gen/1GiB             a gibibyte, streamed\n\
           curl http://{http}/other/hello.txt                            a bucket that is not served\n\
         \n\
         proxy    http://{http}\n\
         origin   http://{direct}   (in a config of your own: endpoint = \"{direct}\", tls = false)\n\
         config   {directory}/ossgate.toml\n\
         log      {directory}/access.log\n\
         \n\
         An SDK signs with (region {region}):\n{credentials}\n\
         DNS moves the origin to another address every {flip} seconds. Ctrl-C ends the demo.\n",
        direct = world.direct,
        region = world::REGION,
        credentials = world::credentials(),
        flip = FLIP.as_secs(),
    );
    text
}
