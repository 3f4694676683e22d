//! The state in commits, and the reaction to commits of other writers.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deltalake::arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use deltalake::arrow::datatypes::{DataType, Field, Schema};
use deltalake::{DeltaTable, DeltaTableBuilder};
use futures::FutureExt;
use stedi_delta::cli::exit;
use stedi_delta::outcome::{Mode, Problem, SyncOutcome};
use stedi_delta::sync;
use url::Url;

use crate::support::faulty::intruded;
use crate::support::shop::{CHEAP, ITEMS, derived, orders, shop};
use crate::support::{Lake, assert_ok, of};

async fn open(lake: &Lake, table: &str) -> DeltaTable {
    let url = Url::from_directory_path(lake.warehouse().join(table)).unwrap();
    DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap()
}

async fn restore(lake: &Lake, table: &str, version: u64) {
    open(lake, table).await.restore().with_version_to_restore(version).await.unwrap();
}

async fn optimize(lake: &Lake, table: &str) {
    open(lake, table).await.optimize().await.unwrap();
}

/// Another writer's row: an order, with the landing columns if there are more than three.
async fn append(table: DeltaTable, id: i64) {
    let fields: Vec<Field> = table
        .snapshot()
        .unwrap()
        .snapshot()
        .arrow_schema()
        .fields()
        .iter()
        .map(|f| Field::new(f.name(), f.data_type().clone(), f.is_nullable()))
        .collect();
    let columns = fields
        .iter()
        .map(|f| match f.data_type() {
            DataType::Int64 => Arc::new(Int64Array::from(vec![id])) as _,
            DataType::Float64 => Arc::new(Float64Array::from(vec![1.0])) as _,
            _ => Arc::new(StringArray::from(vec!["somebody"])) as _,
        })
        .collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    table.write(vec![batch]).await.unwrap();
}

fn failure(outcome: &SyncOutcome, table: &str) -> String {
    match &of(outcome, table).problem {
        Some(Problem::Failed(error)) => format!("{error} {:?} {:?}", error.facts(), error.next()),
        other => panic!("{table} did not fail: {other:?}"),
    }
}

async fn built(refresh: &str) -> Lake {
    let lake = shop(refresh);
    lake.land_first_orders();
    lake.sync().await;
    lake
}

fn full_refresh() -> sync::Options {
    sync::Options { full_refresh: true, ..sync::Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_changes_and_changes_back_is_right_each_time() {
    let lake = built("incremental").await;
    let first = lake.contents().await;
    lake.define("tables/trusted/cheap.sql", "select o.id, o.item, o.price from orders o where o.price > 7");
    lake.land("orders/d.json", orders(20..22));
    let outcome = lake.sync().await;
    let done = of(&outcome, "cheap");
    assert_eq!((done.mode, done.reason.as_str()), (Mode::Full, "the definition changed"));
    lake.assert_recomputed().await;
    lake.define("tables/trusted/cheap.sql", &format!("-- as at first\n{CHEAP}"));
    assert_eq!(of(&lake.sync().await, "cheap").mode, Mode::Full);
    lake.assert_recomputed().await;
    let cheap = |contents: &[(String, Vec<String>)]| contents.iter().find(|(n, _)| n == "cheap").unwrap().1.clone();
    assert_eq!(cheap(&lake.contents().await), cheap(&first));
    // Layout and comments are not a change.
    lake.define("tables/trusted/cheap.sql", &CHEAP.replace(" from", "\n  from"));
    assert_eq!(of(&lake.sync().await, "cheap").mode, Mode::None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_with_other_columns_rebuilds_the_table_and_its_readers_follow() {
    let lake = built("incremental").await;
    lake.define("tables/trusted/cheap.sql", "select o.id, o.price * 2 as twice from orders o where o.price < 5");
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "cheap").mode, Mode::Full);
    lake.assert_recomputed().await;
    lake.land_more_orders();
    assert_eq!(of(&lake.sync().await, "cheap").mode, Mode::Incremental);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_landing_table_restored_to_an_earlier_version_is_followed_incrementally() {
    let lake = built("incremental").await;
    lake.land_more_orders();
    lake.sync().await;
    restore(&lake, "landing/orders", 0).await;
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "cheap").mode, of(&outcome, "items").mode), (Mode::Incremental, Mode::Incremental));
    lake.assert_recomputed().await;
    assert_eq!(lake.count("select count(*) from orders").await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_derived_table_restored_by_somebody_is_rebuilt_or_stops_as_its_definition_says() {
    for refresh in ["auto", "incremental"] {
        let lake = built(refresh).await;
        lake.land_more_orders();
        lake.sync().await;
        restore(&lake, "trusted/cheap", 0).await;
        let outcome = lake.try_sync().await;
        if refresh == "auto" {
            assert_ok(&outcome);
            assert_eq!(of(&outcome, "cheap").mode, Mode::Full);
        } else {
            assert_eq!(exit::of_sync(&outcome), 1);
            let text = failure(&outcome, "cheap");
            assert!(text.contains("--full-refresh") && text.contains("RESTORE"), "{text}");
            assert_ok(&lake.try_sync_with(full_refresh()).await);
        }
        lake.assert_recomputed().await;
        assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_optimize_between_two_syncs_is_passed_over() {
    let lake = built("incremental").await;
    lake.land("orders/d.json", orders(20..30));
    lake.sync().await;
    for table in ["landing/orders", "trusted/cheap", "curated/items"] {
        optimize(&lake, table).await;
    }
    lake.land_more_orders();
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "cheap").mode, of(&outcome, "items").mode), (Mode::Incremental, Mode::Incremental));
    lake.assert_recomputed().await;
    // Only an OPTIMIZE: nothing to compute, and then nothing to do.
    optimize(&lake, "landing/orders").await;
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "cheap").rows.inserted, of(&outcome, "cheap").rows.deleted), (0, 0));
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_somebody_appends_to_a_landing_table_flow_and_those_in_a_derived_table_are_drift() {
    let lake = built("incremental").await;
    append(open(&lake, "landing/orders").await, 100).await;
    assert_eq!(of(&lake.sync().await, "cheap").rows.inserted, 1);
    lake.assert_recomputed().await;
    append(open(&lake, "trusted/cheap").await, 101).await;
    let outcome = lake.try_sync().await;
    assert!(failure(&outcome, "cheap").contains("--full-refresh"));
    assert!(of(&outcome, "items").problem.is_none());
    assert_ok(&lake.try_sync_with(full_refresh()).await);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_somebody_between_our_snapshot_and_our_commit_is_planned_around() {
    for (path, table) in [
        ("landing/orders/_delta_log/00000000000000000002.json", "landing/orders"),
        ("trusted/cheap/_delta_log/00000000000000000002.json", "trusted/cheap"),
    ] {
        for foreign in ["append", "optimize"] {
            let lake = built("auto").await;
            // Two data files, so that OPTIMIZE has something to do.
            lake.land("orders/c.json", orders(1..3));
            lake.sync().await;
            lake.land("orders/d.json", orders(20..23) + &orders(3..4));
            let fired = Arc::new(AtomicBool::new(false));
            let fires = fired.clone();
            let url = Url::from_directory_path(lake.warehouse().join(table)).unwrap();
            let intrusion = move || {
                async move {
                    let table = DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
                    if foreign == "append" {
                        append(table, 3).await;
                    } else {
                        let before = table.version();
                        let (after, _) = table.optimize().await.unwrap();
                        assert!(after.version() > before, "there was nothing to optimize");
                    }
                    fires.store(true, Ordering::SeqCst);
                }
                .boxed()
            };
            let lake = lake.through(intruded(path, Box::new(intrusion)));
            lake.sync().await;
            lake.sync().await;
            lake.assert_recomputed().await;
            assert!(fired.load(Ordering::SeqCst), "{table} {foreign}: nobody came in between");
            let landed = if (table, foreign) == ("landing/orders", "append") { 17 } else { 16 };
            assert_eq!(lake.count("select count(*) from orders").await, landed, "{table} {foreign}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_definitions_that_race_end_as_one_of_them() {
    let (one, two) = (built("auto").await, "select o.id, o.item, o.price from orders o where o.price > 2");
    let other = Lake::project(&[]);
    for (path, text) in [
        ("tables/landing/orders.toml", crate::support::shop::ORDERS),
        ("tables/trusted/cheap.toml", &derived("auto")),
        ("tables/trusted/cheap.sql", two),
        ("tables/curated/items.toml", &derived("auto")),
        ("tables/curated/items.sql", ITEMS),
    ] {
        other.define(path, text);
    }
    let other = other.over(&one);
    for round in 0..4 {
        one.land(&format!("orders/r{round}.json"), orders(round * 3..round * 3 + 4));
        let (a, b) = tokio::join!(one.try_sync(), other.try_sync());
        for outcome in [&a, &b] {
            assert!([0, 4].contains(&exit::of_sync(outcome)), "{:?}", outcome.problem);
        }
        // The last of them decides; the next sync has its own definition.
        if round % 2 == 0 {
            other.sync().await;
            other.assert_recomputed().await;
        }
        one.sync().await;
        one.assert_recomputed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_whose_old_files_were_vacuumed_is_read_in_full_or_stops() {
    for refresh in ["auto", "incremental"] {
        let lake = built(refresh).await;
        lake.land_more_orders();
        // Only the landing table advances, and loses its earlier versions.
        let select = vec!["orders".to_owned()];
        assert_ok(&lake.try_sync_with(sync::Options { select, ..sync::Options::default() }).await);
        let vacuum = open(&lake, "landing/orders").await.vacuum();
        let vacuum = vacuum.with_retention_period(chrono::Duration::zero()).with_enforce_retention_duration(false);
        let (_, metrics) = vacuum.await.unwrap();
        assert!(!metrics.files_deleted.is_empty());
        let outcome = lake.try_sync().await;
        if refresh == "auto" {
            assert_eq!(of(&outcome, "cheap").mode, Mode::Full);
            assert!(of(&outcome, "cheap").reason.contains("are gone"));
        } else {
            assert!(failure(&outcome, "cheap").contains("--full-refresh"));
            assert_ok(&lake.try_sync_with(full_refresh()).await);
        }
        lake.assert_recomputed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_survives_checkpoints_and_the_removal_of_old_commits() {
    let lake = built("incremental").await;
    for number in 0..45 {
        lake.land(&format!("orders/n{number}.json"), orders(number..number + 2));
        lake.sync().await;
    }
    for table in ["landing/orders", "trusted/cheap", "curated/items", "system/files"] {
        let log = lake.warehouse().join(table).join("_delta_log");
        let checkpoint = fs::read_to_string(log.join("_last_checkpoint")).unwrap();
        let version: u64 = serde_json::from_str::<serde_json::Value>(&checkpoint).unwrap()["version"].as_u64().unwrap();
        assert!(version >= 39, "{table}: checkpoint at {version}");
        for old in 0..version {
            fs::remove_file(log.join(format!("{old:020}.json"))).unwrap();
        }
    }
    assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
    lake.land_more_orders();
    assert_eq!(of(&lake.sync().await, "cheap").mode, Mode::Incremental);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_created_anew_is_no_continuation_of_the_old_one() {
    for refresh in ["auto", "incremental"] {
        let lake = built(refresh).await;
        fs::remove_dir_all(lake.warehouse().join("landing/orders")).unwrap();
        let outcome = lake.try_sync().await;
        if refresh == "auto" {
            assert_eq!(of(&outcome, "cheap").mode, Mode::Full);
        } else {
            assert!(failure(&outcome, "cheap").contains("--full-refresh"));
            assert_ok(&lake.try_sync_with(full_refresh()).await);
        }
        lake.assert_recomputed().await;
        assert_eq!(lake.count("select count(*) from orders").await, 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_by_hand_is_made_again() {
    let lake = built("incremental").await;
    let versions = |outcome: &SyncOutcome| outcome.tables.iter().map(|t| t.version_after).collect::<Vec<_>>();
    fs::remove_dir_all(lake.warehouse().join("_catalog")).unwrap();
    let outcome = lake.sync().await;
    assert_eq!(versions(&outcome), [Some(0); 3]);
    assert!(lake.warehouse().join("_catalog").is_dir());
    fs::remove_dir_all(lake.warehouse().join("trusted/cheap")).unwrap();
    assert_eq!(of(&lake.sync().await, "cheap").reason, "first build");
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_a_derivative_is_refreshed_in_full_as_a_difference_and_says_why() {
    let lake = shop("auto");
    lake.define("tables/curated/latest.toml", &derived("auto"));
    lake.define("tables/curated/latest.sql", "select id, n from (select c.id, i.n, row_number() over (order by c.id, i.n) as place from cheap c join items i on c.item = i.item) where place < 100");
    lake.land_first_orders();
    lake.sync().await;
    lake.land("orders/d.json", orders(4..5));
    let outcome = lake.sync().await;
    let done = of(&outcome, "latest");
    assert_eq!(done.mode, Mode::Full);
    assert!(done.reason.contains("partition by"), "{}", done.reason);
    assert!(done.rows.inserted > 0 && done.rows.inserted < 6, "{done:?}");
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_miss_a_quarantining_expectation_are_kept_apart_as_they_come_and_go() {
    let lake = shop("incremental");
    let expectation = "[[expectations]]\nname = \"small\"\ncheck = \"price < 3\"\naction = \"quarantine\"\n";
    lake.define("tables/trusted/cheap.toml", &(derived("incremental") + expectation));
    lake.land_first_orders();
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "cheap").rows.inserted, of(&outcome, "cheap").rows.quarantined), (3, 2));
    assert_eq!(lake.count("select count(*) from cheap_quarantine").await, 2);
    lake.land_more_orders();
    lake.sync().await;
    lake.assert_recomputed().await;
}
