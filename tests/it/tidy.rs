//! The repository checks itself: what may stand where, what no line may say, and whether `requirements.md` is true.
//!
//! Each rule is a function from the [`Repo`] to findings; a test shows all findings of its rule at once. Exceptions
//! stand in the tables here, each with its reason, and one that is no longer needed is a finding too.
//!
//! Lines are looked at, not syntax: comments are cut off at `//`, and of a file with inline tests everything from
//! `#[cfg(test)]` + `mod tests {` on counts as test. Left out: whatever rustc and clippy see better, such as unused
//! code, unwraps and disallowed methods.

mod layers;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Where Rust files are looked for.
const SOURCES: [&str; 9] = [
    "core/src",
    "core/os/src",
    "cli/src",
    "runtime-smol/src",
    "runtime-tokio/src",
    "tests",
    "fuzz/src",
    "fuzz/fuzz_targets",
    "fuzz/tests",
];

/// Lines of the longest file. What is longer holds more than one idea.
const LINES_MAX: usize = 600;

/// Files that may be longer, each with its reason.
const LONG_FILES: [(&str, &str); 0] = [];

/// Documents whose links are followed.
const DOCUMENTS: [&str; 8] = [
    "README.md",
    "cli/CONFIG.md",
    "core/README.md",
    "templates/fronts/README.md",
    "templates/oauth/README.md",
    "tests/README.md",
    "tests/bench/README.md",
    "tests/soak/README.md",
];

/// What stands at the top level, beside hidden files and the build directory.
const TOP_LEVEL: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "core",
    "runtime-smol",
    "runtime-tokio",
    "cli",
    "templates",
    "fuzz",
];

/// Where a phrase is banned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// The engine, outside its tests.
    Engine,
    /// All tests and what they stand on.
    Tests,
    Everywhere,
}

/// A phrase that code must not hold.
struct Ban {
    phrase: &'static str,
    scope: Scope,
    why: &'static str,
    /// Files that may hold it, each with its reason.
    except: &'static [(&'static str, &'static str)],
}

const fn ban(scope: Scope, phrase: &'static str, why: &'static str) -> Ban {
    Ban { phrase, scope, why, except: &[] }
}

const NO_IO: &str = "the engine does no IO: it belongs to the runtimes";
const NO_CLOCK: &str = "time is an argument of the engine";
const UNFINISHED: &str = "what is here is finished; plans have no place in code";
const NO_WAITING: &str = "tests wait for events, not for time to pass";

/// Phrases are written in two halves, so that this file does not hold them.
const BANS: [Ban; 20] = [
    ban(Scope::Engine, concat!("std::", "fs"), NO_IO),
    ban(Scope::Engine, concat!("std::", "env"), NO_IO),
    ban(Scope::Engine, concat!("std::", "thread"), NO_IO),
    ban(Scope::Engine, concat!("std::", "process"), NO_IO),
    ban(Scope::Engine, concat!("Tcp", "Listener"), NO_IO),
    ban(Scope::Engine, concat!("Tcp", "Stream"), NO_IO),
    ban(Scope::Engine, concat!("Udp", "Socket"), NO_IO),
    ban(Scope::Engine, concat!("ToSocket", "Addrs"), NO_IO),
    ban(Scope::Engine, concat!("print", "ln!"), NO_IO),
    ban(Scope::Engine, concat!("get", "random"), "entropy is an argument of the engine"),
    ban(Scope::Engine, concat!("Instant", "::now"), NO_CLOCK),
    ban(Scope::Engine, concat!("SystemTime", "::now"), NO_CLOCK),
    ban(Scope::Everywhere, concat!("to", "do!"), UNFINISHED),
    ban(Scope::Everywhere, concat!("unimpl", "emented!"), UNFINISHED),
    ban(Scope::Everywhere, concat!("TO", "DO"), UNFINISHED),
    ban(Scope::Everywhere, concat!("FIX", "ME"), UNFINISHED),
    ban(Scope::Everywhere, concat!("db", "g!"), "a trace of looking for something"),
    ban(Scope::Everywhere, concat!("#[ig", "nore"), "a test that does not run proves nothing"),
    Ban {
        phrase: concat!("::sl", "eep"),
        scope: Scope::Tests,
        why: NO_WAITING,
        except: &[
            ("tests/it/e2e/process.rs", "the end of a process that is not ours can only be looked for"),
            ("tests/bench/src/bin/loadgen/main.rs", "samples at intervals, and is no test"),
            ("tests/soak/src/bin/soak/main.rs", "looks at processes that are not its own"),
            ("tests/soak/src/bin/soak/cycle.rs", "a client that leaves at a random moment"),
            ("tests/soak/src/bin/server/mcp.rs", "a server that takes its time"),
            ("tests/soak/src/bin/chaos/stage.rs", "nobody tells when another process listens"),
        ],
    },
    ban(Scope::Tests, concat!("Timer::", "after"), NO_WAITING),
];

/// The rows that `requirements.md` must have, each once. Of `BR` it lists those that are covered.
const ROWS: [(&str, usize, &[RangeInclusive<u32>]); 8] = [
    ("GN", 2, &[1..=14]),
    ("DL", 2, &[1..=71]),
    ("UP", 2, &[1..=61]),
    ("ST", 2, &[1..=22]),
    ("SEED", 3, &[1..=8, 10..=19, 20..=42, 50..=56, 60..=71, 80..=84]),
    (
        "OA",
        2,
        &[
            1..=14,
            20..=40,
            42..=42,
            50..=66,
            70..=73,
            75..=91,
            95..=97,
            99..=102,
            110..=137,
            140..=142,
            144..=154,
            156..=161,
            170..=174,
            176..=180,
            190..=194,
            200..=205,
        ],
    ),
    ("T", 2, &[1..=60]),
    ("FT", 3, &[101..=109, 201..=207, 301..=304, 401..=408, 501..=511, 601..=605, 701..=707]),
];

/// The rows that exist besides: comments may cite them.
const OTHER_ROWS: [(&str, usize, RangeInclusive<u32>); 3] =
    [("BR", 2, 1..=66), ("DM", 2, 1..=66), ("SEED", 3, 100..=153)];

/// A Rust file.
struct Source {
    /// From the root of the repository, with `/`.
    path: String,
    text: String,
    /// The number of the line where inline tests begin; after the last when there are none.
    tests_from: usize,
}

/// The repository.
struct Repo {
    root: PathBuf,
    sources: Vec<Source>,
}

/// A row of the tables in `requirements.md`.
struct Row {
    id: String,
    /// The last cell: `file::function` in backticks, or `open: reason`.
    place: String,
}

#[test]
fn no_line_says_what_is_banned() {
    check(|repo| {
        let mut findings = Vec::new();
        for ban in &BANS {
            let mut excused = BTreeSet::new();
            for (source, number, line) in
                repo.lines().filter(|(source, number, _)| ban.covers(source, *number))
            {
                let phrase = ban.phrase;
                if !line.contains(phrase) {
                    continue;
                }
                if ban.except.iter().any(|(path, _)| *path == source.path) {
                    excused.insert(source.path.as_str());
                } else {
                    findings.push(format!("{}:{number}: `{phrase}`: {}", source.path, ban.why));
                }
            }
            let needless = ban.except.iter().filter(|(path, _)| !excused.contains(path));
            findings.extend(
                needless.map(|(path, _)| format!("{path}: the exception for `{}` is needless", ban.phrase)),
            );
        }
        findings
    });
}

#[test]
fn of_the_network_the_engine_knows_addresses_only() {
    const TYPES: [&str; 6] = ["SocketAddr", "SocketAddrV4", "SocketAddrV6", "IpAddr", "Ipv4Addr", "Ipv6Addr"];
    check(|repo| {
        let mut findings = Vec::new();
        for (source, number, line) in repo.lines().filter(|(source, number, _)| source.is_engine(*number)) {
            for used in line.split("std::net::").skip(1) {
                let end = used.find([';', '>', '(', ')', '}']).unwrap_or(used.len());
                let names = used[..end].trim_start_matches('{').split(',').map(str::trim);
                for name in names.filter(|name| !name.is_empty()) {
                    let name = name.split("::").next().unwrap_or_default();
                    if !TYPES.contains(&name) {
                        findings.push(format!("{}:{number}: `std::net::{name}`: {NO_IO}", source.path));
                    }
                }
            }
        }
        findings
    });
}

#[test]
fn every_module_says_what_it_is() {
    check(|repo| {
        let silent = |source: &&Source| !source.is_test_file() && !source.text.starts_with("//! ");
        repo.sources
            .iter()
            .filter(silent)
            .map(|source| format!("{}: does not begin with `//! `", source.path))
            .collect()
    });
}

#[test]
fn files_are_short() {
    check(|repo| {
        let mut findings = Vec::new();
        for source in &repo.sources {
            let lines = source.text.lines().count();
            let excused = LONG_FILES.iter().any(|(path, _)| *path == source.path);
            match lines > LINES_MAX {
                true if !excused => {
                    findings.push(format!("{}: {lines} lines, at most {LINES_MAX}", source.path))
                }
                false if excused => findings.push(format!("{}: the exception is needless", source.path)),
                true | false => {}
            }
        }
        findings
    });
}

/// FT-408: `cargo install` builds with the release profile.
#[test]
fn the_released_program_is_stripped_and_what_is_profiled_keeps_its_symbols() {
    check(|repo| {
        let manifest = repo.read("Cargo.toml");
        let says = |profile: &str, lines: &str| {
            let part = manifest.split("\n[").find(|part| part.starts_with(&format!("profile.{profile}]\n")));
            part.is_some_and(|part| lines.split('|').all(|line| part.lines().any(|said| said == line)))
        };
        let kept = r#"debug = "line-tables-only"|strip = "none""#;
        let profiles = [("release", r#"debug = false|strip = "symbols""#), ("bench", kept), ("storm", kept)];
        let wrong = profiles.into_iter().filter(|(profile, lines)| !says(profile, lines));
        wrong.map(|(profile, lines)| format!("Cargo.toml: profile {profile} does not say {lines}")).collect()
    });
}

#[test]
fn the_top_level_holds_what_belongs_there() {
    check(|repo| {
        let entries = fs::read_dir(&repo.root).expect("the root can be read");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let allowed = |name: &str| {
            name.starts_with('.')
                || ["target", "tests", "findings"].contains(&name)
                || TOP_LEVEL.contains(&name)
        };
        let mut findings: Vec<String> = names
            .filter(|name| !allowed(name))
            .map(|name| format!("{name}: does not belong to the top level"))
            .collect();
        let missing = TOP_LEVEL.iter().filter(|name| !repo.root.join(name).exists());
        findings.extend(missing.map(|name| format!("{name}: is missing")));
        findings
    });
}

#[test]
fn links_of_documents_lead_somewhere() {
    check(|repo| {
        let mut findings = Vec::new();
        for document in DOCUMENTS {
            let folder = repo.root.join(document).parent().map(Path::to_path_buf).unwrap_or_default();
            for (number, line) in (1..).zip(repo.read(document).lines()) {
                for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
                    let file = if path.is_empty() { repo.root.join(document) } else { folder.join(path) };
                    if target.contains("://") {
                        continue;
                    } else if !file.exists() {
                        findings.push(format!("{document}:{number}: {target} does not exist"));
                    } else if !heading.is_empty() && !has_heading(&file, heading) {
                        findings.push(format!("{document}:{number}: {target} names no heading"));
                    }
                }
            }
        }
        let long = repo.read("README.md").len();
        if long > 10 * 1024 {
            findings.push(format!("README.md: {long} bytes, at most 10 KB: the rest stands beside its code"));
        }
        findings
    });
}

/// Whether a document has a heading of which this is the anchor.
fn has_heading(file: &Path, anchor: &str) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    let anchors = text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let plain = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        plain.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect::<String>()
    });
    anchors.into_iter().any(|known| known == anchor)
}

#[test]
fn every_requirement_has_one_row() {
    check(|repo| {
        let mut counts = BTreeMap::<String, usize>::new();
        for row in repo.rows() {
            *counts.entry(row.id).or_default() += 1;
        }
        let expected: Vec<String> = ROWS
            .iter()
            .flat_map(|(prefix, width, ranges)| {
                ranges.iter().flat_map(move |range| ids(prefix, *width, range))
            })
            .collect();
        let missing =
            expected.iter().filter(|id| !counts.contains_key(*id)).map(|id| format!("{id}: has no row"));
        let mut findings: Vec<String> = missing.collect();
        let known = repo.known_ids();
        for (id, count) in &counts {
            if *count > 1 {
                findings.push(format!("{id}: has {count} rows"));
            }
            if !known.contains(id) {
                findings.push(format!("{id}: there is no such requirement"));
            }
        }
        findings
    });
}

#[test]
fn every_row_is_open_with_a_reason_or_names_tests_that_exist() {
    check(|repo| {
        let mut findings = Vec::new();
        for Row { id, place } in repo.rows() {
            if let Some(reason) = place.strip_prefix("open") {
                if reason.strip_prefix(": ").is_none_or(|reason| reason.len() < 5) {
                    findings.push(format!("{id}: is open without a reason: {place}"));
                }
                continue;
            }
            let shown = place.split("; missing: ").next().unwrap_or_default();
            let named: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
            if named.is_empty() {
                findings.push(format!("{id}: names no test and is not open: {place}"));
            }
            for name in named {
                let Some((file, function)) = name.split_once("::") else {
                    findings.push(format!("{id}: `{name}` is not `file::function`"));
                    continue;
                };
                if !file.ends_with(".rs") {
                    // What is checked by a script is named by the words that it prints.
                    if !repo.read(file).contains(function) {
                        findings.push(format!("{id}: {file} does not say `{function}`"));
                    }
                    continue;
                }
                match repo
                    .sources
                    .iter()
                    .find(|source| source.path == file || source.path.strip_prefix("tests/it/") == Some(file))
                {
                    None => findings.push(format!("{id}: there is no file {file}")),
                    Some(source) if !source.text.contains(&format!("fn {function}(")) => {
                        findings.push(format!("{id}: there is no function {function} in {file}"));
                    }
                    Some(_) => {}
                }
            }
        }
        findings
    });
}

#[test]
fn every_cited_requirement_exists() {
    check(|repo| {
        let known = repo.known_ids();
        let mut findings = Vec::new();
        for source in &repo.sources {
            for (number, line) in (1..).zip(source.text.lines()) {
                let unknown = cited(line).into_iter().filter(|id| !known.contains(id));
                findings.extend(
                    unknown.map(|id| format!("{}:{number}: there is no requirement {id}", source.path)),
                );
            }
        }
        findings
    });
}

/// Runs a rule over the repository.
#[track_caller]
fn check(rule: impl Fn(&Repo) -> Vec<String>) {
    let findings = rule(&Repo::open());
    assert!(findings.is_empty(), "{} findings:\n{}\n", findings.len(), findings.join("\n"));
}

impl Ban {
    fn covers(&self, source: &Source, number: usize) -> bool {
        match self.scope {
            Scope::Engine => source.is_engine(number),
            Scope::Tests => source.is_test(number),
            Scope::Everywhere => true,
        }
    }
}

impl Source {
    fn new(path: String, text: String) -> Self {
        let before = text.split_once("#[cfg(test)]\nmod tests {").map_or(text.as_str(), |(before, _)| before);
        let tests_from = before.lines().count() + 1;
        Self { path, text, tests_from }
    }

    /// A file of tests beside or below the code that it tests.
    fn is_test_file(&self) -> bool {
        let mut parts = self.path.rsplit('/');
        parts.next() == Some("tests.rs")
            || parts.any(|part| part == "tests") && !self.path.starts_with("tests/")
    }

    fn is_test(&self, number: usize) -> bool {
        self.path.starts_with("tests/")
            || self.path.starts_with("fuzz/")
            || self.is_test_file()
            || number >= self.tests_from
    }

    fn is_engine(&self, number: usize) -> bool {
        self.path.starts_with("core/src/") && !self.is_test(number)
    }
}

impl Repo {
    fn open() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut repo = Self { root, sources: Vec::new() };
        for folder in SOURCES {
            repo.gather(folder);
        }
        assert!(repo.sources.len() > 100, "only {} files found", repo.sources.len());
        repo
    }

    /// Takes in the Rust files below a folder.
    fn gather(&mut self, folder: &str) {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries =
                fs::read_dir(self.root.join(&folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
            let mut paths: Vec<(String, bool)> = entries
                .map(|entry| entry.expect("an entry"))
                .map(|entry| {
                    (format!("{folder}/{}", entry.file_name().to_string_lossy()), entry.path().is_dir())
                })
                .collect();
            paths.sort();
            for (path, is_folder) in paths {
                let built =
                    path.ends_with("/node_modules") || path.ends_with("/target") || path.contains("/.");
                match is_folder {
                    true if !built => folders.push(path),
                    false if path.ends_with(".rs") => {
                        let text = self.read(&path);
                        self.sources.push(Source::new(path, text));
                    }
                    true | false => {}
                }
            }
        }
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// All lines of code, numbered from 1, without their comments.
    fn lines(&self) -> impl Iterator<Item = (&Source, usize, &str)> {
        self.sources.iter().flat_map(|source| {
            (1..).zip(source.text.lines()).map(move |(number, line)| (source, number, code(line)))
        })
    }

    /// The rows of all tables whose first cell is an id.
    fn rows(&self) -> Vec<Row> {
        let text = self.read("tests/requirements.md");
        let cells = text
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
            .map(|line| line.split(" | "));
        cells
            .filter_map(|mut cells| {
                let (id, place) = (cells.next()?, cells.last()?);
                cited(id)
                    .iter()
                    .any(|cited| cited == id)
                    .then(|| Row { id: id.to_owned(), place: place.to_owned() })
            })
            .collect()
    }

    fn known_ids(&self) -> BTreeSet<String> {
        let listed = ROWS
            .iter()
            .flat_map(|(prefix, width, ranges)| ranges.iter().map(move |range| (*prefix, *width, range)));
        let others = OTHER_ROWS.iter().map(|(prefix, width, range)| (*prefix, *width, range));
        listed.chain(others).flat_map(|(prefix, width, range)| ids(prefix, width, range)).collect()
    }
}

/// A line without its comment, unless it is about unfinished work, which comments are full of.
fn code(line: &str) -> &str {
    let unfinished = [concat!("TO", "DO"), concat!("FIX", "ME")];
    if unfinished.iter().any(|word| line.contains(word)) {
        return line;
    }
    line.split("//").next().unwrap_or_default()
}

/// The ids of one prefix.
fn ids(prefix: &str, width: usize, range: &RangeInclusive<u32>) -> impl Iterator<Item = String> {
    range.clone().map(move |number| format!("{prefix}-{number:0width$}"))
}

/// The ids of requirements in a line, such as `GN-14`.
fn cited(line: &str) -> Vec<String> {
    let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let is_id = |word: &&str| {
        word.split_once('-').is_some_and(|(prefix, number)| {
            ["GN", "DL", "DM", "UP", "ST", "BR", "SEED", "OA", "T", "FT"].contains(&prefix)
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    words.filter(is_id).map(str::to_owned).collect()
}
