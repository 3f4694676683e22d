//! After every kind of change of a source, the derived tables follow, and report the source of the change.

mod again;
mod columns;
mod feeds;
mod layouts;
mod paths;
mod vacuumed;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use deltalake::arrow::datatypes::{DataType, Field, Schema};
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, DeltaTableBuilder};
use serde_json::json;
use stedi_delta::outcome::Mode;
use url::Url;

use crate::support::shop::{CHEAP, ITEMS, ORDERS, derived, orders};
use crate::support::{Lake, of};

/// Orders, a filter, a grouping, and two tables over those: one joins, so that it reads old rows.
fn lake(refresh: &str) -> Lake {
    let lake = Lake::project(&[("tables/landing/orders.toml", ORDERS)]);
    for (name, sql) in [
        ("cheap", CHEAP),
        ("items", ITEMS),
        ("pairs", "select o.id, o.price, i.n from orders o join items i on o.item = i.item"),
        (
            "named",
            "select c.id, c.item from cheap c where exists (select 1 from items i where i.item = c.item and i.n > 3)",
        ),
    ] {
        lake.define(&format!("tables/curated/{name}.toml"), &derived(refresh));
        lake.define(&format!("tables/curated/{name}.sql"), sql);
    }
    lake
}

/// Ten orders in two files, synced.
async fn built(refresh: &str) -> Lake {
    let lake = lake(refresh);
    lake.land_first_orders();
    lake.sync().await;
    lake
}

fn folder(lake: &Lake) -> PathBuf {
    lake.warehouse().join("landing/orders")
}

async fn open(lake: &Lake) -> DeltaTable {
    let url = Url::from_directory_path(folder(lake)).unwrap();
    DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap()
}

/// Orders written by another writer.
fn batch(rows: &[(i64, &str, f64)]) -> RecordBatch {
    let fields = [("id", DataType::Int64), ("item", DataType::Utf8), ("price", DataType::Float64)];
    let more = [("source_file", DataType::Utf8), ("source_offset", DataType::Int64)];
    let strict = |name: &str| matches!(name, "id" | "source_file" | "source_offset");
    let fields: Vec<Field> =
        fields.into_iter().chain(more).map(|(name, t)| Field::new(name, t, !strict(name))).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| Some(r.1)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|r| r.2).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|_| Some("elsewhere")).collect::<StringArray>()) as Arc<dyn Array>,
        Arc::new(rows.iter().map(|_| 0_i64).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

async fn append(lake: &Lake, rows: &[(i64, &str, f64)]) {
    open(lake).await.write(vec![batch(rows)]).await.unwrap();
}

async fn overwrite(lake: &Lake, rows: &[(i64, &str, f64)]) {
    open(lake).await.write(vec![batch(rows)]).with_save_mode(SaveMode::Overwrite).await.unwrap();
}

async fn delete(lake: &Lake, predicate: &str) {
    open(lake).await.delete().with_predicate(predicate).await.unwrap();
}

async fn update(lake: &Lake, predicate: &str, column: &str, value: &str) {
    open(lake).await.update().with_predicate(predicate).with_update(column, value).await.unwrap();
}

async fn restore(lake: &Lake, version: u64) {
    open(lake).await.restore().with_version_to_restore(version).await.unwrap();
}

async fn vacuum(lake: &Lake) {
    let vacuum = open(lake).await.vacuum().with_retention_period(chrono::Duration::zero());
    vacuum.with_enforce_retention_duration(false).await.unwrap();
}

async fn switch_feed(lake: &Lake, on: bool) {
    let properties = HashMap::from([("delta.enableChangeDataFeed".to_owned(), on.to_string())]);
    open(lake).await.set_tbl_properties().with_properties(properties).await.unwrap();
}

/// With the feed on or off, and synced.
async fn with_feed(on: bool) -> Lake {
    let lake = built("incremental").await;
    switch_feed(&lake, on).await;
    follows(&lake, Mode::Incremental, "orders v0 -> v1").await;
    lake
}

/// Adds a commit by hand.
async fn commit(lake: &Lake, actions: &[serde_json::Value]) {
    let version = open(lake).await.version().unwrap() + 1;
    let text: String = actions.iter().map(|action| format!("{action}\n")).collect();
    fs::write(folder(lake).join(format!("_delta_log/{version:020}.json")), text).unwrap();
}

/// A sync after which every derived table equals its query, and `cheap` reports how it was refreshed.
async fn follows(lake: &Lake, mode: Mode, reason: &str) {
    let outcome = lake.sync().await;
    let done = of(&outcome, "cheap");
    assert!(done.mode == mode && done.reason.starts_with(reason), "{:?}: {}", done.mode, done.reason);
    if mode == Mode::Incremental {
        for table in ["items", "pairs", "named"] {
            assert_ne!(of(&outcome, table).mode, Mode::Full, "{table}: {}", of(&outcome, table).reason);
        }
    }
    lake.assert_recomputed().await;
    assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_somebody_appends_to_deletes_from_and_updates_without_a_change_feed() {
    let lake = built("incremental").await;
    append(&lake, &[(20, "nut", 1.0), (21, "screw", 2.0), (21, "screw", 2.0)]).await;
    follows(&lake, Mode::Incremental, "orders v0 -> v1").await;
    delete(&lake, "id < 2").await;
    update(&lake, "id = 21", "price", "3.0").await;
    follows(&lake, Mode::Incremental, "orders v1 -> v3").await;
    assert_eq!(lake.rows("select id, price from cheap where id > 9").await, ["20|1.0", "21|3.0", "21|3.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overwritten_table_is_followed_by_its_files() {
    let lake = built("incremental").await;
    overwrite(&lake, &[(1, "nut", 1.0), (2, "nut", 7.0)]).await;
    follows(&lake, Mode::Incremental, "orders v0 -> v1").await;
    assert_eq!(lake.count("select count(*) from cheap").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_came_and_went_within_the_range_and_came_back_by_restore() {
    let lake = built("incremental").await;
    append(&lake, &[(20, "nut", 1.0)]).await;
    overwrite(&lake, &[(30, "nut", 1.0)]).await;
    restore(&lake, 1).await;
    overwrite(&lake, &[(40, "nut", 1.0)]).await;
    restore(&lake, 1).await;
    follows(&lake, Mode::Incremental, "orders v0 -> v5").await;
    assert_eq!(lake.count("select count(*) from orders").await, 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_optimised_and_vacuumed_still_has_its_rows_where_only_others_changed() {
    let lake = built("incremental").await;
    append(&lake, &[(20, "nut", 1.0)]).await;
    lake.sync().await;
    open(&lake).await.optimize().await.unwrap();
    vacuum(&lake).await;
    // The files of the consumed version are gone, their rows are not.
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "pairs").mode, of(&outcome, "cheap").rows.inserted), (Mode::Incremental, 0));
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_went_with_a_vacuumed_file_make_it_full() {
    let lake = built("auto").await;
    switch_feed(&lake, false).await;
    lake.sync().await;
    delete(&lake, "id = 1").await;
    vacuum(&lake).await;
    follows(&lake, Mode::Full, "files of v1 are gone (orders)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_join_reads_at_the_version_consumed_and_that_are_vacuumed_make_it_full() {
    let lake = built("auto").await;
    append(&lake, &[(19, "nut", 1.0)]).await;
    lake.sync().await;
    open(&lake).await.optimize().await.unwrap();
    append(&lake, &[(20, "nut", 1.0)]).await;
    vacuum(&lake).await;
    let outcome = lake.sync().await;
    // Appended rows are in their own file; the filter needs no more.
    assert_eq!(of(&outcome, "cheap").mode, Mode::Incremental, "{}", of(&outcome, "cheap").reason);
    let pairs = of(&outcome, "pairs");
    assert_eq!((pairs.mode, pairs.reason.as_str()), (Mode::Full, "files of v1 are gone (orders)"));
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cleaned_is_replaced_by_two_snapshots_while_both_can_be_read() {
    for keeps_consumed in [true, false] {
        let lake = built("auto").await;
        let log = folder(&lake).join("_delta_log");
        deltalake::checkpoints::create_checkpoint(&open(&lake).await, None).await.unwrap();
        append(&lake, &[(20, "nut", 1.0)]).await;
        delete(&lake, "id = 3").await;
        deltalake::checkpoints::create_checkpoint(&open(&lake).await, None).await.unwrap();
        fs::remove_file(log.join("00000000000000000001.json")).unwrap();
        if keeps_consumed {
            follows(&lake, Mode::Incremental, "orders v0 -> v2").await;
        } else {
            fs::remove_file(log.join("00000000000000000000.json")).unwrap();
            fs::remove_file(log.join("00000000000000000000.checkpoint.parquet")).unwrap();
            follows(&lake, Mode::Full, "v0 can no longer be read (orders)").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_held_no_row_and_was_created_anew_is_another_one() {
    let lake = lake("auto");
    lake.land("orders/empty.json", "");
    lake.sync().await;
    fs::remove_dir_all(folder(&lake)).unwrap();
    lake.land_first_orders();
    let reason = "orders is another table than the one that it was computed from";
    follows(&lake, Mode::Full, reason).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_and_provenance_that_nobody_here_knows_are_ignored() {
    let lake = built("incremental").await;
    let domain = json!({"domainMetadata": {"domain": "x", "configuration": "{}", "removed": false}});
    commit(&lake, &[json!({"foo": {"bar": 1}}), json!({"baz": []}), domain]).await;
    follows(&lake, Mode::Incremental, "orders v0 -> v1").await;
    // A writer's own description has no fixed form.
    let odd = json!({"commitInfo": {"operation": {"is": 7}, "isolationLevel": "Chaos", "tags": [null]}});
    let remove = json!({"remove": {"path": layouts::first(&lake, "add")["add"]["path"], "dataChange": true}});
    commit(&lake, &[odd, json!({"foo": null}), remove]).await;
    follows(&lake, Mode::Incremental, "orders v1 -> v2").await;
    lake.land("orders/c.json", orders(20..22));
    lake.sync().await;
    lake.assert_recomputed().await;
}
