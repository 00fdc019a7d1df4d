//! A process that has no free file descriptors.
//!
//! Rows: more connections than descriptors; CPU time meanwhile; recovery. The same under load is in
//! `tests/ha/descriptors.py`.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::support::daemon::{self, Daemon};
use crate::support::origin::{RawOrigin, ok};
use crate::support::proxy::status;

#[tokio::test(flavor = "multi_thread")]
async fn a_process_without_descriptors_neither_spins_nor_ends_and_recovers() {
    let origin = RawOrigin::start(|_| ok("x")).await;
    let text = daemon::config(origin.address, "[server]\nworkers = 1\n");
    let mut daemon = Daemon::start_with(&text, |command| {
        let program = command.get_program().to_owned();
        let mut limited = std::process::Command::new("sh");
        limited
            .args([
                "-c",
                "ulimit -n 256; exec \"$0\" run -c ossgate.toml > access.log 2> events.log",
            ])
            .arg(program)
            .current_dir(command.get_current_dir().unwrap());
        *command = limited;
    });
    let pid = daemon.child.id();
    let address = daemon.addresses(1).await[0];
    let mut open = Vec::new();
    for _ in 0..600 {
        let Ok(Ok(socket)) =
            tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await
        else {
            break;
        };
        open.push(socket);
    }
    assert!(open.len() > 300, "{}", open.len());
    let before = cpu_ticks(pid);
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    clock.tick().await;
    clock.tick().await;
    let used = cpu_ticks(pid) - before;
    assert!(used < 20, "used {used} of 100 ticks in an idle second");
    drop(open);
    // The process responds with 503 until it has detected that its connections are closed.
    let recovering = async { while status(&daemon::get(address).await) == 503 {} };
    tokio::time::timeout(Duration::from_secs(10), recovering)
        .await
        .expect("recovery");
    for _ in 0..100 {
        assert_eq!(status(&daemon::get(address).await), 200);
    }
    assert!(daemon.child.try_wait().unwrap().is_none());
}

/// Returns the CPU time of a process, in hundredths of a second.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
