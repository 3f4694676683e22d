//! Expectations as compiled conditions on batches of rows.

use std::sync::Arc;

use deltalake::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use deltalake::arrow::compute::prep_null_mask_filter;
use deltalake::datafusion::physical_expr::PhysicalExpr;

use crate::definition::{Action, Table};
use crate::error::{Context, Result};
use crate::lake::compiled;

/// One compiled expectation.
#[derive(Clone, Debug)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// What a failing row means.
    pub action: Action,
    expr: Arc<dyn PhysicalExpr>,
}

/// The expectations of a table that `wanted` picks.
///
/// # Errors
/// When a check is no condition on the table's columns; `definition` has found that before.
pub fn compile(table: &Table, wanted: impl Fn(Action) -> bool) -> Result<Vec<Check>> {
    let schema = table.schema();
    let checks = table.expectations.iter().filter(|e| wanted(e.action)).map(|expectation| {
        let expr = compiled(expectation.check.expr.clone(), &schema)
            .context(|| format!("expectation `{}` of {} cannot be checked", expectation.name, table.name))?;
        Ok(Check { name: expectation.name.clone(), action: expectation.action, expr })
    });
    checks.collect()
}

impl Check {
    /// True where the check is true; NULL is not.
    ///
    /// # Errors
    /// When the check fails on a value, such as a division by zero.
    pub fn passes(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let value = self.expr.evaluate(batch).and_then(|v| v.into_array(batch.num_rows()));
        let value = value.context(|| format!("expectation `{}` cannot be checked", self.name))?;
        let value = value.as_boolean();
        Ok(if value.null_count() > 0 { prep_null_mask_filter(value) } else { value.clone() })
    }
}
