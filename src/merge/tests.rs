//! A change is applied in the same way whether its rows are held in memory or written to files first.

use deltalake::arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use deltalake::arrow::util::display::array_value_to_string;
use futures::TryStreamExt;
use proptest::prelude::*;

use super::*;
use crate::definition::{Column, ColumnType};
use crate::lake::{Commit, DataWriter, Layout, Properties, rows as file_rows, test_table};
use crate::storage::Storage;

type Row = (Option<i64>, Option<&'static str>, f64);

fn batch(rows: &[Row], schema: &deltalake::arrow::datatypes::SchemaRef) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.1).collect::<StringArray>()),
        Arc::new(rows.iter().map(|r| r.2).collect::<Float64Array>()),
    ];
    RecordBatch::try_new(schema.clone(), columns).expect("rows of the table")
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("id", ColumnType::Long),
        Column::new("name", ColumnType::String),
        Column::new("size", ColumnType::Double),
    ]
}

/// A table of these files.
async fn table(folder: &std::path::Path, files: &[Vec<Row>]) -> LakeTable {
    let location = Storage::default().location("t", folder).expect("a folder");
    let properties = Properties { change_data_feed: true };
    let mut table = test_table::empty(&location, columns(), Layout::default(), properties).await;
    for rows in files {
        // Row groups of three rows: those without a deleted row are copied.
        table = test_table::appended(&table, &batch(rows, &table.schema()), 24).await;
    }
    table
}

fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            // The sign of the deleted zero is undefined if a change names one that is not in the table.
            let value = |column: &ArrayRef| array_value_to_string(column, row).expect("a value").replace("-0.0", "0.0");
            rows.push(batch.columns().iter().map(value).collect::<Vec<_>>().join("|"));
        }
    }
    rows.sort();
    rows
}

/// Files with these rows.
async fn written(table: &LakeTable, rows: Vec<RecordBatch>) -> Result<Change> {
    let mut writer = DataWriter::new(table, u64::MAX);
    for batch in rows.iter().filter(|batch| batch.num_rows() > 0) {
        writer.write(batch).await?;
    }
    Ok(Change { adds: writer.close().await?.adds, ..Change::default() })
}

/// Files in the folder of the table, and in that of its change feed.
fn files(folder: &std::path::Path) -> usize {
    let parquet = |folder: std::path::PathBuf| {
        let files = std::fs::read_dir(folder).into_iter().flatten();
        files.filter(|f| f.as_ref().is_ok_and(|f| f.path().extension().is_some_and(|e| e == "parquet"))).count()
    };
    parquet(folder.join("t")) + parquet(folder.join("t/_change_data"))
}

/// The rows of the table after `gone` was removed and `come` inserted, and the content of the change data files; or the
/// number of missing rows.
async fn changed(
    table: &LakeTable,
    gone: &[Row],
    come: &[Row],
    limit: usize,
) -> std::result::Result<[Vec<String>; 2], u64> {
    let mut taking = Taking::new(table, limit);
    for (rows, told) in [(gone, CdcChange::Delete), (come, CdcChange::Insert)] {
        for row in rows.chunks(3) {
            taking.add(&batch(row, &table.schema()), told).await.expect("taken");
        }
    }
    assert_eq!(taking.count(), (gone.len() + come.len()) as u64);
    let change = taking.close().await.expect("closed");
    let came: Vec<RecordBatch> = change.rows(CdcChange::Insert).try_collect().await.expect("rows that come");
    assert_eq!(texts(&came), texts(&[batch(come, &table.schema())]));
    let applied = match apply(table, change, u64::MAX, written(table, came)).await.expect("applied") {
        Merged::Done(applied) => applied,
        Merged::Drifted(MissingRows(rows)) => return Err(rows),
    };
    let gone: Vec<&str> = applied.change.removes.iter().map(|r| r.path.as_str()).collect();
    let stay = table.files().into_iter().filter(|file| !gone.contains(&file.path.as_str()));
    let files: Vec<DeltaFile> = stay.chain(applied.change.adds.iter().map(DeltaFile::from)).collect();
    let feed = applied.change.cdc.iter().map(|(path, size)| DeltaFile::bare(path.clone(), *size));
    let mut found = [Vec::new(), Vec::new()];
    for (found, files) in found.iter_mut().zip([files, feed.collect()]) {
        let mut batches = Vec::new();
        for file in files {
            let stream = file_rows(table.location(), &file, None).await.expect("a file");
            batches.extend(stream.try_collect::<Vec<_>>().await.expect("its rows"));
        }
        *found = texts(&batches);
    }
    Ok(found)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn row() -> impl Strategy<Value = Row> {
    let size = prop_oneof![Just(0.0), Just(-0.0), Just(f64::NAN), Just(1.5)];
    (proptest::option::of(0..3_i64), proptest::option::of(prop_oneof![Just("a"), Just("b")]), size)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_change_that_is_written_down_first_takes_out_the_same_rows(
        files in proptest::collection::vec(proptest::collection::vec(row(), 1..12), 1..4),
        picks in proptest::collection::vec((any::<proptest::sample::Index>(), any::<proptest::sample::Index>()), 0..10),
        come in proptest::collection::vec(row(), 0..5),
        alien in proptest::option::of(row()),
    ) {
        let picked = picks.iter().map(|(file, row)| {
            let file = &files[file.index(files.len())];
            file[row.index(file.len())]
        });
        let gone: Vec<Row> = picked.chain(alien).collect();
        runtime().block_on(async {
            let folder = tempfile::tempdir().expect("a folder");
            let table = table(folder.path(), &files).await;
            let held = changed(&table, &gone, &come, usize::MAX).await;
            // Every row in its own partition.
            assert_eq!(changed(&table, &gone, &come, 0).await, held);
            // Written to files, in one partition.
            assert_eq!(changed(&table, &gone, &come, COUNTED_BYTES * 64).await, held);
            if let Ok([stays, told]) = held {
                let before: usize = files.iter().map(Vec::len).sum();
                assert_eq!(stays.len(), before - gone.len() + come.len());
                assert_eq!(told.len(), if gone.is_empty() { 0 } else { gone.len() + come.len() });
            }
        });
    }
}

#[test]
fn a_refused_change_leaves_no_file() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let table = table(folder.path(), &[vec![(Some(1), Some("a"), 1.0)], vec![(Some(2), None, 2.0)]]).await;
        let lacking = [(Some(1), Some("a"), 1.0), (Some(2), Some("c"), 2.0)];
        for limit in [0, usize::MAX] {
            assert_eq!(changed(&table, &lacking, &[(None, None, 0.0)], limit).await, Err(1), "{limit}");
            assert_eq!(files(folder.path()), 2, "{limit}");
        }
    });
}

#[test]
fn a_change_whose_new_rows_cannot_be_written_leaves_no_file() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let row = (Some(1), Some("a"), 1.0);
        let table = table(folder.path(), &[vec![row, (Some(2), None, 2.0)]]).await;
        for limit in [0, usize::MAX] {
            let mut taking = Taking::new(&table, limit);
            taking.add(&batch(&[row], &table.schema()), CdcChange::Delete).await.expect("taken");
            let change = taking.close().await.expect("closed");
            let come = async { Err(crate::error::Error::failed("the query stopped")) };
            let error = apply(&table, change, u64::MAX, come).await.expect_err("it stopped");
            assert_eq!((error.to_string().as_str(), files(folder.path())), ("the query stopped", 1), "{limit}");
        }
    });
}

#[test]
fn wide_rows_are_read_back_a_few_at_a_time() {
    let text: &'static str = "x".repeat(6 << 20).leak();
    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let table = table(folder.path(), &[]).await;
        let mut taking = Taking::new(&table, 0);
        for id in 0..5 {
            let row = [(Some(id), Some(text), 0.0)];
            taking.add(&batch(&row, &table.schema()), CdcChange::Insert).await.expect("taken");
        }
        let change = taking.close().await.expect("closed");
        let come: Vec<RecordBatch> = change.rows(CdcChange::Insert).try_collect().await.expect("rows that come");
        assert_eq!(come.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [2, 2, 1]);
    });
}

#[test]
fn the_log_says_how_wide_removed_rows_were() {
    let text: &'static str = "x".repeat(5_000).leak();
    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let rows = [vec![(Some(1), Some(text), 0.0)], vec![(Some(2), Some("a"), 0.0)]];
        let table = table(folder.path(), &rows).await;
        let widest = |commit: Option<crate::lake::CommitFacts>| commit.expect("a commit").files.widest;
        assert_eq!(widest(table.commit_at(1).await.expect("v1")), 5_000);
        assert_eq!(widest(table.commit_at(2).await.expect("v2")), 0);
        let change = Change { removes: table.removes(|_| true), ..Change::default() };
        let commit = Commit { operation: "DELETE", change, ..Commit::default() };
        let table = commit.commit(&table).await.expect("committed");
        assert_eq!(widest(table.commit_at(3).await.expect("v3")), 5_000);
        // So that who reads the change takes as few rows at a time.
        for (since, is_narrow) in [(1, true), (2, true), (3, false)] {
            let session = crate::lake::session(crate::lake::SessionOptions::limited(1 << 20), &[]).expect("a session");
            let crate::changes::Changes::Known(change) = crate::changes::since(&table, since).await.expect("a change")
            else {
                panic!("it is lost");
            };
            change.provider(&session).await.expect("a relation");
            let rows = session.state().config().batch_size();
            assert_eq!(rows < 8192, is_narrow, "since v{since}");
        }
    });
}
