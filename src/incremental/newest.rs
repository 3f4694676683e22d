//! The first row of each partition at the top of a query, such as the newest record of each key: the table has the row
//! that was first, so that a row which comes before it replaces it, and the tables below are not read.
//!
//! ```sql
//! select k, at, x from (
//!     select t.*, row_number() over (partition by k order by at desc, file, line) as n from t
//! ) where n = 1
//! ```
//!
//! The result often shows only the first of the order keys. By these, of the rows that come and go in a partition and of
//! the table's row, either
//!
//! - a changed row is strictly before the table's: then it is an inserted one, since every old row is equal to the
//!   table's or after it, and the first of the inserted rows, by all order keys, is the first row of the partition;
//! - or the table's row is strictly before all changed rows: nothing changes;
//! - or neither: the partition is recomputed ([`super::root`]).
//!
//! The outcome must be held, and small beside the memory that there is: otherwise the general rule takes its place.
//!
//! A partition of which the table has no row had none, unless a further condition hides its first row (`where n = 1 and
//! not deleted`): then it is recomputed. Keys are compared by the engine's own `rank()`; floating-point numbers, whose
//! zeros are equal to some operators only, are left to the general rule.

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::{NullEquality, Result, ScalarValue};
use deltalake::datafusion::functions_aggregate::expr_fn::min;
use deltalake::datafusion::functions_window::rank::rank_udwf;
use deltalake::datafusion::logical_expr::expr::{Cast, WindowFunction};
use deltalake::datafusion::logical_expr::utils::split_conjunction;
use deltalake::datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, ExprSchemable, JoinType, LogicalPlan, Operator, SortExpr, Window,
    WindowFunctionDefinition, cast, lit, when,
};

use super::affected::common_partition;
use super::build::{add, column, columns, conform, data_columns, join, positional, weight, with_inputs};
use super::combine::filter;
use super::derive::{Deriver, KeysOf};
use super::root::{ResultReuse, over_node, shown};
use crate::node::window_function;

/// A query that keeps the first row of each partition.
struct First {
    /// The partition's keys and then the first order keys, over the window's input.
    keys: Vec<Expr>,
    /// How rows are ordered by the latter.
    order: Vec<SortExpr>,
    /// The columns of the result that show the order keys.
    shown: Vec<usize>,
    /// The window's column with the number of a row.
    number: usize,
    /// Some first rows are not in the result.
    hides: bool,
}

impl First {
    fn of(plan: &LogicalPlan, node: &LogicalPlan) -> Result<Option<Self>> {
        let LogicalPlan::Window(window) = node else { return Ok(None) };
        let [function] = window.window_expr.as_slice() else { return Ok(None) };
        let Some(WindowFunction { fun: WindowFunctionDefinition::WindowUDF(udf), params }) = window_function(function)
        else {
            return Ok(None);
        };
        if udf.name() != "row_number" || params.filter.is_some() {
            return Ok(None);
        }
        let schema = window.input.schema();
        let number = schema.fields().len();
        let mut conditions = Conditions::default();
        conditions.over(plan, node, number);
        let mut keys = common_partition(window);
        for key in &keys {
            if !is_comparable(&key.get_type(schema.as_ref())?) {
                return Ok(None);
            }
        }
        let partition = keys.len();
        let (mut order, mut columns) = (Vec::new(), Vec::new());
        for key in &params.order_by {
            // Within a partition it decides nothing.
            if keys[..partition].contains(&key.expr) {
                continue;
            }
            let Expr::Column(by) = &key.expr else { break };
            let Some(at) = schema.maybe_index_of_column(by) else { break };
            let Some(column) = shown(plan, node, at) else { break };
            if !is_comparable(&key.expr.get_type(schema.as_ref())?) {
                break;
            }
            keys.push(key.expr.clone());
            order.push(key.clone());
            columns.push(column);
        }
        let applies = conditions.first && !order.is_empty();
        Ok(applies.then_some(Self { keys, order, shown: columns, number, hides: conditions.others }))
    }
}

/// Whether the operators agree on the order and on the equality of such values.
fn is_comparable(of: &DataType) -> bool {
    !of.is_nested() && !of.is_floating() && *of != DataType::Null
}

/// The conditions of the filters above a window.
#[derive(Default)]
struct Conditions {
    /// One keeps the rows with the number 1.
    first: bool,
    /// There are others.
    others: bool,
}

impl Conditions {
    fn over(&mut self, plan: &LogicalPlan, node: &LogicalPlan, number: usize) {
        match plan {
            _ if std::ptr::eq(plan, node) => {}
            LogicalPlan::Projection(p) => self.over(&p.input, node, number),
            LogicalPlan::Filter(f) => {
                let number_here = shown(&f.input, node, number).map(|at| column(f.input.schema(), at));
                for condition in split_conjunction(&f.predicate) {
                    match &number_here {
                        Some(number) if is_first(condition, number) => self.first = true,
                        _ => self.others = true,
                    }
                }
                self.over(&f.input, node, number);
            }
            _ => self.others = true,
        }
    }
}

/// Whether a condition is `number = 1`, in one of its spellings.
fn is_first(condition: &Expr, number: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return false };
    let (of, op, value) = match (whole(left), whole(right)) {
        (None, Some(value)) => (left, Some(*op), value),
        (Some(value), None) => (right, op.swap(), value),
        _ => return false,
    };
    let is_number = match of.as_ref() {
        Expr::Cast(Cast { expr, field }) => expr.as_ref() == number && holds_every_number(field.data_type()),
        other => other == number,
    };
    is_number && matches!((op, value), (Some(Operator::Eq | Operator::LtEq), 1) | (Some(Operator::Lt), 2))
}

fn holds_every_number(of: &DataType) -> bool {
    matches!(of, DataType::UInt64 | DataType::Int64 | DataType::Decimal128(20.., 0..))
}

/// The value of an integer literal, of any numeric type.
fn whole(expr: &Expr) -> Option<i64> {
    let value = match expr {
        Expr::Cast(Cast { expr, field }) if holds_every_number(field.data_type()) => return whole(expr),
        Expr::Literal(value, _) => value,
        _ => return None,
    };
    let of = value.data_type();
    if !of.is_numeric() || of.is_floating() {
        return None;
    }
    let ScalarValue::Int64(Some(whole)) = value.cast_to(&DataType::Int64).ok()? else { return None };
    (ScalarValue::Int64(Some(whole)).cast_to(&of).ok()? == *value).then_some(whole)
}

/// The reads that the table saves for such a query; `None` for another one.
pub(super) fn result_reuse(plan: &LogicalPlan, node: &LogicalPlan) -> Option<ResultReuse> {
    let first = First::of(plan, node).ok()??;
    // A new partition is not in the table either.
    Some(if first.hides { ResultReuse::NewestOfKnown } else { ResultReuse::Newest })
}

impl Deriver<'_> {
    /// The change of a query that keeps the first row of each partition, and the keys of the partitions that must be
    /// recomputed; `None` if it is another query. `keys` are those of `change`, the change of the window's input;
    /// `shown_keys` are the columns of the result that show them.
    pub(super) fn newest(
        &mut self,
        plan: &LogicalPlan,
        node: &LogicalPlan,
        change: &LogicalPlan,
        keys: Option<&KeysOf>,
        shown_keys: &[Expr],
    ) -> Result<Option<(LogicalPlan, KeysOf)>> {
        let (true, Some(of), LogicalPlan::Window(window)) = (self.compares, keys, node) else { return Ok(None) };
        let Some(first) = First::of(plan, node)? else { return Ok(None) };
        let partition = shown_keys.len();
        let old = self.restrict_to(self.scan_result(plan)?, keys, shown_keys)?;
        let judged = self.comparing_step(judged(&first, partition, change, &old, shown_keys)?)?;
        let (was, comes) = (column(judged.schema(), partition), column(judged.schema(), partition + 1));
        let mut replaced = was.clone().gt(lit(1_i64));
        let mut doubtful = was.clone().eq(lit(1_i64)).and(comes.clone().eq(lit(1_i64)));
        if first.hides {
            doubtful = doubtful.or(was.is_null());
        } else {
            replaced = replaced.or(was.is_null());
        }
        let of_partition = || columns(judged.schema()).into_iter().take(partition).collect::<Vec<_>>();
        let anew = positional(filter(judged.clone(), doubtful)?, of_partition(), None)?;
        // The keys are the left side, which is the one held in memory.
        let among = |rows: LogicalPlan, exprs: &[Expr]| -> Result<LogicalPlan> {
            let partitions = filter(judged.clone(), replaced.clone())?;
            let on = of_partition().into_iter().zip(exprs.iter().cloned()).collect();
            join(partitions, rows, on, None, JoinType::RightSemi, NullEquality::NullEqualsNull)
        };
        // Of the inserted rows the first ones.
        let inserted = filter(change.clone(), weight().gt(lit(0_i64)))?;
        let inserted = among(inserted, &first.keys[..partition])?;
        let rows = positional(inserted.clone(), data_columns(&inserted), None)?;
        let rows = with_inputs(node, vec![conform(rows, window.input.schema())?])?;
        // Others are not the second, third, ... rows of their partition.
        let is_first = column(rows.schema(), first.number).eq(lit(1_u64));
        let now = over_node(plan, node, filter(rows, is_first)?)?;
        let now = positional(now.clone(), columns(now.schema()), Some(lit(1_i64)))?;
        let gone = among(old, shown_keys)?;
        let gone = positional(gone.clone(), columns(gone.schema()), Some(lit(-1_i64)))?;
        let change = conform(add(vec![now, gone])?, plan.schema())?;
        let keys = self.key_step(anew, of.usable.clone(), NullEquality::NullEqualsNull)?;
        Ok(Some((change, keys)))
    }
}

/// Per partition of the change: its keys; the rank of the table's row among that row and the changed ones, NULL if there
/// is none; and the least rank of a changed row.
fn judged(
    first: &First,
    partition: usize,
    change: &LogicalPlan,
    old: &LogicalPlan,
    shown_keys: &[Expr],
) -> Result<LogicalPlan> {
    let side = |rows: &LogicalPlan, mut keys: Vec<Expr>, is_changed: bool| {
        keys.push(lit(is_changed));
        positional(rows.clone(), keys, None)
    };
    let shown = first.shown.iter().map(|&at| column(old.schema(), at));
    let shown = shown_keys.iter().cloned().chain(shown).collect();
    let both = add(vec![side(change, first.keys.clone(), true)?, side(old, shown, false)?])?;
    let width = first.keys.len();
    let mut rank = WindowFunction::new(rank_udwf(), Vec::new());
    rank.params.partition_by = (0..partition).map(|i| column(both.schema(), i)).collect();
    let by = (partition..width).map(|i| column(both.schema(), i)).zip(&first.order);
    rank.params.order_by = by.map(|(key, by)| key.sort(by.asc, by.nulls_first)).collect();
    let ranked = Window::try_new(vec![Expr::from(rank).alias("place")], both.into())?;
    let ranked = LogicalPlan::Window(ranked);
    let is_changed = column(ranked.schema(), width);
    let place = cast(column(ranked.schema(), width + 1), DataType::Int64);
    let was = min(when(is_changed.clone().is_not_true(), place.clone()).end()?);
    let comes = min(when(is_changed, place).end()?);
    let partitions = (0..partition).map(|i| column(ranked.schema(), i)).collect();
    let ends = vec![was.alias("was"), comes.alias("comes")];
    let judged = LogicalPlan::Aggregate(Aggregate::try_new(ranked.into(), partitions, ends)?);
    positional(judged.clone(), columns(judged.schema()), None)
}
