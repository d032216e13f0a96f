//! Runs every target over its committed corpus, on any compiler: what was found once stays found.

use mcp_proxy_fuzz::TARGETS;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

#[test]
fn every_corpus_file_keeps_the_properties_of_its_target() {
    let mut broken = Vec::new();
    for (name, target) in TARGETS {
        let files = files(name);
        assert!(!files.is_empty(), "corpus/{name} is empty");
        for file in files {
            let data = fs::read(&file).expect("a corpus file can be read");
            if catch_unwind(AssertUnwindSafe(|| target(&data))).is_err() {
                broken.push(format!("cargo run --bin {name} -- {}", file.display()));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "{} files break a property; repeat in fuzz/ with\n{}",
        broken.len(),
        broken.join("\n")
    );
}

#[test]
fn every_corpus_and_every_program_belongs_to_a_target() {
    for (folder, suffix) in [("corpus", ""), ("fuzz_targets", ".rs")] {
        let entries = fs::read_dir(root().join(folder)).expect("the folder can be read");
        let mut found: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        found.sort();
        let mut expected: Vec<String> = TARGETS.iter().map(|(name, _)| format!("{name}{suffix}")).collect();
        expected.sort();
        assert_eq!(found, expected, "{folder}");
    }
}

/// The corpus of a target in the order of its names.
fn files(target: &str) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(root().join("corpus").join(target)).unwrap_or_else(|error| panic!("{target}: {error}"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
