//! Running aggregates at the top of a query, such as `sum(x) over (partition by k order by d)`: the table's last row
//! before the change has their values up to there, and the new ones continue them.
//!
//! Let every function of a window read its partition from the beginning to its own row, or to the last peer of it. The rows
//! that come before the first changed one, by the first order key, keep their values; those behind have the value of the
//! last row before it, combined with that of a window over them alone ([`Kind`]). So of a partition only the rows from the
//! first changed key on are read, and rewritten: of new rows at the end, those alone.
//!
//! The values before the change are looked for in the table ([`super::starts`]). A partition is recomputed where they are
//! not certain: if rows tie for the last place with different values, or if the order key of a changed row is NULL.

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::{NullEquality, Result};
use deltalake::datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use deltalake::datafusion::logical_expr::{
    Expr, ExprSchemable, JoinType, LogicalPlan, SortExpr, Window, WindowFrame, WindowFrameBound,
    WindowFunctionDefinition, cast, lit, when,
};

use super::Side;
use super::affected::common_partition;
use super::build::{column, columns, conform, difference, join, nth, positional, project, scan_step};
use super::combine::{filter, index_of, is_exact, projections_to, wide};
use super::derive::{Deriver, KeysOf, compares_exactly};
use super::range::{Range, has_ranges};
use super::restrict::{Key, Keys, On};
use super::root::{ResultReuse, Top, over_node, shown};
use super::starts::{Slots, behind, numbered_columns};
use crate::node::window_function;

/// How a function's value continues an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It counts rows, values or keys: the two are added.
    Count,
    /// The two are added, in a wider type.
    Sum,
    /// The lesser of the two.
    Min,
    /// The greater of the two.
    Max,
    /// The earlier one, if there is a row.
    First,
    /// The later one, unless it is NULL.
    Last,
}

/// A function of such a window.
pub(super) struct Carried {
    pub kind: Kind,
    /// The column of the result that shows it.
    pub shown: usize,
    data_type: DataType,
}

/// A query that is such a window below projections.
pub(super) struct Running {
    /// The partition keys, over the window's input.
    pub partition: Vec<Expr>,
    /// The order keys up to the first one that the result does not show, and the columns that show them. At least one.
    pub order: Vec<(SortExpr, usize)>,
    /// The functions.
    pub functions: Vec<Carried>,
}

impl Running {
    fn of(plan: &LogicalPlan, node: &LogicalPlan, window: &Window) -> Result<Option<Self>> {
        let schema = window.input.schema();
        let partition = common_partition(window);
        for key in &partition {
            if !compares_exactly(&key.get_type(schema.as_ref())?) {
                return Ok(None);
            }
        }
        // A condition above may have removed the last row before the change.
        if partition.is_empty() || !projections_to(plan, node) {
            return Ok(None);
        }
        let mut by: Option<&[SortExpr]> = None;
        let mut functions = Vec::with_capacity(window.window_expr.len());
        for (i, expr) in window.window_expr.iter().enumerate() {
            let Some(function) = window_function(expr) else { return Ok(None) };
            let params = &function.params;
            let same_order = by.is_none_or(|by| by == params.order_by);
            let at = schema.fields().len() + i;
            let data_type = window.schema.field(at).data_type().clone();
            let (Some(kind), Some(shown)) = (kind(function, &data_type), shown(plan, node, at)) else {
                return Ok(None);
            };
            // The engine's planner makes a window of each partition and order; other plans may not.
            if !same_order || !params.partition_by.iter().all(|key| partition.contains(key)) {
                return Ok(None);
            }
            by = Some(&params.order_by);
            functions.push(Carried { kind, shown, data_type });
        }
        let mut order = Vec::new();
        for key in by.unwrap_or_default() {
            let Expr::Column(of) = &key.expr else { break };
            let Some(column) = schema.maybe_index_of_column(of).and_then(|at| shown(plan, node, at)) else { break };
            let of_key = key.expr.get_type(schema.as_ref())?;
            if !compares_exactly(&of_key) || order.is_empty() && !has_ranges(&of_key) {
                break;
            }
            order.push((key.clone(), column));
        }
        Ok((!order.is_empty()).then_some(Self { partition, order, functions }))
    }

    /// The first order key, and the column of the result that shows it.
    pub(super) fn first(&self) -> (&SortExpr, usize) {
        let (key, shown) = &self.order[0];
        (key, *shown)
    }
}

fn kind(function: &WindowFunction, data_type: &DataType) -> Option<Kind> {
    let params = &function.params;
    let ordered = compares_exactly(data_type);
    match &function.fun {
        WindowFunctionDefinition::AggregateUDF(_) if params.distinct || !is_running(&params.window_frame) => None,
        WindowFunctionDefinition::AggregateUDF(udf) => match udf.name() {
            "count" => Some(Kind::Count),
            "sum" => is_exact(data_type).then_some(Kind::Sum),
            "min" => ordered.then_some(Kind::Min),
            "max" => ordered.then_some(Kind::Max),
            _ => None,
        },
        WindowFunctionDefinition::WindowUDF(udf) => match (udf.name(), params.null_treatment) {
            // They ignore the frame.
            ("row_number" | "dense_rank", _) => Some(Kind::Count),
            (_, _) if !ordered || !is_running(&params.window_frame) => None,
            ("first_value", None | Some(NullTreatment::RespectNulls)) => Some(Kind::First),
            ("last_value", Some(NullTreatment::IgnoreNulls)) => Some(Kind::Last),
            _ => None,
        },
    }
}

/// From the beginning of the partition to the current row, or the last peer of it.
fn is_running(frame: &WindowFrame) -> bool {
    matches!(&frame.start_bound, WindowFrameBound::Preceding(by) if by.is_null())
        && matches!(frame.end_bound, WindowFrameBound::CurrentRow)
}

/// The reads that the table saves for such a query; `None` for another one.
pub(super) fn result_reuse(plan: &LogicalPlan, node: &LogicalPlan) -> Option<ResultReuse> {
    let LogicalPlan::Window(window) = node else { return None };
    Running::of(plan, node, window).ok()?.map(|_| ResultReuse::Running)
}

impl Deriver<'_> {
    /// The change of a query of running aggregates, and the keys of the partitions that must be recomputed; `None` if it is
    /// another query, or its change is large.
    pub(super) fn running(&mut self, top: &Top<'_>, window: &Window) -> Result<Option<(LogicalPlan, KeysOf)>> {
        let Top { plan, node, change, shown_keys, .. } = *top;
        if self.large {
            return Ok(None);
        }
        let Some(running) = Running::of(plan, node, window)? else { return Ok(None) };
        let arity = running.partition.len();
        let Some(starts) = self.starts(plan, &running, change, shown_keys)? else { return Ok(None) };
        let again = Slots::of(arity, &starts).again();
        let anew = filter(starts.clone(), again.clone().eq(lit(1_i64)))?;
        let anew = positional(anew, (0..arity).map(|i| column(starts.schema(), i)).collect(), None)?;
        let continued = filter(starts.clone(), again.eq(lit(0_i64)))?;
        let continued = positional(continued, columns(starts.schema()), None)?;
        let continued = self.key_step(continued, (0..arity).collect(), NullEquality::NullEqualsNull)?.keys;

        let (key, of_order) = running.first();
        let rows = self.side(&window.input, Side::New)?;
        let rows = self.restricted(rows, &continued, &running.partition, &key.expr)?;
        let rows = behind_starts(rows, &continued, &running.partition, &key.expr, key)?;
        let new_rows = over_node(plan, node, running.over(rows, window)?)?;
        let rows = self.scan_result(plan)?;
        let shown = column(rows.schema(), of_order);
        let rows = numbered_columns(self.restricted(rows, &continued, shown_keys, &shown)?)?;
        let columns_of_rows = columns(rows.schema());
        let at = |key: &Expr| Ok(columns_of_rows[index_of(plan, key)?].clone());
        let partition = shown_keys.iter().map(at).collect::<Result<Vec<_>>>()?;
        let old_rows = behind_starts(rows, &continued, &partition, &columns_of_rows[of_order], key)?;
        let change = difference(new_rows, project(old_rows, columns_of_rows)?)?;
        let change = conform(change, plan.schema())?;
        let keys = self.key_step(anew, (0..arity).collect(), NullEquality::NullEqualsNull)?;
        Ok(Some((change, keys)))
    }

    /// The rows of continued partitions from the first changed key on, and perhaps more.
    fn restricted(
        &mut self,
        rows: LogicalPlan,
        continued: &Keys,
        partition: &[Expr],
        order: &Expr,
    ) -> Result<LogicalPlan> {
        let arity = partition.len();
        let range = Range { least: arity + Slots::LEAST, greatest: arity + Slots::GREATEST, below: 0, above: 0 };
        let equals = partition.iter().cloned().zip((0..arity).map(Key::Equals));
        let on: On = equals.chain([(order.clone(), Key::Within(range))]).collect();
        self.restrict(rows, continued, on)
    }
}

/// The rows of a plan from the first changed key of their partition on, each behind the step's row of its partition: a
/// restriction may be omitted, and lets NULL through.
fn behind_starts(
    rows: LogicalPlan,
    continued: &Keys,
    partition: &[Expr],
    order: &Expr,
    by: &SortExpr,
) -> Result<LogicalPlan> {
    let scan = scan_step(&continued.step, &continued.schema)?;
    let from = Slots::of(partition.len(), &scan).first_changed();
    let on = partition.iter().enumerate().map(|(i, key)| (column(scan.schema(), i), key.clone())).collect();
    let is_behind = behind(by, order, from);
    join(scan, rows, on, Some(is_behind), JoinType::Inner, NullEquality::NullEqualsNull)
}

impl Running {
    /// The window over rows behind the starts of their partitions.
    fn over(&self, rows: LogicalPlan, window: &Window) -> Result<LogicalPlan> {
        let width = rows.schema().fields().len();
        let mut exprs = Vec::with_capacity(self.functions.len());
        for ((i, function), own) in self.functions.iter().enumerate().zip(&window.window_expr) {
            let own = match (function.kind, own.clone().unalias()) {
                (Kind::Sum, Expr::WindowFunction(mut sum)) => {
                    let wide = wide(&function.data_type);
                    sum.params.args = sum.params.args.into_iter().map(|arg| cast(arg, wide.clone())).collect();
                    Expr::WindowFunction(sum)
                }
                (_, own) => own,
            };
            // Names of this form are reserved, and the step has fewer columns.
            exprs.push(own.alias(nth(width + i)));
        }
        let rows = LogicalPlan::Window(Window::try_new(exprs, rows.into())?);
        let start = Slots::of(self.partition.len(), &rows);
        let mut output = columns(rows.schema());
        let values = output.split_off(width);
        output.drain(..width - window.input.schema().fields().len());
        for ((i, function), value) in self.functions.iter().enumerate().zip(values) {
            output.push(function.after(start.value(i), start.exists(), value)?);
        }
        conform(positional(rows, output, None)?, &window.schema)
    }
}

impl Carried {
    /// The value behind an earlier one. `exists` tells whether there is a row before the change.
    fn after(&self, earlier: Expr, exists: Expr, own: Expr) -> Result<Expr> {
        let (no_earlier, none) = (earlier.clone().is_null(), own.clone().is_null());
        match self.kind {
            Kind::Count => when(no_earlier, own.clone()).otherwise(earlier + own),
            Kind::Sum => {
                let wide = wide(&self.data_type);
                let sum = cast(cast(earlier.clone(), wide.clone()) + own.clone(), wide);
                let sum = cast(when(no_earlier, own).otherwise(sum)?, self.data_type.clone());
                when(none, earlier).otherwise(sum)
            }
            Kind::Min => when(no_earlier.or(own.clone().lt(earlier.clone())), own).otherwise(earlier),
            Kind::Max => when(no_earlier.or(own.clone().gt(earlier.clone())), own).otherwise(earlier),
            Kind::First => when(exists, earlier).otherwise(own),
            Kind::Last => when(none, earlier).otherwise(own),
        }
    }
}
