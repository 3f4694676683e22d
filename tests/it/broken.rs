//! Missing or corrupt data files, and constraints of other writers: the messages, and the remedies.

use std::fs;
use std::path::PathBuf;

use stedi_delta::error::Error;
use stedi_delta::outcome::{Mode, Problem, SyncOutcome};
use stedi_delta::sync::Options;

use crate::support::Lake;
use crate::support::shop::{derived, orders, shop};

/// The shop with one more table, which reads a derived one.
fn lake() -> Lake {
    let lake = shop("auto");
    lake.define("tables/curated/kinds.toml", &derived("auto"));
    lake.define("tables/curated/kinds.sql", "select c.item, count(*) as n from cheap c group by c.item");
    lake
}

fn data_files(lake: &Lake, table: &str) -> Vec<PathBuf> {
    let folder = lake.warehouse().join(table);
    let files = lake.files().into_iter().map(|(path, _)| path);
    files.filter(|p| p.parent() == Some(&folder) && p.extension().is_some_and(|e| e == "parquet")).collect()
}

/// Deletes or corrupts every data file of a table.
fn break_files(lake: &Lake, table: &str, garble: bool) {
    for file in data_files(lake, table) {
        if garble { fs::write(file, "garbled").unwrap() } else { fs::remove_file(file).unwrap() }
    }
}

fn error<'o>(outcome: &'o SyncOutcome, table: &str) -> &'o Error {
    match &crate::support::of(outcome, table).problem {
        Some(Problem::Failed(error)) => error,
        other => panic!("{table}: {other:?}"),
    }
}

fn full(table: &str) -> Options {
    Options { select: vec![table.to_owned()], full_refresh: true, ..Options::default() }
}

#[tokio::test]
async fn a_full_refresh_heals_a_derived_table_whose_rows_are_lost() {
    for garble in [false, true] {
        let lake = lake();
        lake.land("orders/a.json", orders(0..4));
        lake.sync().await;
        break_files(&lake, "trusted/cheap", garble);
        lake.land("orders/a.json", orders(2..5));
        let failed = lake.try_sync().await;
        let error = error(&failed, "cheap");
        assert!(error.message().starts_with("data file `part-"), "{error}");
        assert!(error.message().ends_with("of cheap cannot be read"), "{error}");
        assert_eq!(error.next(), Some("stedi-delta sync -s cheap+ --full-refresh"));
        let healed = lake.try_sync_with(full("cheap")).await;
        crate::support::assert_ok(&healed);
        let cheap = crate::support::of(&healed, "cheap");
        assert_eq!((cheap.mode, cheap.rows.inserted), (Mode::Full, 3), "{}", cheap.reason);
        assert!(cheap.reason.contains("cannot be read"), "{}", cheap.reason);
        // A reader of the table cannot compute the change from its lost rows.
        lake.sync().await;
        lake.assert_recomputed().await;
        assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
    }
}

#[tokio::test]
async fn who_reads_a_broken_table_names_it() {
    let lake = lake();
    lake.land("orders/a.json", orders(0..4));
    lake.sync().await;
    break_files(&lake, "trusted/cheap", false);
    let failed = lake.try_sync_with(full("kinds")).await;
    let error = error(&failed, "kinds");
    assert!(error.message().ends_with("of cheap cannot be read"), "{error}");
    assert_eq!(error.next(), Some("stedi-delta sync -s cheap+ --full-refresh"));
}

#[tokio::test]
async fn a_broken_landing_table_is_named_with_its_file_and_a_way_out() {
    for garble in [false, true] {
        let lake = lake();
        lake.land("orders/a.json", orders(0..4));
        lake.sync().await;
        break_files(&lake, "landing/orders", garble);
        let failed = lake.try_sync_with(full("cheap")).await;
        let reader = error(&failed, "cheap");
        lake.land("orders/a.json", orders(2..5));
        let failed = lake.try_sync().await;
        for error in [reader, error(&failed, "orders")] {
            assert!(error.message().starts_with("data file `part-"), "{error}");
            assert!(error.message().ends_with("of orders cannot be read"), "{error}");
            assert!(error.facts().iter().any(|(label, value)| label == "table" && value.contains("landing/orders")));
            assert!(error.next().unwrap().contains("move the table's folder away and sync"), "{error}");
        }
        fs::remove_dir_all(lake.warehouse().join("landing/orders")).unwrap();
        lake.sync().await;
        lake.assert_recomputed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_of_rows_that_are_lost_says_which_command_names_the_file() {
    let lake = lake();
    lake.land("orders/a.json", orders(0..4));
    lake.sync().await;
    break_files(&lake, "trusted/cheap", false);
    let error = stedi_delta::inspect::query(&lake.workspace().await, "select * from cheap").await.unwrap_err();
    assert_eq!(error.next(), Some("stedi-delta audit verify --lake   (names what cannot be read)"), "{error}");
}

/// Commits the metadata change of another engine's ALTER TABLE to the only version.
fn alter(lake: &Lake, table: &str, from: &str, to: &str) -> PathBuf {
    let log = lake.warehouse().join(table).join("_delta_log");
    let first = fs::read_to_string(log.join("00000000000000000000.json")).unwrap();
    let metadata = first.lines().find(|line| line.starts_with("{\"metaData\"")).unwrap();
    assert!(metadata.contains(from), "{metadata}");
    let commit = log.join("00000000000000000001.json");
    fs::write(&commit, metadata.replacen(from, to, 1) + "\n").unwrap();
    commit
}

#[tokio::test]
async fn a_table_with_rules_of_another_engine_is_not_written() {
    let configuration = "\"configuration\":{";
    let with = |name: &str, value: &str| format!("{configuration}\"{name}\":\"{value}\",");
    let column = "\\\"name\\\":\\\"price\\\",\\\"type\\\":\\\"double\\\",\\\"nullable\\\":true,\\\"metadata\\\":{";
    let rule = |key: &str| format!("{column}\\\"{key}\\\":\\\"price > 0\\\"");
    for (from, to, found) in [
        (configuration, with("delta.constraints.cheap", "price < 5"), "has the CHECK constraint `cheap`"),
        (configuration, with("delta.appendOnly", "true"), "is `delta.appendOnly`, and rows have to go"),
        (column, rule("delta.invariants"), "has a rule on rows: column `price` has an invariant"),
        (column, rule("delta.generationExpression"), "has a rule on rows: column `price` is computed by the engine"),
    ] {
        for table in ["landing/orders", "trusted/cheap"] {
            let lake = shop("auto");
            lake.land("orders/a.json", orders(0..4));
            lake.sync().await;
            let commit = alter(&lake, table, from, &to);
            let before = data_files(&lake, table);
            lake.land("orders/a.json", orders(2..5));
            let outcome = lake.try_sync().await;
            let refused = error(&outcome, table.rsplit_once('/').unwrap().1);
            assert!(refused.message().contains(found), "{table}: {refused}");
            assert!(refused.next().is_some());
            assert_eq!(data_files(&lake, table), before, "{table}: {found}");
            fs::remove_file(commit).unwrap();
            lake.sync().await;
            lake.assert_recomputed().await;
        }
    }
}
