//! `P ⋉ K`: the rows of a plan whose keys are among materialised keys, with the semi join as deep as it can go.
//!
//! Only ever an optimisation: a semi join that cannot go deeper stays where it is. Beside equal keys, a key of a step can
//! have a range, within which another expression is ([`super::frame`]).

use std::sync::Arc;

use deltalake::datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use deltalake::datafusion::common::{Column, DFSchemaRef, NullEquality, Result};
use deltalake::datafusion::logical_expr::utils::conjunction;
use deltalake::datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, Window};

use super::affected::common_partition;
use super::build::{join, nth, scan_step, with_inputs};
use super::derive::Deriver;
use super::frame::Frame;
use super::range::Range;
use crate::sql::never_fails;

/// Keys that a step computes.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// The step's name.
    pub step: String,
    /// The step's columns.
    pub schema: DFSchemaRef,
    /// Whether NULL is a key like any other, as in grouping.
    pub nulls: NullEquality,
}

/// What a restriction wants of an expression, by the columns of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// It equals this column.
    Equals(usize),
    /// It is within this range, or NULL.
    Within(Range),
}

/// The restriction of a plan's rows: an expression over the plan's columns and its key.
pub(super) type On = Vec<(Expr, Key)>;

impl Deriver<'_> {
    /// Restricts a plan by keys.
    pub(super) fn restrict(&mut self, plan: LogicalPlan, keys: &Keys, on: On) -> Result<LogicalPlan> {
        if on.is_empty() {
            return Ok(plan);
        }
        if let LogicalPlan::Window(window) = &plan
            && let Some(plan) = self.restrict_partitions(&plan, window, keys, &on)?
        {
            return here(plan, keys, on);
        }
        let inputs: Vec<LogicalPlan> = plan.inputs().into_iter().cloned().collect();
        let shares: Vec<On> = (0..inputs.len()).map(|i| share(&plan, i, &on)).collect();
        // A restriction that one input applies completely need not be repeated here; a union needs it on every input.
        let whole = |share: &On| on.iter().all(|(_, key)| share.iter().any(|(_, taken)| taken == key));
        let passed = match &plan {
            LogicalPlan::Union(_) => shares.iter().all(whole),
            LogicalPlan::Join(join) if keeps_left(join.join_type) => shares.first().is_some_and(whole),
            _ => shares.iter().any(whole),
        };
        if shares.iter().all(Vec::is_empty) {
            return here(plan, keys, on);
        }
        let mut restricted = Vec::with_capacity(inputs.len());
        for (input, share) in inputs.into_iter().zip(shares) {
            restricted.push(self.restrict(input, keys, share)?);
        }
        let plan = with_inputs(&plan, restricted)?;
        if passed { Ok(plan) } else { here(plan, keys, on) }
    }

    /// A window function reads its whole partition, so only whole partitions may be omitted. If the keys are not
    /// partition keys (the serial number, with the latest row of each e-mail), the partitions that hold a row with one
    /// of the keys are computed first.
    fn restrict_partitions(
        &mut self,
        plan: &LogicalPlan,
        window: &Window,
        keys: &Keys,
        on: &On,
    ) -> Result<Option<LogicalPlan>> {
        let partition = common_partition(window);
        let equals = |(_, key): &(Expr, Key)| matches!(key, Key::Equals(_));
        if !on.iter().any(equals)
            || !on.iter().all(|(expr, _)| !partition.contains(expr) && is_over(expr, &window.input))
        {
            return Ok(None);
        }
        let input = window.input.as_ref().clone();
        let holding = self.restrict(input.clone(), keys, on.clone())?;
        let Some(partitions) = self.keys(&holding, &partition, NullEquality::NullEqualsNull)? else {
            return Ok(None);
        };
        let input = self.restrict_to(input, Some(&partitions), &partition)?;
        Ok(Some(with_inputs(plan, vec![input])?))
    }
}

/// Whether a range of an expression over a plan restricts a table below it.
pub(super) fn restricts_tables(plan: &LogicalPlan, order: &Expr) -> bool {
    let range = Range { least: 0, greatest: 0, below: 0, above: 0 };
    reaches_tables(plan, &vec![(order.clone(), Key::Within(range))])
}

fn reaches_tables(plan: &LogicalPlan, on: &On) -> bool {
    let mut inputs = plan.inputs().into_iter().enumerate();
    let reaches = |(i, input): (usize, &LogicalPlan)| {
        let share = share(plan, i, on);
        !share.is_empty() && reaches_tables(input, &share)
    };
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::Union(_) => inputs.all(reaches),
        _ => inputs.any(reaches),
    }
}

/// The semi join itself: the keys are the left side, because the left side of a hash join is the one held in memory.
pub(super) fn here(plan: LogicalPlan, keys: &Keys, on: On) -> Result<LogicalPlan> {
    let scan = scan_step(&keys.step, &keys.schema)?;
    let column = |i: usize| Expr::Column(Column::new(Some(keys.step.as_str()), nth(i)));
    let (mut equal, mut within) = (Vec::with_capacity(on.len()), Vec::new());
    for (expr, key) in on {
        match key {
            Key::Equals(i) => equal.push((column(i), expr)),
            Key::Within(range) => within.push(range.holds(expr, &column)),
        }
    }
    join(scan, plan, equal, conjunction(within), JoinType::RightSemi, keys.nulls)
}

/// A plan that is empty if the step is: the executor then omits the join.
pub(super) fn gated(plan: LogicalPlan, gate: &Keys) -> Result<LogicalPlan> {
    here(plan, gate, On::new())
}

/// Joins that output left rows, each evaluated independently.
fn keeps_left(join_type: JoinType) -> bool {
    matches!(join_type, JoinType::LeftSemi | JoinType::LeftAnti | JoinType::Left | JoinType::LeftMark)
}

/// The part of a restriction that holds for the `i`-th input, in terms of its columns.
fn share(plan: &LogicalPlan, i: usize, on: &On) -> On {
    let pick = |map: &dyn Fn(&Expr) -> Option<Expr>| -> On {
        on.iter().filter_map(|(expr, key)| map(expr).map(|mapped| (mapped, *key))).collect()
    };
    match plan {
        LogicalPlan::Filter(f) => pick(&|e| never_fails(e, f.input.schema()).then(|| e.clone())),
        LogicalPlan::SubqueryAlias(alias) => pick(&|e| by_position(e, &alias.schema, &alias.input)),
        LogicalPlan::Union(union) => match union.inputs.get(i) {
            Some(input) => pick(&|e| by_position(e, &union.schema, input)),
            None => On::new(),
        },
        LogicalPlan::Projection(p) => {
            pick(&|e| replaced(e, &|c| p.schema.maybe_index_of_column(c).and_then(|at| p.expr.get(at).cloned())))
        }
        LogicalPlan::Aggregate(a) => {
            pick(&|e| replaced(e, &|c| a.schema.maybe_index_of_column(c).and_then(|at| a.group_expr.get(at).cloned())))
        }
        LogicalPlan::Window(w) => {
            let partition = common_partition(w);
            let frame = Frame::of(w);
            let passed = |(expr, key): &(Expr, Key)| match (key, &frame) {
                (key, _) if partition.contains(expr) => Some((expr.clone(), *key)),
                // The frames of the rows in a range are in a wider one.
                (Key::Within(range), Some(frame)) if frame.order == *expr => {
                    Some((expr.clone(), Key::Within(range.widened(frame.below, frame.above))))
                }
                _ => None,
            };
            on.iter().filter_map(passed).collect()
        }
        LogicalPlan::Join(join) => join_share(join, i, on),
        _ => On::new(),
    }
}

/// An input of a join takes the keys over its own columns, and those that the join equates with its own columns.
fn join_share(join: &Join, i: usize, on: &On) -> On {
    let (own, other_side) = if i == 0 { (&join.left, 0) } else { (&join.right, 1) };
    let visible = match join.join_type {
        JoinType::Inner => true,
        // If only left rows are output, right rows that match none of them may be omitted. Keys over right columns stay
        // above: an unmatched row shows NULL there.
        other if keeps_left(other) => i == 0,
        _ => return On::new(),
    };
    let equated = |expr: &Expr| {
        join.on.iter().find_map(|(l, r)| {
            let (mine, theirs) = if other_side == 0 { (l, r) } else { (r, l) };
            (theirs == expr).then(|| mine.clone())
        })
    };
    on.iter()
        .filter_map(|(expr, key)| {
            let mapped = match join.join_type {
                _ if visible && is_over(expr, own) => Some(expr.clone()),
                other if keeps_left(other) && i == 0 => None,
                _ => equated(expr),
            }
            .filter(|mapped| never_fails(mapped, own.schema()));
            mapped.map(|m| (m, *key))
        })
        .collect()
}

/// Whether all columns of an expression come from a plan, and at least one does.
fn is_over(expr: &Expr, plan: &Arc<LogicalPlan>) -> bool {
    let columns = expr.column_refs();
    !columns.is_empty() && columns.iter().all(|c| plan.schema().maybe_index_of_column(c).is_some())
}

fn by_position(expr: &Expr, schema: &DFSchemaRef, input: &Arc<LogicalPlan>) -> Option<Expr> {
    replaced(expr, &|c| schema.maybe_index_of_column(c).map(|at| super::build::column(input.schema(), at)))
}

/// The expression with every column replaced; `None` if one has no replacement or there is no column at all.
fn replaced(expr: &Expr, map: &dyn Fn(&Column) -> Option<Expr>) -> Option<Expr> {
    if expr.column_refs().is_empty() {
        return None;
    }
    let mut complete = true;
    let result = expr.clone().transform_down(|node| match &node {
        Expr::Column(c) => Ok(match map(c) {
            Some(found) => Transformed::new(found.unalias_nested().data, true, TreeNodeRecursion::Jump),
            None => {
                complete = false;
                Transformed::no(node)
            }
        }),
        _ => Ok(Transformed::no(node)),
    });
    result.ok().map(|t| t.data).filter(|_| complete)
}
