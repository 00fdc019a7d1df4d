//! The arguments of the program, as people type them.
//!
//! Rows: the config file as an argument, with `-c` and in the environment; a config file in place of a command;
//! `--without-files`; wrong arguments of `init`; the commands that `demo` prints; an admin address in use. Left
//! out: what the commands print about a config (`commands`, `wrong`).

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::support::config::{Files, LISTENER, ROUTE, example};
use crate::support::daemon::Daemon;

fn ossgate(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ossgate"));
    command
        .args(arguments)
        .current_dir(directory)
        .env_remove("OSSGATE_CONFIG");
    command
}

fn run(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    text(&ossgate(directory, arguments).output().unwrap())
}

/// Returns the exit code, and everything that was printed.
fn text(output: &Output) -> (Option<i32>, String) {
    let printed = [output.stdout.as_slice(), &output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

#[test]
fn a_command_takes_the_config_file_with_and_without_the_option() {
    let files = Files::new();
    let directory = files.path("");
    let config = |name: &str| {
        format!(
            "{LISTENER}{}",
            ROUTE.replace("[[route]]", &format!("[[route]]\nname = \"{name}\""))
        )
    };
    for name in ["one", "two"] {
        std::fs::write(files.path(&format!("{name}.toml")), config(name)).unwrap();
    }
    std::fs::write(files.path("broken.toml"), "[[route]\n[admin]\n").unwrap();
    let url = "http://a.cn/k";
    for (arguments, code, part) in [
        (&["check", "one.toml"][..], 0, "one.toml: ok"),
        (&["check", "-c", "one.toml"], 0, "one.toml: ok"),
        (&["-c", "one.toml", "check"], 0, "one.toml: ok"),
        (&["-t", "-c", "one.toml"], 0, "one.toml: ok"),
        (&["-t", "run", "one.toml"], 0, "one.toml: ok"),
        (&["check", "one.toml", "-c", "one.toml"], 0, "one.toml: ok"),
        (&["show", "two.toml"], 0, "name = \"two\""),
        (
            &["explain", "two.toml", url],
            0,
            "route    `two`  (two.toml:3)",
        ),
        (
            &["explain", url, "two.toml"],
            0,
            "route    `two`  (two.toml:3)",
        ),
        (
            &["explain", "-c", "one.toml", url],
            0,
            "route    `one`  (one.toml:3)",
        ),
        (
            &["explain", url, "-c", "one.toml"],
            0,
            "route    `one`  (one.toml:3)",
        ),
        (
            &["check", "none.toml"],
            78,
            "none.toml: cannot read the file",
        ),
        (&["run", "none.toml"], 78, "none.toml: cannot read the file"),
        (
            &["status", "one.toml"],
            1,
            "one.toml: has no `[admin]` table",
        ),
        (&["status", "broken.toml"], 78, "broken.toml:1:"),
        (
            &["reload", "one.toml"],
            1,
            "one.toml: has no `[admin]` table",
        ),
        (
            &["check", "one.toml", "-c", "two.toml"],
            2,
            "two config files are named: `-c two.toml` and `one.toml`",
        ),
        (
            &["one.toml"],
            2,
            "to check this config: `ossgate check one.toml`; to serve it: `ossgate run one.toml`",
        ),
        (
            &["-t", "one.toml"],
            2,
            "to check this config: `ossgate check one.toml`",
        ),
    ] {
        let (found, out) = run(&directory, arguments);
        assert_eq!(found, Some(code), "{arguments:?}\n{out}");
        assert!(out.contains(part), "{arguments:?}\n{out}");
    }
    let mut command = ossgate(&directory, &["check"]);
    let by_environment = command.env("OSSGATE_CONFIG", "two.toml").output().unwrap();
    assert!(text(&by_environment).1.contains("two.toml: ok"));
    let mut command = ossgate(&directory, &["check", "one.toml"]);
    let by_argument = command.env("OSSGATE_CONFIG", "two.toml").output().unwrap();
    assert!(text(&by_argument).1.contains("one.toml: ok"));
    let (_, out) = run(&directory, &["unknown"]);
    assert!(!out.contains("ossgate check unknown"), "{out}");
}

#[test]
fn the_config_of_a_server_can_be_checked_without_its_files() {
    let files = Files::new();
    let directory = files.path("");
    let text = example("reference.toml").replace(
        "# token = \"${file:/etc/ossgate/admin.token}\"",
        "token = \"${file:/nonexistent/admin.token}\"",
    );
    let text = text
        .replace("/etc/ossgate/tls/", "/nonexistent/tls/")
        .replace("# ca = ", "ca = ")
        .replace(
            "error_file = \"-\"",
            "error_file = \"/nonexistent/log/error.log\"",
        );
    std::fs::write(files.path("a.toml"), &text).unwrap();
    let (code, out) = run(&directory, &["check", "a.toml"]);
    assert_eq!(
        (code, out.matches("No such file").count()),
        (Some(78), 4),
        "{out}"
    );
    let (code, out) = run(&directory, &["check", "a.toml", "--without-files"]);
    assert_eq!(code, Some(0), "{out}");
    for part in [
        "a.toml: ok\n  the files that the config names were not looked at (--without-files)\n",
        "    not looked at: /nonexistent/tls/fullchain.pem\n",
        "    not looked at: /nonexistent/tls/privkey.pem\n",
        "    not looked at: /nonexistent/tls/origin-ca.pem\n",
        "    not looked at: /nonexistent/admin.token\n",
        "    not looked at: /nonexistent/log\n",
        "  listens on 0.0.0.0:443 (https)\n",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    let (_, out) = run(
        &directory,
        &["check", "a.toml", "--without-files", "--format", "json"],
    );
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&json["ok"], &json["files_looked_at"]),
        (&true.into(), &false.into())
    );
    let url = "https://img.example.com/img/a.jpg";
    let (code, out) = run(
        &directory,
        &[
            "explain",
            "--without-files",
            "a.toml",
            url,
            "-H",
            "Referer: https://a.example.com/",
        ],
    );
    assert_eq!(code, Some(0), "{out}");
    assert!(
        out.contains(
            "the request would be sent to OSS\nthe files that the config names were not looked at\n"
        ),
        "{out}"
    );
    // Everything but the files is checked as before.
    for (from, to, part) in [
        (
            "default = true",
            "default = true\ncolour = 1",
            "unknown key `colour`",
        ),
        (
            "\"0.0.0.0:443\"",
            "\"${UNSET_ADDRESS}\"",
            "environment variable `UNSET_ADDRESS` is not set",
        ),
        (
            "\"cn-hangzhou\"",
            "\"${file:/nonexistent/region}\"",
            "`${file:/nonexistent/region}` cannot be checked: the file was not looked at",
        ),
    ] {
        std::fs::write(files.path("b.toml"), text.replacen(from, to, 1)).unwrap();
        let (code, out) = run(&directory, &["check", "b.toml", "--without-files"]);
        assert_eq!(code, Some(78), "{out}");
        assert!(
            out.contains(part) && out.contains("were not looked at"),
            "{part}\n{out}"
        );
    }
    let (code, out) = run(&directory, &["run", "a.toml", "--without-files"]);
    assert_eq!(code, Some(2), "a process needs its files: {out}");
}

#[test]
fn warnings_alone_are_no_failure() {
    let files = Files::new();
    let directory = files.path("");
    let text = format!("{}{ROUTE}https = {{}}\n", LISTENER.replace(":80", ":443"));
    std::fs::write(files.path("a.toml"), &text).unwrap();
    let (code, out) = run(&directory, &["check", "a.toml"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("a.toml: ok, 2 warnings\n"), "{out}");
    let (code, out) = run(&directory, &["check", "a.toml", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, Some(0));
    assert_eq!(
        (&json["ok"], &json["errors"], &json["warnings"]),
        (&true.into(), &0.into(), &2.into())
    );
    assert_eq!(json["problems"][1]["level"], "warning");
    std::fs::write(files.path("a.toml"), format!("{text}colour = 1\n")).unwrap();
    let (code, out) = run(&directory, &["check", "a.toml"]);
    assert_eq!(code, Some(78));
    assert!(
        out.contains("a.toml: 1 error, 2 warnings; this would not start\n"),
        "{out}"
    );
}

#[test]
fn wrong_arguments_of_init_get_a_hint() {
    let files = Files::new();
    for (bucket, region, network, expected) in [
        (
            "examplebucket",
            "hangzhou",
            "internal",
            "--region: `hangzhou` is not a region of OSS\n  hint: did you mean `cn-hangzhou`?\n",
        ),
        (
            "ExampleBucket",
            "cn-hangzhou",
            "internal",
            "--bucket: `ExampleBucket` is not a bucket name: 3 to 63 of `a-z`, `0-9` and `-`\n  \
             hint: write `bucket = \"examplebucket\"`\n",
        ),
        (
            "examplebucket",
            "cn-hangzhou",
            "vpc",
            "--network: `vpc` is none of `internal`, `public`, `accelerate`, `accelerate-overseas`, `dualstack`\n  \
             hint: did you mean `internal`?\n",
        ),
    ] {
        let arguments = [
            "init",
            "--bucket",
            bucket,
            "--region",
            region,
            "--network",
            network,
        ];
        let (code, out) = run(&files.path(""), &arguments);
        assert_eq!((code, out.as_str()), (Some(78), expected));
    }
}

/// A process that is killed at the end of a test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The process may have ended already.
        let _killed = self.0.kill();
        let _waited = self.0.wait();
    }
}

/// A shell gets each printed line whole. A function stands for `curl` and prints its arguments.
#[test]
fn the_commands_that_the_demo_prints_can_be_copied() {
    let files = Files::new();
    let mut command = ossgate(&files.path(""), &["demo"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = Running(child.unwrap());
    let mut printed = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let lines: Vec<String> = printed
        .by_ref()
        .map(Result::unwrap)
        .take_while(|line| !line.contains("Ctrl-C"))
        .collect();
    let commands: Vec<&String> = lines.iter().filter(|line| line.contains("curl")).collect();
    // The demo removes its files when it is asked to end.
    Daemon::signal("TERM", child.0.id());
    assert!(child.0.wait().unwrap().success());
    drop(printed);
    assert_eq!(commands.len(), 6, "{lines:?}");
    for line in commands {
        let script = format!("curl() {{ printf '%s\\n' \"$@\"; }}\n{line}\n");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let (code, out) = text(&output);
        let mut arguments: Vec<&str> = out.lines().collect();
        // The URL is the last argument, and each option before it has one value.
        let url = arguments.pop().unwrap();
        assert!(code == Some(0) && url.starts_with("http"), "{line}\n{out}");
        for option in arguments.chunks(2) {
            assert!(
                matches!(option, [name, _] if name.starts_with('-')),
                "{line}\n{out}"
            );
        }
    }
}

#[test]
fn an_instance_that_cannot_listen_is_told_why() {
    let files = Files::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (address, part) in [
        (address, "another process listens there"),
        (
            "192.0.2.1:80".to_owned(),
            "this machine does not have the address",
        ),
    ] {
        let text = format!("{}{ROUTE}", LISTENER.replace("127.0.0.1:80", &address));
        std::fs::write(files.path("a.toml"), text).unwrap();
        let (code, out) = run(&files.path(""), &["run", "a.toml"]);
        assert_eq!(code, Some(75), "{out}");
        assert!(out.contains(&address) && out.contains(part), "{out}");
    }
}

#[test]
fn a_second_instance_with_the_same_admin_address_is_told_what_to_do() {
    let files = Files::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = format!(
        "[admin]\naddress = \"{address}\"\n{}{ROUTE}",
        LISTENER.replace(":80", ":0")
    );
    std::fs::write(files.path("a.toml"), text).unwrap();
    let (code, out) = run(&files.path(""), &["run", "a.toml"]);
    assert_eq!(code, Some(75), "{out}");
    assert!(out.contains(&address.to_string()), "{out}");
    assert!(
        out.contains("give each process its own `address` in `[admin]`"),
        "{out}"
    );
}
