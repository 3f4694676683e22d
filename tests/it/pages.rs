//! Pages for users, followed word for word: every block of commands runs in one folder that is empty at first, and what a
//! block says to expect is in the output of the commands before it.
//!
//! ```` ```sh ```` is run by bash with `-eu`; a last line that ends in `# exits with N` says the exit code of the block. A block
//! ```` ```text ```` after it has lines of the output, in their order; `…` within a line stands for anything. Blocks of other kinds are
//! not run: they need what a test has not, such as AWS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::repository;

struct Block<'a> {
    kind: &'a str,
    text: &'a str,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    // Between two fences is a block, then prose, and so on.
    let parts = page.split("\n```").skip(1).step_by(2);
    parts
        .map(|part| part.split_once('\n').map_or(Block { kind: part, text: "" }, |(kind, text)| Block { kind, text }))
        .collect()
}

/// Where the program is found by its name, as after an installation.
fn path() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_stedi-delta")).parent().unwrap();
    format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default())
}

/// Runs the commands of `page` in `folder`, each block where the one before has ended.
pub(crate) fn follow(page: &str, text: &str, folder: &Path) {
    let mut here: PathBuf = folder.to_owned();
    let mut output = String::new();
    for block in blocks(text) {
        match block.kind {
            "sh" => {
                let last = block.text.trim_end().lines().last().unwrap_or_default();
                let expected: i32 =
                    last.rsplit_once("# exits with ").map_or(0, |(_, code)| code.parse().expect("an exit code"));
                let script = format!("trap 'pwd > \"$HERE\"' EXIT\n{}", block.text);
                let told = folder.join(".here");
                let run = Command::new("bash")
                    .args(["-euc", &script])
                    .current_dir(&here)
                    .env("PATH", path())
                    .env("HERE", &told)
                    .env_remove("COLUMNS")
                    .output()
                    .expect("bash");
                output = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
                assert_eq!(run.status.code(), Some(expected), "{page}:\n{}\n{output}", block.text);
                here = PathBuf::from(fs::read_to_string(&told).unwrap().trim_end());
            }
            "text" => {
                for line in block.text.lines() {
                    let found = output.lines().any(|found| is_like(found, line));
                    assert!(found, "{page}: `{line}` is not in\n{output}");
                }
            }
            _ => {}
        }
    }
}

/// Whether `found` contains the parts of `line` around `…`, in this order.
fn is_like(found: &str, line: &str) -> bool {
    let mut rest = found;
    line.split('…').all(|part| {
        let at = rest.find(part);
        rest = at.map_or(rest, |at| &rest[at + part.len()..]);
        at.is_some()
    })
}

fn follow_page(page: &str) {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(repository().join(page)).unwrap();
    let commands = blocks(&text).iter().filter(|block| block.kind == "sh").count();
    assert!(commands > 0, "{page} has no commands");
    follow(page, &text, folder.path());
}

macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        $(
            #[test]
            fn $test() {
                follow_page($page);
            }
        )*

        const PAGES: &[&str] = &[$($page),*];
    };
}

pages! {
    correct_a_file: "docs/how-to/correct-a-file.md",
    withdraw_and_erase: "docs/how-to/withdraw-and-erase.md",
    audit_by_date: "docs/how-to/audit-by-date.md",
    add_a_column: "docs/how-to/add-a-column.md",
    backfill: "docs/how-to/backfill.md",
    move_a_warehouse: "docs/how-to/move-a-warehouse.md",
    run_in_ci: "docs/how-to/run-in-ci.md",
}

#[test]
fn every_page_of_how_to_is_followed() {
    let index = fs::read_to_string(repository().join("docs/how-to/README.md")).unwrap();
    for entry in fs::read_dir(repository().join("docs/how-to")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_followed = PAGES.iter().any(|page| page.ends_with(&format!("/{name}")));
        assert!(name == "README.md" || is_followed, "{name} is not followed");
        assert!(name == "README.md" || index.contains(&format!("]({name})")), "{name} is not in the index");
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
    let script: String =
        blocks(section).iter().map(|block| block.text.replace("/tmp/", &temporary) + "\nsleep 2\n").collect();
    let script = script.replace("export PATH=\"$PWD/target/release:$PATH\"", "");
    let run =
        Command::new("bash").args(["-euc", &script]).current_dir(repository()).env("PATH", path()).output().unwrap();
    let output = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{output}\n{}", String::from_utf8_lossy(&run.stderr));
    for line in ["| 4309     |", "accelerometer_trusted       v0 -> v1      -192", "| 33       |"] {
        assert!(output.contains(line), "`{line}` is not in\n{output}");
    }
}

/// A link of a page leads to a file that is there.
#[test]
fn links_lead_somewhere() {
    let mut pages = vec![
        repository().join("README.md"),
        repository().join("ARCHITECTURE.md"),
        repository().join("CONTRIBUTING.md"),
    ];
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
