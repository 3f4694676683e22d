//! `report`: one page and its document, of the lake and of one pin.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::cli::person;
use crate::cli::shell::Shell;
use crate::support::repository;

fn page(shell: &Shell, args: &[&str]) -> (i32, String) {
    let ran = shell.run(&[&["report", "--out", "r.html"], args].concat());
    assert!(ran.err.is_empty(), "{}", ran.err);
    (ran.code, fs::read_to_string(shell.project().join("r.html")).unwrap())
}

fn document(shell: &Shell, args: &[&str]) -> Value {
    shell.run(&[&["report", "--format", "json"], args].concat()).json()
}

/// What a browser would fetch.
fn assert_self_contained(page: &str) {
    for text in ["http:", "https:", "src=", "<link", "@import", "url(", "<script", "<a ", "<img", "<iframe"] {
        assert!(!page.contains(text), "{text}");
    }
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_page_says_what_is_there_for_whom_and_whether_it_held() {
    let shell = Shell::synced();
    shell.land("people/b.json", &person("ann", 2, false));
    assert_eq!(shell.run(&["sync"]).code, 0);
    assert_eq!(shell.run(&["pin", "members@v0", "--name", "set_1"]).code, 0);
    let (code, page) = page(&shell, &[]);
    assert_eq!(code, 0);
    assert_self_contained(&page);
    for text in [
        "No violation found.",
        "people who have consented, by <code>email</code> in people",
        "set_1",
        "full: first build",
        "This lake has no migrations.",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("example.com") && !page.contains("ann"), "personal data");

    let report = document(&shell, &[]);
    assert_eq!((&report["report"], &report["exit_code"]), (&"report/1".into(), &0.into()));
    let names: Vec<&str> = report["tables"].as_array().unwrap().iter().map(|t| t["table"].as_str().unwrap()).collect();
    assert_eq!(names, ["notes", "people", "members"]);
    let members = &report["tables"][2];
    assert_eq!((&members["version"], &members["rows"]), (&1.into(), &1.into()));
    assert_eq!((&members["sources"]["people"], &members["personal"][0]), (&1.into(), &"email".into()));
    let consent = &report["consent"][0];
    assert_eq!((&consent["table"], &consent["verdict"]), (&"members".into(), &"holds".into()));
    assert_eq!((&consent["rows"], &consent["violations"], &consent["grants"]), (&1.into(), &0.into(), &1.into()));
    assert_eq!(report["verification"][0]["verdict"], "equal");
    assert_eq!((&report["pins"][0]["name"], &report["pins"][0]["withdrawn"]), (&"set_1".into(), &1.into()));
}

#[test]
fn a_pin_is_reported_with_the_versions_that_it_was_computed_from() {
    let shell = Shell::synced();
    assert_eq!(shell.run(&["pin", "members", "--name", "set_1"]).code, 0);
    shell.land("people/b.json", &person("ann", 2, false));
    assert_eq!(shell.run(&["sync"]).code, 0);
    let report = document(&shell, &["--pin", "set_1"]);
    assert_eq!((&report["pin"]["name"], &report["pin"]["version"]), (&"set_1".into(), &0.into()));
    let versions: Vec<(&str, u64)> = report["tables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|table| (table["table"].as_str().unwrap(), table["version"].as_u64().unwrap()))
        .collect();
    assert_eq!(versions, [("people", 0), ("members", 0)]);
    assert_eq!((&report["consent"][0]["version"], &report["consent"][0]["verdict"]), (&0.into(), &"holds".into()));
    assert_eq!(report["tables"][1]["rows"], 2);
    let (code, page) = page(&shell, &["--pin", "set_1"]);
    assert_eq!(code, 0);
    assert_self_contained(&page);
    assert!(page.contains("The pinned version") && page.contains("People without consent today"));
    let unknown = shell.run(&["report", "--pin", "set_2", "--out", "r.html"]);
    assert_eq!(
        (unknown.code, unknown.err.as_str()),
        (64, "error: there is no pin `set_2`\n  next       stedi-delta pins\n")
    );
}

#[test]
fn evidence_against_the_lake_is_exit_3_and_a_page_all_the_same() {
    let shell = Shell::synced();
    // A file that cannot be decoded any more.
    let files = fs::read_dir(shell.project().join("w/trusted/members")).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "parquet")) {
        let mut bytes = fs::read(&file).unwrap();
        for byte in bytes.iter_mut().skip(4).take(40) {
            *byte ^= 0x5A;
        }
        fs::write(&file, bytes).unwrap();
    }
    let (code, page) = page(&shell, &[]);
    assert_eq!(code, 3);
    assert!(page.contains("differ from their query"), "{page}");
    let refused = shell.run(&["report"]);
    assert_eq!(refused.code, 64);
    assert!(refused.err.starts_with("error: the page needs a file\n"), "{}", refused.err);
}

#[test]
fn the_page_stands_alone_in_a_browser() {
    let shell = Shell::synced();
    assert_eq!(shell.run(&["pin", "members", "--name", "set_1"]).code, 0);
    page(&shell, &[]);
    let script = repository().join("tests/report/browser.py");
    let folder = shell.folder().join("browser");
    fs::create_dir(&folder).unwrap();
    let mut command = Command::new("python3");
    let ran = command.arg(script).arg(shell.project().join("r.html")).arg(&folder).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    if ran.status.code() == Some(77) {
        eprintln!("SKIP: {said}");
        return;
    }
    assert!(ran.status.success(), "{said}");
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), "", "{said}");
    assert!(folder.join("390.png").is_file() && folder.join("1440.png").is_file());
}
