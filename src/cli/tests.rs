use std::sync::Arc;
use std::time::Duration;

use deltalake::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use futures::StreamExt;

use super::ui::tests::Captured;
use super::verbs::{catalog, quarantine, query, sync};
use super::*;
use crate::inspect::Answer;
use crate::name::TableName;
use crate::outcome::{CatalogOutcome, Drift, EntryOutcome, EntryState, Mode, Problem, Rows, SyncOutcome, TableOutcome};

fn table(kind: Option<Kind>) -> TableOutcome {
    TableOutcome {
        version_before: Some(1),
        version_after: Some(2),
        mode: Mode::Incremental,
        rows: Rows { inserted: 1, ..Rows::default() },
        problem: kind.map(|kind| Problem::Failed(Error::new(kind, "it went wrong"))),
        ..TableOutcome::untouched(TableName::parse("orders").expect("a valid name"), "trusted", "")
    }
}

fn synced(kinds: &[Kind]) -> SyncOutcome {
    SyncOutcome {
        project: "shop".into(),
        target: "dev".into(),
        landing: "in".into(),
        warehouse: "wh".into(),
        run: "r1".into(),
        started_ms: 0,
        elapsed: Duration::ZERO,
        tables: kinds.iter().map(|kind| table(Some(*kind))).collect(),
        grants_ended: 0,
        grants_ended_tables: 0,
        problem: None,
        registered: 0,
        left: Vec::new(),
        catalog: "the local catalog".into(),
        migrations: Vec::new(),
        pins: Vec::new(),
        digests: Vec::new(),
        optimized: Vec::new(),
        freeable: Default::default(),
    }
}

fn rows(copies: usize) -> Answer {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![40_981]));
    let batch = RecordBatch::try_from_iter([("n", column)]).expect("one column");
    let batches = std::iter::repeat_n(batch.clone(), copies).map(Ok);
    Answer { schema: batch.schema(), batches: futures::stream::iter(batches).boxed(), held: 1_000, notes: Vec::new() }
}

fn records() -> Vec<RecordBatch> {
    let reason: ArrayRef = Arc::new(StringArray::from(vec!["no JSON"]));
    let raw: ArrayRef = Arc::new(StringArray::from(vec!["ada@example.org"]));
    vec![RecordBatch::try_from_iter([("raw", raw), ("reason", reason)]).expect("two columns")]
}

/// A catalog with these tables; differing entries have another location.
fn catalogued(states: &[(&str, EntryState)]) -> CatalogOutcome {
    let drift = Drift { field: "StorageDescriptor.Location".into(), found: None, expected: Some("wh/x/".into()) };
    let entry = |(table, state): &(&str, EntryState)| EntryOutcome {
        table: (*table).to_owned(),
        location: "wh/x".into(),
        state: *state,
        drift: if *state == EntryState::Differs { vec![drift.clone()] } else { Vec::new() },
        notes: Vec::new(),
    };
    CatalogOutcome {
        project: "shop".into(),
        target: "dev".into(),
        catalog: "the local catalog".into(),
        database: "shop".into(),
        entries: states.iter().map(entry).collect(),
        problem: None,
    }
}

struct Ran {
    exit_code: u8,
    out: String,
    err: String,
}

/// The output of a verb for an outcome, with `args`.
async fn told(args: &[&str], tell: impl AsyncFnOnce(&mut Session<'_>, Format) -> Result<u8>) -> Ran {
    let (out, err) = (Captured::default(), Captured::default());
    let mut ui = Ui::over(Box::new(out.clone()), Box::new(err.clone()));
    let line = ["stedi-delta", "--project", "p"].iter().chain(args).map(OsString::from);
    let cli = parse(line).expect("a command line");
    ui.configure(&cli.globals);
    let mut session = Session { globals: &cli.globals, ui: &mut ui };
    let exit_code = match tell(&mut session, cli.globals.format).await {
        Ok(exit_code) => exit_code,
        Err(error) => {
            session.ui.error(&error);
            exit::of(error.kind())
        }
    };
    let exit_code = ui.finish(exit_code);
    Ran { exit_code, out: out.text(), err: err.text() }
}

/// The output of a whole command line; there is no project `p`.
async fn ran(args: &[&str]) -> Ran {
    let (out, err) = (Captured::default(), Captured::default());
    let mut ui = Ui::over(Box::new(out.clone()), Box::new(err.clone()));
    let line = ["stedi-delta", "--project", "p"].iter().chain(args).map(OsString::from);
    let exit_code = match parse(line) {
        Ok(cli) => {
            ui.configure(&cli.globals);
            let exit_code = run(&cli, &mut ui).await;
            ui.finish(exit_code)
        }
        Err(ended) => end(&mut ui, &ended),
    };
    Ran { exit_code, out: out.text(), err: err.text() }
}

#[tokio::test]
async fn a_catalog_that_differs_exits_2_and_says_field_by_field() {
    let outcome =
        catalogued(&[("people", EntryState::Equal), ("members", EntryState::Differs), ("old", EntryState::Left)]);
    let tell = async |session: &mut Session<'_>, format: Format| Ok(catalog::checked(session, format, &outcome));
    let checked = told(&["catalog", "check"], tell).await;
    let expected = "shop -> dev  (the local catalog, database shop)\n\n\
                    people    equal\n\
                    members   differs\n    StorageDescriptor.Location   found nothing, expected wh/x/\n\
                    old       not in the project any more\n\n\
                    2 of 3 tables are not as declared.\n";
    assert_eq!((checked.exit_code, checked.out.as_str()), (2, expected));
    assert_eq!(checked.err, "Next: stedi-delta catalog register\n");
    let json = told(&["catalog", "check", "--format", "json"], tell).await;
    let document: serde_json::Value = serde_json::from_str(&json.out).expect("a document");
    assert_eq!((&document["report"], &document["exit_code"]), (&"catalog/1".into(), &2.into()));
    assert_eq!(document["tables"][1]["drift"][0]["field"], "StorageDescriptor.Location");
    assert_eq!(document["tables"][2]["state"], "left");
}

#[tokio::test]
async fn a_catalog_that_was_repaired_says_so() {
    let outcome = catalogued(&[("people", EntryState::Equal), ("members", EntryState::Updated)]);
    let tell = async |session: &mut Session<'_>, format: Format| Ok(catalog::repaired(session, format, &outcome));
    let repaired = told(&["catalog", "register", "--prune"], tell).await;
    let expected = "shop -> dev  (the local catalog, database shop)\n\nmembers   updated\n\n1 catalog entry changed.\n";
    assert_eq!((repaired.exit_code, repaired.out.as_str()), (0, expected));
}

#[tokio::test]
async fn a_query_answers_on_standard_output_only() {
    let tell = async |session: &mut Session<'_>, format: Format| query::told(session, format, rows(1)).await;
    let table = told(&["query", "select 1", "-t", "prod"], tell).await;
    assert_eq!(table.out, "+-------+\n| n     |\n+-------+\n| 40981 |\n+-------+\n");
    assert_eq!((table.err.as_str(), table.exit_code), ("1 row\n", 0));
    let csv = told(&["query", "select 1", "--format", "csv"], tell).await;
    assert_eq!((csv.out.as_str(), csv.err.as_str()), ("n\n40981\n", ""));
    assert_eq!(told(&["-q", "query", "select 1"], tell).await.err, "");
}

#[tokio::test]
async fn an_answer_that_cannot_be_held_is_written_as_it_comes() {
    let many = async |format: &'static str| {
        let tell = async |session: &mut Session<'_>, format: Format| query::told(session, format, rows(1_000)).await;
        told(&["query", "select many", "--format", format], tell).await
    };
    assert_eq!(many("csv").await.out, format!("n\n{}", "40981\n".repeat(1_000)));
    assert_eq!(many("ndjson").await.out, "{\"n\":40981}\n".repeat(1_000));
    let json: Vec<serde_json::Value> = serde_json::from_str(&many("json").await.out).expect("a list");
    assert_eq!(json.len(), 1_000);
    let table = many("table").await;
    assert_eq!((table.exit_code, table.out.as_str()), (1, ""));
    assert!(table.err.starts_with("error: the answer is too large for a table\n"), "{}", table.err);
    assert!(table.err.contains("--format csv"), "{}", table.err);
}

#[tokio::test]
async fn a_failed_sync_answers_explains_and_exits() {
    let outcome = synced(&[Kind::Conflict, Kind::Evidence, Kind::Failed]);
    let tell = async |session: &mut Session<'_>, format: Format| Ok(sync::told(session, format, &outcome));
    let text = told(&["sync"], tell).await;
    assert_eq!(text.exit_code, 3);
    assert!(text.out.contains("0 tables changed, 3 failed, in 0 ms."), "{}", text.out);
    assert!(text.err.starts_with("\nerror: it went wrong\n  table      orders\n"), "{}", text.err);
    let json = told(&["sync", "--format", "json"], tell).await;
    let document: serde_json::Value = serde_json::from_str(&json.out).expect("a document");
    assert_eq!((&document["report"], &document["exit_code"]), (&"sync/1".into(), &3.into()));
    assert_eq!(json.exit_code, 3);
    assert!(json.err.contains("error: it went wrong"), "people read standard error in any format");
}

#[tokio::test]
async fn a_document_is_printed_when_nothing_could_begin() {
    for (verb, report) in [
        (vec!["sync"], "sync/1"),
        (vec!["status"], "status/1"),
        (vec!["plan"], "plan/1"),
        (vec!["history", "orders"], "history/1"),
        (vec!["diff", "orders", "--from", "v0"], "diff/1"),
        (vec!["diff", "--lake", "--from", "2026-01-01"], "lake_diff/1"),
        (vec!["describe", "orders"], "describe/1"),
        (vec!["check"], "check/1"),
        (vec!["catalog", "check"], "catalog/1"),
        (vec!["quarantine", "replay", "orders"], "replay/1"),
    ] {
        let failed = ran(&[verb, vec!["--format", "json"]].concat()).await;
        let document: serde_json::Value = serde_json::from_str(&failed.out).expect("a document");
        assert_eq!((&document["report"], &document["exit_code"]), (&report.into(), &1.into()));
        assert_eq!(failed.exit_code, 1);
        assert!(failed.err.starts_with("error: "), "{}", failed.err);
    }
    assert_eq!(ran(&["sync"]).await.out, "");
}

#[tokio::test]
async fn errors_exit_by_their_kind() {
    let tell = async |_: &mut Session<'_>, _: Format| Err(Error::conflict("somebody else is faster"));
    let status = told(&["status"], tell).await;
    assert_eq!((status.exit_code, status.err.as_str()), (4, "error: somebody else is faster\n"));
}

#[tokio::test]
async fn a_wrong_command_line_exits_64_and_answers_nothing() {
    for args in [["sync", "--format", "csv"], ["status", "--format", "ndjson"], ["status", "--wrong", "x"]] {
        let wrong = ran(&args).await;
        assert_eq!((wrong.exit_code, wrong.out.as_str()), (64, ""), "{args:?}");
        assert!(wrong.err.starts_with("error: "), "{}", wrong.err);
    }
    let outcome = synced(&[Kind::Usage]);
    let tell = async |session: &mut Session<'_>, format: Format| Ok(sync::told(session, format, &outcome));
    let unknown = told(&["sync", "-s", "ordrs", "--format", "json"], tell).await;
    assert_eq!((unknown.exit_code, unknown.out.as_str()), (64, ""));
}

#[tokio::test]
async fn help_is_an_answer() {
    let help = ran(&["--help"]).await;
    assert_eq!((help.exit_code, help.err.as_str()), (0, ""));
    assert!(help.out.contains("Exit codes:"), "{}", help.out);
}

#[tokio::test]
async fn a_quarantined_record_stays_hidden() {
    let tell = async |session: &mut Session<'_>, format: Format| quarantine::listed(session, format, &records());
    let hidden = told(&["quarantine", "ls", "orders", "-n", "3", "--format", "csv"], tell).await;
    assert_eq!(hidden.out, "reason\nno JSON\n");
    let shown = told(&["quarantine", "ls", "--reveal", "--format", "csv"], tell).await;
    assert_eq!(shown.out, "reason,raw\nno JSON,ada@example.org\n");
}

#[tokio::test]
async fn a_replay_says_what_became_of_the_table() {
    let told_of = async |kind: Option<Kind>| {
        let outcome = table(kind);
        let tell =
            async |session: &mut Session<'_>, format: Format| Ok(quarantine::replayed(session, format, &outcome));
        told(&["quarantine", "replay", "orders"], tell).await
    };
    assert_eq!(told_of(None).await.out, "trusted   orders    v1 -> v2        +1          incremental\n");
    assert_eq!(told_of(Some(Kind::Failed)).await.exit_code, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_is_heard_while_the_work_computes() {
    let busy = async {
        std::thread::sleep(Duration::from_millis(200));
        0
    };
    assert_eq!(interruptible(busy, async { Ok(()) }).await, None);
    assert_eq!(interruptible(async { 3 }, std::future::pending()).await, Some(3));
    let no_handler = async { Err(std::io::Error::other("no signals here")) };
    assert_eq!(interruptible(async { 4 }, no_handler).await, Some(4));
}

#[test]
fn the_target_is_that_of_the_flag() {
    let mut ui = Ui::over(Box::new(Captured::default()), Box::new(Captured::default()));
    let target_of = |line: &[&str], ui: &mut Ui| {
        let line = ["stedi-delta", "--project", "p", "query", "select 1"].iter().chain(line).map(OsString::from);
        let cli = parse(line).expect("a command line");
        Session { globals: &cli.globals, ui }.options().expect("options").target
    };
    assert_eq!(target_of(&[], &mut ui), None);
    assert_eq!(target_of(&["--target", "prod"], &mut ui).as_deref(), Some("prod"));
}
