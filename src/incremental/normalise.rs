//! A query in the small language that the rules know.

use std::sync::Arc;

use deltalake::datafusion::common::tree_node::Transformed;
use deltalake::datafusion::functions_window::row_number::row_number_udwf;
use deltalake::datafusion::logical_expr::expr::WindowFunction;
use deltalake::datafusion::logical_expr::{
    Distinct, DistinctOn, Expr, LogicalPlan, LogicalPlanBuilder, TableScanBuilder, ident, lit,
};
use deltalake::datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use deltalake::datafusion::optimizer::eliminate_cross_join::EliminateCrossJoin;
use deltalake::datafusion::optimizer::eliminate_outer_join::EliminateOuterJoin;
use deltalake::datafusion::optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use deltalake::datafusion::optimizer::optimize_projections::OptimizeProjections;
use deltalake::datafusion::optimizer::push_down_filter::PushDownFilter;
use deltalake::datafusion::optimizer::replace_distinct_aggregate::ReplaceDistinctWithAggregate;
use deltalake::datafusion::optimizer::rewrite_set_comparison::RewriteSetComparison;
use deltalake::datafusion::optimizer::{Optimizer, OptimizerContext, OptimizerRule};

use crate::error::{Context, Result};

use super::build::Columns;

/// Rewrites an analysed query: `exists` and `in` become semi and anti joins, comma joins become inner joins with
/// keys, `distinct` becomes grouping, `distinct on` numbered rows, filters and projections move to the scans, sorting disappears.
///
/// # Errors
/// The query engine refuses the plan.
pub fn normalise(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![
        Arc::new(RewriteSetComparison::new()),
        Arc::new(ReplaceDistinctWithAggregate::new()),
        Arc::new(DecorrelatePredicateSubquery::new()),
        Arc::new(ExtractEquijoinPredicate::new()),
        Arc::new(EliminateCrossJoin::new()),
        Arc::new(EliminateOuterJoin::new()),
        Arc::new(PushDownFilter::new()),
        Arc::new(OptimizeProjections::new()),
    ];
    let prepare = || {
        let plan = plan.clone().transform_up_with_subqueries(prepared)?.data;
        let context = OptimizerContext::new().with_skip_failing_rules(false).with_max_passes(8);
        Optimizer::with_rules(rules).optimize(plan, &context, |_, _| {})
    };
    prepare().context(|| "the query cannot be normalised".into())
}

/// Drops what means nothing for a multiset, and hides the providers, so that no filter disappears into a scan.
fn prepared(node: LogicalPlan) -> deltalake::datafusion::common::Result<Transformed<LogicalPlan>> {
    match node {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => Ok(Transformed::yes(Arc::unwrap_or_clone(sort.input))),
        LogicalPlan::TableScan(scan) => {
            let source = Arc::new(Columns::new(scan.source.schema()));
            let bare = TableScanBuilder::new(scan.table_name, source)
                .with_projection(scan.projection)
                .with_filters(scan.filters)
                .with_fetch(scan.fetch)
                .build()?;
            Ok(Transformed::yes(LogicalPlan::TableScan(bare)))
        }
        LogicalPlan::Distinct(Distinct::On(on)) => Ok(Transformed::yes(first_rows(on)?)),
        other => Ok(Transformed::no(other)),
    }
}

/// `distinct on` as the rows that are number one.
fn first_rows(on: DistinctOn) -> deltalake::datafusion::common::Result<LogicalPlan> {
    const NUMBER: &str = "_number";
    let mut number = WindowFunction::new(row_number_udwf(), Vec::new());
    number.params.partition_by = on.on_expr;
    number.params.order_by = on.sort_expr.unwrap_or_default();
    let output = on.schema.iter().zip(on.select_expr);
    let output: Vec<Expr> =
        output.map(|((qualifier, f), expr)| expr.alias_qualified(qualifier.cloned(), f.name())).collect();
    LogicalPlanBuilder::from(on.input)
        .window([Expr::from(number).alias(NUMBER)])?
        .filter(ident(NUMBER).eq(lit(1_u64)))?
        .project(output)?
        .build()
}
