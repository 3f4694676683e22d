use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::outlet::printable;
use crate::cli::render::*;
use crate::cli::verbs::{history, status, sync, vacuum};
use crate::error::{Error, Kind};
use crate::name::TableName;
use crate::outcome::{
    History, HistoryEntry, Io, Mode, OptimizedTable, Problem, Rows, StatusOutcome, SyncOutcome, TableOutcome,
    TableStatus, VacuumOutcome, VacuumTable, Warning,
};
use crate::source::{Fault, Place, SourceFile};

fn name(text: &str) -> TableName {
    TableName::parse(text).expect("a valid name")
}

/// A table that stays at v0.
fn table(zone: &str, text: &str) -> TableOutcome {
    TableOutcome { version_before: Some(0), version_after: Some(0), ..TableOutcome::untouched(name(text), zone, "") }
}

fn landed(text: &str, rows: u64, files: u64, bytes_read: u64) -> TableOutcome {
    TableOutcome {
        version_before: None,
        mode: Mode::Ingest,
        rows: Rows { inserted: rows, ..Rows::default() },
        io: Io { files_read: files, bytes_read, ..Io::default() },
        ..table("landing", text)
    }
}

fn built(zone: &str, text: &str, rows: u64) -> TableOutcome {
    TableOutcome {
        version_before: None,
        mode: Mode::Full,
        reason: "first build".into(),
        rows: Rows { inserted: rows, ..Rows::default() },
        ..table(zone, text)
    }
}

fn withdrawn(zone: &str, text: &str, rows: u64, files: (u64, u64)) -> TableOutcome {
    TableOutcome {
        version_after: Some(1),
        mode: Mode::Incremental,
        reason: "customer_landing v0 -> v1".into(),
        rows: Rows { deleted: rows, ..Rows::default() },
        io: Io { files_removed: files.0, files_before: files.1, ..Io::default() },
        ..table(zone, text)
    }
}

fn outcome(milliseconds: u64, tables: Vec<TableOutcome>) -> SyncOutcome {
    SyncOutcome {
        project: "shop".into(),
        target: "dev".into(),
        landing: "./sample".into(),
        warehouse: "./warehouse".into(),
        run: "r1".into(),
        started_ms: 1_795_421_642_120,
        elapsed: Duration::from_millis(milliseconds),
        tables,
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

#[test]
fn a_first_sync() {
    let mut tables = vec![
        landed("customer_landing", 956, 1, 0),
        landed("accelerometer_landing", 81_273, 9, 0),
        landed("step_trainer_landing", 28_680, 3, 11_324_621),
        built("trusted", "customer_trusted", 482),
        built("trusted", "accelerometer_trusted", 40_981),
        built("trusted", "step_trainer_trusted", 14_460),
        built("curated", "customers_curated", 482),
        built("curated", "machine_learning_curated", 40_981),
    ];
    tables[7].io.bytes_written = 11_744_051;
    let outcome = SyncOutcome { registered: 8, ..outcome(940, tables) };
    assert_eq!(
        sync::text::answer(&outcome),
        "\
shop -> dev  (landing ./sample, warehouse ./warehouse)

landing   customer_landing            new -> v0      956 rows     1 file
          accelerometer_landing       new -> v0   81,273 rows     9 files
          step_trainer_landing        new -> v0   28,680 rows     3 files
trusted   customer_trusted            new -> v0      482 rows     full: first build
          accelerometer_trusted       new -> v0   40,981 rows     full: first build
          step_trainer_trusted        new -> v0   14,460 rows     full: first build
curated   customers_curated           new -> v0      482 rows     full: first build
          machine_learning_curated    new -> v0   40,981 rows     full: first build

8 tables changed in 0.9 s. 13 files read (10.8 MB), 11.2 MB written.
"
    );
    assert_eq!(
        sync::text::next(&outcome).as_deref(),
        Some("Next: stedi-delta query \"select count(*) from machine_learning_curated\"\n")
    );
    assert_eq!(sync::text::problems(&outcome.tables, None, false), "");
}

#[test]
fn a_withdrawal() {
    let customer =
        TableOutcome { version_before: Some(0), version_after: Some(1), ..landed("customer_landing", 1, 1, 31_744) };
    let mut tables = vec![
        customer,
        table("landing", "accelerometer_landing"),
        table("landing", "step_trainer_landing"),
        withdrawn("trusted", "customer_trusted", 1, (0, 1)),
        withdrawn("trusted", "accelerometer_trusted", 85, (1, 4)),
        withdrawn("trusted", "step_trainer_trusted", 30, (1, 2)),
        withdrawn("curated", "customers_curated", 1, (0, 1)),
        withdrawn("curated", "machine_learning_curated", 85, (1, 4)),
    ];
    tables[7].io.bytes_written = 1_992_294;
    let outcome = SyncOutcome { grants_ended: 1, grants_ended_tables: 5, ..outcome(200, tables) };
    assert_eq!(
        sync::text::answer(&outcome),
        "\
shop -> dev  (landing ./sample, warehouse ./warehouse)

landing   customer_landing            v0 -> v1        +1          1 file
trusted   customer_trusted            v0 -> v1        -1          incremental
          accelerometer_trusted       v0 -> v1       -85          incremental: 1 of 4 files rewritten
          step_trainer_trusted        v0 -> v1       -30          incremental: 1 of 2 files rewritten
curated   customers_curated           v0 -> v1        -1          incremental
          machine_learning_curated    v0 -> v1       -85          incremental: 1 of 4 files rewritten

1 person's consent ended; no row of theirs is left in 5 tables.
6 tables changed, 2 unchanged, in 0.2 s. 1 file read (31.0 KB), 1.9 MB written.
"
    );
    assert_eq!(sync::text::next(&outcome), None);
}

#[test]
fn nothing_to_do() {
    let mut quiet = outcome(40, vec![table("landing", "a"), table("trusted", "b")]);
    let line = "Nothing to do: 2 tables are at the cut of 2026-11-23 08:14:02 UTC (run r1).\n";
    assert_eq!(sync::text::answer(&quiet), line);
    quiet.tables[0].waiting = (1..=7).map(|n| format!("a/{n}.json is 0.4 s old")).collect();
    assert_eq!(
        sync::text::answer(&quiet),
        format!(
            "{line}
Too young to be read, for the next sync of a:
  a/1.json is 0.4 s old
  a/2.json is 0.4 s old
  a/3.json is 0.4 s old
  a/4.json is 0.4 s old
  a/5.json is 0.4 s old
  and 2 more
"
        )
    );
    quiet.tables[0].waiting.clear();
    quiet.registered = 1;
    assert!(
        sync::text::answer(&quiet)
            .ends_with("0 tables changed, 2 unchanged, in 40 ms. 1 catalog entry brought up to date.\n")
    );
}

#[test]
fn bad_records() {
    let mut landing = TableOutcome {
        version_before: Some(0),
        version_after: Some(1),
        rows: Rows { inserted: 2, quarantined: 1, ..Rows::default() },
        ..landed("accelerometer_landing", 2, 1, 0)
    };
    landing.warnings.push(Warning {
        message: "1 record could not land".into(),
        details: vec![
            "accelerometer-1691348231445.json at byte 10,311: field `x` is a string, expected a number".into(),
        ],
        help: Some("see them: stedi-delta quarantine ls accelerometer_landing".into()),
    });
    let outcome = outcome(200, vec![landing, table("curated", "machine_learning_curated")]);
    let answer = sync::text::answer(&outcome);
    assert_eq!(
        answer.lines().nth(2),
        Some("landing   accelerometer_landing       v0 -> v1        +2          1 file, 1 record in quarantine")
    );
    assert_eq!(
        sync::text::problems(&outcome.tables, None, false),
        "\
warning: 1 record could not land
  accelerometer-1691348231445.json at byte 10,311: field `x` is a string, expected a number
  see them: stedi-delta quarantine ls accelerometer_landing
"
    );
}

#[test]
fn a_warning_that_does_not_name_its_table_is_made_to() {
    let warned = Warning { message: "2 rows fail `x_present`".into(), details: vec![], help: None };
    assert_eq!(
        printable(&error::warning(&name("a"), &warned, true)),
        "\u{1b}[1;33mwarning:\u{1b}[0m a: 2 rows fail `x_present`\n"
    );
}

#[test]
fn a_sync_that_stops() {
    let stopped =
        Error::new(Kind::Evidence, "accelerometer_trusted would hold readings of 1 person who has not consented")
            .fact("table", "accelerometer_trusted (v4, unchanged)")
            .fact("rows", "85, subject column `user`")
            .help("tables/trusted/accelerometer_trusted.sql:3 - filter by consent, then sync again");
    let behind = |text: &str, source: &str| TableOutcome {
        problem: Some(Problem::Skipped(name(source))),
        ..table("curated", text)
    };
    let tables = vec![
        TableOutcome { problem: Some(Problem::Failed(stopped)), ..table("trusted", "accelerometer_trusted") },
        behind("step_trainer_trusted", "accelerometer_trusted"),
        behind("customers_curated", "step_trainer_trusted"),
    ];
    let outcome = outcome(200, tables);
    assert_eq!(
        sync::text::problems(&outcome.tables, None, false),
        "\
error: accelerometer_trusted would hold readings of 1 person who has not consented
  table      accelerometer_trusted (v4, unchanged)
  rows       85, subject column `user`
  next       tables/trusted/accelerometer_trusted.sql:3 - filter by consent, then sync again
  meanwhile  2 tables below it are behind: step_trainer_trusted, customers_curated
"
    );
    assert!(sync::text::answer(&outcome).ends_with("\n\n0 tables changed, 1 failed, 2 behind, in 0.2 s.\n"));
}

#[test]
fn a_table_that_comes_before_its_source_waits_for_what_failed() {
    let skipped = |zone: &str, table_name: &str, source: &str| TableOutcome {
        problem: Some(Problem::Skipped(name(source))),
        ..table(zone, table_name)
    };
    let failed = TableOutcome { problem: Some(Problem::Failed(Error::failed("no"))), ..table("landing", "a") };
    let text = sync::text::problems(&[failed, skipped("trusted", "c", "b"), skipped("curated", "b", "a")], None, false);
    assert_eq!(text, "error: no\n  table      a\n  meanwhile  2 tables below it are behind: c, b\n");
}

#[test]
fn a_table_that_waits_for_one_outside_the_run_is_not_passed_over() {
    let waits = TableOutcome { problem: Some(Problem::Skipped(name("b"))), ..table("trusted", "a") };
    assert_eq!(
        sync::text::problems(&[waits], None, false),
        "error: b is not at the cut: this sync did not get to it\n  next       stedi-delta sync\n  meanwhile  1 table below it is behind: a\n"
    );
}

#[test]
fn an_error_has_its_reason_on_the_same_line() {
    let cause = std::io::Error::other("permission denied");
    let failed = Error::failed("cannot list `s3://b/x`").because(cause).fact("bucket", "b");
    assert_eq!(error::error(&failed, false), "error: cannot list `s3://b/x`: permission denied\n  bucket     b\n");
    assert_eq!(
        error::table_error(Some(&name("orders")), &failed, None, false),
        "error: cannot list `s3://b/x`: permission denied\n  table      orders\n  bucket     b\n"
    );
    assert!(printable(&error::error(&failed, true)).starts_with("\u{1b}[1;31merror:\u{1b}[0m cannot"));
}

#[test]
fn faults_end_with_their_number() {
    let file = Arc::new(SourceFile { path: "tables/a.toml".into(), text: "x = 1\ny = 2\n".into() });
    let fault = |span: std::ops::Range<usize>| Fault {
        message: "unknown key".into(),
        place: Some(Place { file: Arc::clone(&file), span }),
        label: "did you mean `z`?".into(),
        help: None,
    };
    let text = error::error(&Error::definition(vec![fault(0..1), fault(6..7)]), false);
    assert!(text.contains("tables/a.toml:2:1"), "{text}");
    assert!(text.ends_with("\n\n2 errors in 1 file; nothing was read or written.\n"), "{text}");
}

#[test]
fn a_status() {
    let status_of = |zone: &str, text: &str| TableStatus {
        table: name(text),
        zone: zone.into(),
        location: String::new(),
        version: Some(3),
        rows: Some(81_273),
        files: 9,
        bytes: 11_744_051,
        committed_ms: Some(1_795_421_642_120),
        rows_in_quarantine: 0,
        quarantine: None,
        personal_log_entries: 0,
        pending: vec![],
        behind: vec![],
        left_out: None,
        problem: None,
    };
    let outcome = StatusOutcome {
        project: "shop".into(),
        target: "dev".into(),
        landing: "./sample".into(),
        warehouse: "./warehouse".into(),
        tables: vec![
            TableStatus {
                pending: vec!["2 new files".into()],
                rows_in_quarantine: 1,
                ..status_of("landing", "accelerometer_landing")
            },
            status_of("landing", "customer_landing"),
            TableStatus {
                rows: Some(1),
                files: 1,
                bytes: 812,
                behind: vec![name("accelerometer_landing")],
                ..status_of("trusted", "accelerometer_trusted")
            },
            TableStatus {
                version: None,
                problem: Some("its query is not deterministic".into()),
                ..status_of("curated", "new_one")
            },
        ],
        pins: Vec::new(),
        migrations: Vec::new(),
        problem: None,
    };
    assert_eq!(
        status::text::answer(&outcome),
        "\
shop -> dev  (landing ./sample, warehouse ./warehouse)

landing   accelerometer_landing    v3    81,273 rows   9 files   11.2 MB   2026-11-23 08:14:02   2 new files; 1 record in quarantine
          customer_landing         v3    81,273 rows   9 files   11.2 MB   2026-11-23 08:14:02   up to date
trusted   accelerometer_trusted    v3         1 row    1 file      812 B   2026-11-23 08:14:02   behind accelerometer_landing
curated   new_one                  new                                                           stopped: its query is not deterministic

3 of 4 tables are behind.
"
    );
    assert_eq!(status::text::next(&outcome), Some("Next: stedi-delta sync\n"));
}

#[test]
fn a_history() {
    let entry = |version: u64, rows: Option<[u64; 3]>| HistoryEntry {
        version,
        committed_ms: 1_795_421_642_120,
        clock: "writer",
        operation: "MERGE".into(),
        engine: Some("stedi-delta/0.1.0".into()),
        mode: Some("full".into()),
        reason: Some("the query changed".into()),
        run: Some("r1".into()),
        rows,
        files: [2, 1],
        definition: Some("0123456789abcdef".into()),
        is_new_definition: false,
        is_quiet: false,
        sources: BTreeMap::from([("customer_landing".into(), 4)]),
    };
    let quiet = |version| HistoryEntry { is_quiet: true, rows: Some([0, 0, 0]), files: [0, 0], ..entry(version, None) };
    let foreign = HistoryEntry {
        operation: "OPTIMIZE".into(),
        engine: Some("Spark".into()),
        clock: "object",
        mode: None,
        reason: None,
        run: None,
        definition: None,
        sources: BTreeMap::new(),
        ..entry(9, None)
    };
    let newer = HistoryEntry { is_new_definition: true, ..entry(10, Some([1000, 0, 1])) };
    let entries = vec![quiet(11), newer, foreign, quiet(8), quiet(7)];
    let shown = History { entries, begins: Some(7), notes: Vec::new() };
    assert_eq!(
        history::answer(&shown, false),
        "\
\x20    1 sync changed nothing here
v10  2026-11-23 08:14:02  MERGE     +1,000 -1  +2 -1 files  full: the query changed
     run r1, from customer_landing v4, new definition 01234567
v9   2026-11-23 08:14:02  OPTIMIZE             +2 -1 files
     by Spark, time of the object in the store
     2 syncs changed nothing here
Versions before v7 are no longer in the log.
"
    );
    assert_eq!(history::answer(&shown, true).lines().count(), 11);
}

mod rows_of_a_query {
    use deltalake::arrow::array::{Array as _, Int64Array, ListArray, RecordBatch, StringArray};
    use deltalake::arrow::datatypes::{Field, Int64Type, Schema};

    use super::*;
    use crate::cli::Format;
    use crate::cli::render::rows;

    fn batch() -> RecordBatch {
        let columns: [(&str, deltalake::arrow::array::ArrayRef); 2] = [
            ("source_offset", Arc::new(Int64Array::from(vec![Some(1), None]))),
            ("raw", Arc::new(StringArray::from(vec![Some("a,\"b"), None]))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
            .expect("columns of one length")
    }

    fn written(batches: &[RecordBatch], format: Format) -> String {
        let mut out = Vec::new();
        rows::write(batches, format, &mut out).expect("memory takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn null_is_told_from_nothing() {
        assert_eq!(
            written(&[batch()], Format::Table),
            "\
+---------------+------+
| source_offset | raw  |
+---------------+------+
| 1             | a,\"b |
| NULL          | NULL |
+---------------+------+
"
        );
        assert_eq!(
            written(&[batch()], Format::Json),
            "[{\"source_offset\":1,\"raw\":\"a,\\\"b\"},{\"source_offset\":null,\"raw\":null}]\n"
        );
        assert_eq!(
            written(&[batch()], Format::Ndjson),
            "{\"source_offset\":1,\"raw\":\"a,\\\"b\"}\n{\"source_offset\":null,\"raw\":null}\n"
        );
        assert_eq!(written(&[batch()], Format::Csv), "source_offset,raw\n1,\"a,\"\"b\"\n,\n");
        assert_eq!(rows::count(&[batch()]), "2 rows\n");
    }

    #[test]
    fn values_inside_values_are_json_in_csv() {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
        let field = Field::new("l", lists.data_type().clone(), true);
        let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(lists)]).expect("a batch");
        assert_eq!(written(std::slice::from_ref(&batch), Format::Csv), "l\n\"[1,null]\"\n\"\"\n[]\n");
        assert_eq!(written(&[batch], Format::Ndjson), "{\"l\":[1,null]}\n{\"l\":null}\n{\"l\":[]}\n");
    }

    #[test]
    fn no_rows_are_still_an_answer() {
        let empty = [batch().slice(0, 0)];
        assert_eq!(written(&empty, Format::Json), "[]\n");
        assert_eq!(written(&empty, Format::Ndjson), "");
        assert_eq!(written(&empty, Format::Csv), "source_offset,raw\n");
        assert_eq!(written(&[], Format::Json), "[]\n");
    }

    #[test]
    fn a_quarantined_record_is_shown_only_where_it_is_asked_for() {
        let names = |reveal: bool| {
            let shown = rows::quarantined(&[batch()], reveal).expect("a place");
            shown[0].schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(false), ["source_offset"]);
        assert_eq!(names(true), ["source_offset", "raw"]);
    }
}

#[test]
fn a_sync_that_merged_files_says_so_in_one_line_per_table() {
    let merged = OptimizedTable {
        files_merged: 17,
        files_written: 1,
        commits: 1,
        ..OptimizedTable::untouched("files".into(), "system".into(), String::new())
    };
    let left = OptimizedTable {
        skipped: Some("another writer committed meanwhile".into()),
        ..OptimizedTable::untouched("people".into(), "landing".into(), String::new())
    };
    let outcome =
        SyncOutcome { optimized: vec![merged, left], ..outcome(200, vec![withdrawn("trusted", "people", 3, (1, 9))]) };
    let answer = sync::text::answer(&outcome);
    let lines: Vec<&str> = answer.lines().skip(4).collect();
    assert_eq!(
        lines,
        [
            "files: 17 files merged into 1",
            "people keeps its small files: another writer committed meanwhile",
            "1 table changed in 0.2 s."
        ]
    );
}

#[test]
fn a_vacuum_that_deletes_nothing_says_what_keeps_versions() {
    let kept = VacuumTable {
        table: "orders".into(),
        kept_for: Some("cheap was computed from v2".into()),
        ..VacuumTable::default()
    };
    let outcome = VacuumOutcome { tables: vec![kept, VacuumTable::default()], ..VacuumOutcome::default() };
    let said = "orders  older versions stay: cheap was computed from v2\n\nNothing to delete.\n";
    assert_eq!(vacuum::answer(&outcome), said);
}
