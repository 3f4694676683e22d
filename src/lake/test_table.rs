//! Small tables for unit tests.

use deltalake::arrow::array::RecordBatch;

use super::{Add, Change, Commit, DataWriter, LakeTable, Layout, Properties, TableSpec, create};
use crate::definition::Column;
use crate::storage::Location;

fn write(adds: Vec<Add>) -> Commit {
    Commit { operation: "WRITE", change: Change { adds, ..Change::default() }, ..Commit::default() }
}

/// A table without rows, at version 0.
pub(crate) async fn empty(
    location: &Location,
    columns: Vec<Column>,
    layout: Layout,
    properties: Properties,
) -> LakeTable {
    let spec = TableSpec {
        uuid: "00000000-0000-4000-8000-000000000000".into(),
        name: "t".into(),
        description: String::new(),
        columns,
        properties,
        layout,
    };
    create(location, &spec, write(Vec::new())).await.expect("a table")
}

/// The next version, with these rows in new files.
pub(crate) async fn appended(table: &LakeTable, rows: &RecordBatch, rows_per_file: u64) -> LakeTable {
    let mut writer = DataWriter::new(table, u64::MAX).rows_per_file(rows_per_file);
    writer.write(rows).await.expect("written");
    write(writer.close().await.expect("closed").adds).commit(table).await.expect("committed")
}
