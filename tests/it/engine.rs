//! docs/proof/datafusion.md and the source agree: which rules correct the query engine, where they are, and which test fails
//! without each.

use std::fs;
use std::path::Path;

use crate::support::repository;

const PAGE: &str = "docs/proof/datafusion.md";
/// Folders in which every file is a rule.
const FOLDERS: [&str; 5] = ["rewrite", "analyse", "decorrelate", "optimizer", "physical"];

/// One row of a table of the page: its cells by the names of their columns.
struct Row {
    line: usize,
    cells: Vec<(String, String)>,
}

impl Row {
    /// The code spans of a cell; empty if the table has no such column.
    fn code(&self, column: &str) -> Vec<&str> {
        let cell = self.cells.iter().find(|(name, _)| name == column);
        cell.map_or_else(Vec::new, |(_, text)| text.split('`').skip(1).step_by(2).collect())
    }

    fn place(&self) -> String {
        format!("{PAGE}:{}", self.line)
    }
}

/// The rows of all tables that have a column `rule`.
fn rows() -> Vec<Row> {
    let page = read(PAGE);
    let cells = |line: &str| -> Vec<String> {
        line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let (mut rows, mut header) = (Vec::new(), Vec::new());
    for (at, line) in page.lines().enumerate() {
        if !line.starts_with('|') {
            header.clear();
        } else if header.is_empty() {
            header = cells(line);
        } else if !line.starts_with("|---") && header.iter().any(|name| name == "rule") {
            let found = cells(line);
            let (expected, line) = (header.len(), at + 1);
            assert_eq!(found.len(), expected, "{PAGE}:{line} has as many cells as its table has columns");
            rows.push(Row { line, cells: header.iter().cloned().zip(found).collect() });
        }
    }
    rows
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Whether a text contains a word that is not part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word)
        .any(|(at, _)| !is_part(text[..at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next()))
}

/// The lines of a text that are not comments.
fn code_of(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn all_is_well(problems: &[String]) {
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_rule_of_the_page_is_where_it_says() {
    let mut problems = Vec::new();
    for row in rows() {
        let (place, rule) = (row.place(), row.code("rule"));
        let [file, items @ ..] = rule.as_slice() else {
            problems.push(format!("{place} names no rule: write its file below src and what it is called there"));
            continue;
        };
        let path = format!("src/{file}");
        if !file.ends_with(".rs") || !repository().join(&path).is_file() {
            problems.push(format!("{place}: there is no file {path}"));
            continue;
        }
        if items.is_empty() {
            problems.push(format!("{place} does not say what the rule is called in {path}"));
        }
        let code = code_of(&read(&path));
        let missing = items.iter().filter(|item| !has_word(&code, item));
        problems.extend(missing.map(|item| format!("{place}: {path} has no `{item}`")));
    }
    all_is_well(&problems);
}

#[test]
fn every_file_of_rules_has_a_row() {
    let rows = rows();
    let named: Vec<&str> = rows.iter().filter_map(|row| row.code("rule").first().copied()).collect();
    let mut problems = Vec::new();
    for folder in FOLDERS {
        let below = Path::new("sql").join(folder);
        let files = fs::read_dir(repository().join("src").join(&below));
        for file in files.unwrap_or_else(|e| panic!("src/{}: {e}", below.display())) {
            let name = file.unwrap().file_name().into_string().unwrap();
            let path = format!("{}/{name}", below.display());
            if name.ends_with(".rs") && name != "mod.rs" && !named.contains(&path.as_str()) {
                problems.push(format!("src/{path} has no row in {PAGE}: say what goes wrong without it"));
            }
        }
    }
    all_is_well(&problems);
    assert!(named.len() > 50, "{PAGE} has {} rows", named.len());
}

#[test]
fn every_test_of_the_page_exists() {
    let mut problems = Vec::new();
    for row in rows() {
        let (place, tests) = (row.place(), row.code("test"));
        if tests.is_empty() {
            problems.push(format!("{place} names no test: write it as `path::name`"));
        }
        for test in tests {
            let Some((path, name)) = test.split_once("::") else {
                problems.push(format!("{place}: `{test}` is not of the form `path::name`"));
                continue;
            };
            let text = fs::read_to_string(repository().join(path)).unwrap_or_default();
            if !text.contains(&format!("fn {name}(")) {
                problems.push(format!("{place}: {path} has no test `{name}`"));
            }
        }
    }
    all_is_well(&problems);
}

#[test]
fn every_option_of_the_engine_has_a_row() {
    const OPTIONS: &str = "src/sql/options.rs";
    let text = code_of(&read(OPTIONS));
    let (_, rest) = text.split_once(" fn apply(").unwrap_or_else(|| panic!("{OPTIONS} has no `apply`"));
    let body = rest.split("\n}").next().unwrap();
    let assigned = |line: &str| Some(line.trim().strip_prefix("options.")?.split_once(" = ")?.0.to_owned());
    let set: Vec<String> = body.lines().filter_map(assigned).collect();
    assert!(!set.is_empty(), "{OPTIONS} sets no option that this test understands: `options.name = value;`");
    let rows = rows();
    let named: Vec<(String, &str)> =
        rows.iter().flat_map(|row| row.code("option").into_iter().map(|option| (row.place(), option))).collect();
    let missing = set.iter().filter(|option| !named.iter().any(|(_, name)| name == option));
    let mut problems: Vec<String> =
        missing.map(|option| format!("`{option}` of {OPTIONS} has no row in {PAGE}")).collect();
    let gone = named.iter().filter(|(_, name)| !set.iter().any(|option| option == name));
    problems.extend(gone.map(|(place, name)| format!("{place}: `apply` of {OPTIONS} does not set `{name}`")));
    all_is_well(&problems);
}
