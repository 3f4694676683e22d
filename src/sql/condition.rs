//! A condition, or another expression, on the rows of one table, planned once over the columns of that table.

use deltalake::datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use deltalake::datafusion::common::{Column, DFSchema, DataFusionError, TableReference, plan_datafusion_err};
use deltalake::datafusion::logical_expr::planner::ContextProvider;
use deltalake::datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use deltalake::datafusion::sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use deltalake::datafusion::sql::sqlparser::ast::Expr as SqlExpr;

use super::planner::{Tables, analyse, to_dialect};

/// A condition, or another expression, on the rows of one table. It is planned once, when the project is checked: the same plan is used
/// wherever the condition is evaluated.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The text as written.
    pub text: String,
    /// The planned expression: every part has its type, and columns have bare names.
    pub expr: Expr,
}

impl Condition {
    /// The condition over the rows of a plan, whose columns are resolved by name.
    ///
    /// # Errors
    /// The plan has no column of such a name, or several.
    pub fn over(&self, plan: &LogicalPlan) -> Result<Expr, DataFusionError> {
        let schema = plan.schema();
        let found = |e: Expr| match e {
            Expr::Column(column) => {
                let field = schema.qualified_field_with_unqualified_name(&column.name)?;
                Ok(Transformed::yes(Expr::Column(Column::from(field))))
            }
            other => Ok(Transformed::no(other)),
        };
        self.expr.clone().transform(found).data()
    }
}

/// The expression of a planned condition, over the columns of its table by their bare names.
pub(crate) fn condition_of(plan: &LogicalPlan) -> Result<Expr, DataFusionError> {
    let [expr] = plan.expressions().try_into().map_err(|_| plan_datafusion_err!("a condition is one expression"))?;
    let bare = |e: Expr| match e {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))),
        other => Ok(Transformed::no(other)),
    };
    expr.unalias().transform(bare).data()
}

/// Plans `select (<condition>) from <table>`.
pub(crate) fn plan_condition(
    mut condition: SqlExpr,
    table: &str,
    tables: &Tables,
) -> Result<LogicalPlan, DataFusionError> {
    to_dialect(&mut condition, &|table| tables.columns_of(table));
    let source = tables.get_table_source(TableReference::bare(table))?;
    let scan = LogicalPlanBuilder::scan(TableReference::bare(table), source, None)?;
    let planner = SqlToRel::new_with_options(tables, ParserOptions::from(&tables.options().sql_parser));
    let schema: &DFSchema = scan.schema();
    let expr = planner.sql_to_expr(condition, schema, &mut PlannerContext::new())?;
    analyse(scan.project([expr])?.build()?, tables.options())
}

/// Whether every expression uses one row: no aggregates, no windows.
#[must_use]
pub(crate) fn is_row_wise(plan: &LogicalPlan) -> bool {
    let many = |e: &Expr| {
        e.exists(|e| Ok(matches!(e, Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::Unnest(_))))
    };
    // The visitor never returns an error.
    !plan.expressions().iter().any(|e| many(e).unwrap_or(true))
}
