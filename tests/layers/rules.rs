//! The dependency rules. Each rule returns one message for each violation.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::{File, Named, Parsed, Purpose, module, parse};

/// The modules and their layers, from 0 at the bottom; for a nested module, the longest prefix counts. `oss`
/// is below `config`, because the config checks regions, buckets and patterns with functions of `oss`.
/// `telemetry` is above `http`, because its log lines and counters use the context of a request.
/// `listener::bind` is low because `admin` binds its own listener with it.
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

/// The modules of `origin/`, from the lowest to the highest.
const ORIGIN_MODULES: [&str; 4] = ["endpoint", "link", "tiers", "exchange"];

/// The files of `origin/` that all of its modules may use.
const ORIGIN_FILES_BELOW: [&str; 5] = [
    "connect_error",
    "endpoint_info",
    "error",
    "message",
    "weak_map",
];

/// The maximum number of lines in a file.
pub(super) const MOST_LINES: usize = 400;

/// The parsed files of the crate.
pub(super) struct Sources {
    files: Vec<(String, Vec<String>, Parsed)>,
    modules: BTreeSet<Vec<String>>,
}

/// One use of a module by another module.
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

    /// Returns the module that contains the item `path`: its longest prefix that is a module.
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

    /// Checks that a file uses only lower layers or files of its own folder.
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

    /// Checks that a policy uses no other policy except `gate`, and that `policy/mod.rs` contains only `mod`
    /// declarations.
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

    /// Checks that a module of `origin/` uses only lower modules of `origin/`.
    pub(super) fn origin_modules(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let has_modules = ORIGIN_MODULES.iter().all(|name| {
            self.modules
                .contains(&["origin", name].map(str::to_owned)[..])
        });
        for (path, module, _) in &self.files {
            if has_modules
                && module[..].first().is_some_and(|first| first == "origin")
                && position_in_origin(module).is_none()
            {
                broken.push(format!(
                    "src/{path}: `{}` belongs to no module of `origin`",
                    module.join("::")
                ));
            }
        }
        for found in self.uses() {
            if let (Some(own), Some(other)) = (
                position_in_origin(found.user),
                position_in_origin(&found.used),
            ) && other > own
                && found.named.purpose == Purpose::Crate
            {
                broken.push(format!(
                    "{}: `{}` uses `{}`: a module of `origin` uses only modules below it ({} < mod.rs)",
                    found.place,
                    found.user.join("::"),
                    found.used.join("::"),
                    ORIGIN_MODULES.join(" < "),
                ));
            }
        }
        broken
    }

    /// Checks that the files of a folder do not use each other in a circle.
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

    /// Checks, for `tests/`, that a test file uses no other test file except `support`. The files of `layers`
    /// count as one test.
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

    /// Checks that only `config/` uses `Raw*` types.
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

/// Checks that no file has more than [`MOST_LINES`] lines.
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

/// Returns the position of a module in the order of `origin/`, from 0. `origin/mod.rs` is the highest.
fn position_in_origin(module: &[String]) -> Option<usize> {
    match module {
        [origin] if origin == "origin" => Some(ORIGIN_MODULES.len() + 1),
        [origin, file, ..] if origin == "origin" && ORIGIN_FILES_BELOW.contains(&file.as_str()) => {
            Some(0)
        }
        [origin, name, ..] if origin == "origin" => {
            let place = ORIGIN_MODULES.iter().position(|known| known == name);
            place.map(|place| place + 1)
        }
        _ => None,
    }
}

/// The uses among the files of one folder. Each use has the first place where it occurs.
#[derive(Default)]
struct Graph(BTreeMap<String, BTreeMap<String, String>>);

impl Graph {
    /// For each set of files that use each other in a circle, returns the files and one shortest circle.
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

    /// Returns the shortest path from `from` to `to` that has at least one step.
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
