//! Expectations as compiled conditions on batches of rows, and on all rows of a table.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use deltalake::arrow::compute::prep_null_mask_filter;
use deltalake::arrow::datatypes::{Schema, SchemaRef};
use deltalake::datafusion::logical_expr::ident;
use deltalake::datafusion::physical_expr::PhysicalExpr;
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use crate::definition::{Action, Expectation, Table};
use crate::error::{Context, Error, Kind, Result};
use crate::lake::{Commit, LakeTable, app, conform};
use crate::outcome::{Warning, counted};
use crate::plan::{self, EXPECTATIONS_CHANGED};
use crate::sql::physical::filter_ordering::compiled;

/// One compiled expectation.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    /// Its name.
    pub name: String,
    /// The action for a failing row.
    pub action: Action,
    expr: Arc<dyn PhysicalExpr>,
}

/// The expectations of a table selected by `wanted`.
///
/// # Errors
/// If a check is not a condition on the table's columns; `definition` reports that earlier.
pub(crate) fn compile(table: &Table, wanted: impl Fn(Action) -> bool) -> Result<Vec<Check>> {
    compile_over(table, &table.schema(), wanted)
}

/// The same over rows of another schema, which has the columns that the expectations name.
///
/// # Errors
/// As [`compile`].
pub(crate) fn compile_over(table: &Table, schema: &SchemaRef, wanted: impl Fn(Action) -> bool) -> Result<Vec<Check>> {
    let checks = table.expectations.iter().filter(|e| wanted(e.action)).map(|expectation| {
        let expr = compiled(expectation.check.expr.clone(), schema)
            .context(|| format!("expectation `{}` of {} cannot be checked", expectation.name, table.name))?;
        Ok(Check { name: expectation.name.clone(), action: expectation.action, expr })
    });
    checks.collect()
}

/// How many rows of the current table fail each of the expectations selected by `wanted`, in their order. Reads only
/// the columns in them, and nothing if there are none.
///
/// # Errors
/// When the table cannot be read, or a check fails on a value.
pub(crate) async fn failing(
    table: &Table,
    stands: &LakeTable,
    session: &SessionContext,
    wanted: impl Fn(Action) -> bool,
) -> Result<Vec<(Check, u64)>> {
    let doing = || format!("the rows of {} cannot be checked", table.name);
    let schema = read_by(table, |e| wanted(e.action));
    let checks = compile_over(table, &schema, wanted)?;
    if checks.is_empty() {
        return Ok(Vec::new());
    }
    let mut failing: Vec<(Check, u64)> = checks.into_iter().map(|check| (check, 0)).collect();
    let frame = session.read_table(stands.provider(session, None).await?).context(doing)?;
    let columns: Vec<_> = schema.fields().iter().map(|field| ident(field.name())).collect();
    let mut rows = frame.select(columns).context(doing)?.execute_stream().await.context(doing)?;
    while let Some(batch) = rows.try_next().await.context(doing)? {
        let batch = conform(&batch, &schema)?;
        for (check, rows) in &mut failing {
            *rows += check.fails(&batch)?;
        }
    }
    Ok(failing)
}

/// The columns in conditions. At least one: a batch without columns has no rows.
fn read_by(table: &Table, wanted: impl Fn(&Expectation) -> bool) -> SchemaRef {
    let conditions = || table.expectations.iter().filter(|e| wanted(e)).map(|e| &e.check.expr);
    let is_named = |name: &str| conditions().any(|expr| expr.column_refs().iter().any(|column| column.name == name));
    let mut columns = table.columns.iter().filter(|column| is_named(&column.name)).peekable();
    let first = if columns.peek().is_none() { table.columns.first() } else { None };
    let fields = columns.chain(first).map(|column| column.field().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The warning for rows that fail a `warn` expectation.
#[must_use]
pub(crate) fn warning(check: &str, table: &str, rows: u64) -> Warning {
    let message = format!("expectation `{check}` of {table} is not met by {}", counted(rows, "row"));
    Warning { message, details: Vec::new(), help: None }
}

/// The error that stops a table with rows that fail a `fail` expectation; `failing` has the counts, as text, by its
/// name.
#[must_use]
pub(crate) fn refused(table: &str, failing: &BTreeMap<&str, String>) -> Option<Error> {
    let mut failing = failing.iter();
    let (name, rows) = failing.next()?;
    let message = format!("expectation `{name}` of {table} is not met by {rows}");
    let also = |error: Error, (name, rows): (&&str, &String)| error.fact("also", format!("`{name}` by {rows}"));
    let error = failing.fold(Error::new(Kind::Evidence, message), also);
    Some(error.help("correct the data or the query, or let the expectation `warn` or `quarantine`"))
}

/// Records in a commit that changes no row that all rows were checked by the table's current expectations.
///
/// # Errors
/// `Conflict` after a concurrent commit.
pub(crate) async fn record(stands: &LakeTable, table: &Table, run: &str) -> Result<LakeTable> {
    let mut txns = stands.state().carried();
    txns.insert(app::EXPECTATIONS.to_owned(), plan::expectations(table));
    let facts = serde_json::json!({"mode": "check", "reason": EXPECTATIONS_CHANGED, "run": run});
    let info = BTreeMap::from([("stediDelta".to_owned(), facts)]);
    Commit { operation: "WRITE", txns, info, ..Commit::default() }.commit(stands).await
}

impl Check {
    /// How many rows fail it.
    ///
    /// # Errors
    /// As [`Self::passes`].
    pub(crate) fn fails(&self, batch: &RecordBatch) -> Result<u64> {
        Ok((batch.num_rows() - self.passes(batch)?.true_count()) as u64)
    }

    /// True where the check is true; NULL counts as false.
    ///
    /// # Errors
    /// If the check fails on a value, such as a division by zero.
    pub(crate) fn passes(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let value = self.expr.evaluate(batch).and_then(|v| v.into_array(batch.num_rows()));
        let value = value.context(|| format!("expectation `{}` cannot be checked", self.name))?;
        let value = value.as_boolean();
        Ok(if value.null_count() > 0 { prep_null_mask_filter(value) } else { value.clone() })
    }
}
