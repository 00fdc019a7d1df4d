//! The ossgate program as a separate process.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::proxy::bucket_at;

/// The maximum time that a test waits for a condition.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running `ossgate run`. Dropping it kills the process.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    dir: tempfile::TempDir,
}

/// Waits until `found` returns `Some`, and returns the value.
pub(crate) async fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    loop {
        pace.tick().await;
        if let Some(found) = found() {
            return found;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
    }
}

impl Daemon {
    /// Starts the program with a config, in a new temporary directory.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_with(config, |_| ())
    }

    /// Like [`Daemon::start`], but `change` can modify the command.
    pub(crate) fn start_with(config: &str, change: impl FnOnce(&mut Command)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ossgate.toml"), config).unwrap();
        let log = |name: &str| std::fs::File::create(dir.path().join(name)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ossgate"));
        command
            .args(["run", "-c", "ossgate.toml"])
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log("access.log"))
            .stderr(log("events.log"));
        change(&mut command);
        let child = command.spawn().unwrap();
        Self { child, dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Replaces the config file.
    pub(crate) fn write(&self, config: &str) {
        std::fs::write(self.path("ossgate.toml"), config).unwrap();
    }

    /// Returns the text of the event log.
    pub(crate) fn events(&self) -> String {
        std::fs::read_to_string(self.path("events.log")).unwrap()
    }

    /// Waits for `count` listeners and returns their addresses. The admin listener is the first.
    pub(crate) async fn addresses(&self, count: usize) -> Vec<SocketAddr> {
        wait_for("listening", || {
            let events = self.events();
            let found: Vec<SocketAddr> = events
                .lines()
                .filter(|line| line.contains("listening") || line.contains("admin listener"))
                .filter_map(|line| {
                    let address = line.split("address=").nth(1)?;
                    address.split(' ').next()?.parse().ok()
                })
                .collect();
            (found.len() >= count).then_some(found)
        })
        .await
    }

    /// Returns the line of the access log with this request id, once it is written.
    pub(crate) fn access_line(&self, id: &str) -> Option<serde_json::Value> {
        let text = std::fs::read_to_string(self.path("access.log")).unwrap();
        let line = text.lines().find(|line| line.contains(id))?;
        Some(serde_json::from_str(line).unwrap())
    }

    /// Waits for an event that contains `text`.
    pub(crate) async fn event(&self, text: &str) {
        wait_for(text, || self.events().contains(text).then_some(())).await;
    }

    /// Sends the signal with this name to `pid`.
    pub(crate) fn signal(name: &str, pid: u32) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid.to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Runs the command `ossgate VERB` with the config of this process.
    pub(crate) fn ask(&self, verb: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ossgate"))
            .args([verb, "-c", "ossgate.toml"])
            .current_dir(self.dir.path())
            .output()
            .unwrap()
    }

    /// Requests `/metrics` from the admin listener on a Unix socket.
    pub(crate) async fn metrics(&self, socket: &str) -> String {
        let mut socket = UnixStream::connect(self.path(socket)).await.unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        socket.write_all(request).await.unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        text
    }

    /// Waits until the started process has ended, and returns its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        wait_for("the end of the process", || self.child.try_wait().unwrap())
            .await
            .code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The process may have ended already.
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}

pub(crate) fn config(origin: SocketAddr, more: &str) -> String {
    format!(
        "{more}[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\n{}\n",
        bucket_at(origin)
    )
}

/// Sends a GET for `host` on a new connection and returns the response.
fn get_blocking(address: SocketAddr, host: &str) -> String {
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    let request = format!("GET /k HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

pub(crate) async fn get(address: SocketAddr) -> String {
    get_from(address, "x").await
}

pub(crate) async fn get_from(address: SocketAddr, host: &str) -> String {
    let host = host.to_owned();
    tokio::task::spawn_blocking(move || get_blocking(address, &host))
        .await
        .unwrap()
}
