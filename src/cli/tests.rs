use std::ffi::OsString;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use deltalake::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use futures::StreamExt;

use super::ui::tests::Captured;
use super::*;
use crate::look::Answer;
use crate::name::TableName;
use crate::outcome::{
    CatalogOutcome, Drift, EntryOutcome, EntryState, HistoryEntry, Io, Mode, PlanOutcome, Problem, Rows, StatusOutcome,
    SyncOutcome, TableOutcome,
};
use crate::progress::Progress;

/// A lake that answers from memory and remembers what it was asked.
#[derive(Clone, Default)]
struct Double {
    asked: Arc<Mutex<Vec<String>>>,
    fail_to_open: bool,
    kinds: Vec<Kind>,
}

impl Double {
    fn note(&self, text: String) {
        self.asked.lock().expect("not poisoned").push(text);
    }

    fn table(&self, kind: Option<Kind>) -> TableOutcome {
        TableOutcome {
            table: TableName::parse("orders").expect("a valid name"),
            zone: "trusted".into(),
            location: String::new(),
            version_before: Some(1),
            version_after: Some(2),
            mode: Mode::Incremental,
            reason: String::new(),
            rows: Rows { inserted: 1, updated: 0, deleted: 0, quarantined: 0 },
            io: Io::default(),
            elapsed: Duration::ZERO,
            waiting: vec![],
            warnings: vec![],
            left_out: vec![],
            verified: None,
            problem: kind.map(|kind| Problem::Failed(Error::new(kind, "it went wrong"))),
        }
    }
}

#[async_trait]
impl Open for Double {
    async fn open(&self, settings: Settings, _progress: Arc<dyn Progress>) -> Result<Box<dyn Operations>> {
        if self.fail_to_open {
            return Err(Error::failed("the store is gone"));
        }
        self.note(format!("open {} {:?}", settings.root.display(), settings.target));
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Operations for Double {
    async fn sync(&self, options: SyncOptions) -> SyncOutcome {
        self.note(format!("{options:?}"));
        let kinds = self.kinds.iter().copied().map(Some);
        SyncOutcome {
            project: "shop".into(),
            target: "dev".into(),
            landing: "in".into(),
            warehouse: "wh".into(),
            run: "r1".into(),
            started_ms: 0,
            elapsed: Duration::ZERO,
            tables: kinds.map(|kind| self.table(kind)).collect(),
            grants_ended: 0,
            grants_ended_tables: 0,
            problem: None,
            registered: 0,
            left: Vec::new(),
            catalog: "the local catalog".into(),
        }
    }

    async fn status(&self) -> Result<StatusOutcome> {
        Err(Error::conflict("somebody else is faster"))
    }

    async fn plan(&self, select: &[String], explain: bool) -> Result<PlanOutcome> {
        self.note(format!("plan {select:?} {explain}"));
        Err(Error::conflict("somebody else is faster"))
    }

    async fn query(&self, sql: &str) -> Result<Answer> {
        self.note(sql.to_owned());
        let column: ArrayRef = Arc::new(Int64Array::from(vec![40_981]));
        let batch = RecordBatch::try_from_iter([("n", column)]).expect("one column");
        let copies = if sql.contains("many") { 1_000 } else { 1 };
        let batches = std::iter::repeat_n(batch.clone(), copies).map(Ok);
        Ok(Answer { schema: batch.schema(), batches: futures::stream::iter(batches).boxed(), held: 1_000 })
    }

    async fn history(&self, table: &str, limit: usize) -> Result<Vec<HistoryEntry>> {
        self.note(format!("{table} {limit}"));
        Ok(vec![])
    }

    async fn quarantine(&self, table: Option<&str>, limit: usize) -> Result<Vec<RecordBatch>> {
        self.note(format!("{table:?} {limit}"));
        let reason: ArrayRef = Arc::new(StringArray::from(vec!["no JSON"]));
        let raw: ArrayRef = Arc::new(StringArray::from(vec!["ada@example.org"]));
        Ok(vec![RecordBatch::try_from_iter([("raw", raw), ("reason", reason)]).expect("two columns")])
    }

    async fn catalog_check(&self) -> Result<CatalogOutcome> {
        Ok(catalog(&[("people", EntryState::Equal), ("members", EntryState::Differs), ("old", EntryState::Left)]))
    }

    async fn catalog_register(&self, relocate: bool, prune: bool) -> Result<CatalogOutcome> {
        self.note(format!("relocate {relocate} prune {prune}"));
        Ok(catalog(&[("people", EntryState::Equal), ("members", EntryState::Updated)]))
    }

    async fn replay(&self, table: &str) -> Result<TableOutcome> {
        self.note(table.to_owned());
        Ok(self.table(self.kinds.first().copied()))
    }
}

/// A catalog with these tables; what differs does in its place.
fn catalog(states: &[(&str, EntryState)]) -> CatalogOutcome {
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

#[tokio::test]
async fn a_catalog_that_differs_exits_2_and_says_field_by_field() {
    let checked = ran(&Double::default(), &["catalog", "check"]).await;
    let expected = "shop -> dev  (the local catalog, database shop)\n\n\
                    people    equal\n\
                    members   differs\n    StorageDescriptor.Location   found nothing, expected wh/x/\n\
                    old       not in the project any more\n\n\
                    2 of 3 tables are not as declared.\n";
    assert_eq!((checked.exit_code, checked.out.as_str()), (2, expected));
    assert_eq!(checked.err, "Next: stedi-delta catalog register\n");
    let json = ran(&Double::default(), &["catalog", "check", "--format", "json"]).await;
    let document: serde_json::Value = serde_json::from_str(&json.out).expect("a document");
    assert_eq!((&document["report"], &document["exit_code"]), (&"catalog/1".into(), &2.into()));
    assert_eq!(document["tables"][1]["drift"][0]["field"], "StorageDescriptor.Location");
    assert_eq!(document["tables"][2]["state"], "left");
}

#[tokio::test]
async fn a_catalog_is_repaired_as_asked() {
    let double = Double::default();
    let repaired = ran(&double, &["catalog", "register", "--prune"]).await;
    let expected = "shop -> dev  (the local catalog, database shop)\n\nmembers   updated\n\n1 catalog entry changed.\n";
    assert_eq!((repaired.exit_code, repaired.out.as_str()), (0, expected));
    assert_eq!(double.asked.lock().expect("not poisoned")[1], "relocate false prune true");
}

struct Ran {
    exit_code: u8,
    out: String,
    err: String,
}

async fn ran(double: &Double, args: &[&str]) -> Ran {
    let (out, err) = (Captured::default(), Captured::default());
    let mut ui = Ui::over(Box::new(out.clone()), Box::new(err.clone()));
    let line = ["stedi-delta", "--project", "p"].iter().chain(args).map(OsString::from);
    let exit_code = match parse(line) {
        Ok(cli) => {
            ui.configure(&cli.globals);
            let exit_code = run(&cli, &mut ui, double).await;
            ui.finish(exit_code)
        }
        Err(ended) => end(&mut ui, &ended),
    };
    Ran { exit_code, out: out.text(), err: err.text() }
}

#[tokio::test]
async fn a_query_answers_on_standard_output_only() {
    let double = Double::default();
    let table = ran(&double, &["query", "select 1", "-t", "prod"]).await;
    assert_eq!(table.out, "+-------+\n| n     |\n+-------+\n| 40981 |\n+-------+\n");
    assert_eq!((table.err.as_str(), table.exit_code), ("1 row\n", 0));
    assert_eq!(*double.asked.lock().expect("not poisoned"), ["open p Some(\"prod\")", "select 1"]);
    let csv = ran(&double, &["query", "select 1", "--format", "csv"]).await;
    assert_eq!((csv.out.as_str(), csv.err.as_str()), ("n\n40981\n", ""));
    assert_eq!(ran(&double, &["-q", "query", "select 1"]).await.err, "");
}

#[tokio::test]
async fn an_answer_that_cannot_be_held_is_written_as_it_comes() {
    let double = Double::default();
    let many = |format: &'static str| ["query", "select many", "--format", format];
    assert_eq!(ran(&double, &many("csv")).await.out, format!("n\n{}", "40981\n".repeat(1_000)));
    assert_eq!(ran(&double, &many("ndjson")).await.out, "{\"n\":40981}\n".repeat(1_000));
    let json: Vec<serde_json::Value> = serde_json::from_str(&ran(&double, &many("json")).await.out).expect("a list");
    assert_eq!(json.len(), 1_000);
    let table = ran(&double, &many("table")).await;
    assert_eq!((table.exit_code, table.out.as_str()), (1, ""));
    assert!(table.err.starts_with("error: the answer is too large for a table\n"), "{}", table.err);
    assert!(table.err.contains("--format csv"), "{}", table.err);
}

#[tokio::test]
async fn sync_options_reach_the_operation() {
    let double = Double::default();
    ran(
        &double,
        &["sync", "-s", "a", "b", "--full-refresh", "--verify", "--reload", "c:x.json", "--unload", "d:y.json"],
    )
    .await;
    let expected = SyncOptions {
        select: vec!["a".into(), "b".into()],
        full_refresh: true,
        verify: true,
        reload: vec!["c:x.json".into()],
        unload: vec!["d:y.json".into()],
    };
    assert_eq!(double.asked.lock().expect("not poisoned")[1], format!("{expected:?}"));
}

#[tokio::test]
async fn a_failed_sync_answers_explains_and_exits() {
    let double = Double { kinds: vec![Kind::Conflict, Kind::Evidence, Kind::Failed], ..Double::default() };
    let text = ran(&double, &["sync"]).await;
    assert_eq!(text.exit_code, 3);
    assert!(text.out.contains("0 tables changed, 3 failed, in 0 ms."), "{}", text.out);
    assert!(text.err.starts_with("\nerror: it went wrong\n  table      orders\n"), "{}", text.err);
    let json = ran(&double, &["sync", "--format", "json"]).await;
    let document: serde_json::Value = serde_json::from_str(&json.out).expect("a document");
    assert_eq!((&document["report"], &document["exit_code"]), (&"sync/1".into(), &3.into()));
    assert_eq!(json.exit_code, 3);
    assert!(json.err.contains("error: it went wrong"), "people read standard error in any format");
}

#[tokio::test]
async fn a_document_is_printed_when_nothing_could_begin() {
    let double = Double { fail_to_open: true, ..Double::default() };
    for (verb, report) in [
        (vec!["sync"], "sync/1"),
        (vec!["status"], "status/1"),
        (vec!["plan"], "plan/1"),
        (vec!["history", "orders"], "history/1"),
    ] {
        let failed = ran(&double, &[verb, vec!["--format", "json"]].concat()).await;
        let document: serde_json::Value = serde_json::from_str(&failed.out).expect("a document");
        assert_eq!((&document["report"], &document["exit_code"]), (&report.into(), &1.into()));
        assert_eq!((failed.exit_code, failed.err.as_str()), (1, "error: the store is gone\n"));
    }
    assert_eq!(ran(&double, &["sync"]).await.out, "");
}

#[tokio::test]
async fn errors_exit_by_their_kind() {
    let status = ran(&Double::default(), &["status"]).await;
    assert_eq!((status.exit_code, status.err.as_str()), (4, "error: somebody else is faster\n"));
}

#[tokio::test]
async fn a_wrong_command_line_exits_64_and_answers_nothing() {
    for args in [["sync", "--format", "csv"], ["status", "--format", "ndjson"], ["status", "--wrong", "x"]] {
        let wrong = ran(&Double::default(), &args).await;
        assert_eq!((wrong.exit_code, wrong.out.as_str()), (64, ""), "{args:?}");
        assert!(wrong.err.starts_with("error: "), "{}", wrong.err);
    }
    let double = Double { kinds: vec![Kind::Usage], ..Double::default() };
    let unknown = ran(&double, &["sync", "-s", "ordrs", "--format", "json"]).await;
    assert_eq!((unknown.exit_code, unknown.out.as_str()), (64, ""));
}

#[tokio::test]
async fn help_is_an_answer() {
    let help = ran(&Double::default(), &["--help"]).await;
    assert_eq!((help.exit_code, help.err.as_str()), (0, ""));
    assert!(help.out.contains("Exit codes:"), "{}", help.out);
}

#[tokio::test]
async fn a_quarantined_record_stays_hidden() {
    let hidden = ran(&Double::default(), &["quarantine", "ls", "orders", "-n", "3", "--format", "csv"]).await;
    assert_eq!(hidden.out, "reason\nno JSON\n");
    let shown = ran(&Double::default(), &["quarantine", "ls", "--reveal", "--format", "csv"]).await;
    assert_eq!(shown.out, "reason,raw\nno JSON,ada@example.org\n");
}

#[tokio::test]
async fn a_replay_says_what_became_of_the_table() {
    let replayed = ran(&Double::default(), &["quarantine", "replay", "orders"]).await;
    assert_eq!(replayed.out, "trusted   orders    v1 -> v2        +1          incremental\n");
    let failed =
        ran(&Double { kinds: vec![Kind::Failed], ..Double::default() }, &["quarantine", "replay", "orders"]).await;
    assert_eq!(failed.exit_code, 1);
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

#[tokio::test]
async fn an_empty_target_is_none() {
    let double = Double::default();
    ran(&double, &["query", "select 1", "--target", ""]).await;
    assert_eq!(double.asked.lock().expect("not poisoned")[0], "open p None");
}
