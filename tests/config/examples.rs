//! Every shipped example loads, and none does once one of its keys is wrong.
//!
//! Rows: each example, and the README, as it is; an unknown key in each table; a value of another type at each key; each file cut
//! off at each place; the defaults of the minimal example; the names of the multi-bucket example.

use ossgate::config::{Address, Addressing, BucketPattern, Buckets, HostPattern, Problems, Sink};
use toml::{Table, Value};

use crate::support::config::{Files, example, examples, lines};

#[test]
fn every_example_loads_without_a_warning() {
    let files = Files::new();
    let examples = examples();
    assert!(examples.len() >= 4);
    for (name, text) in examples {
        let loaded = files
            .read(&files.place(&text))
            .unwrap_or_else(|problems| panic!("{name}\n{problems}"));
        assert_eq!(lines(&loaded.warnings), [""; 0], "{name}");
    }
}

/// The README shows the minimal example, and policies that go inside its route.
#[test]
fn the_configs_in_the_readme_load() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let blocks: Vec<&str> = readme
        .split("```toml\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .collect();
    let [minimal, policies] = blocks[..] else {
        panic!("two blocks: {blocks:?}")
    };
    let files = Files::new();
    for text in [minimal.to_owned(), format!("{minimal}\n{policies}")] {
        let loaded = files.read(&files.place(&text));
        loaded.unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    }
}

/// One step of a path through a document: a key or an index.
#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

/// Collects the paths of all tables in `value`, and of all keys that are no table.
fn walk(value: &Value, way: &[Step], tables: &mut Vec<Vec<Step>>, leaves: &mut Vec<Vec<Step>>) {
    let longer = |step| [way, &[step]].concat();
    match value {
        Value::Table(table) => {
            tables.push(way.to_vec());
            for (key, value) in table {
                walk(value, &longer(Step::Key(key.clone())), tables, leaves);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_table) => {
            for (index, value) in items.iter().enumerate() {
                walk(value, &longer(Step::Index(index)), tables, leaves);
            }
        }
        _ => leaves.push(way.to_vec()),
    }
}

fn find<'v>(value: &'v mut Value, way: &[Step]) -> &'v mut Value {
    way.iter().fold(value, |value, step| match step {
        Step::Key(key) => &mut value[key.as_str()],
        Step::Index(index) => &mut value[*index],
    })
}

fn key_path(way: &[Step]) -> String {
    let steps = way.iter().map(|step| match step {
        Step::Key(key) => format!(".{key}"),
        Step::Index(index) => format!("[{index}]"),
    });
    let path: String = steps.collect();
    path.trim_start_matches('.').to_owned()
}

/// Returns the problem at `path`, whose line must contain `marker`.
fn located(problems: &Problems, text: &str, path: &str, marker: &str) -> String {
    let problem = problems
        .iter()
        .find(|problem| problem.path == path)
        .unwrap_or_else(|| panic!("{path}\n{problems}"));
    let line = problems.line(problem);
    let number: usize = line.split(':').nth(1).unwrap().parse().unwrap();
    assert!(
        text.lines().nth(number - 1).unwrap().contains(marker),
        "{line}\n{text}"
    );
    line
}

#[test]
fn an_unknown_key_is_refused_in_every_table_of_every_example() {
    let files = Files::new();
    let mut count = 0;
    for (_, text) in examples() {
        let parsed = Value::Table(files.place(&text).parse::<Table>().unwrap());
        let mut tables = Vec::new();
        walk(&parsed, &[], &mut tables, &mut Vec::new());
        // The keys of these tables are the names of header fields, so none is unknown.
        let is_free = |way: &Vec<Step>| matches!(way.last(), Some(Step::Key(key)) if key == "set" || key == "add");
        for way in tables.into_iter().filter(|way| !is_free(way)) {
            let mut mutated = parsed.clone();
            let table = find(&mut mutated, &way).as_table_mut().unwrap();
            table.insert("zz_unknown".into(), Value::Boolean(true));
            let text = toml::to_string(&mutated).unwrap();
            let problems = files.read(&text).unwrap_err();
            let path = key_path(&[way.as_slice(), &[Step::Key("zz_unknown".into())]].concat());
            let line = located(&problems, &text, &path, "zz_unknown");
            assert!(line.ends_with("unknown key `zz_unknown`"), "{line}");
            assert_eq!(problems.iter().count(), 1, "{problems}");
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn a_value_of_another_type_is_refused_at_every_key_of_every_example() {
    let files = Files::new();
    for (_, text) in examples() {
        let parsed = Value::Table(files.place(&text).parse::<Table>().unwrap());
        let (mut tables, mut leaves) = (Vec::new(), Vec::new());
        walk(&parsed, &[], &mut tables, &mut leaves);
        for way in leaves
            .iter()
            .chain(tables.iter().filter(|way| !way.is_empty()))
        {
            let mut mutated = parsed.clone();
            let key = way.iter().rev().find_map(|step| match step {
                Step::Key(key) => Some(key.clone()),
                Step::Index(_) => None,
            });
            // All items of a list are replaced, because a list must not mix types.
            let way = match way.last() {
                Some(Step::Index(_)) => way.split_last().unwrap().1,
                _ => way,
            };
            *find(&mut mutated, way) = Value::Float(1.5);
            let text = toml::to_string(&mutated).unwrap();
            let problems = files.read(&text).unwrap_err();
            let line = located(&problems, &text, &key_path(way), &key.unwrap());
            assert!(
                line.contains(": must be ") && line.contains("not a fraction"),
                "{line}"
            );
        }
    }
}

#[test]
fn a_file_cut_off_anywhere_gives_a_config_or_an_error() {
    let files = Files::new();
    let text = files.place(&example("reference.toml"));
    for (end, _) in text.char_indices().step_by(5) {
        if let Err(problems) = files.read(text.get(..end).unwrap()) {
            assert!(problems.has_errors());
            assert!(!problems.to_string().is_empty());
        }
    }
}

#[test]
fn the_minimal_example_gets_the_defaults() {
    let files = Files::new();
    let config = files
        .read(&files.place(&example("minimal.toml")))
        .unwrap()
        .config;
    assert_eq!(config.server.workers, 0);
    assert_eq!(config.log.access_file, Sink::Standard);
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(
        config.listeners[0].address,
        Address::Tcp("0.0.0.0:80".parse().unwrap())
    );
    assert!(!config.listeners[0].tls && config.listeners[1].tls);
    let certificate = &config.certificates[0];
    assert!(certificate.is_default);
    let names = ["img.example.com", "*.example.org", "www.example.com"];
    assert_eq!(*certificate.names, names);
    let route = &config.routes[0];
    assert_eq!(route.name, "img.example.com");
    assert_eq!(route.hosts, [HostPattern::Exact("img.example.com".into())]);
    assert_eq!((route.path.as_str(), route.methods.len()), ("/", 0));
    assert_eq!(route.origin.buckets, Buckets::One("examplebucket".into()));
    assert_eq!(route.origin.addressing, Addressing::VirtualHost);
    let endpoint = "oss-cn-hangzhou-internal.aliyuncs.com:443";
    assert_eq!(route.origin.endpoint.to_string(), endpoint);
}

#[test]
fn the_multi_bucket_example_serves_names_and_patterns() {
    let files = Files::new();
    let config = files.read(&example("multi-bucket.toml")).unwrap().config;
    let expected = Buckets::Many(vec![
        BucketPattern::Exact("examplebucket".into()),
        BucketPattern::Glob {
            prefix: "team-".into(),
            suffix: String::new(),
        },
    ]);
    for route in &config.routes {
        assert_eq!(route.origin.buckets, expected, "{}", route.name);
    }
    assert_eq!(
        config.routes[0].hosts,
        [HostPattern::Wildcard("oss.example.com".into())]
    );
    assert!(config.routes[1].hosts.is_empty());
}
