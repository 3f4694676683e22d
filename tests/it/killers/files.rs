//! The files that a change reads and rewrites.

use std::collections::BTreeSet;
use std::fs;

use deltalake::operations::vacuum::VacuumMode;
use deltalake::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use stedi_delta::outcome::Mode;

use super::{lake_table, open};
use crate::support::shop::{derived, shop};
use crate::support::{Lake, of};

const FILES: i64 = 8;

/// A table without a key over eight landing files, each with items of its own; in the last one also rows without.
async fn eight() -> Lake {
    let lake = shop("incremental");
    lake.define("tables/curated/plain.toml", &derived("incremental"));
    lake.define("tables/curated/plain.sql", "select o.item, o.price from orders o");
    for file in 0..FILES {
        lake.land(&format!("orders/{file}.json"), lines(file, 0..20));
        lake.sync().await;
    }
    assert_eq!(paths(&lake).await.len(), 8);
    lake
}

fn lines(file: i64, ids: std::ops::Range<i64>) -> String {
    let item = |id: i64| if file == 7 && id < 3 { "null".to_owned() } else { format!("\"{file}-{}\"", id % 10) };
    ids.map(|id| format!("{{\"id\":{id},\"item\":{},\"price\":1.5}}\n", item(id))).collect()
}

async fn paths(lake: &Lake) -> BTreeSet<String> {
    lake_table(lake, "plain").await.files().into_iter().map(|f| f.path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn f6_only_files_that_hold_affected_rows_are_rewritten_also_without_a_key() {
    let lake = eight().await;
    let before = paths(&lake).await;
    lake.land("orders/3.json", lines(3, 1..20));
    let outcome = lake.sync().await;
    let done = of(&outcome, "plain");
    assert_eq!((done.rows.deleted, done.io.files_removed, done.io.files_before), (1, 1, 8));
    assert_eq!(before.intersection(&paths(&lake).await).count(), 7);
    lake.assert_recomputed().await;
    // A row whose value is NULL: one file holds NULL.
    lake.land("orders/7.json", lines(7, 1..20));
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "plain").rows.deleted, of(&outcome, "plain").io.files_removed), (1, 1));
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_one_of_several_equal_rows_goes_and_the_others_stay() {
    let lake = eight().await;
    assert_eq!(lake.count("select count(*) from plain where item = '3-0'").await, 2);
    lake.land("orders/3.json", lines(3, 1..20));
    lake.sync().await;
    assert_eq!(lake.count("select count(*) from plain where item = '3-0'").await, 1);
    // Copies in several files: two of three go.
    for file in 0..3 {
        let line = "{\"id\":1,\"item\":\"same\",\"price\":2.5}\n";
        lake.land(&format!("orders/{file}.json"), lines(file, 0..20) + line);
        lake.sync().await;
    }
    assert_eq!(lake.count("select count(*) from plain where item = 'same'").await, 3);
    lake.land("orders/0.json", lines(0, 0..20));
    lake.land("orders/2.json", lines(2, 0..20));
    assert_eq!(of(&lake.sync().await, "plain").rows.deleted, 2);
    assert_eq!(lake.count("select count(*) from plain where item = 'same'").await, 1);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_a_change_reads_the_files_of_the_change_only() {
    let lake = eight().await;
    lake.land("orders/9.json", lines(9, 0..5));
    assert_eq!(of(&lake.sync().await, "plain").io.files_read, 1);
    lake.land("orders/9.json", lines(9, 0..4));
    // The file with the row and the file without it.
    let read = of(&lake.sync().await, "plain").io.files_read;
    assert!((1..=2).contains(&read), "{read} files were read");
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f16_rewritten_files_and_bytes_are_bounded_by_the_files_that_are_touched() {
    let lake = eight().await;
    let size: u64 = lake_table(&lake, "plain").await.files().iter().map(|f| f.size).sum();
    // Five rows of one file go, in one change: the file is rewritten once.
    lake.land("orders/5.json", lines(5, 5..20));
    let outcome = lake.sync().await;
    let done = of(&outcome, "plain");
    assert_eq!((done.mode, done.rows.deleted, done.io.files_removed), (Mode::Incremental, 5, 1));
    assert!(done.io.files_added <= 1, "{} files", done.io.files_added);
    // The rewritten file and its feed.
    assert!(done.io.bytes_written < size / 8 * 3, "{} of {size} bytes", done.io.bytes_written);
}

/// Every string in the data files of a table that exist in its folder, and that its newest version names.
async fn strings(lake: &Lake) -> (BTreeSet<String>, BTreeSet<String>) {
    let folder = lake.warehouse().join("curated/plain");
    let current = paths(lake).await;
    let (mut all, mut now) = (BTreeSet::new(), BTreeSet::new());
    for (path, _) in lake.files().into_iter().filter(|(p, _)| p.starts_with(&folder)) {
        if path.extension().is_none_or(|e| e != "parquet") || path.to_string_lossy().contains("_delta_log") {
            continue;
        }
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
        let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&path).unwrap()).unwrap().build().unwrap();
        for batch in reader {
            let batch = batch.unwrap();
            let items = deltalake::arrow::compute::cast(batch.column(0), &deltalake::arrow::datatypes::DataType::Utf8);
            let items = items.unwrap();
            for item in deltalake::arrow::array::AsArray::as_string::<i32>(&items).iter().flatten() {
                all.insert(item.to_owned());
                if current.contains(&name) {
                    now.insert(item.to_owned());
                }
            }
        }
    }
    (all, now)
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_deleted_rows_are_in_no_current_file_and_in_none_after_a_full_vacuum() {
    let lake = eight().await;
    lake.land("orders/3.json", "{\"id\":1,\"item\":\"3-1\",\"price\":1.5}\n");
    lake.sync().await;
    let (all, now) = strings(&lake).await;
    // Older versions and the feed still hold them: that is what makes them readable.
    assert!(now.contains("3-1") && !now.contains("3-2") && all.contains("3-2"));
    let vacuum = open(&lake, "curated/plain").await.vacuum().with_mode(VacuumMode::Full);
    let vacuum = vacuum.with_retention_period(chrono::Duration::zero()).with_enforce_retention_duration(false);
    vacuum.await.unwrap();
    let (all, now) = strings(&lake).await;
    assert!(now.contains("3-1") && !all.contains("3-2"), "a vacuum left deleted rows behind");
    lake.land("orders/3.json", lines(3, 0..2));
    lake.sync().await;
    lake.assert_recomputed().await;
}
