//! Tables of another writer, and the difference of two lists of rows by counting.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use deltalake::arrow::datatypes::{DataType, Field, Schema};
use deltalake::arrow::util::display::array_value_to_string;
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, DeltaTableBuilder};
use serde_json::Value;
use stedi_delta::inspect;
use url::Url;

use crate::support::Lake;

/// A row of `things`.
pub(super) type Row = (Option<i64>, Option<String>, Option<f64>);

/// Rows as text, each with its number; the key is the text up to the first `|`.
pub(super) type Side = BTreeMap<String, i64>;

fn rows(rows: &[Row]) -> RecordBatch {
    let fields = vec![
        Field::new("k", DataType::Int64, true),
        Field::new("v", DataType::Utf8, true),
        Field::new("x", DataType::Float64, true),
    ];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.1.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>()),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

async fn open(folder: &Path) -> DeltaTable {
    let url = Url::from_directory_path(folder).unwrap();
    let builder = DeltaTableBuilder::from_url(url).unwrap();
    if folder.join("_delta_log").is_dir() { builder.load().await.unwrap() } else { builder.build().unwrap() }
}

/// Writes rows, with the columns in the order `k`, `v`, `x`.
pub(super) async fn write(folder: &Path, of: &[Row], mode: SaveMode) {
    write_in(folder, of, mode, [0, 1, 2]).await;
}

/// Writes rows, with the columns `k`, `v`, `x` in another order.
pub(super) async fn write_in(folder: &Path, of: &[Row], mode: SaveMode, order: [usize; 3]) {
    let rows = rows(of).project(&order).unwrap();
    open(folder).await.write(vec![rows]).with_save_mode(mode).await.unwrap();
}

/// Writes all files anew, without changing a row.
pub(super) async fn optimize(folder: &Path) {
    open(folder).await.optimize().await.unwrap();
}

/// Lets a commit declare that it changed no row.
pub(super) fn pretend_optimize(folder: &Path, version: u64) {
    let commit = folder.join(format!("_delta_log/{version:020}.json"));
    let text = fs::read_to_string(&commit).unwrap();
    let pretended = text.lines().map(|line| {
        let mut action: Value = serde_json::from_str(line).unwrap();
        for name in ["add", "remove"] {
            if let Some(file) = action.get_mut(name) {
                file["dataChange"] = false.into();
            }
        }
        format!("{action}\n")
    });
    let pretended: String = pretended.collect();
    fs::write(&commit, pretended).unwrap();
}

/// The rows of a query.
pub(super) async fn side(lake: &Lake, sql: &str) -> Side {
    let mut side = Side::new();
    for batch in inspect::query(&lake.workspace().await, sql).await.unwrap_or_else(|e| panic!("{sql}: {e}")) {
        for row in 0..batch.num_rows() {
            *side.entry(text(batch.columns().iter(), row)).or_default() += 1;
        }
    }
    side
}

/// The lines of a difference, sorted.
pub(super) fn difference(before: &Side, after: &Side, has_key: bool) -> Vec<String> {
    let mut weights = after.clone();
    for (row, copies) in before {
        *weights.entry(row.clone()).or_default() -= copies;
    }
    weights.retain(|_, weight| *weight != 0);
    let mut by_key: BTreeMap<String, Vec<(String, i64)>> = BTreeMap::new();
    for (row, weight) in weights {
        let key = if has_key { row.split('|').next().unwrap().to_owned() } else { row.clone() };
        by_key.entry(key).or_default().push((row, weight));
    }
    let mut lines = Vec::new();
    for rows in by_key.into_values() {
        match rows.as_slice() {
            [(one, 1), (other, -1)] | [(other, -1), (one, 1)] => lines.push(format!("update {other} -> {one}")),
            _ => {
                for (row, weight) in rows {
                    let op = if weight < 0 { "delete" } else { "insert" };
                    lines.extend((0..weight.abs()).map(|_| format!("{op} {row}")));
                }
            }
        }
    }
    lines.sort();
    lines
}

/// The lines of a batch, as [`difference`] writes them: the key before the other columns.
pub(super) fn lines(batch: &RecordBatch) -> Vec<String> {
    let part = |name: &str| batch.column_by_name(name).and_then(|part| part.as_struct_opt());
    let row_of = |name: &str, row: usize| {
        let side = part(name).unwrap();
        let key = part("key").into_iter().flat_map(|key| key.columns());
        side.is_valid(row).then(|| text(key.chain(side.columns()), row))
    };
    let ops = batch.column_by_name("op").unwrap().as_string::<i32>();
    (0..batch.num_rows())
        .map(|row| match (row_of("before", row), row_of("after", row)) {
            (Some(before), Some(after)) => format!("{} {before} -> {after}", ops.value(row)),
            (Some(only), None) | (None, Some(only)) => format!("{} {only}", ops.value(row)),
            (None, None) => panic!("a line without rows"),
        })
        .collect()
}

fn text<'c>(columns: impl Iterator<Item = &'c ArrayRef>, row: usize) -> String {
    let texts = columns.map(|column| match column.is_null(row) {
        true => "NULL".to_owned(),
        false => array_value_to_string(column, row).unwrap(),
    });
    texts.collect::<Vec<_>>().join("|")
}
