//! What the program says of itself: JSON Schemas, `docs/reference.md`, `docs/functions.md`, `--help`, completions, manual.
//! `UPDATE_DOCS=1` rewrites the files that these tests compare.

mod agree;
mod help;
mod shells;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};
use stedi_delta::internals::definition;

use crate::cli::shell::Shell;
use crate::support::{repository, second};

/// A file of the repository that is written from the program: compared, or rewritten if `UPDATE_DOCS` is set.
fn kept(path: &str, text: &str) {
    let file = repository().join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        return;
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    let differs = || found.lines().zip(text.lines()).find(|(found, text)| found != text);
    assert!(found == text, "{path} is not what the program says; UPDATE_DOCS=1 rewrites it. First: {:?}", differs());
}

/// The program's schemas, by their names.
fn schemas() -> Map<String, Value> {
    let shell = Shell::shop();
    let schema = |of: &&str| ((*of).to_owned(), shell.run(&["schema", of]).fine().json());
    ["project", "table", "report"].iter().map(schema).collect()
}

/// The faults of files and documents, each with the name of its schema and its kind. `None`, with a printed skip, if there is
/// no validator.
fn validated(asked: &[(&str, &str, String)]) -> Option<Vec<Vec<String>>> {
    let python = second::python();
    if !python.is_file() {
        eprintln!("SKIP: no Python at {} to validate by JSON Schema (scripts/setup installs it)", python.display());
        return None;
    }
    let mut check = Command::new(python);
    check.arg(repository().join("tests/schema/check.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = check.spawn().unwrap();
    let input = json!({ "schemas": schemas(), "asked": asked });
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(77) {
        eprintln!("SKIP: jsonschema is not installed (scripts/setup installs it)");
        return None;
    }
    assert!(output.status.success(), "{:?}", output.status);
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn the_pages_are_what_the_program_knows() {
    kept("docs/reference.md", &definition::reference());
    kept("docs/functions.md", &definition::functions());
}

#[test]
fn a_schema_is_an_object_with_properties() {
    for (name, schema) in schemas() {
        assert_eq!(
            (&schema["type"], &schema["$schema"]),
            (&"object".into(), &"http://json-schema.org/draft-07/schema#".into()),
            "{name}"
        );
        assert!(schema["properties"].as_object().unwrap().len() > 1, "{name}");
    }
    let table = &schemas()["table"];
    assert_eq!(table["additionalProperties"], false);
    let refresh = &table["properties"]["refresh"];
    assert_eq!((&refresh["default"], &refresh["enum"]), (&"auto".into(), &json!(["auto", "incremental", "full"])));
    assert!(refresh["description"].as_str().unwrap().contains("Derived tables"), "{refresh}");
}
