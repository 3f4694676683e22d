//! Change feeds: used if they are exact and present, replaced otherwise.

use std::fs;
use std::sync::Arc;

use deltalake::arrow::array::{AsArray, BooleanArray, RecordBatch};
use deltalake::arrow::compute::filter_record_batch;
use deltalake::arrow::datatypes::Int64Type;
use deltalake::datafusion::prelude::SessionContext;
use deltalake::parquet::arrow::ArrowWriter;
use deltalake::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use stedi_delta::outcome::Mode;

use super::{append, batch, delete, folder, follows, open, overwrite, restore, switch_feed, update, with_feed};
use crate::support::{Lake, of};

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_with_a_change_feed_is_read_from_it() {
    let lake = with_feed(true).await;
    delete(&lake, "id in (1, 7)").await;
    assert!(folder(&lake).join("_change_data").is_dir());
    follows(&lake, Mode::Incremental, "orders v1 -> v2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_an_update_by_delta_rs_whose_feed_loses_duplicates() {
    let lake = with_feed(true).await;
    append(&lake, &[(20, "nut", 1.0), (21, "nut", 1.0)]).await;
    follows(&lake, Mode::Incremental, "orders v1 -> v2").await;
    // Afterwards there are two equal rows: the feed has the delete of one, and not the second copy of the other.
    update(&lake, "id = 20", "id", "21").await;
    let reason = "orders v2 -> v3 (file diff: the change feed of v3 (UPDATE) is not exact)";
    follows(&lake, Mode::Incremental, reason).await;
    assert_eq!(lake.rows("select id from cheap where id > 9").await, ["21", "21"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_whose_feed_has_pairs_that_change_nothing() {
    let lake = with_feed(true).await;
    let source = SessionContext::new().read_batch(batch(&[(1, "x", 1.0), (2, "x", 9.0), (50, "x", 0.5)])).unwrap();
    let merge = open(&lake).await.merge(source, "t.id = s.id").with_source_alias("s").with_target_alias("t");
    let merge = merge.when_matched_update(|u| u.update("price", "s.price")).unwrap();
    let merge = merge
        .when_not_matched_insert(|i| {
            ["id", "item", "price", "source_file", "source_offset"]
                .iter()
                .fold(i, |i, column| i.set(*column, format!("s.{column}")))
        })
        .unwrap();
    merge.await.unwrap();
    follows(&lake, Mode::Incremental, "orders v1 -> v2").await;
    assert_eq!(lake.rows("select id from cheap").await, ["0", "1", "3", "4", "50"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vacuumed_feed_is_replaced_by_the_files_of_its_commit() {
    let lake = with_feed(true).await;
    append(&lake, &[(20, "nut", 1.0)]).await;
    delete(&lake, "id in (1, 20)").await;
    fs::remove_dir_all(folder(&lake).join("_change_data")).unwrap();
    follows(&lake, Mode::Incremental, "orders v1 -> v3 (file diff: the change feed of v3 is vacuumed)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vacuumed_file_that_came_and_went_within_the_range_is_not_needed() {
    let lake = with_feed(true).await;
    append(&lake, &[(20, "nut", 1.0), (21, "nut", 2.0)]).await;
    let appended: Vec<String> = open(&lake).await.get_file_uris().unwrap().collect();
    delete(&lake, "id = 20").await;
    // The feed deletes a row of a removed file, so that the two cannot be added up. Two snapshots can be compared.
    let now: Vec<String> = open(&lake).await.get_file_uris().unwrap().collect();
    let gone: Vec<_> = appended.iter().filter(|file| !now.contains(file)).collect();
    assert_eq!(gone.len(), 1);
    fs::remove_file(gone[0].trim_start_matches("file://")).unwrap();
    follows(&lake, Mode::Incremental, "orders v1 -> v3").await;
    assert_eq!(lake.rows("select id from cheap where id > 9").await, ["21"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_over_files_that_the_same_range_added_and_a_restore_after_it() {
    let lake = with_feed(true).await;
    append(&lake, &[(20, "nut", 1.0), (21, "nut", 2.0)]).await;
    delete(&lake, "id = 20").await;
    follows(&lake, Mode::Incremental, "orders v1 -> v3").await;
    append(&lake, &[(30, "nut", 1.0), (31, "nut", 2.0)]).await;
    delete(&lake, "id = 30").await;
    // Adds the very file again that the delete replaced.
    restore(&lake, 4).await;
    follows(&lake, Mode::Incremental, "orders v3 -> v6").await;
    assert_eq!(lake.rows("select id from cheap where id > 9").await, ["21", "30", "31"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_is_switched_off_and_on_within_the_range() {
    let lake = with_feed(true).await;
    delete(&lake, "id = 0").await;
    switch_feed(&lake, false).await;
    delete(&lake, "id = 1").await;
    switch_feed(&lake, true).await;
    delete(&lake, "id = 2").await;
    let reason = "orders v1 -> v6 (file diff: v3 changed the table's columns, properties or protocol)";
    follows(&lake, Mode::Incremental, reason).await;
    assert_eq!(lake.rows("select id from cheap").await, ["3", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_optimize_among_feed_commits_counts_nothing() {
    let lake = with_feed(true).await;
    append(&lake, &[(20, "nut", 1.0)]).await;
    delete(&lake, "id = 20").await;
    append(&lake, &[(22, "nut", 1.0)]).await;
    open(&lake).await.optimize().await.unwrap();
    delete(&lake, "id in (22, 3)").await;
    follows(&lake, Mode::Incremental, "orders v1 -> v6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overwrite_of_a_table_with_a_feed() {
    let lake = with_feed(true).await;
    overwrite(&lake, &[(1, "nut", 1.0)]).await;
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "cheap").mode, Mode::Incremental);
    lake.assert_recomputed().await;
    assert_eq!(lake.rows("select id from cheap").await, ["1"]);
}

/// Replaces the rows of a commit's change feed: by those for which `keeps` is true of their id, `times` each, and
/// without the change type column if not `typed`.
fn forge(lake: &Lake, version: u64, keeps: fn(i64) -> bool, times: usize, typed: bool) {
    let commit = folder(lake).join(format!("_delta_log/{version:020}.json"));
    let text = fs::read_to_string(&commit).unwrap();
    let actions = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let forged: String = actions
        .map(|mut action| {
            if let Some(path) = action["cdc"]["path"].as_str() {
                let path = folder(lake).join(path);
                let file = fs::File::open(&path).unwrap();
                let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
                let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
                let schema = batches[0].schema();
                let columns: Vec<usize> = (0..schema.fields().len())
                    .filter(|at| typed || schema.field(*at).name() != "_change_type")
                    .collect();
                let schema = Arc::new(schema.project(&columns).unwrap());
                let mut writer = ArrowWriter::try_new(fs::File::create(&path).unwrap(), schema, None).unwrap();
                for batch in &batches {
                    let ids = batch.column_by_name("id").unwrap().as_primitive::<Int64Type>();
                    let kept: BooleanArray = ids.iter().map(|id| id.map(keeps)).collect();
                    let kept = filter_record_batch(batch, &kept).unwrap().project(&columns).unwrap();
                    (0..times).for_each(|_| writer.write(&kept).unwrap());
                }
                writer.close().unwrap();
                action["cdc"]["size"] = fs::metadata(&path).unwrap().len().into();
            }
            format!("{action}\n")
        })
        .collect();
    fs::write(commit, forged).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_of_somebody_that_is_belied_by_its_data_files_is_not_believed() {
    type Keeps = fn(i64) -> bool;
    let cases: [(Keeps, usize, bool, &str); 3] = [
        (|id| id == 7, 1, true, "has -1 rows, its files -2"),
        (|_| true, 2, true, "has -4 rows, its files -2"),
        (|_| true, 1, false, "has no column `_change_type`"),
    ];
    for (keeps, times, typed, why) in cases {
        let lake = with_feed(true).await;
        // Only the consumed version describes the file that the delete rewrites.
        delete(&lake, "id in (1, 7)").await;
        forge(&lake, 2, keeps, times, typed);
        append(&lake, &[(20, "nut", 1.0)]).await;
        let reason = format!("orders v1 -> v3 (file diff: the change feed of v2 (DELETE) {why})");
        follows(&lake, Mode::Incremental, &reason).await;
        assert_eq!(lake.rows("select id from cheap").await, ["0", "2", "20", "3", "4"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_without_statistics_beside_it_is_believed() {
    let lake = with_feed(true).await;
    delete(&lake, "id in (1, 7)").await;
    let commit = folder(&lake).join("_delta_log/00000000000000000002.json");
    let text = fs::read_to_string(&commit).unwrap();
    let actions = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let bare: String = actions
        .map(|mut action| {
            if let Some(add) = action.get_mut("add").and_then(Value::as_object_mut) {
                add.remove("stats");
            }
            format!("{action}\n")
        })
        .collect();
    fs::write(commit, bare).unwrap();
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "cheap").reason, "orders v1 -> v2");
    lake.assert_recomputed().await;
}
