//! Conditions guard each other: `x <> 0 and 100 / x > 20` never divides by zero.
//!
//! SQL does not define the order in which the parts of a condition are evaluated. DataFusion evaluates the second part
//! on all rows once some rows pass the first, pushes the conditions of a query behind those of outer queries, and
//! simplifies `case when x <> 0 then 100 / x > 20 else false end`, for which SQL does define an order, to an `and`. So
//! after its last rule, when conditions no longer move, parts that can fail are put last, and into a `case`.

use std::sync::Arc;

use async_trait::async_trait;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::datafusion::catalog::Session;
use deltalake::datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use deltalake::datafusion::common::{DFSchema, Result, ScalarValue};
use deltalake::datafusion::execution::context::QueryPlanner;
use deltalake::datafusion::logical_expr::expr::AggregateFunction;
use deltalake::datafusion::logical_expr::expr_rewriter::NamePreserver;
use deltalake::datafusion::logical_expr::simplify::SimplifyContext;
use deltalake::datafusion::logical_expr::utils::{
    conjunction, disjunction, merge_schema, split_binary, split_conjunction,
};
use deltalake::datafusion::logical_expr::{
    BinaryExpr, Case, Expr, ExprSchemable, Filter, LogicalPlan, Operator, binary_expr, lit,
};
use deltalake::datafusion::optimizer::simplify_expressions::ExprSimplifier;
use deltalake::datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use deltalake::datafusion::physical_plan::ExecutionPlan;
use deltalake::delta_datafusion::planner::DeltaPlanner;

use crate::bounded::bounded_within;
use crate::sql::never_fails;
use crate::sql::optimizer::canonical_equality::columns_first;
use crate::sql::optimizer::in_list::as_sql_has_them;
use crate::sql::options::{engine_options, execution_props};

/// The planner of delta-rs, for plans whose conditions guard each other.
#[derive(Debug)]
pub(crate) struct Guarded;

#[async_trait]
impl QueryPlanner for Guarded {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        DeltaPlanner::new().create_physical_plan(&guarded(plan.clone())?, session).await
    }
}

/// Maximum number of parts that can fail and are evaluated in order. Deeper nesting could overflow the stack.
const MOST: usize = 16;

/// An analysed expression over rows of a schema, compiled as a session would: rewritten, simplified, its parts in
/// order.
///
/// # Errors
/// It is no expression over these columns.
pub(crate) fn compiled(expr: Expr, schema: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>> {
    let schema = DFSchema::try_from(schema.as_ref().clone())?;
    let context = SimplifyContext::builder().with_schema(Arc::new(schema.clone()));
    // Functions such as `coalesce` run only in their simplified form.
    let simplifier = ExprSimplifier::new(context.with_config_options(Arc::new(engine_options())).build());
    let expr = simplifier.simplify(bounded_within(as_sql_has_them(expr)?, &schema)?)?;
    create_physical_expr(&ordered(expr, &schema).data()?, &schema, &execution_props(), &Default::default())
}

/// An expression whose parts are evaluated in order.
fn ordered(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    columns_first(expr, &|_| false)?.transform_data(|expr| expr.transform_down(|e| in_order(e, schema)))
}

fn guarded(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        if let LogicalPlan::Filter(filter) = &node {
            let parts = split_conjunction(&filter.predicate).into_iter().cloned();
            let parts = parts.map(|part| ordered(part, &schema).data()).collect::<Result<Vec<_>>>()?;
            let predicate = passing(parts, &schema);
            return Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, Arc::clone(&filter.input))?)));
        }
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(ordered(expr, &schema)?.update_data(|e| name.restore(e)))
        })
    })
    .data()
}

/// A conjunction in which parts that can fail are evaluated only on rows that pass the rest.
fn passing(parts: Vec<Expr>, schema: &DFSchema) -> Expr {
    let (sure, daring) = parted(parts, schema);
    let first = conjunction(sure);
    let last = if daring.len() > MOST {
        conjunction(daring)
    } else {
        daring.into_iter().rev().reduce(|then, part| when(part, then, lit(false)))
    };
    match (first, last) {
        (Some(first), Some(last)) => first.clone().and(when(first, last, lit(false))),
        (first, last) => first.or(last).unwrap_or_else(|| lit(true)),
    }
}

/// One expression, its parts in order.
fn in_order(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) => {
            let parts: Vec<Expr> = split_binary(&expr, op).into_iter().cloned().collect();
            let (sure, daring) = parted(parts, schema);
            let sure = if op == Operator::And { conjunction(sure) } else { disjunction(sure) };
            if daring.is_empty() || daring.len() > MOST {
                return Ok(Transformed::no(expr));
            }
            // If the first part is NULL, the second one decides.
            let after = |then: Expr, first: Expr| {
                let open = if op == Operator::And { first.clone().is_not_false() } else { first.clone().is_not_true() };
                binary_expr(first, op, when(open, then, lit(ScalarValue::Boolean(None))))
            };
            Ok(Transformed::yes(sure.into_iter().chain(daring).rev().reduce(after).unwrap_or(expr)))
        }
        // The engine computes arguments before it applies the filter.
        Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
            if let Some(filter) = &params.filter {
                for arg in params.args.iter_mut().filter(|arg| !never_fails(arg, schema)) {
                    let null = ScalarValue::try_new_null(&arg.get_type(schema)?)?;
                    *arg = when(filter.as_ref().clone(), arg.clone(), lit(null));
                }
            }
            Ok(Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params })))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// The parts that have a value for every row, and the others.
fn parted(parts: Vec<Expr>, schema: &DFSchema) -> (Vec<Expr>, Vec<Expr>) {
    parts.into_iter().partition(|part| never_fails(part, schema))
}

fn when(condition: Expr, then: Expr, otherwise: Expr) -> Expr {
    Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(Box::new(condition), Box::new(then))],
        else_expr: Some(Box::new(otherwise)),
    })
}
