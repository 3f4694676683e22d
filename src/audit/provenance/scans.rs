//! The scans of a normalised query, in the order in which the plan is walked, and what their rows do in it.

use deltalake::datafusion::logical_expr::{Expr, JoinType, LogicalPlan};

use crate::outcome::Role;

/// A scan.
#[derive(Clone, Debug)]
pub(in crate::audit) struct Scan {
    /// The table.
    pub table: String,
    /// Its columns that are read.
    pub columns: Vec<String>,
    /// How its rows take part in rows of the result.
    pub role: Role,
    /// Whether a window function or a limit compared its rows with each other: others than those that a row comes from
    /// may decide about it.
    pub is_compared: bool,
    /// The reason why its rows cannot be told apart.
    pub unknown: Option<String>,
}

/// All scans of a plan.
pub(super) fn scans(plan: &LogicalPlan) -> Vec<Scan> {
    let mut found = Vec::new();
    let top = Scan { table: String::new(), columns: Vec::new(), role: Role::Value, is_compared: false, unknown: None };
    walk(plan, &top, &mut found);
    found
}

/// Number of scans in a plan.
pub(super) fn count(plan: &LogicalPlan) -> usize {
    scans(plan).len()
}

fn walk(plan: &LogicalPlan, at: &Scan, found: &mut Vec<Scan>) {
    let with = |role: Role| Scan { role: at.role.max(role), ..at.clone() };
    let unknown = |what: &str| Scan { unknown: at.unknown.clone().or_else(|| Some(what.to_owned())), ..at.clone() };
    match plan {
        LogicalPlan::TableScan(scan) => {
            let table = scan.table_name.table().to_owned();
            let unknown = scan.fetch.map(|_| "`limit` takes any rows of it".to_owned());
            let columns = scan.projected_schema.fields().iter().map(|field| field.name().clone()).collect();
            found.push(Scan { table, columns, unknown: at.unknown.clone().or(unknown), ..at.clone() });
        }
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::Unnest(_) | LogicalPlan::Union(_) => {
            plan.inputs().into_iter().for_each(|input| walk(input, at, found));
        }
        LogicalPlan::Sort(sort) => walk(&sort.input, &compared(at, sort.fetch.is_some()), found),
        LogicalPlan::Limit(limit) => walk(&limit.input, &compared(at, true), found),
        LogicalPlan::Window(window) => walk(&window.input, &compared(at, true), found),
        LogicalPlan::Aggregate(aggregate) => walk(&aggregate.input, &with(Role::Group), found),
        LogicalPlan::Join(join) => {
            let right = match join.join_type {
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => at.clone(),
                JoinType::LeftSemi | JoinType::LeftMark => with(Role::Condition),
                JoinType::LeftAnti => with(Role::Absence),
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => unknown("its join has no rule"),
            };
            let left = if right.unknown.is_some() { &right } else { at };
            walk(&join.left, left, found);
            walk(&join.right, &right, found);
        }
        other => {
            let below = unknown(&format!("operator `{}` has no rule", other.display()));
            other.inputs().into_iter().for_each(|input| walk(input, &below, found));
        }
    }
}

fn compared(at: &Scan, is_compared: bool) -> Scan {
    Scan { is_compared: at.is_compared || is_compared, ..at.clone() }
}

/// Whether a column of a plan is a column of a table in every row.
pub(super) fn is_plain(plan: &LogicalPlan, column: usize) -> bool {
    let below = |input: &LogicalPlan, expr: Option<&Expr>| match expr.map(|expr| expr.clone().unalias()) {
        Some(Expr::Column(of)) => input.schema().maybe_index_of_column(&of).is_some_and(|at| is_plain(input, at)),
        _ => false,
    };
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::Projection(projection) => below(&projection.input, projection.expr.get(column)),
        LogicalPlan::Filter(filter) => is_plain(&filter.input, column),
        LogicalPlan::Sort(sort) => is_plain(&sort.input, column),
        LogicalPlan::Limit(limit) => is_plain(&limit.input, column),
        LogicalPlan::Union(union) => union.inputs.iter().all(|input| is_plain(input, column)),
        LogicalPlan::Aggregate(aggregate) => below(&aggregate.input, aggregate.group_expr.get(column)),
        LogicalPlan::Window(window) => column < window.input.schema().fields().len() && is_plain(&window.input, column),
        LogicalPlan::Join(join) => match column.checked_sub(join.left.schema().fields().len()) {
            None => is_plain(&join.left, column),
            Some(at) => {
                let has_both = matches!(join.join_type, JoinType::Inner | JoinType::Left | JoinType::Full);
                has_both && is_plain(&join.right, at)
            }
        },
        _ => false,
    }
}
