//! The content of quarantines: records of landing tables that could not land, and rows of derived tables that fail an
//! expectation. Both have the same columns, so that one list holds all.

use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray, new_null_array};
use deltalake::arrow::datatypes::{DataType, Field, Schema};
use deltalake::arrow::json::writer::{LineDelimited, WriterBuilder};
use deltalake::datafusion::prelude::SessionContext;

use crate::checks::{self, Check};
use crate::definition::{Action, SOURCE_FILE, SOURCE_OFFSET, Table};
use crate::error::{Context, Result};
use crate::ingest;
use crate::lake::{LakeTable, conform};
use crate::migrate::{self, Moves};
use crate::workspace::Workspace;

/// The first `limit` records and rows in quarantine, of one table or of all: `table`, `source_file`, `source_offset`,
/// `length`, `reason`, and in `raw` the record, or the row as JSON: personal data. Values that a row does not have are
/// NULL.
///
/// # Errors
/// `Usage` if there is no such table, else if a quarantine cannot be read.
pub async fn quarantine(workspace: &Workspace, table: Option<&str>, limit: usize) -> Result<Vec<RecordBatch>> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    let tables: Vec<&Table> = match table {
        Some(name) => {
            let table = workspace.table(name)?;
            let owner = table.quarantine_of().and_then(|name| workspace.project.table(name));
            vec![owner.unwrap_or(table)]
        }
        None => workspace.project.tables.iter().collect(),
    };
    let session = workspace.session()?;
    let mut batches = Vec::new();
    let mut left = limit;
    for table in tables {
        let found = match table.landing() {
            Some(_) => ingest::list_quarantined(&workspace.place(table, "")?, &session, left).await?,
            None => rows(workspace, table, &session, left).await?,
        };
        for batch in found {
            left = left.saturating_sub(batch.num_rows());
            batches.push(named(table, &batch)?);
        }
    }
    Ok(batches)
}

/// The quarantine of a derived table, if it has one.
#[must_use]
pub(super) fn of<'p>(workspace: &'p Workspace, table: &Table) -> Option<&'p Table> {
    workspace.project.tables.iter().find(|other| other.quarantine_of() == Some(&table.name))
}

/// Rows in the quarantine of a derived table.
async fn rows(
    workspace: &Workspace,
    table: &Table,
    session: &SessionContext,
    limit: usize,
) -> Result<Vec<RecordBatch>> {
    let Some(quarantine) = of(workspace, table) else { return Ok(Vec::new()) };
    let doing = || format!("the quarantine of {} cannot be read", table.name);
    let Some(stands) = LakeTable::open(&workspace.location(quarantine)?).await? else { return Ok(Vec::new()) };
    let checks = checks::compile_over(table, &quarantine.schema(), |action| action == Action::Quarantine)?;
    let frame = session.read_table(stands.provider(session, None).await?).context(doing)?;
    let found = frame.limit(0, Some(limit)).context(doing)?.collect().await.context(doing)?;
    found.iter().map(|batch| shown(&conform(batch, &quarantine.schema())?, &checks)).collect()
}

/// Rows with the columns of records.
fn shown(rows: &RecordBatch, checks: &[Check]) -> Result<RecordBatch> {
    let doing = || "a row cannot be shown".to_owned();
    let mut reasons: Vec<Option<String>> = vec![None; rows.num_rows()];
    for check in checks {
        let passes = check.passes(rows)?;
        for (_, reason) in reasons.iter_mut().enumerate().filter(|(row, _)| !passes.value(*row)) {
            reason.get_or_insert_with(|| format!("expectation `{}` is not met", check.name));
        }
    }
    let mut json = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    json.write(rows).and_then(|()| json.finish()).context(doing)?;
    let json = json.into_inner();
    let raw = BinaryArray::from_iter_values(json.split(|byte| *byte == b'\n').take(rows.num_rows()));
    let own = |name: &str, data_type: &DataType| {
        let column = rows.column_by_name(name).filter(|column| column.data_type() == data_type);
        column.cloned().unwrap_or_else(|| new_null_array(data_type, rows.num_rows()))
    };
    let columns: [(&str, ArrayRef); 5] = [
        (SOURCE_FILE, own(SOURCE_FILE, &DataType::Utf8)),
        (SOURCE_OFFSET, own(SOURCE_OFFSET, &DataType::Int64)),
        ("length", new_null_array(&DataType::Int64, rows.num_rows())),
        ("reason", Arc::new(StringArray::from(reasons))),
        ("raw", Arc::new(raw)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).context(doing)
}

/// A batch with the table's name as its first column.
fn named(table: &Table, batch: &RecordBatch) -> Result<RecordBatch> {
    let mut fields = vec![Field::new("table", DataType::Utf8, false)];
    fields.extend(batch.schema().fields().iter().map(|f| f.as_ref().clone().with_nullable(true)));
    let names: ArrayRef = Arc::new(StringArray::from(vec![table.name.as_str(); batch.num_rows()]));
    let columns = [names].into_iter().chain(batch.columns().iter().cloned()).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).context(|| "the quarantine cannot be shown".into())
}
