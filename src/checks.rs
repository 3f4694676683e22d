//! Expectations as compiled conditions on batches of rows.

use std::sync::Arc;

use deltalake::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use deltalake::arrow::compute::prep_null_mask_filter;
use deltalake::datafusion::common::DFSchema;
use deltalake::datafusion::logical_expr::simplify::SimplifyContext;
use deltalake::datafusion::optimizer::simplify_expressions::ExprSimplifier;
use deltalake::datafusion::physical_expr::PhysicalExpr;
use deltalake::datafusion::prelude::SessionContext;

use crate::definition::{Action, Table};
use crate::error::{Context, Result};
use crate::incremental;

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
    let session = SessionContext::new();
    let doing = || format!("the expectations of {} cannot be checked", table.name);
    let schema = DFSchema::try_from(table.schema().as_ref().clone()).context(doing)?;
    // Functions such as `coalesce` run only in the form that simplifying gives them.
    let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::new(schema.clone())).build());
    let simplified = |expr| simplifier.simplify(incremental::as_sql_has_them(simplifier.coerce(expr, &schema)?)?);
    let mut checks = Vec::new();
    for expectation in table.expectations.iter().filter(|e| wanted(e.action)) {
        let expr = session.parse_sql_expr(&expectation.check, &schema);
        let expr = expr.and_then(simplified).and_then(|e| session.create_physical_expr(e, &schema)).context(doing)?;
        checks.push(Check { name: expectation.name.clone(), action: expectation.action, expr });
    }
    Ok(checks)
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
