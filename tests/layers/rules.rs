//! The rules. Each returns one sentence for each place that breaks it.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::{File, Named, Parsed, Purpose, module, parse};

/// Modules and their layers; the longest prefix counts. `oss` stands below `config`: the config checks
/// regions, buckets and patterns with the functions of `oss` and reports the problem at its place.
/// `telemetry` stands above `http`: its lines and counters are about the context of a request.
/// `listener::bind` stands low because `admin` binds its own listener with it.
const LAYERS: [(&str, u8); 19] = [
    ("oss", 0),
    ("config", 1),
    ("shutdown", 1),
    ("net", 1),
    ("http", 2),
    ("health", 2),
    ("runtime", 2),
    ("telemetry", 3),
    ("demo", 4),
    ("identity", 4),
    ("origin", 4),
    ("policy", 4),
    ("admin", 5),
    ("listener", 5),
    ("listener::bind", 3),
    ("route", 5),
    ("app", 6),
    ("supervise", 7),
    ("cli", 8),
];

/// The rooms of `origin/`, from the lowest to the highest.
const ROOMS: [&str; 4] = ["endpoint", "link", "tiers", "exchange"];

/// The files of `origin/` beneath all rooms.
const BENEATH_ROOMS: [&str; 2] = ["error", "weak_map"];

/// The most lines of a file.
pub(super) const MOST_LINES: usize = 400;

/// The files of the crate, parsed.
pub(super) struct Sources {
    files: Vec<(String, Vec<String>, Parsed)>,
    modules: BTreeSet<Vec<String>>,
}

/// One use of a module by another.
struct Use<'a> {
    user: &'a [String],
    used: Vec<String>,
    named: &'a Named,
    place: String,
}

impl Sources {
    pub(super) fn new(files: &[File]) -> Self {
        let parsed = files
            .iter()
            .map(|file| (file.path.clone(), module(&file.path), parse(file)));
        Self {
            files: parsed.collect(),
            modules: files.iter().map(|file| module(&file.path)).collect(),
        }
    }

    /// Returns the module that `path` leads into: its longest prefix that is a module.
    fn module_of(&self, path: &[String]) -> Vec<String> {
        let mut module = path.to_vec();
        while !self.modules.contains(&module) && !module.is_empty() {
            module.pop();
        }
        module
    }

    /// Returns every use of one module by another. `lib.rs` and `main.rs` may use everything.
    fn uses(&self) -> impl Iterator<Item = Use<'_>> {
        let files = self.files.iter().filter(|(_, user, _)| !user.is_empty());
        files.flat_map(move |(path, user, parsed)| {
            parsed.named.iter().filter_map(move |named| {
                let used = self.module_of(&named.path);
                let place = format!("src/{path}:{}", named.line);
                (used != *user && !used.is_empty()).then_some(Use {
                    user,
                    used,
                    named,
                    place,
                })
            })
        })
    }

    /// A file uses only lower layers, or its own folder.
    pub(super) fn layers(&self) -> Vec<String> {
        let mut broken = BTreeSet::new();
        for (path, module, _) in &self.files {
            if !module.is_empty() && layer(module).is_none() {
                broken.insert(format!(
                    "src/{path}: `{}` is in no layer",
                    module.join("::")
                ));
            }
        }
        for found in self.uses() {
            let (own, other) = (layer(found.user), layer(&found.used));
            if found.user[0] != found.used[0] && other >= own {
                broken.insert(format!(
                    "{}: `{}` (layer {}) uses `{}` (layer {}): a file uses only lower layers, or its own folder",
                    found.place,
                    found.user.join("::"),
                    own.unwrap_or_default(),
                    found.used.join("::"),
                    other.unwrap_or_default(),
                ));
            }
        }
        broken.into_iter().collect()
    }

    /// A policy uses no other policy but `gate`, and `policy/mod.rs` declares only.
    pub(super) fn policies(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (path, module, parsed) in &self.files {
            if *module == ["policy"]
                && let Some(line) = parsed.first_item
            {
                broken.push(format!(
                    "src/{path}:{line}: `policy/mod.rs` holds more than `mod` declarations"
                ));
            }
        }
        for found in self.uses() {
            if let ([first, user, ..], [other, used, ..]) = (found.user, &found.used[..])
                && first == "policy"
                && other == "policy"
                && user != used
                && used != "gate"
            {
                broken.push(format!(
                    "{}: policy `{user}` uses policy `{used}`: policies do not see each other, except `gate`",
                    found.place
                ));
            }
        }
        broken
    }

    /// A room of `origin/` uses only rooms below it.
    pub(super) fn rooms(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let has_rooms = ROOMS.iter().all(|room| {
            self.modules
                .contains(&["origin", room].map(str::to_owned)[..])
        });
        for (path, module, _) in &self.files {
            if has_rooms
                && module[..].first().is_some_and(|first| first == "origin")
                && room(module).is_none()
            {
                broken.push(format!(
                    "src/{path}: `{}` is in no room of `origin`",
                    module.join("::")
                ));
            }
        }
        for found in self.uses() {
            if let (Some(own), Some(other)) = (room(found.user), room(&found.used))
                && other > own
                && found.named.purpose == Purpose::Crate
            {
                broken.push(format!(
                    "{}: `{}` uses `{}`: a room of `origin` uses only rooms below it ({} < mod.rs)",
                    found.place,
                    found.user.join("::"),
                    found.used.join("::"),
                    ROOMS.join(" < "),
                ));
            }
        }
        broken
    }

    /// The files of one folder form no circle.
    pub(super) fn circles(&self) -> Vec<String> {
        let mut folders: BTreeMap<&[String], Graph> = BTreeMap::new();
        let uses: Vec<Use<'_>> = self.uses().collect();
        for found in uses
            .iter()
            .filter(|found| found.named.purpose == Purpose::Crate)
        {
            let common = found
                .user
                .iter()
                .zip(&found.used)
                .take_while(|(user, used)| user == used)
                .count();
            let node =
                |module: &[String]| module.get(common).map_or("mod.rs", |name| name).to_owned();
            let graph = folders.entry(&found.user[..common]).or_default();
            let edges = graph.0.entry(node(found.user)).or_default();
            edges
                .entry(node(&found.used))
                .or_insert_with(|| found.place.clone());
        }
        let circles = folders.iter().flat_map(|(folder, graph)| {
            let folder = ["src"].into_iter().chain(folder.iter().map(String::as_str));
            let folder = folder.collect::<Vec<_>>().join("/");
            graph
                .circles()
                .into_iter()
                .map(move |circle| format!("{folder}: these files form a circle: {circle}"))
        });
        circles.collect()
    }

    /// For `tests/`: a test file uses no other test file, only `support`. The files of `layers` are one test.
    pub(super) fn test_files(&self) -> Vec<String> {
        let foreign = self
            .uses()
            .filter(|found| found.used[0] != "support" && found.user[0] != "layers");
        foreign
            .map(|found| {
                format!(
                    "{}: uses `{}`: what test files share is in `support`",
                    found.place.replacen("src", "tests", 1),
                    found.used.join("::")
                )
            })
            .collect()
    }

    /// Only `config/` names a `Raw*` type.
    pub(super) fn raw_types(&self) -> Vec<String> {
        let outside = self
            .files
            .iter()
            .filter(|(_, module, _)| module.first().is_none_or(|first| first != "config"));
        let named =
            outside.flat_map(|(path, _, parsed)| parsed.raw.iter().map(move |raw| (path, raw)));
        named
            .map(|(path, (name, line))| {
                format!("src/{path}:{line}: names `{name}`: only `config/` names `Raw` types")
            })
            .collect()
    }
}

/// No file has more than [`MOST_LINES`] lines.
pub(super) fn long(files: &[File]) -> Vec<String> {
    let lines = files
        .iter()
        .map(|file| (&file.path, file.text.lines().count()));
    lines
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(path, lines)| format!("{path}: has {lines} lines: the most are {MOST_LINES}"))
        .collect()
}

fn layer(module: &[String]) -> Option<u8> {
    let module = module.join("::");
    let starts = |name: &str| {
        module
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let known = LAYERS.iter().filter(|(name, _)| starts(name));
    known
        .max_by_key(|(name, _)| name.len())
        .map(|(_, layer)| *layer)
}

/// Returns the place of a module among the rooms. `origin/mod.rs` stands above them.
fn room(module: &[String]) -> Option<usize> {
    match module {
        [origin] if origin == "origin" => Some(ROOMS.len() + 1),
        [origin, file, ..] if origin == "origin" && BENEATH_ROOMS.contains(&file.as_str()) => {
            Some(0)
        }
        [origin, room, ..] if origin == "origin" => {
            let place = ROOMS.iter().position(|known| known == room);
            place.map(|place| place + 1)
        }
        _ => None,
    }
}

/// The uses among the files of one folder, each with its first place.
#[derive(Default)]
struct Graph(BTreeMap<String, BTreeMap<String, String>>);

impl Graph {
    /// Returns, for each set of files that reach each other, its members and one shortest circle.
    fn circles(&self) -> Vec<String> {
        let mut reported: BTreeSet<&str> = BTreeSet::new();
        let mut circles = Vec::new();
        for start in self.0.keys() {
            if reported.contains(&**start) {
                continue;
            }
            let Some(circle) = self.path(start, start) else {
                continue;
            };
            let both = |other: &&String| {
                self.path(start, other).is_some() && self.path(other, start).is_some()
            };
            let members: Vec<&str> = self.0.keys().filter(both).map(String::as_str).collect();
            reported.extend(&members);
            let steps = circle
                .windows(2)
                .map(|step| format!("{} -> {} ({})", step[0], step[1], self.0[step[0]][step[1]]));
            let steps = steps.collect::<Vec<_>>().join(", ");
            circles.push(format!("{}: {steps}", members.join(", ")));
        }
        circles
    }

    /// Returns the shortest path of at least one step.
    fn path<'a>(&'a self, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
        let mut paths = vec![vec![from]];
        let mut seen = BTreeSet::new();
        while !paths.is_empty() {
            let mut longer = Vec::new();
            for path in paths {
                for next in self
                    .0
                    .get(*path.last()?)
                    .into_iter()
                    .flat_map(BTreeMap::keys)
                {
                    let path = [&path[..], &[&**next]].concat();
                    if next == to {
                        return Some(path);
                    }
                    if seen.insert(next) {
                        longer.push(path);
                    }
                }
            }
            paths = longer;
        }
        None
    }
}
