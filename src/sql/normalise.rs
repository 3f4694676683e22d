//! Normalises a query to the operators that have delta rules.

use std::sync::Arc;

use deltalake::datafusion::common::DataFusionError;
use deltalake::datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use deltalake::datafusion::functions_window::row_number::row_number_udwf;
use deltalake::datafusion::logical_expr::expr::{Exists, InSubquery, WindowFunction};
use deltalake::datafusion::logical_expr::{
    Distinct, DistinctOn, Expr, FetchType, Join, JoinType, LogicalPlan, LogicalPlanBuilder, SkipType, SortExpr,
    TableScanBuilder, Window, ident, lit,
};
use deltalake::datafusion::optimizer::decorrelate_lateral_join::DecorrelateLateralJoin;
use deltalake::datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use deltalake::datafusion::optimizer::eliminate_outer_join::EliminateOuterJoin;
use deltalake::datafusion::optimizer::optimize_projections::OptimizeProjections;
use deltalake::datafusion::optimizer::push_down_filter::PushDownFilter;
use deltalake::datafusion::optimizer::replace_distinct_aggregate::ReplaceDistinctWithAggregate;
use deltalake::datafusion::optimizer::rewrite_set_comparison::RewriteSetComparison;
use deltalake::datafusion::optimizer::scalar_subquery_to_join::ScalarSubqueryToJoin;
use deltalake::datafusion::optimizer::{Optimizer, OptimizerContext, OptimizerRule};

use crate::error::{Context, Result};
use crate::sql::analyse::subquery_in_join_condition::is_subquery;
use crate::sql::options::engine_options;

use crate::sql::decorrelate::domain_join::Unnest;
use crate::sql::decorrelate::subqueries;
use crate::sql::frames_before_null::waiting;
use crate::sql::optimizer::canonical_equality::Sides;
use crate::sql::optimizer::equijoin::EquijoinKeys;
use crate::sql::optimizer::reorder::Reorder;
use crate::sql::shapes::{Columns, columns, distinct, join, project, renamed, with_inputs};
use crate::sql::unique::named_uniquely;

/// Rewrites an analysed query: `exists` and `in` become semi, anti and mark joins, scalar subqueries left joins, right
/// joins left joins, comma joins inner joins with keys, `distinct` grouping, `distinct on` numbered rows; filters and
/// projections move to the scans, sorting is dropped.
///
/// # Errors
/// The query engine refuses the plan.
pub(crate) fn normalise(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let is_whole = |plan: &Result<LogicalPlan>| plan.as_ref().is_ok_and(|plan| !leaves_subqueries(plan));
    // Try the engine's decorrelation first: its plans are smaller.
    let first = (!loses_empty_groups(plan)).then(|| normalised(plan, &subqueries::rewritten));
    let first = match first {
        Some(first) if is_whole(&first) => return first,
        other => other,
    };
    let unnest = Unnest::default();
    let second = normalised(plan, &|node| unnest.rewritten(node));
    match first {
        Some(first) if !is_whole(&second) => first,
        _ => second,
    }
}

/// Rewrites the possible parts of a recursive query: subqueries and windows, in place.
pub(crate) fn in_place(plan: &LogicalPlan) -> deltalake::datafusion::common::Result<LogicalPlan> {
    let rewritten = subqueries::asked_first(plan.clone())?.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Window(window) => plain_window(window),
        other => subqueries::rewritten(other),
    })?;
    Ok(rewritten.data)
}

/// Whether the engine would lose rows of subqueries: `min` without a group gives a row even if nothing matches. The
/// engine groups by the correlated columns, and restores that row only if the scalar subquery is just the aggregate.
pub(crate) fn loses_empty_groups(plan: &LogicalPlan) -> bool {
    holds(plan, |e| match e {
        Expr::ScalarSubquery(subquery) => loses_rows(&subquery.subquery, true),
        Expr::Exists(Exists { subquery, .. }) | Expr::InSubquery(InSubquery { subquery, .. }) => {
            loses_rows(&subquery.subquery, false)
        }
        _ => false,
    })
}

fn loses_rows(plan: &LogicalPlan, is_value: bool) -> bool {
    match plan {
        LogicalPlan::Aggregate(a) if a.group_expr.is_empty() && !is_value => {
            holds(&a.input, |e| matches!(e, Expr::OuterReferenceColumn(..)))
        }
        LogicalPlan::Projection(p) => loses_rows(&p.input, is_value),
        LogicalPlan::SubqueryAlias(a) => loses_rows(&a.input, is_value),
        other => other.inputs().into_iter().any(|input| loses_rows(input, false)),
    }
}

/// Whether a plan holds a subquery that is not a join.
pub(crate) fn leaves_subqueries(plan: &LogicalPlan) -> bool {
    holds(plan, is_subquery)
}

/// Whether a plan holds a subquery that is neither a join nor a value that can be computed first.
pub(crate) fn leaves_correlated(plan: &LogicalPlan) -> bool {
    holds(plan, |e| match e {
        Expr::ScalarSubquery(subquery) => !subquery.outer_ref_columns.is_empty(),
        other => matches!(other, Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)),
    })
}

/// Whether an expression of a plan, or of a subquery in it, satisfies `is_meant`. True if unknown.
fn holds(plan: &LogicalPlan, is_meant: impl Fn(&Expr) -> bool) -> bool {
    let mut found = false;
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= expr.exists(|e| Ok(is_meant(e)))?;
            Ok(TreeNodeRecursion::Continue)
        })
    });
    found || walked.is_err()
}

pub(crate) type Rewrite<'r> =
    &'r dyn Fn(LogicalPlan) -> deltalake::datafusion::common::Result<Transformed<LogicalPlan>>;

fn normalised(plan: &LogicalPlan, subqueries: Rewrite<'_>) -> Result<LogicalPlan> {
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![
        Arc::new(RewriteSetComparison::new()),
        Arc::new(ReplaceDistinctWithAggregate::new()),
        Arc::new(DecorrelatePredicateSubquery::new()),
        Arc::new(ScalarSubqueryToJoin::new()),
        Arc::new(DecorrelateLateralJoin::new()),
        Arc::new(EquijoinKeys::default()),
        Arc::new(Reorder::default()),
        Arc::new(EliminateOuterJoin::new()),
        Arc::new(Sides),
        Arc::new(PushDownFilter::new()),
        Arc::new(OptimizeProjections::new()),
    ];
    let prepare = || {
        let plan = plan.clone().transform_down_with_subqueries(limited)?.data;
        let plan = subqueries::asked_first(plan)?;
        let plan = plan.transform_up_with_subqueries(|node| prepared(node, subqueries))?.data;
        let mut options = engine_options();
        options.optimizer.enable_physical_uncorrelated_scalar_subquery = false;
        options.optimizer.skip_failed_rules = false;
        let context = OptimizerContext::new_with_config_options(Arc::new(options)).with_max_passes(8);
        let plan = Optimizer::with_rules(rules).optimize(plan, &context, |_, _| {})?;
        let plan = plan.transform_up(|node| match node {
            LogicalPlan::Join(node) => joined(node),
            other => Ok(Transformed::no(other)),
        })?;
        named_uniquely(&plan.data)
    };
    prepare().context(|| "the query cannot be normalised".into())
}

/// Pushes the row count of a `limit` into the sort below, so that the sort is not dropped as meaningless.
pub(crate) fn limited(node: LogicalPlan) -> deltalake::datafusion::common::Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Limit(limit) = &node else { return Ok(Transformed::no(node)) };
    let (SkipType::Literal(skip), FetchType::Literal(Some(fetch))) = (limit.get_skip_type()?, limit.get_fetch_type()?)
    else {
        return Err(DataFusionError::NotImplemented("`limit` that is not a number".into()));
    };
    let rows = skip.saturating_add(fetch);
    let mut limit = limit.clone();
    limit.input = Arc::new(sorted(Arc::unwrap_or_clone(limit.input), rows)?);
    Ok(Transformed::yes(LogicalPlan::Limit(limit)))
}

fn sorted(plan: LogicalPlan, rows: usize) -> deltalake::datafusion::common::Result<LogicalPlan> {
    match plan {
        LogicalPlan::Sort(mut sort) if sort.fetch.is_none() => {
            sort.fetch = Some(rows);
            Ok(LogicalPlan::Sort(sort))
        }
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => {
            let below = plan.inputs().into_iter().cloned().map(|input| sorted(input, rows));
            let below = below.collect::<deltalake::datafusion::common::Result<Vec<_>>>()?;
            with_inputs(&plan, below)
        }
        other => Ok(other),
    }
}

/// Drops operators without effect on a multiset, and hides the providers, so that no filter disappears into a scan.
pub(crate) fn prepared(
    node: LogicalPlan,
    subqueries: Rewrite<'_>,
) -> deltalake::datafusion::common::Result<Transformed<LogicalPlan>> {
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
        LogicalPlan::Window(window) => plain_window(window),
        other => subqueries(other),
    }
}

/// Right joins as left joins; if a match does not depend on the right row, the right side is reduced to one row, so
/// that only its existence is a change.
fn joined(node: Join) -> deltalake::datafusion::common::Result<Transformed<LogicalPlan>> {
    match node.join_type {
        JoinType::Right => {
            let on = node.on.into_iter().map(|(l, r)| (r, l)).collect();
            let (left, right) = (Arc::unwrap_or_clone(node.right), Arc::unwrap_or_clone(node.left));
            let flipped = join(left, right, on, node.filter, JoinType::Left, node.null_equality)?;
            Ok(Transformed::yes(project(flipped, columns(&node.schema))?))
        }
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark if node.on.is_empty() && !looks_right(&node) => {
            let qualifier = node.right.schema().iter().find_map(|(relation, _)| relation.cloned());
            let any =
                project(Arc::unwrap_or_clone(node.right), vec![lit(1_i64).alias_qualified(qualifier, "any_row")])?;
            let left = Arc::unwrap_or_clone(node.left);
            let filter = node.filter.or_else(|| Some(lit(true)));
            Ok(Transformed::yes(join(left, distinct(any)?, vec![], filter, node.join_type, node.null_equality)?))
        }
        _ => Ok(Transformed::no(LogicalPlan::Join(node))),
    }
}

/// Whether the condition of a join names a column of its right side.
fn looks_right(node: &Join) -> bool {
    node.filter
        .as_ref()
        .is_some_and(|f| f.column_refs().iter().any(|c| node.right.schema().maybe_index_of_column(c).is_some()))
}

/// A window whose `order by` names each column once, and no column of `partition by`: the engine fails on a repeated
/// column, and on one that it has already sorted in the other direction.
fn ordered_once(window: Window) -> deltalake::datafusion::common::Result<Window> {
    let mut exprs = Vec::with_capacity(window.window_expr.len());
    let mut changed = false;
    for expr in &window.window_expr {
        let once = expr.clone().transform_up(|e| match e {
            Expr::WindowFunction(mut call) => {
                let asked = std::mem::take(&mut call.params.order_by);
                let mut order: Vec<SortExpr> = Vec::with_capacity(asked.len());
                for key in &asked {
                    if !call.params.partition_by.contains(&key.expr) && !order.iter().any(|k| k.expr == key.expr) {
                        order.push(key.clone());
                    }
                }
                if let (true, Some(key)) = (order.is_empty(), asked.first()) {
                    // All rows tie in either direction. Without any order a `range` or `groups` frame would differ.
                    order.push(key.expr.clone().sort(true, false));
                }
                changed |= order != asked;
                call.params.order_by = order;
                Ok(Transformed::yes(Expr::WindowFunction(call)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        // Two windows may differ only in what is dropped.
        // The engine knows no alias of an alias.
        let name = expr.schema_name().to_string();
        exprs.push(if once.data == *expr { once.data } else { once.data.unalias().alias(name) });
    }
    if changed { Window::try_new(exprs, window.input) } else { Ok(window) }
}

/// A window as the engine can compute it.
fn plain_window(window: Window) -> deltalake::datafusion::common::Result<Transformed<LogicalPlan>> {
    let schema = window.schema.clone();
    let plain = waiting(ordered_once(window)?)?;
    if *plain.schema() == schema { Ok(Transformed::no(plain)) } else { Ok(Transformed::yes(renamed(plain, &schema)?)) }
}

/// `distinct on` as a filter on `row_number() = 1`.
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
