//! `init`: new projects.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::shell::Shell;
use crate::pages::Reader;
use crate::support::{repository, second};

/// Every file below a folder, relative to it.
fn files(folder: &Path) -> BTreeSet<String> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true => walk(root, &entry, found),
                false => {
                    found.insert(entry.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(folder, folder, &mut found);
    found
}

#[test]
fn a_new_project_is_valid_without_a_table_and_every_verb_works_in_it() {
    let shell = Shell::shop();
    let ran = shell.run_in(&shell.folder(), &[], &["init", "My Lake"]);
    let expected = "\
Project my_lake: 8 files in My Lake

  stedi-delta.toml
  README.md
  .gitignore
  .github/workflows/check.yml
";
    let next = "
Next:
  cd 'My Lake'
  stedi-delta check
  put JSON files into data/, one folder for each kind, then
  stedi-delta infer 'data/FOLDER/*.json'
";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, expected, next));
    let lake = shell.folder().join("My Lake");
    for (args, answer) in [
        (&["check"][..], "my_lake: 0 tables in 3 zones, no errors.\n"),
        (&["status"], "No tables yet.\n"),
        (&["plan"], "No tables yet.\n"),
        (&["sync"], "No tables yet.\n"),
        (&["sync"], "No tables yet.\n"),
        (&["pins"], "No version is pinned.\n"),
        (&["quarantine", "ls"], "Nothing is in quarantine.\n"),
    ] {
        let ran = shell.run_in(&lake, &[], args);
        assert_eq!((ran.code, ran.out.as_str()), (0, answer), "{args:?} {}", ran.err);
    }
    let hint = "Next: stedi-delta infer 'data/FOLDER/*.json'\n";
    assert_eq!(shell.run_in(&lake, &[], &["sync"]).err, hint);
    assert_eq!(shell.run_in(&lake, &[], &["status"]).err, hint);
    for json in [&["status", "--format", "json"][..], &["sync", "--format", "json"], &["plan", "--format", "json"]] {
        assert_eq!(shell.run_in(&lake, &[], json).json()["exit_code"], 0, "{json:?}");
    }
    assert!(!lake.join("warehouse").exists(), "a sync without tables writes nothing");
    // What its workflow runs last.
    let workflow = fs::read_to_string(lake.join(".github/workflows/check.yml")).unwrap();
    assert!(workflow.ends_with("- run: stedi-delta check\n"));
}

#[test]
fn nothing_is_overwritten_and_nothing_is_left_half_written() {
    let shell = Shell::shop();
    let here = shell.folder().join("here");
    for (path, expected) in [
        ("stedi-delta.toml", "  next       this is a project already: stedi-delta check\n"),
        ("README.md", "  next       move it away, or choose another folder: stedi-delta init DIR\n"),
        (".github/workflows/check.yml", "  next       move it away, or choose another folder: stedi-delta init DIR\n"),
    ] {
        let _ = fs::remove_dir_all(&here);
        fs::create_dir_all(here.join(path).parent().unwrap()).unwrap();
        fs::write(here.join(path), "mine").unwrap();
        let ran = shell.run_in(&here, &[], &["init"]);
        let error = format!("error: {path} exists, and nothing is overwritten\n{expected}");
        assert_eq!((ran.code, ran.out.as_str(), ran.err), (64, "", error));
        assert_eq!(files(&here), BTreeSet::from([path.to_owned()]));
        assert_eq!(fs::read_to_string(here.join(path)).unwrap(), "mine");
    }
    // A file where a folder is needed.
    let _ = fs::remove_dir_all(&here);
    fs::create_dir_all(&here).unwrap();
    fs::write(here.join("tables"), "mine").unwrap();
    let ran = shell.run_in(&here, &[], &["init"]);
    assert!(ran.code == 64 && ran.err.starts_with("error: tables is a file, not a folder\n"), "{}", ran.err);
    assert_eq!(files(&here), BTreeSet::from(["tables".to_owned()]));
}

#[test]
fn an_example_has_all_of_its_files() {
    let shell = Shell::shop();
    for (example, root, folders) in [
        ("stedi", repository().to_owned(), &["tables", "sample/landing"][..]),
        ("shop", repository().join("examples/shop"), &["tables", "data"]),
    ] {
        let ran = shell.run_in(&shell.folder(), &[], &["init", example, "--example", example]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let mut made = files(&shell.folder().join(example));
        for ours in ["README.md", ".gitignore", ".github/workflows/check.yml"] {
            assert!(made.remove(ours), "{ours}");
        }
        let mut expected = BTreeSet::from(["stedi-delta.toml".to_owned()]);
        let tests =
            files(&root.join("tests")).into_iter().filter(|file| file.ends_with(".toml") && !file.contains('/'));
        expected.extend(tests.map(|file| format!("tests/{file}")));
        for folder in folders {
            expected.extend(files(&root.join(folder)).into_iter().map(|file| format!("{folder}/{file}")));
        }
        assert_eq!(made, expected, "examples/init/{example}.rs");
        for file in made {
            let same =
                fs::read(root.join(&file)).unwrap() == fs::read(shell.folder().join(example).join(&file)).unwrap();
            assert!(same, "{file}");
        }
        let checked = shell.run_in(&shell.folder().join(example), &[], &["check"]);
        assert_eq!(checked.code, 0, "{}", checked.err);
    }
}

#[test]
fn the_shop_s_tables_are_what_duckdb_computes() {
    let mut reader = Reader::new();
    let (code, out) = reader.run("stedi-delta init shop --example shop\ncd shop\nstedi-delta sync\n");
    assert_eq!(code, 0, "{out}");
    let Some(python) = second::second_engine() else { return };
    let compare = |reader: &mut Reader| {
        let script = repository().join("tests/oracle/shop.py");
        for table in ["orders", "order_lines", "products", "revenue_by_day", "newsletter"] {
            let command = format!("stedi-delta query 'select * from {table}' --format csv --quiet > ../{table}.csv");
            let (code, out) = reader.run(&command);
            assert_eq!(code, 0, "{out}");
        }
        let mut command = Command::new(&python);
        command.arg(script).arg("data").arg("..").current_dir(reader.folder()).stdin(Stdio::null());
        let ran = command.output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{said}");
        said
    };
    assert_eq!(compare(&mut reader), "order_lines 110\norders 66\nproducts 8\nrevenue_by_day 21\nnewsletter 18\n");
    // The README's last command, and somebody who withdraws.
    let readme = fs::read_to_string(repository().join("examples/shop/README.md")).unwrap();
    let cancel = readme.rsplit("```").nth(1).unwrap();
    let (code, out) = reader.run(cancel);
    assert!(code == 0 && out.contains("incremental"), "{out}");
    let (code, out) = reader.run(
        "echo '{\"customer_id\": \"C-0004\", \"name\": \"Dana Rossi\", \"email\": \"dana.rossi.4@example.com\", \
         \"updated_at\": \"2026-11-09T00:00:00Z\"}' > data/customers/customers-2026-11-09.json\nstedi-delta sync\n",
    );
    assert!(code == 0 && out.contains("1 person's consent ended"), "{out}");
    assert_eq!(compare(&mut reader), "order_lines 109\norders 66\nproducts 8\nrevenue_by_day 21\nnewsletter 17\n");
}
