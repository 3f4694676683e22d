//! The few plan shapes that all rules use.
//!
//! Names need care: after joins, two columns may differ by their qualifier only. So columns that cross a union or a
//! step are named by position (`c0`, `c1`, ...) and get their names back afterwards.

use std::sync::Arc;

use deltalake::arrow::datatypes::SchemaRef;
use deltalake::datafusion::common::{Column, DFSchema, DataFusionError, NullEquality, Result};
use deltalake::datafusion::logical_expr::{
    Aggregate, Expr, Join, JoinConstraint, JoinType, LogicalPlan, Projection, TableSource, Union,
};

/// A table of which only the columns are known. It takes no filters, so that they stay visible in the plan.
#[derive(Debug)]
pub(crate) struct Columns(SchemaRef);

impl Columns {
    /// A table with these columns.
    pub(crate) fn new(schema: SchemaRef) -> Self {
        Self(schema)
    }
}

impl TableSource for Columns {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0)
    }
}

/// The name of a column by position.
pub(crate) fn nth(i: usize) -> String {
    format!("c{i}")
}

/// The i-th column of a schema as an expression.
pub(crate) fn column(schema: &DFSchema, i: usize) -> Expr {
    let (relation, field) = schema.qualified_field(i);
    Expr::Column(Column::new(relation.cloned(), field.name()))
}

/// All columns of a schema as expressions.
pub(crate) fn columns(schema: &DFSchema) -> Vec<Expr> {
    (0..schema.fields().len()).map(|i| column(schema, i)).collect()
}

/// A projection.
pub(crate) fn project(input: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?))
}

/// Distinct rows.
pub(crate) fn distinct(input: LogicalPlan) -> Result<LogicalPlan> {
    let all = columns(input.schema());
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), all, vec![])?))
}

/// A join.
pub(crate) fn join(
    left: LogicalPlan,
    right: LogicalPlan,
    on: Vec<(Expr, Expr)>,
    filter: Option<Expr>,
    join_type: JoinType,
    nulls: NullEquality,
) -> Result<LogicalPlan> {
    let (left, right) = (Arc::new(left), Arc::new(right));
    Ok(LogicalPlan::Join(Join::try_new(left, right, on, filter, join_type, JoinConstraint::On, nulls, false)?))
}

/// The same operator over other inputs.
pub(crate) fn with_inputs(plan: &LogicalPlan, inputs: Vec<LogicalPlan>) -> Result<LogicalPlan> {
    plan.with_new_exprs(plan.expressions(), inputs)
}

/// Expressions as columns `c0, c1, ...` of a new projection.
pub(crate) fn by_position(input: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    project(input, named_by_position(exprs).collect())
}

/// Expressions by the names `c0, c1, ...`.
pub(crate) fn named_by_position(exprs: Vec<Expr>) -> impl Iterator<Item = Expr> {
    exprs.into_iter().enumerate().map(|(i, e)| e.unalias().alias(nth(i)))
}

/// Gives the columns of `input` the names of `schema`, by position.
pub(crate) fn renamed(input: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
    let named = named_like(&input, schema).collect();
    project(input, named)
}

/// The first columns of `input` by the names of `schema`, by position.
pub(crate) fn named_like(input: &LogicalPlan, schema: &DFSchema) -> impl Iterator<Item = Expr> {
    let named = schema.iter().enumerate();
    named.map(|(i, (relation, field))| column(input.schema(), i).alias_qualified(relation.cloned(), field.name()))
}

/// All rows of plans whose columns are named by position.
pub(crate) fn add(mut terms: Vec<LogicalPlan>) -> Result<LogicalPlan> {
    match terms.len() {
        1 => Ok(terms.remove(0)),
        0 => Err(DataFusionError::Internal("a sum without terms".into())),
        _ => {
            let inputs = terms.into_iter().map(Arc::new).collect();
            Ok(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?))
        }
    }
}
