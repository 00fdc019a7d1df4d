//! Finds the paths in a source file and converts them to absolute paths inside the crate.
//!
//! The parser reads `use` trees of any shape. It also reads paths in code and types that begin with `crate`,
//! `self`, `super`, an imported name, or a module declared in the same file. It ignores comments, doc links,
//! `pub(in ...)` and names imported by a glob.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{Token, tokens};

/// A source file, with its path relative to `src`.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

/// The build that code belongs to: the crate, or only its unit tests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    Crate,
    Tests,
}

/// A path in a source file, as an absolute path.
#[derive(Debug)]
pub(super) struct Named {
    /// The segments after `crate`.
    pub(super) path: Vec<String>,
    pub(super) line: usize,
    pub(super) purpose: Purpose,
}

/// The data about a file that the rules check.
#[derive(Default)]
pub(super) struct Parsed {
    pub(super) named: Vec<Named>,
    /// The names of this crate's `Raw*` types in the file, with their lines.
    pub(super) raw: Vec<(String, usize)>,
    /// The line of the first item that is not a `mod name;` declaration.
    pub(super) first_item: Option<usize>,
}

/// Returns the module of a file: `a` for `a/mod.rs` and `a.rs`, the root for `lib.rs` and `main.rs`.
pub(super) fn module(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs");
    let mut segments: Vec<String> = path.split('/').map(str::to_owned).collect();
    if segments.last().is_some_and(|last| last == "mod") || path == "lib" || path == "main" {
        segments.pop();
    }
    segments
}

/// Parses a file.
pub(super) fn parse(file: &File) -> Parsed {
    let module = module(&file.path);
    let purpose = match module.iter().any(|segment| segment == "tests") {
        true => Purpose::Tests,
        false => Purpose::Crate,
    };
    let mut reader = Reader {
        tokens: tokens(&file.text),
        at: 0,
        scopes: vec![(module, purpose, 0)],
        depth: 0,
        pending: None,
        written: Vec::new(),
        aliases: BTreeMap::new(),
        children: BTreeSet::new(),
        parsed: Parsed::default(),
    };
    reader.read();
    reader.resolve()
}

/// A path as written in the source, and the module that contains it.
struct Written {
    segments: Vec<String>,
    within: Vec<String>,
    line: usize,
    purpose: Purpose,
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    /// The inline modules and test items around the current token, each with its brace depth.
    scopes: Vec<(Vec<String>, Purpose, usize)>,
    depth: usize,
    /// The scope that the next opening brace starts.
    pending: Option<(Vec<String>, Purpose)>,
    written: Vec<Written>,
    /// The imported names, each with its path as written and the module of the import.
    aliases: BTreeMap<String, (Vec<String>, Vec<String>)>,
    children: BTreeSet<Vec<String>>,
    parsed: Parsed,
}

impl Reader {
    fn text(&self, ahead: usize) -> &str {
        self.tokens
            .get(self.at + ahead)
            .map_or("", |token| &*token.text)
    }

    fn read(&mut self) {
        while self.at < self.tokens.len() {
            let line = self.tokens[self.at].line;
            match (self.text(0), self.text(1), self.text(2)) {
                ("#", "[", "cfg") if self.text(3) == "(" && self.text(4) == "test" => {
                    let (within, _, _) = self.scope();
                    self.pending = Some((within, Purpose::Tests));
                    self.at += 7;
                }
                ("#", "[" | "!", _) => self.skip_attribute(),
                ("mod", name, ";") => {
                    let mut child = self.scope().0;
                    child.push(name.to_owned());
                    self.children.insert(child);
                    self.pending = None;
                    self.at += 3;
                }
                ("mod", name, "{") => {
                    let (mut within, purpose, _) = self.scope();
                    within.push(name.to_owned());
                    let purpose = self.pending.take().map_or(purpose, |pending| pending.1);
                    self.pending = Some((within, purpose));
                    self.found_item(line);
                    self.at += 2;
                }
                ("use", next, _) if next != "<" => {
                    self.found_item(line);
                    self.at += 1;
                    self.use_tree(&[]);
                }
                ("pub", "(", "in") => self.skip_to(")"),
                ("pub", "(", _) => self.at += 4,
                ("pub", _, _) => self.at += 1,
                ("{", _, _) => {
                    self.depth += 1;
                    if let Some((within, purpose)) = self.pending.take() {
                        self.scopes.push((within, purpose, self.depth));
                    }
                    self.at += 1;
                }
                ("}", _, _) => {
                    if self
                        .scopes
                        .last()
                        .is_some_and(|scope| scope.2 == self.depth)
                        && self.depth > 0
                    {
                        self.scopes.pop();
                    }
                    self.depth = self.depth.saturating_sub(1);
                    self.at += 1;
                }
                (";", _, _) => {
                    self.pending = None;
                    self.at += 1;
                }
                _ => {
                    self.found_item(line);
                    self.path();
                }
            }
        }
    }

    fn scope(&self) -> (Vec<String>, Purpose, usize) {
        self.scopes
            .last()
            .cloned()
            .unwrap_or((Vec::new(), Purpose::Crate, 0))
    }

    fn purpose(&self) -> Purpose {
        let pending = self.pending.as_ref().map(|pending| pending.1);
        pending.unwrap_or(self.scope().1)
    }

    fn found_item(&mut self, line: usize) {
        self.parsed.first_item.get_or_insert(line);
    }

    fn skip_to(&mut self, end: &str) {
        while self.at < self.tokens.len() && self.text(0) != end {
            self.at += 1;
        }
        self.at += 1;
    }

    fn skip_attribute(&mut self) {
        let mut depth = 0;
        while self.at < self.tokens.len() {
            match self.text(0) {
                "[" => depth += 1,
                "]" => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 && self.tokens[self.at - 1].text == "]" {
                return;
            }
        }
    }

    fn write(&mut self, segments: Vec<String>, line: usize) {
        let (within, purpose) = (self.scope().0, self.purpose());
        self.written.push(Written {
            segments,
            within,
            line,
            purpose,
        });
    }

    /// Reads one branch of a `use` tree, up to the `,`, `}` or `;` that ends it.
    fn use_tree(&mut self, before: &[String]) {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        let mut path = before.to_vec();
        loop {
            match self.text(0) {
                "{" => {
                    self.at += 1;
                    while self.text(0) != "}" && self.at < self.tokens.len() {
                        self.use_tree(&path);
                        self.at += usize::from(self.text(0) == ",");
                    }
                    self.at += 1;
                    return;
                }
                "," | "}" | ";" | "" => break,
                "::" | "*" => self.at += 1,
                "as" => {
                    let alias = self.text(1).to_owned();
                    self.aliases.insert(alias, (path.clone(), self.scope().0));
                    self.at += 2;
                }
                "self" if !path.is_empty() => self.at += 1,
                name => {
                    path.push(name.to_owned());
                    self.at += 1;
                }
            }
        }
        if let Some(last) = path.last() {
            self.aliases
                .insert(last.clone(), (path.clone(), self.scope().0));
        }
        self.write(path, line);
    }

    /// Reads a single name or a path outside of `use`.
    fn path(&mut self) {
        let line = self.tokens[self.at].line;
        let is_rooted = self.at > 0 && self.tokens[self.at - 1].text == "::";
        let mut segments = vec![self.text(0).to_owned()];
        self.at += 1;
        while self.text(0) == "::" && !matches!(self.text(1), "" | "<" | "{" | "*" | "(" | "$") {
            segments.push(self.text(1).to_owned());
            self.at += 2;
        }
        for name in &segments {
            let is_raw = name
                .strip_prefix("Raw")
                .is_some_and(|rest| rest.starts_with(char::is_uppercase));
            if is_raw {
                self.parsed.raw.push((name.clone(), line));
            }
        }
        if segments.len() > 1 && !is_rooted {
            self.write(segments, line);
        }
    }

    fn resolve(mut self) -> Parsed {
        for written in std::mem::take(&mut self.written) {
            let Written {
                segments,
                within,
                line,
                purpose,
            } = written;
            if let Some(path) = self.resolved(&segments, &within, true) {
                self.parsed.named.push(Named {
                    path,
                    line,
                    purpose,
                });
            }
        }
        let mut raw = std::mem::take(&mut self.parsed.raw);
        raw.retain(|(name, _)| self.is_of_this_crate(name));
        self.parsed.raw = raw;
        self.parsed
    }

    fn is_of_this_crate(&self, name: &str) -> bool {
        let alias = self.aliases.get(name);
        alias.is_none_or(|(path, within)| self.resolved(path, within, false).is_some())
    }

    /// Returns the segments of `path` after `crate`, or `None` for a path of another crate.
    fn resolved(&self, path: &[String], within: &[String], by_alias: bool) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let child = [within, std::slice::from_ref(first)].concat();
        if self.children.contains(&child) {
            return Some([&child, rest].concat());
        }
        absolute(path, within).or_else(|| {
            let (alias, within) = self.aliases.get(first).filter(|_| by_alias)?;
            Some([&self.resolved(alias, within, false)?, rest].concat())
        })
    }
}

/// Returns the segments after `crate` of a path that begins with `crate`, `self` or `super`.
fn absolute(path: &[String], within: &[String]) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([within, rest].concat()),
        "super" => {
            let parent = &within[..within.len().saturating_sub(1)];
            match rest.first().map(String::as_str) {
                Some("super") => absolute(rest, parent),
                _ => Some([parent, rest].concat()),
            }
        }
        _ => None,
    }
}
