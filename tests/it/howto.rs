//! The pages of docs/how-to and the README, followed in a folder that is empty at first (`pages.rs`). What a `text` block says is
//! part of what the commands before it print: its lines are among theirs, and `…` within a line stands for anything.

use std::fs;
use std::process::Command;

use crate::pages::{Reader, blocks};
use crate::support::repository;

fn follow(page: &str) {
    Reader::new().follow(page, |output, text, place| {
        for line in text.lines() {
            assert!(output.lines().any(|found| is_like(found, line)), "{place}: `{line}` is not in\n{output}");
        }
    });
}

/// Whether `found` has the parts of `line` around `…`, in this order.
fn is_like(found: &str, line: &str) -> bool {
    let mut rest = found;
    line.split('…').all(|part| {
        let at = rest.find(part);
        rest = at.map_or(rest, |at| &rest[at + part.len()..]);
        at.is_some()
    })
}

macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        $(
            #[test]
            fn $test() {
                follow(concat!("docs/how-to/", $page));
            }
        )*

        const PAGES: &[&str] = &[$($page),*];
    };
}

pages! {
    correct_a_file: "correct-a-file.md",
    withdraw_and_erase: "withdraw-and-erase.md",
    audit_by_date: "audit-by-date.md",
    add_a_column: "add-a-column.md",
    backfill: "backfill.md",
    move_a_warehouse: "move-a-warehouse.md",
    run_in_ci: "run-in-ci.md",
}

#[test]
fn every_page_is_followed_and_in_the_index() {
    let index = fs::read_to_string(repository().join("docs/how-to/README.md")).unwrap();
    for entry in fs::read_dir(repository().join("docs/how-to")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || PAGES.contains(&name.as_str()), "{name} is not followed");
        assert!(name == "README.md" || index.contains(&format!("]({name})")), "{name} is not in the index");
    }
}

/// A page that no index names is not found.
#[test]
fn every_other_page_is_in_an_index() {
    for (folder, index) in [("docs", "README.md"), ("docs/proof", "docs/proof/README.md")] {
        let text = fs::read_to_string(repository().join(index)).unwrap();
        for entry in fs::read_dir(repository().join(folder)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let link = if folder == "docs" { format!("](docs/{name}") } else { format!("]({name}") };
            let is_page = name.ends_with(".md") && name != "README.md";
            assert!(!is_page || text.contains(&link), "{folder}/{name} is not in {index}");
        }
    }
}

/// The commands of the README work on a copy in the system's folder for temporary files; here in one of the test's own.
#[test]
fn the_five_minutes_of_the_readme() {
    let folder = tempfile::tempdir().unwrap();
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("## The five minutes after").unwrap();
    let (section, _) = rest.split_once("\n## ").unwrap();
    let temporary = format!("{}/", folder.path().display());
    let commands = blocks(section).into_iter().map(|block| block.text.replace("/tmp/", &temporary) + "sleep 2\n");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_stedi-delta")).parent().unwrap();
    let built = "\"$PWD/target/release:$PATH\"";
    let script: String =
        commands.map(|text| text.replace(built, &format!("\"{}:$PATH\"", program.display()))).collect();
    let run = Command::new("bash")
        .args(["-euc", &script])
        .current_dir(repository())
        .env("XDG_CACHE_HOME", folder.path())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{output}\n{}", String::from_utf8_lossy(&run.stderr));
    for line in ["| 4309     |", "accelerometer_trusted       v0 -> v1      -192", "| 33       |"] {
        assert!(output.contains(line), "`{line}` is not in\n{output}");
    }
}

/// A link of a page leads to a file that is there.
#[test]
fn links_lead_somewhere() {
    let mut pages: Vec<_> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|page| repository().join(page)).into();
    let mut folders = vec![repository().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            let is_here = !file.is_empty() && !file.contains("://") && !file.contains(' ');
            assert!(!is_here || page.parent().unwrap().join(file).exists(), "{}: {link}", page.display());
        }
    }
}
