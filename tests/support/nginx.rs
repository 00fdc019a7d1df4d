//! A real nginx.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::daemon::wait_for;

/// A running nginx. Dropping it ends the process.
pub(crate) struct Nginx {
    child: Child,
    directory: tempfile::TempDir,
}

impl Nginx {
    /// Starts nginx with `text` inside `http`. `origin` is the address of all `hosts`. Each `listen PORT` becomes
    /// a socket in a temporary directory, so the field `x-client` of a request has the address of its client.
    pub(crate) async fn start(text: &str, hosts: &[String], origin: SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().display().to_string();
        let mut config = format!(
            "daemon off;\nmaster_process off;\npid {place}/pid;\nerror_log {place}/error.log;\nevents {{}}\nhttp {{\naccess_log off;\nset_real_ip_from unix:;\nreal_ip_header x-client;\n"
        );
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(config, "{kind}_temp_path {place}/{kind};").unwrap();
        }
        // nginx uses an upstream before it resolves a name.
        for host in hosts {
            writeln!(config, "upstream {host} {{ server {origin}; }}").unwrap();
        }
        for line in text.lines() {
            let trimmed = line.trim_start();
            if let Some(listen) = trimmed.strip_prefix("listen ") {
                let end = listen.find([' ', ';']).unwrap();
                let (port, rest) = listen.split_at(end);
                writeln!(config, "listen unix:{place}/{port}.sock{rest}").unwrap();
            } else if trimmed.starts_with("server examplebucket.") {
                writeln!(config, "server {origin};").unwrap();
            } else if trimmed.starts_with("access_log ") {
                // The path of the file may not exist.
            } else {
                writeln!(config, "{line}").unwrap();
            }
        }
        config.push_str("}\n");
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let child = Command::new("/usr/sbin/nginx")
            .args(["-p", &place, "-c"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.path().join("stderr")).unwrap())
            .spawn()
            .expect("nginx is installed (tests/run installs it: apt-get install nginx-light)");
        let mut nginx = Self { child, directory };
        let socket = nginx.socket();
        wait_for("nginx", || {
            if let Some(ended) = nginx.child.try_wait().unwrap() {
                let path = nginx.directory.path().join("stderr");
                panic!("nginx: {ended}: {}", std::fs::read_to_string(path).unwrap());
            }
            std::os::unix::net::UnixStream::connect(&socket).ok()
        })
        .await;
        nginx
    }

    /// Returns the path of the socket for port 80.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("80.sock")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}
