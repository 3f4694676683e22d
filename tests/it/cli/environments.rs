//! Variables in targets, and landing tables of another target.

use std::fs;

use super::person;
use super::shell::Shell;

const TARGETS: &str = "name = \"shop\"\nzones = [\"landing\", \"trusted\"]\ndefault_target = \"prod\"\n\
                       [targets.prod]\nlanding = \"l\"\nwarehouse = \"w\"\n\
                       [targets.dev]\nlanding = \"nowhere\"\nwarehouse = \"dev\"\n";
const ROWS: [&str; 6] = ["query", "select email, at from members order by email", "--format", "csv", "--target", "dev"];

/// A lake in `w` with two members, and a target `dev` that has nothing.
fn shell() -> Shell {
    let shell = Shell::synced();
    shell.define("stedi-delta.toml", TARGETS);
    shell
}

/// Every file below a folder of the project, with its bytes.
fn bytes(shell: &Shell, folder: &str) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut left = vec![shell.project().join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.metadata().unwrap().is_dir() {
                true => left.push(entry.path()),
                false => found.push((entry.path(), fs::read(entry.path()).unwrap())),
            }
        }
    }
    found.sort();
    found
}

fn set_writable(shell: &Shell, folder: &str, is_writable: bool) {
    let mut left = vec![shell.project().join(folder)];
    while let Some(path) = left.pop() {
        let about = fs::metadata(&path).unwrap();
        if about.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let mut permissions = about.permissions();
        permissions.set_readonly(!is_writable);
        fs::set_permissions(&path, permissions).unwrap();
    }
}

#[test]
fn derived_tables_are_computed_from_the_landing_tables_of_another_target() {
    let shell = shell();
    let before = bytes(&shell, "w");
    set_writable(&shell, "w", false);
    let first = shell.run(&["sync", "--target", "dev", "--defer", "prod"]);
    assert_eq!(first.code, 0, "{}{}", first.out, first.err);
    assert!(first.err.starts_with("note: landing tables are those of target `prod`, as run "), "{}", first.err);
    assert!(first.out.contains("trusted   members    new -> v0"), "{}", first.out);
    assert!(first.out.contains("1 table changed, 2 unchanged"), "{}", first.out);
    assert_eq!(shell.run(&ROWS).out, "email,at\nann@example.com,1\neve@example.com,1\n");
    assert_eq!(bytes(&shell, "w"), before, "nothing of the other target was written");
    set_writable(&shell, "w", true);

    // The other target goes on, but what it has not synced is in no cut.
    shell.land("people/b.json", &person("ann", 2, false));
    assert_eq!(shell.run(&["sync", "--target", "dev", "--defer", "prod"]).code, 0);
    assert_eq!(shell.run(&ROWS).out.lines().count(), 3);
    assert_eq!(shell.run(&["sync"]).code, 0);
    let before = bytes(&shell, "w");
    let second = shell.run(&["sync", "--target", "dev", "--defer", "prod"]);
    assert!(second.out.contains("trusted   members    v0 -> v1        -1          incremental"), "{}", second.out);
    assert_eq!(shell.run(&ROWS).out, "email,at\neve@example.com,1\n");
    assert_eq!(bytes(&shell, "w"), before);
    // Only derived tables are in this lake, its runs and its catalog.
    assert!(!shell.project().join("dev/landing").exists());
    let runs = shell.run(&["query", "select versions from runs order by ended_at", "--format", "csv", "-t", "dev"]).out;
    assert_eq!(runs, "versions\n\"{\"\"members\"\":0}\"\n\"{\"\"members\"\":1}\"\n");
}

#[test]
fn a_target_that_cannot_be_read_is_refused_before_anything_is_written() {
    let shell = shell();
    for (args, expected) in [
        (vec!["sync", "--defer", "prod"], "error: `--defer prod` names the target that is written\n"),
        (vec!["sync", "--defer", "prd"], "error: target `prd` is not in this project\n"),
        (vec!["sync", "-t", "dev", "--warehouse", "w", "--defer", "prod"], "error: both targets have one warehouse\n"),
        (vec!["sync", "--defer", "dev"], "error: target `dev` has no complete sync to read\n"),
    ] {
        let ran = shell.run(&args);
        assert!(ran.err.starts_with(expected), "{args:?}: {}", ran.err);
        assert_ne!(ran.code, 0);
    }
    shell.define(
        "tables/trusted/members.toml",
        "description = \"m\"\nlocation = \"elsewhere\"\n[consent]\nsubject = \"email\"\n",
    );
    let ran = shell.run(&["sync", "-t", "dev", "--defer", "prod"]);
    assert!(ran.err.starts_with("error: members has a `location`, which both targets share\n"), "{}", ran.err);
    assert!(!shell.project().join("dev").exists());
}

#[test]
fn variables_come_from_the_environment_and_a_missing_one_has_its_place() {
    let shell = Shell::shop();
    let targets = "name = \"shop\"\nzones = [\"landing\", \"trusted\"]\ndefault_target = \"dev\"\n\
                   [targets.dev]\nlanding = \"${SHOP_FILES:-l}\"\nwarehouse = \"w\"\n\
                   [targets.prod]\nlanding = \"${SHOP_PROD}/files\"\nwarehouse = \"p\"\n";
    shell.define("stedi-delta.toml", targets);
    shell.land("people/a.json", &person("ann", 1, true));
    let first = shell.run(&["sync"]);
    assert!(first.out.starts_with("shop -> dev  (landing l, warehouse w)\n"), "{}{}", first.out, first.err);
    let elsewhere = shell.run_in(&shell.project(), &[("SHOP_FILES", "nowhere")], &["sync"]);
    assert!(
        elsewhere.err.contains("the landing folder `<folder>/project/nowhere` does not exist"),
        "{}",
        elsewhere.err
    );
    // Only the target in use needs its variables.
    assert_eq!(shell.run(&["check"]).code, 0);
    let expected = "\
error: `landing` needs the environment variable `SHOP_PROD`, which is not set
 --> stedi-delta.toml:8:11
  |
8 | landing = \"${SHOP_PROD}/files\"
  |           ^^^^^^^^^^^^^^^^^^^^ set it, or write `${SHOP_PROD:-default}`

1 error in 1 file; nothing was read or written.
";
    for verb in ["check", "sync", "status"] {
        let ran = shell.run(&[verb, "--target", "prod"]);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (1, "", expected), "{verb}");
    }
    assert_eq!(shell.run_in(&shell.project(), &[("SHOP_PROD", "l")], &["check", "-t", "prod"]).code, 0);
}

#[test]
fn values_of_variables_are_in_no_message() {
    let shell = Shell::shop();
    let targets = "name = \"shop\"\nzones = [\"landing\", \"trusted\"]\n\
                   [targets.dev]\nlanding = \"${SHOP_FILES}\"\nwarehouse = \"w\"\nendpoint = \"${SHOP_ENDPOINT:-}\"\n";
    shell.define("stedi-delta.toml", targets);
    for (files, endpoint) in [("https://hidden/x", "https://e"), ("s3://user:hidden@b/x", "https://e"), ("l", "hidden")]
    {
        let ran = shell.run_in(&shell.project(), &[("SHOP_FILES", files), ("SHOP_ENDPOINT", endpoint)], &["check"]);
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("is not valid with the values of its variables"), "{}", ran.err);
        assert!(!ran.err.contains("hidden"), "{}", ran.err);
    }
}
