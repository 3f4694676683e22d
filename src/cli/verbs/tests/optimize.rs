use std::time::Duration;

use serde_json::json;

use crate::cli::verbs::optimize;
use crate::error::Error;
use crate::outcome::{OptimizeOutcome, OptimizedTable};

fn table(zone: &str, name: &str) -> OptimizedTable {
    OptimizedTable {
        version_before: Some(40),
        version_after: Some(40),
        files_before: 21,
        files_after: 21,
        ..OptimizedTable::untouched(name.into(), zone.into(), format!("/lake/{zone}/{name}"))
    }
}

fn merged(zone: &str, name: &str) -> OptimizedTable {
    OptimizedTable {
        version_after: Some(41),
        files_after: 2,
        files_merged: 20,
        files_written: 1,
        bytes_read: 204_800,
        bytes_written: 20_480,
        rows: 1_020,
        commits: 1,
        ..table(zone, name)
    }
}

fn outcome(dry_run: bool, tables: Vec<OptimizedTable>) -> OptimizeOutcome {
    let elapsed = Duration::from_millis(300);
    OptimizeOutcome { project: "shop".into(), target: "dev".into(), dry_run, tables, elapsed }
}

#[test]
fn what_was_merged_and_what_was_left() {
    let left = OptimizedTable { skipped: Some("another writer committed meanwhile".into()), ..table("landing", "b") };
    let failed = OptimizedTable { problem: Some(Error::failed("x")), ..table("trusted", "c") };
    let tables = vec![merged("landing", "a"), left, failed, table("trusted", "d"), merged("system", "files")];
    let outcome = outcome(false, tables);
    assert_eq!(
        optimize::answer(&outcome),
        "\
landing   a       v40 -> v41   20 files into 1                            200.0 KB -> 20.0 KB
          b       v40          left: another writer committed meanwhile
trusted   c       v40          failed
system    files   v40 -> v41   20 files into 1                            200.0 KB -> 20.0 KB

40 files merged into 2 in 0.3 s. Nothing to gain in 1 other table.
"
    );
    let document = serde_json::to_value(optimize::document(&outcome)).expect("JSON");
    assert_eq!((&document["report"], &document["exit_code"]), (&json!("optimize/1"), &json!(1)));
    assert_eq!(document["tables"][1]["skipped"], "another writer committed meanwhile");
    assert_eq!(document["tables"][4]["files_merged"], 20);
}

#[test]
fn a_conflict_alone_is_no_failure() {
    let left = OptimizedTable { skipped: Some("another writer committed meanwhile".into()), ..table("landing", "b") };
    let document = serde_json::to_value(optimize::document(&outcome(false, vec![left]))).expect("JSON");
    assert_eq!(document["exit_code"], 0);
}

#[test]
fn there_may_be_nothing_to_gain() {
    let outcome = outcome(false, vec![table("landing", "a"), table("landing", "b")]);
    assert_eq!(optimize::answer(&outcome), "Nothing to gain in 2 tables.\n");
}
