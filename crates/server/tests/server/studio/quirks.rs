//! The page of kept oddities names a test for each, and each is there.

use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../../../../docs/studio-quirks.md");
/// Where tests of the studio are, from this crate's folder.
const FOLDERS: [&str; 3] = ["tests", "src", "../registry"];

/// Names of tests in the last column of the table, with the oddity that they stand beside.
fn named_tests() -> Vec<(String, String)> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| oddity"));
    let columns = rows.map(|row| row.trim_matches('|').rsplit_once('|').expect("a row has columns"));
    let named = columns.flat_map(|(oddity, tests)| {
        let tests: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test stands beside `{oddity}`");
        tests.into_iter().map(|test| (test.to_owned(), oddity.to_owned())).collect::<Vec<_>>()
    });
    named.collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for item in fs::read_dir(folder).expect("a folder of sources").flatten() {
        let path = item.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn each_kept_oddity_has_the_test_that_the_page_names() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for folder in FOLDERS {
        sources(&crate_folder.join(folder), &mut paths);
    }
    let texts: Vec<String> = paths.iter().map(|path| fs::read_to_string(path).expect("readable")).collect();
    let named = named_tests();
    assert!(named.len() > 25, "{named:?}");
    for (test, oddity) in named {
        let is_there = texts.iter().any(|text| text.contains(&format!("fn {test}(")));
        assert!(is_there, "`{test}` is no test, but the page names it for: {oddity}");
    }
}
