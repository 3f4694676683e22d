//! Rows of tables that refer to each other: each row of a version once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use deltalake::arrow::array::{Array, AsArray, RecordBatch};
use deltalake::arrow::compute::concat_batches;
use deltalake::arrow::datatypes::{Int64Type, Schema};
use deltalake::arrow::row::{RowConverter, SortField};

use crate::audit::classified::Classified;
use crate::definition::{SOURCE_FILE, SOURCE_OFFSET};
use crate::error::{Context, Result};
use crate::outcome::SourceRow;
use crate::workspace::Workspace;

/// Most rows of one version that are followed to their sources.
const FOLLOWED: usize = 1_000;

/// A table at a version; tables by their place in the order of the project, so that the last of them is read by none that
/// are left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TableAt {
    /// Its place, from the last one.
    pub order: Reverse<usize>,
    /// Its name.
    pub table: String,
    /// Its version, from the newest one.
    pub version: Reverse<u64>,
}

/// All rows found so far.
#[derive(Default)]
pub(super) struct Rows {
    /// As they are shown.
    pub nodes: Vec<SourceRow>,
    values: Vec<RecordBatch>,
    known: HashMap<(String, u64, Vec<u8>), usize>,
    pending: BTreeMap<TableAt, Vec<usize>>,
}

impl Rows {
    /// The node of a row, which is one row of a batch; new ones are followed later if they have sources.
    ///
    /// # Errors
    /// A value has no text.
    pub(super) fn node(
        &mut self,
        workspace: &Workspace,
        (table, version): (&str, u64),
        row: &RecordBatch,
        shown: &Classified,
    ) -> Result<usize> {
        let key = keys(row)?.pop().unwrap_or_default();
        if let Some(known) = self.known.get(&(table.to_owned(), version, key.clone())) {
            return Ok(*known);
        }
        let number = self.nodes.len();
        let mut node = SourceRow { table: table.to_owned(), version, ..SourceRow::default() };
        node.place = place(row).filter(|_| holds_records(workspace, table));
        node.values = shown.values(row, version)?.pop().unwrap_or_default();
        if node.place.is_some() {
            node.values.retain(|(name, _)| name != SOURCE_FILE && name != SOURCE_OFFSET);
            let length = row.column_by_name("length").and_then(|column| column.as_primitive_opt::<Int64Type>());
            // Of a landing table that is a column of its own.
            let is_quarantine = workspace.table(table).is_err();
            node.length = length.filter(|_| is_quarantine).map(|length| length.value(0).unsigned_abs());
        }
        let order = workspace.project.tables.iter().position(|known| known.name.as_str() == table);
        let derived = order.and_then(|at| workspace.project.tables.get(at)).and_then(|table| table.derived());
        if let (Some(order), Some(_)) = (order, derived) {
            let at = TableAt { order: Reverse(order), table: table.to_owned(), version: Reverse(version) };
            let pending = self.pending.entry(at).or_default();
            if pending.len() < FOLLOWED {
                pending.push(number);
            } else {
                node.notes.push(format!("not followed: more than {FOLLOWED} rows of this version are in question"));
            }
        }
        self.nodes.push(node);
        self.values.push(row.clone());
        self.known.insert((table.to_owned(), version, key), number);
        Ok(number)
    }

    /// The rows of the next version to be followed.
    pub(super) fn next(&mut self) -> Option<(TableAt, Vec<usize>)> {
        self.pending.pop_first()
    }

    /// The values of rows of one version, in one batch.
    ///
    /// # Errors
    /// They have different columns.
    pub(super) fn batch(&self, nodes: &[usize]) -> Result<RecordBatch> {
        let rows: Vec<&RecordBatch> = nodes.iter().filter_map(|node| self.values.get(*node)).collect();
        let schema = rows.first().map_or_else(|| Arc::new(Schema::empty()), |row| row.schema());
        concat_batches(&schema, rows).context(|| "rows of one table have different columns".into())
    }
}

/// Whether a table is a landing table or the quarantine of one.
fn holds_records(workspace: &Workspace, table: &str) -> bool {
    match workspace.table(table) {
        Ok(table) => table.landing().is_some(),
        Err(_) => table.strip_suffix("_quarantine").is_some_and(|base| workspace.landing_table(base).is_ok()),
    }
}

/// The file and offset of a record.
fn place(row: &RecordBatch) -> Option<(String, i64)> {
    let file = row.column_by_name(SOURCE_FILE)?.as_string_opt::<i32>()?;
    let offset = row.column_by_name(SOURCE_OFFSET)?.as_primitive_opt::<Int64Type>()?;
    (row.num_rows() == 1 && file.is_valid(0) && offset.is_valid(0)).then(|| (file.value(0).to_owned(), offset.value(0)))
}

/// The rows of a batch as bytes: equal for equal rows, and in their order.
///
/// # Errors
/// When a column type cannot be compared.
pub(super) fn keys(batch: &RecordBatch) -> Result<Vec<Vec<u8>>> {
    let doing = || "rows cannot be compared".to_owned();
    let fields = batch.schema().fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
    let rows = RowConverter::new(fields).and_then(|converter| converter.convert_columns(batch.columns()));
    Ok(rows.context(doing)?.iter().map(|row| row.as_ref().to_vec()).collect())
}
