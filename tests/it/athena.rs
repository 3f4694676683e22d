//! SQL for Athena, parsed by two independent parsers: sqlglot, and Trino's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::repository;
use crate::support::second::python;

/// Statements in files of their own: `query`, `ddl`, `refused` and `both`.
struct Statements {
    folder: tempfile::TempDir,
}

impl Statements {
    /// Those of this repository. Prints the skip if there is no Python.
    fn list() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let script = repository().join("tests/athena/parse.py");
        let Ok(output) = Command::new("python3").arg(script).arg("list").arg(folder.path()).output() else {
            eprintln!("SKIP: python3 is not installed");
            return None;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(Self { folder })
    }

    fn files(&self, kind: &str) -> Vec<PathBuf> {
        let folder = self.folder.path().join(kind);
        let Ok(entries) = std::fs::read_dir(&folder) else { return Vec::new() };
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

/// A parser: its result for each file, `ok` or its message. `None`, with the skip printed, if it is not installed.
type Parser = fn(&[PathBuf]) -> Option<Vec<(String, String)>>;

/// The interpreter with sqlglot.
fn sqlglot(files: &[PathBuf]) -> Option<Vec<(String, String)>> {
    let python = python();
    if !python.is_file() {
        eprintln!("SKIP: no sqlglot at {} (scripts/setup installs it)", python.display());
        return None;
    }
    let mut command = Command::new(python);
    command.arg(repository().join("tests/athena/parse.py")).arg("parse").args(files);
    verdicts(&mut command)
}

/// Trino's own parser, of the release nearest to Athena.
fn trino(files: &[PathBuf]) -> Option<Vec<(String, String)>> {
    let jars = repository().join("target/trino-parser");
    if !jars.join("installed.xml").is_file() {
        eprintln!("SKIP: no parser of Trino at {} (tests/athena/setup fetches it)", jars.display());
        return None;
    }
    let mut command = Command::new("java");
    command.arg("-cp").arg(jars.join("*")).arg(repository().join("tests/athena/Parse.java")).args(files);
    verdicts(&mut command)
}

fn verdicts(command: &mut Command) -> Option<Vec<(String, String)>> {
    let Ok(output) = command.output() else {
        eprintln!("SKIP: {} is not installed", command.get_program().display());
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() == Some(77) {
        eprintln!("SKIP: {errors}");
        return None;
    }
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let verdict = |line: &str| {
        let (file, verdict) = line.split_once('\t').unwrap();
        let name = Path::new(file).file_name().unwrap().to_string_lossy().into_owned();
        (name, verdict.to_owned())
    };
    Some(text.lines().map(verdict).collect())
}

/// Panics unless the parser accepts, or refuses, each of the files.
fn assert_verdict(parser: Parser, files: &[PathBuf], taken: bool) {
    if files.is_empty() {
        return;
    }
    let Some(found) = parser(files) else { return };
    assert_eq!(found.len(), files.len());
    let wrong: Vec<_> = found.iter().filter(|(_, verdict)| (verdict == "ok") != taken).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_project_and_the_documents_are_sql_for_athena() {
    let Some(statements) = Statements::list() else { return };
    let queries = statements.files("query");
    let names: Vec<_> = queries.iter().map(|f| f.file_name().unwrap().to_string_lossy()).collect();
    for expected in ["customer_trusted.sql", "machine_learning_curated.sql", "athena.md."] {
        assert!(names.iter().any(|name| name.starts_with(expected)), "{expected} is not in {names:?}");
    }
    assert_verdict(sqlglot, &queries, true);
    assert_verdict(trino, &queries, true);
    assert_verdict(sqlglot, &statements.files("ddl"), true);
}

#[test]
fn what_check_warns_of_is_what_the_parsers_refuse() {
    let Some(statements) = Statements::list() else { return };
    assert!(statements.files("refused").len() > 40);
    assert!(statements.files("both").len() > 3);
    assert_verdict(trino, &statements.files("refused"), false);
    assert_verdict(sqlglot, &statements.files("both"), false);
}

#[test]
fn the_policies_in_the_documents_are_json_of_the_shape_that_iam_wants() {
    let text = std::fs::read_to_string(repository().join("docs/athena.md")).unwrap();
    let policies: Vec<serde_json::Value> = text
        .split("```json\n")
        .skip(1)
        .map(|rest| serde_json::from_str(rest.split("```").next().unwrap()).unwrap())
        .collect();
    assert_eq!(policies.len(), 2);
    for policy in policies {
        assert_eq!(policy["Version"], "2012-10-17");
        let statements = policy["Statement"].as_array().unwrap();
        for statement in statements {
            assert_eq!(statement["Effect"], "Allow");
            assert!(statement["Sid"].as_str().unwrap().chars().all(|c| c.is_ascii_alphanumeric()), "{statement}");
            let many = |key: &str| match &statement[key] {
                serde_json::Value::Array(all) => all.iter().map(|v| v.as_str().unwrap().to_owned()).collect(),
                one => vec![one.as_str().unwrap().to_owned()],
            };
            assert!(many("Action").iter().all(|a| a.contains(':') && !a.contains('*')), "{statement}");
            assert!(many("Resource").iter().all(|r| r.starts_with("arn:aws:")), "{statement}");
        }
    }
}
