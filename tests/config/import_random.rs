//! Random nginx files: what nginx refuses, an import that succeeds refuses as well.
//!
//! The files are made from the directives that decide about requests. Most of them have losses; the others run in a
//! real nginx and in ossgate. Left out: which object is served, and refusals of ossgate that nginx does not have.

use std::collections::HashSet;

use ossgate::cli::import::Losses;

use crate::support::nginx::Nginx;
use crate::support::nginx_pair::{Verdict, World, answers, hosts, imported, verdict};
use crate::support::origin::{Received, Reply};

/// The number of files that run.
const FILES: usize = 24;

/// The number of requests to each of them.
const REQUESTS: usize = 120;

const END: &str = "oss-cn-hangzhou-internal.aliyuncs.com";

const NAMES: [&str; 8] = [
    "a.cn",
    "b.cn",
    "*.c.cn",
    "x.c.cn",
    "~^(?<bk>bucket-a|bucket-b)\\.d\\.cn$",
    "~^y",
    "_",
    ".e.cn",
];

const PATHS: [&str; 12] = [
    "/",
    "/",
    "/img/",
    "/img",
    "/img/pri/",
    "/docs/",
    "/img/pri",
    "= /img/pri/f",
    "^~ /img/",
    "~ \\.x$",
    "~* ^/(img)/",
    "~ ^/(bucket-a|bucket-b)/(.*)$",
];

const RULES: [&str; 18] = [
    "allow all;",
    "deny all;",
    "allow 10.0.0.0/8;",
    "allow 127.0.0.1;",
    "deny 127.0.0.2;",
    "deny 127.0.0.0/8;",
    "auth_basic off;",
    "auth_basic x;",
    "satisfy any;",
    "if ($request_method !~ ^(GET|HEAD)$) { return 405; }",
    "if ($request_method = PUT) { return 403; }",
    "valid_referers none a.cn *.c.cn; if ($invalid_referer) { return 403; }",
    "if ($host != a.cn) { return 403; }",
    "if ($host = b.cn) { return 444; }",
    "if ($arg_x) { return 403; }",
    "if ($m = \"\") { return 404; }",
    "if ($arg_x ~ \"(.*)\") { set $y 1; }",
    "limit_except GET { deny all; }",
];

/// Random numbers that are the same in each run (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }

    fn choose<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// Returns up to two rules, none twice: nginx refuses some directives the second time.
    fn rules(&mut self, is_location: bool) -> String {
        let mut seen = HashSet::new();
        let mut text = String::new();
        for _ in 0..[0, 0, 0, 1, 1, 2][self.below(6)] {
            let rule = self.choose(&RULES);
            let name = rule.split([' ', '{']).next().unwrap();
            let key = if name == "if" { rule } else { name };
            let is_misplaced = name == "limit_except" && !is_location;
            if (matches!(name, "allow" | "deny") || seen.insert(key)) && !is_misplaced {
                text.push_str(rule);
            }
        }
        text
    }

    /// Returns what a location does with its requests.
    fn target(&mut self, path: &str) -> String {
        if path.ends_with("(.*)$") {
            return format!("proxy_pass http://$1.{END}/$2$is_args$args;");
        }
        let same = format!("proxy_pass http://bucket-a.{END};");
        match self.below(14) {
            0 => format!("proxy_pass http://bucket-b.{END};"),
            1 if !path.starts_with('~') => format!("proxy_pass http://bucket-b.{END}/;"),
            2 => format!("rewrite ^/img/(.*)$ /$1 break; {same}"),
            3 => "return 403;".to_owned(),
            4 => "deny all;".to_owned(),
            5 => "return 200 ok;".to_owned(),
            6 => "internal;".to_owned(),
            7 => format!("set $h bucket-a.{END}; proxy_pass http://$h;"),
            8 => format!("proxy_pass http://$m.{END};"),
            9 => format!("set $h bucket-b.{END}; proxy_pass http://$h$request_uri;"),
            _ => same,
        }
    }

    fn server(&mut self, default: &str) -> String {
        let mut text = format!("server {{\nlisten 80{default};\n");
        if self.below(5) > 0 {
            let names = self.choose(&NAMES);
            text.push_str(&format!("server_name {names};\n"));
        }
        text.push_str(&format!("{}\n", self.rules(false)));
        let mut used = HashSet::new();
        for _ in 0..1 + self.below(4) {
            let path = self.choose(&PATHS);
            if used.insert(path.trim_start_matches("^~ ")) {
                let (rules, target) = (self.rules(true), self.target(path));
                text.push_str(&format!("location {path} {{ {rules} {target} }}\n"));
            }
        }
        text + "}\n"
    }

    fn file(&mut self) -> String {
        let mut text = "map $host $m { a.cn bucket-a; b.cn bucket-b; }\n".to_owned();
        let servers = 1 + self.below(3);
        let default = self.below(4);
        for number in 0..servers {
            let is_default = number == default;
            text.push_str(&self.server(if is_default { " default_server" } else { "" }));
        }
        text
    }

    fn request(&mut self) -> String {
        let client = self.choose(&["", "", "@127.0.0.2 "]);
        let method = self.choose(&["GET", "GET", "PUT", "HEAD"]);
        let host = self.choose(&[
            "a.cn",
            "b.cn",
            "A.CN",
            "x.c.cn",
            "y.c.cn",
            "z.y.c.cn",
            "bucket-a.d.cn",
            "yy",
            "other.org",
            "e.cn",
            "w.e.cn",
        ]);
        let path = self.choose(&[
            "/f",
            "/img/f",
            "/img",
            "/imgx",
            "/img/pri/f",
            "/img/pri/",
            "/img/prix",
            "/img/f.x",
            "/docs/f",
            "/%69mg/pri%2Ff",
            "/bucket-a/f",
            "/bucket-b/f",
            "/IMG/f",
        ]);
        let query = self.choose(&["", "", "?x=1"]);
        let field = self.choose(&["", "", " Referer: https://evil.org/"]);
        format!("{client}{method} {host} {path}{query}{field}")
    }
}

/// Responds with an object to every request.
fn every_object(request: &Received) -> Reply {
    let host = request.header("host").first().cloned().unwrap_or_default();
    let line = request.line();
    let target = line.split(' ').nth(1).unwrap().to_owned();
    let object = format!("{} {target}", String::from_utf8_lossy(&host));
    Reply::Close(
        format!("HTTP/1.1 200 OK\r\nx-object: {object}\r\ncontent-length: 0\r\n\r\n").into_bytes(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_without_losses_opens_nothing() {
    let world = World::start(every_object).await;
    let mut random = Random(77);
    let (mut files, mut both_refuse) = (0, 0);
    while files < FILES {
        let text = random.file();
        let (code, config, messages) = imported(&text, &[], Losses::Stop);
        assert!(!messages.contains("to be corrected"), "{text}\n{messages}");
        if code != 0 {
            assert!([1, 3].contains(&code), "{text}\n{messages}");
            continue;
        }
        files += 1;
        let nginx = Nginx::start(&text, &hosts(), world.origin.address).await;
        let (proxy, clear) = world.ossgate(&config);
        for _ in 0..REQUESTS {
            let request = random.request();
            let [of_nginx, of_ossgate] = answers(&nginx, (&proxy, clear), &request, "")
                .await
                .map(|answer| verdict(&answer));
            if of_nginx == Verdict::Refused {
                assert!(
                    !matches!(of_ossgate, Verdict::Served(_)),
                    "{request}\n{text}\n{config}\n{messages}"
                );
                both_refuse += usize::from(of_ossgate == Verdict::Refused);
            }
        }
    }
    assert!(both_refuse > FILES, "{both_refuse}");
}
