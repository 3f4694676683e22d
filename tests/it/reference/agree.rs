//! The schemas, the reader and the documents agree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use stedi_delta::internals::definition::{Sample, samples};
use stedi_delta::workspace;

use super::{schemas, validated};
use crate::architecture::rust_files;
use crate::cli::person;
use crate::cli::shell::Shell;
use crate::support::repository;

/// The faults that `check` finds: message and label.
async fn checked(sample: &Sample) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in &sample.files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    match workspace::check(folder.path(), None).await {
        Ok(_) => Vec::new(),
        Err(error) => {
            assert!(!error.faults().is_empty(), "{}: {}", sample.name, error.message());
            error.faults().iter().map(|fault| (fault.message.clone(), fault.label.clone())).collect()
        }
    }
}

fn file_of(sample: &Sample) -> String {
    sample.files.iter().find(|(path, _)| *path == sample.file).unwrap().1.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_of_every_key_what_is_declared() {
    let samples = samples();
    assert!(samples.len() > 300, "{}", samples.len());
    let mut broken = Vec::new();
    for sample in &samples {
        let found = checked(sample).await;
        let is_expected = match &sample.fault {
            None => found.is_empty(),
            Some((message, label)) => found
                .iter()
                .any(|(said, expected)| said == message && label.as_ref().is_none_or(|label| label == expected)),
        };
        if !is_expected {
            broken.push(format!(
                "{}\n  declared {:?}\n  found    {found:?}\n{}",
                sample.name,
                sample.fault,
                file_of(sample)
            ));
        }
    }
    assert!(broken.is_empty(), "{} of {}:\n{}", broken.len(), samples.len(), broken.join("\n"));
}

#[test]
fn the_schemas_and_check_agree_on_every_key() {
    let samples = samples();
    let asked: Vec<_> = samples.iter().map(|sample| (sample.schema, "toml", file_of(sample))).collect();
    let Some(answers) = validated(&asked) else { return };
    let mut broken = Vec::new();
    for (sample, answer) in samples.iter().zip(answers) {
        // What `check` says is the other test's.
        let is_valid = sample.fault.is_none() || !sample.is_seen;
        if answer.is_empty() != is_valid {
            broken.push(format!("{}: {answer:?}, declared {:?}", sample.name, sample.fault));
        }
    }
    assert!(broken.is_empty(), "{} of {}:\n{}", broken.len(), samples.len(), broken.join("\n"));
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        if entry.is_dir() {
            if !name.starts_with('.') && !["target", "warehouse", "node_modules"].contains(&name.as_str()) {
                files(&entry, found);
            }
        } else if name == "stedi-delta.toml" || (name.ends_with(".toml") && entry.iter().any(|part| part == "tables")) {
            found.push(entry);
        }
    }
}

#[test]
fn every_file_of_the_repository_fits_its_schema() {
    let mut found = Vec::new();
    files(repository(), &mut found);
    assert!(found.len() > 30, "{}", found.len());
    let schema = |path: &PathBuf| if path.ends_with("stedi-delta.toml") { "project" } else { "table" };
    let asked: Vec<_> = found.iter().map(|path| (schema(path), "toml", fs::read_to_string(path).unwrap())).collect();
    let Some(answers) = validated(&asked) else { return };
    for (path, answer) in found.iter().zip(answers) {
        assert!(answer.is_empty(), "{}: {answer:?}", path.display());
    }
}

#[test]
fn every_document_fits_the_schema_of_reports() {
    let shell = Shell::synced();
    shell.land("people/b.json", &[person("ann", 2, false), person("kim", 3, true)].concat());
    shell.land("notes/a.json", "{\"id\":1}\n{\"id\":\"two\"}\n{\"id\":3,\"more\":4}\n");
    let commands: &[&[&str]] = &[
        &["check"],
        &["plan", "--rows", "--explain"],
        &["status"],
        &["sync", "--verify"],
        &["sync"],
        &["plan"],
        &["history", "members"],
        &["describe", "members"],
        &["describe", "people@v0"],
        &["diff", "members", "--from", "v0"],
        &["diff", "--lake", "--from", "2020-01-01"],
        &["lineage", "members", "--columns"],
        &["lineage", "people", "--downstream"],
        &["audit", "consent", "members"],
        &["audit", "verify", "members"],
        &["audit", "membership", "members", "--subject", "email=kim@example.com", "--all-versions"],
        &["pin", "members", "--name", "first"],
        &["pins"],
        &["report"],
        &["status"],
        &["unpin", "first"],
        &["restore", "members", "--to", "v0", "--yes"],
        &["migrate", "status"],
        &["migrate", "lint"],
        &["migrate", "new", "draft"],
        &["quarantine", "replay", "notes"],
        &["catalog", "check"],
        &["catalog", "register"],
        &["test"],
        &["optimize"],
        &["vacuum", "--lake"],
        &["infer", "l/notes/*.json"],
        &["init", "another"],
    ];
    let mut asked = Vec::new();
    let run = |args: &[&str], asked: &mut Vec<(&'static str, &'static str, String)>| {
        let ran = shell.run(&[args, &["--format", "json"]].concat());
        assert!(ran.out.starts_with('{'), "{args:?}: {}{}", ran.out, ran.err);
        asked.push(("report", "json", ran.out));
    };
    for args in commands {
        run(args, &mut asked);
    }
    shell.define("tables/landing/notes.toml", "descripton = \"x\"\n");
    // Without a result.
    let failing: &[&[&str]] = &[
        &["check"],
        &["sync"],
        &["plan"],
        &["status"],
        &["history", "members"],
        &["describe", "members"],
        &["diff", "members", "--from", "v0"],
        &["lineage", "members"],
        &["audit", "consent", "members"],
        &["audit", "verify", "members"],
        &["pins"],
        &["report"],
        &["restore", "members", "--to", "v0", "--yes"],
        &["catalog", "check"],
        &["test"],
        &["optimize"],
        &["vacuum", "--lake"],
        &["infer", "l/notes/*.json"],
    ];
    for args in failing {
        run(args, &mut asked);
    }
    let told: BTreeSet<String> = asked
        .iter()
        .map(|(.., text)| {
            serde_json::from_str::<serde_json::Value>(text).unwrap()["report"].as_str().unwrap().to_owned()
        })
        .collect();
    let schemas = schemas();
    let known = schemas["report"]["properties"]["report"]["enum"].as_array().unwrap();
    let known: BTreeSet<String> = known.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    assert_eq!(told, known, "documents that these commands print, and those of the schema");
    let Some(answers) = validated(&asked) else { return };
    for ((.., text), answer) in asked.iter().zip(answers) {
        assert!(answer.is_empty(), "{answer:?}: {text}");
    }
}

#[test]
fn every_document_of_the_source_is_in_the_schema() {
    let schemas = schemas();
    let known = schemas["report"]["properties"]["report"]["enum"].to_string();
    let mut sources = Vec::new();
    rust_files(&repository().join("src"), &mut sources);
    let mut found = 0;
    for file in sources {
        let text = fs::read_to_string(&file).unwrap();
        for name in text.split("report: \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            if name.split_once('/').is_some_and(|(_, number)| number.parse::<u8>().is_ok()) {
                found += 1;
                assert!(known.contains(&format!("\"{name}\"")), "{name} of {} is not in the schema", file.display());
            }
        }
    }
    assert!(found > 20, "{found}");
}
