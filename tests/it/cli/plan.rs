//! `plan` as used by a person and a pipeline.

use super::person;
use super::shell::{NO_NOTES, Shell};

#[test]
fn a_plan_is_a_line_per_table_and_touches_nothing() {
    let shell = Shell::shop();
    shell.land("people/a.json", &person("ann", 1, true));
    let first = shell.run(&["plan"]);
    assert_eq!((first.code, first.err.as_str()), (0, format!("{NO_NOTES}Next: stedi-delta sync\n").as_str()));
    assert!(first.out.contains("people     new   ingest: 1 new file "), "{}", first.out);
    assert!(first.out.contains("members    new   full (after ingest): first build"), "{}", first.out);
    assert!(first.out.ends_with("\nPlan: 2 to ingest, 1 full.\n"), "{}", first.out);
    assert!(!shell.project().join("w").exists());
    assert_eq!(shell.run(&["plan", "--detailed-exitcode"]).code, 2);
    assert_eq!(shell.run(&["sync", "--verify"]).code, 0);

    let stands = shell.warehouse();
    let even = shell.run(&["plan", "--detailed-exitcode"]);
    assert_eq!((even.code, even.err.as_str()), (0, NO_NOTES));
    assert!(even.out.ends_with("\nPlan: 3 up to date.\n"), "{}", even.out);
    shell.land("people/b.json", &person("bob", 1, true));
    let explained = shell.run(&["plan", "--explain", "-s", "members"]);
    assert!(explained.out.contains("members    v0   incremental (after ingest)"), "{}", explained.out);
    assert!(
        explained.out.contains("recompute affected partitions of email; the table has the old rows"),
        "{}",
        explained.out
    );
    assert_eq!(shell.warehouse(), stands);
}

#[test]
fn a_plan_is_a_document() {
    let shell = Shell::synced();
    shell.land("people/b.json", &person("bob", 1, true));
    let document = shell.run(&["plan", "--format", "json", "--detailed-exitcode"]).json();
    assert_eq!((&document["report"], &document["exit_code"]), (&"plan/1".into(), &2.into()));
    assert_eq!(document["pending"], true);
    let members = document["tables"].as_array().unwrap().iter().find(|t| t["table"] == "members").unwrap();
    assert_eq!((&members["action"], &members["after"][0]), (&"incremental".into(), &"people".into()));
    assert_eq!(members["explain"], serde_json::Value::Null);
    let wrong = shell.run(&["plan", "-s", "nobody"]);
    assert_eq!((wrong.code, wrong.out.as_str()), (64, ""));
}

#[test]
fn a_verified_sync_says_so() {
    let shell = Shell::synced();
    let ran = shell.run(&["sync", "--verify"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, NO_NOTES));
    assert!(ran.out.ends_with("1 table verified: it equals its query.\n"), "{}", ran.out);
    let document = shell.run(&["sync", "--verify", "--format", "json"]).json();
    assert_eq!(document["totals"]["tables_verified"], 1);
}
