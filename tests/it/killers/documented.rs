//! Checks that the tests named in docs/proof/killers.md exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::repository;

fn functions(path: &Path, found: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            functions(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|e| e == "rs") {
        let text = fs::read_to_string(path).unwrap();
        let mut attribute = false;
        for line in text.lines().map(str::trim_start) {
            if line.starts_with("#[tokio::test") || line.starts_with("#[test]") {
                attribute = true;
            } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| attribute) {
                found.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
                attribute = false;
            }
        }
    }
}

#[test]
fn every_test_that_the_list_of_killers_names_exists() {
    let mut tests = BTreeSet::new();
    for folder in ["src", "tests"] {
        functions(&repository().join(folder), &mut tests);
    }
    let text = fs::read_to_string(repository().join("docs/proof/killers.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| killer"));
    let (mut named, mut missing) = (BTreeSet::new(), Vec::new());
    for row in rows {
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let names: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test is named in: {row}");
        for name in names {
            named.insert(name.to_owned());
            if !tests.contains(name) {
                missing.push(name.to_owned());
            }
        }
    }
    assert!(named.len() > 40, "the list was not found: {named:?}");
    assert!(missing.is_empty(), "docs/proof/killers.md names tests that do not exist: {missing:?}");
}

/// DataFusion plans EXCEPT ALL and INTERSECT ALL as joins, which is wrong for rows that are there twice.
#[test]
fn datafusion_12956_nothing_of_ours_uses_except_all() {
    let mut files = vec![repository().join("src")];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for call in [".except(", ".except_all(", ".intersect(", ".intersect_all(", "LogicalPlanBuilder::except"] {
            assert!(!text.contains(call), "{} calls `{call}`", path.display());
        }
    }
}
