use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::exit;
use crate::cli::verbs::{check, history, quarantine, status, sync};
use crate::error::{Error, Kind};
use crate::name::TableName;
use crate::outcome::{
    HistoryEntry, Io, Mode, Problem, Rows, StatusOutcome, SyncOutcome, TableOutcome, TableStatus, Warning,
};
use crate::source::{Fault, Place, SourceFile};

fn name(text: &str) -> TableName {
    TableName::parse(text).expect("a valid name")
}

fn table(problem: Option<Problem>) -> TableOutcome {
    TableOutcome {
        version_after: Some(0),
        mode: Mode::Full,
        reason: "first build".into(),
        rows: Rows { inserted: 5, updated: 4, deleted: 3, quarantined: 2 },
        io: Io {
            files_read: 1,
            files_added: 2,
            files_removed: 3,
            files_before: 4,
            rows_read: 7,
            bytes_read: 5,
            bytes_written: 6,
            ..Io::default()
        },
        elapsed: Duration::from_millis(1234),
        waiting: vec!["a.json".into()],
        warnings: vec![Warning { message: "m".into(), details: vec!["d".into()], help: None }],
        problem,
        ..TableOutcome::untouched(name("orders"), "trusted", "/wh/trusted/orders")
    }
}

fn outcome(problems: Vec<Option<Problem>>) -> SyncOutcome {
    SyncOutcome {
        project: "shop".into(),
        target: "dev".into(),
        landing: "./in".into(),
        warehouse: "./wh".into(),
        run: "r1".into(),
        started_ms: 0,
        elapsed: Duration::from_millis(1500),
        tables: problems.into_iter().map(table).collect(),
        grants_ended: 1,
        grants_ended_tables: 2,
        problem: None,
        registered: 7,
        left: vec!["old".into()],
        catalog: "the local catalog".into(),
        migrations: Vec::new(),
        pins: Vec::new(),
        digests: Vec::new(),
        optimized: Vec::new(),
        freeable: Default::default(),
    }
}

fn failed(kind: Kind) -> Option<Problem> {
    Some(Problem::Failed(Error::new(kind, "no").fact("rows", "85").help("look")))
}

fn value(report: &impl serde::Serialize) -> Value {
    serde_json::to_value(report).expect("a report is JSON")
}

#[test]
fn a_sync_has_every_key() {
    let expected = json!({
        "report": "sync/1", "project": "shop", "target": "dev", "landing": "./in", "warehouse": "./wh", "run": "r1",
        "started_at": "1970-01-01T00:00:00.000Z", "seconds": 1.5, "exit_code": 0,
        "tables": [{
            "table": "orders", "zone": "trusted", "location": "/wh/trusted/orders",
            "version_before": null, "version_after": 0, "mode": "full", "reason": "first build",
            "rows_inserted": 5, "rows_updated": 4, "rows_deleted": 3, "rows_quarantined": 2,
            "files_read": 1, "rows_read": 7, "files_added": 2, "files_removed": 3, "bytes_read": 5, "bytes_written": 6,
            "seconds": 1.234, "waiting": ["a.json"],
            "warnings": [{"message": "m", "details": ["d"], "help": null}], "verified": null, "error": null
        }],
        "totals": {
            "tables_changed": 1, "tables_unchanged": 0, "tables_failed": 0, "tables_skipped": 0,
            "rows_inserted": 5, "rows_updated": 4, "rows_deleted": 3, "rows_quarantined": 2,
            "files_read": 1, "files_added": 2, "files_removed": 3, "bytes_read": 5, "bytes_written": 6,
            "entries_registered": 7, "tables_verified": 0
        },
        "grants_ended": 1, "grants_ended_tables": 2, "left_in_catalog": ["old"], "error": null
    });
    assert_eq!(value(&sync::document(&outcome(vec![None]))), expected);
}

#[test]
fn keys_stand_in_reading_order() {
    let text = serde_json::to_string(&sync::document(&outcome(vec![]))).expect("a report is JSON");
    assert!(text.starts_with(r#"{"report":"sync/1","project":"shop","target":"dev""#), "{text}");
}

#[test]
fn a_failed_and_a_skipped_table_say_why() {
    let report = value(&sync::document(&outcome(vec![failed(Kind::Evidence), Some(Problem::Skipped(name("orders")))])));
    assert_eq!(
        report["tables"][0]["error"],
        json!({"kind": "evidence", "message": "no", "causes": [], "facts": [{"label": "rows", "value": "85"}],
               "help": "look", "faults": []})
    );
    assert_eq!(report["tables"][1]["error"]["kind"], "skipped");
    assert_eq!(report["totals"]["tables_failed"], 1);
    assert_eq!(report["totals"]["tables_skipped"], 1);
    assert_eq!(report["exit_code"], 3);
}

#[test]
fn evidence_goes_before_failure_before_conflict() {
    let code = |kinds: &[Kind]| exit::of_sync(&outcome(kinds.iter().map(|k| failed(*k)).collect()));
    assert_eq!(code(&[Kind::Conflict, Kind::Failed, Kind::Evidence]), 3);
    assert_eq!(code(&[Kind::Failed, Kind::Conflict]), 1);
    assert_eq!(code(&[Kind::Conflict, Kind::Internal]), 1);
    assert_eq!(code(&[Kind::Conflict]), 4);
    assert_eq!(code(&[]), 0);
    assert_eq!(exit::of_sync(&outcome(vec![None, Some(Problem::Skipped(name("orders")))])), 0);
}

#[test]
fn a_failure_of_the_run_counts_like_one_of_a_table() {
    let mut run = outcome(vec![failed(Kind::Conflict)]);
    run.problem = Some(Error::failed("the store is gone"));
    assert_eq!(exit::of_sync(&run), 1);
    run.problem = Some(Error::new(Kind::Usage, "no such table"));
    assert_eq!(exit::of_sync(&run), 64);
}

fn definition_error() -> Error {
    let file =
        Arc::new(SourceFile { path: "tables/trusted/a.sql".into(), text: "select x\nfrom customer_landng".into() });
    Error::definition(vec![Fault {
        message: "table `customer_landng` is not in this project".into(),
        place: Some(Place { file, span: 14..29 }),
        label: "did you mean `customer_landing`?".into(),
        help: None,
    }])
}

#[test]
fn a_sync_that_never_began_is_the_same_document() {
    let report = value(&sync::failed(&definition_error()));
    let whole = value(&sync::document(&outcome(vec![])));
    let keys = |v: &Value| v.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>());
    assert_eq!(keys(&report), keys(&whole));
    assert_eq!((&report["tables"], &report["exit_code"]), (&json!([]), &json!(1)));
    assert_eq!(report["error"]["faults"][0]["line"], 2);
}

#[test]
fn a_check_lists_faults_with_their_places() {
    assert_eq!(
        value(&check::document(Err(&definition_error()))),
        json!({
            "report": "check/1", "project": null, "exit_code": 1, "tables": null,
            "faults": [{
                "file": "tables/trusted/a.sql", "line": 2, "column": 6,
                "message": "table `customer_landng` is not in this project",
                "label": "did you mean `customer_landing`?", "help": null
            }],
            "warnings": [], "error": null
        })
    );
    assert_eq!(
        value(&check::document(Ok(("shop", 8, &[])))),
        json!({"report": "check/1", "project": "shop", "exit_code": 0, "tables": 8, "faults": [], "warnings": [], "error": null})
    );
    assert_eq!(value(&check::document(Err(&Error::failed("no project here"))))["error"]["message"], "no project here");
}

#[test]
fn a_status_says_who_is_up_to_date() {
    let table = |pending: Vec<String>| TableStatus {
        table: name("orders"),
        zone: "trusted".into(),
        location: "/wh/trusted/orders".into(),
        version: Some(3),
        rows: Some(10),
        files: 1,
        bytes: 100,
        committed_ms: Some(0),
        rows_in_quarantine: 0,
        quarantine: None,
        personal_log_entries: 0,
        pending,
        behind: vec![],
        left_out: None,
        problem: None,
    };
    let outcome = StatusOutcome {
        project: "shop".into(),
        target: "dev".into(),
        landing: "./in".into(),
        warehouse: "./wh".into(),
        tables: vec![table(vec![]), table(vec!["2 new files".into()])],
        pins: Vec::new(),
        migrations: Vec::new(),
        problem: None,
    };
    let report = value(&status::document(&outcome));
    assert_eq!(
        report["tables"][0],
        json!({
            "table": "orders", "zone": "trusted", "location": "/wh/trusted/orders", "version": 3, "rows": 10,
            "files": 1, "bytes": 100, "committed_at": "1970-01-01T00:00:00.000Z", "rows_in_quarantine": 0,
            "quarantine": null, "personal_log_entries": 0,
            "up_to_date": true, "pending": [], "behind": [], "left_out": null, "problem": null
        })
    );
    assert_eq!(report["tables"][1]["up_to_date"], false);
    assert_eq!(value(&status::failed(&Error::conflict("x")))["exit_code"], 4);
}

#[test]
fn a_history_says_what_each_version_came_from() {
    let entry = HistoryEntry {
        version: 3,
        committed_ms: 0,
        clock: "in_commit",
        operation: "MERGE".into(),
        engine: Some("stedi-delta/0.1.0".into()),
        mode: Some("incremental".into()),
        reason: None,
        run: Some("r1".into()),
        rows: Some([1, 2, 3]),
        files: [1, 0],
        definition: Some("00000000000000ff".into()),
        is_new_definition: true,
        is_quiet: false,
        sources: BTreeMap::from([("orders_landing".into(), 4)]),
    };
    assert_eq!(
        value(&history::document("orders", &[entry])),
        json!({"report": "history/1", "table": "orders", "exit_code": 0, "versions": [{
            "version": 3, "committed_at": "1970-01-01T00:00:00.000Z", "clock": "in_commit", "operation": "MERGE", "engine": "stedi-delta/0.1.0",
            "mode": "incremental", "reason": null, "run": "r1",
            "rows_inserted": 1, "rows_updated": 2, "rows_deleted": 3, "files_added": 1, "files_removed": 0,
            "definition": "00000000000000ff", "unchanged": false, "sources": {"orders_landing": 4}
        }], "error": null})
    );
}

#[test]
fn a_replay_is_one_table() {
    let report = value(&quarantine::document(&table(None)));
    assert_eq!((&report["report"], &report["table"]["table"]), (&json!("replay/1"), &json!("orders")));
    assert_eq!(value(&quarantine::failed(&Error::failed("x")))["table"], Value::Null);
}
