//! Every `--help` to the letter, at 80 columns, and the manual.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use stedi_delta::internals::cli::{command, paths};

use super::kept;
use crate::cli::shell::Shell;
use crate::support::repository;

/// The file of a verb's help.
fn page(verb: &str) -> String {
    let name = if verb.is_empty() { "stedi-delta".to_owned() } else { verb.replace(' ', "-") };
    format!("tests/it/help/{name}.txt")
}

#[test]
fn every_help_is_what_the_repository_says() {
    let shell = Shell::shop();
    let folder = shell.folder();
    let verbs = paths(&command());
    for verb in &verbs {
        let words: Vec<&str> = verb.split_whitespace().collect();
        let long = shell.run_in(&folder, &[("COLUMNS", "80")], &[&words[..], &["--help"]].concat()).fine();
        assert_eq!(long.err, "", "{verb}");
        kept(&page(verb), &long.out);
        let other = shell.run_in(&folder, &[("COLUMNS", "80")], &[&["help"], &words[..]].concat()).fine();
        assert_eq!(other.out, long.out, "help {verb}");
        // Neither a usage nor an example is wrapped.
        let is_command = |line: &str| line.starts_with("  stedi-delta ") || line.starts_with("Usage: ");
        for line in long.out.lines().filter(|line| !is_command(line)) {
            assert!(line.chars().count() <= 80, "{verb}: {line}");
        }
        if !verb.is_empty() {
            assert!(long.out.contains("\nExample"), "{verb} has no example");
        }
    }
    let expected: BTreeSet<String> = verbs.iter().map(|verb| page(verb)).collect();
    for entry in fs::read_dir(repository().join("tests/it/help")).unwrap() {
        let path = format!("tests/it/help/{}", entry.unwrap().file_name().to_string_lossy());
        assert!(expected.contains(&path), "{path} is the help of no verb: remove it");
    }
}

#[test]
fn help_names_every_variable_of_the_environment() {
    let help = Shell::shop().run(&["--help"]).fine().out;
    let mut names = BTreeSet::new();
    variables(&repository().join("src"), &mut names);
    assert!(names.len() >= 5, "{names:?}");
    // Read when the program is compiled.
    names.remove("STEDI_DELTA_COMMIT");
    for name in names {
        assert!(help.contains(&format!("\n  {name} ")), "{name} is not in `--help`");
    }
}

/// Names of variables in texts of the source.
fn variables(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            variables(&entry, found);
        } else {
            let text = fs::read_to_string(&entry).unwrap_or_default();
            for rest in text.split("\"STEDI_DELTA_").skip(1) {
                let name: String = rest.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
                found.insert(format!("STEDI_DELTA_{name}"));
            }
        }
    }
}

#[test]
fn the_manual_has_a_page_of_every_verb() {
    let shell = Shell::shop();
    let page = shell.run(&["man"]).fine();
    assert!(page.out.contains(".TH stedi-delta 1") && page.out.contains("Exit codes:"), "{}", page.out);
    let written = shell.run(&["man", "--out", "man"]).fine();
    let verbs = paths(&command());
    assert_eq!(written.out, format!("man: {} pages.\n", verbs.len()));
    let files: BTreeSet<PathBuf> =
        fs::read_dir(shell.project().join("man")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let expected = verbs.iter().map(|verb| {
        let name = format!("stedi-delta {verb}").trim_end().replace(' ', "-");
        shell.project().join("man").join(format!("{name}.1"))
    });
    assert_eq!(files, expected.collect());
    let sync = fs::read_to_string(shell.project().join("man/stedi-delta-sync.1")).unwrap();
    assert!(sync.contains("stedi\\-delta sync \\-\\-reload") && !sync.contains('\u{1b}'), "{sync}");
}
