//! The first row of each partition at the top of a query, such as the newest record of each key: changed rows are
//! compared with the row of the maintained table, and the tables below are not read.
//!
//! ```sql
//! select k, at, x from (
//!     select t.*, row_number() over (partition by k order by at desc, file, line) as n from t
//! ) where n = 1
//! ```
//!
//! Often the result shows only some of the order keys. Let `s` be those before the first one that it does not show. In
//! each partition, by `s`:
//!
//! - The first changed row is strictly before the table's row. Then it was inserted, because no old row is before the
//!   table's row; and the first of the inserted rows, by all order keys, is the new first row.
//! - The table's row is strictly before all changed rows: the first row stays.
//! - The two tie: the partition is recomputed ([`super::root`]).
//!
//! If the table has no row of a partition, there was none, unless another condition removes first rows from the result
//! (`where n = 1 and not deleted`): then the partition is recomputed.
//!
//! The engine's `rank()` compares the rows. Types of keys must compare exactly: of floating-point numbers, two zeros are
//! equal in a grouping and not in a sort. The ranks must be held; for a large change the general rule applies.

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
use super::build::{add, column, columns, conform, data_columns, difference, join, positional, weight, with_inputs};
use super::combine::filter;
use super::derive::{Deriver, KeysOf, compares_exactly};
use super::root::{ResultReuse, Top, over_node, shown};
use crate::node::window_function;

/// A query that keeps the first row of each partition.
struct FirstRow {
    /// The partition keys, over the window's input.
    partition: Vec<Expr>,
    /// The order keys up to the first one that the result does not show.
    order: Vec<SortExpr>,
    /// The columns of the result that show them.
    shown: Vec<usize>,
    /// Another condition may remove first rows from the result.
    filtered: bool,
}

impl FirstRow {
    fn of(plan: &LogicalPlan, node: &LogicalPlan, window: &Window) -> Result<Option<Self>> {
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
        let partition = common_partition(window);
        for key in &partition {
            if !compares_exactly(&key.get_type(schema.as_ref())?) {
                return Ok(None);
            }
        }
        let (mut order, mut columns) = (Vec::new(), Vec::new());
        // An order by partition keys alone keeps one of them, by which all rows of a partition tie.
        for key in params.order_by.iter().filter(|key| !partition.contains(&key.expr)) {
            let Expr::Column(by) = &key.expr else { break };
            let Some(at) = schema.maybe_index_of_column(by) else { break };
            let Some(column) = shown(plan, node, at) else { break };
            if !compares_exactly(&key.expr.get_type(schema.as_ref())?) {
                break;
            }
            order.push(key.clone());
            columns.push(column);
        }
        let applies = conditions.first && !order.is_empty();
        Ok(applies.then_some(Self { partition, order, shown: columns, filtered: conditions.others }))
    }
}

/// The conditions of the filters above a window.
#[derive(Default)]
struct Conditions {
    /// One of them keeps the rows with number 1.
    first: bool,
    /// There are other ones.
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
    let (of, op, value) = match (integer(left), integer(right)) {
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

/// Whether a cast to this type changes no number of a row.
fn holds_every_number(of: &DataType) -> bool {
    matches!(of, DataType::UInt64 | DataType::Int64 | DataType::Decimal128(20.., 0..))
}

/// The value of an integer literal, of any numeric type.
fn integer(expr: &Expr) -> Option<i64> {
    let value = match expr {
        Expr::Cast(Cast { expr, field }) if holds_every_number(field.data_type()) => return integer(expr),
        Expr::Literal(value, _) => value,
        _ => return None,
    };
    let of = value.data_type();
    if !of.is_numeric() || of.is_floating() {
        return None;
    }
    let ScalarValue::Int64(Some(n)) = value.cast_to(&DataType::Int64).ok()? else { return None };
    (ScalarValue::Int64(Some(n)).cast_to(&of).ok()? == *value).then_some(n)
}

/// The reads that the table saves for such a query; `None` for another one.
pub(super) fn result_reuse(plan: &LogicalPlan, node: &LogicalPlan) -> Option<ResultReuse> {
    let LogicalPlan::Window(window) = node else { return None };
    let first = FirstRow::of(plan, node, window).ok()??;
    Some(if first.filtered { ResultReuse::FirstRowOfKnown } else { ResultReuse::FirstRow })
}

impl Deriver<'_> {
    /// The change of a query that keeps the first row of each partition, and the keys of the partitions that must be
    /// recomputed; `None` if it is another query.
    pub(super) fn first_row(&mut self, top: &Top<'_>, window: &Window) -> Result<Option<(LogicalPlan, KeysOf)>> {
        let Top { plan, node, change, keys, shown_keys } = *top;
        let (false, Some(keys)) = (self.large, keys) else { return Ok(None) };
        let Some(first) = FirstRow::of(plan, node, window)? else { return Ok(None) };
        let old = self.rows_of_result(plan, Some(keys), shown_keys)?;
        let ranks = self.held_step(first.ranks(change, &old, shown_keys)?)?;
        let arity = first.partition.len();
        let (of_old, of_changed) = (column(ranks.schema(), arity), column(ranks.schema(), arity + 1));
        let mut replaced = of_old.clone().gt(lit(1_i64));
        let mut recomputed = of_old.clone().eq(lit(1_i64)).and(of_changed.eq(lit(1_i64)));
        if first.filtered {
            recomputed = recomputed.or(of_old.is_null());
        } else {
            replaced = replaced.or(of_old.is_null());
        }
        let partition = || -> Vec<Expr> { (0..arity).map(|i| column(ranks.schema(), i)).collect() };
        let recomputed = positional(filter(ranks.clone(), recomputed)?, partition(), None)?;
        // The left side of a hash join is the one held in memory.
        let of_replaced = |rows: LogicalPlan, exprs: &[Expr]| -> Result<LogicalPlan> {
            let replaced = filter(ranks.clone(), replaced.clone())?;
            let on = partition().into_iter().zip(exprs.iter().cloned()).collect();
            join(replaced, rows, on, None, JoinType::RightSemi, NullEquality::NullEqualsNull)
        };
        let inserted = filter(change.clone(), weight().gt(lit(0_i64)))?;
        let inserted = of_replaced(inserted, &first.partition)?;
        let rows = positional(inserted.clone(), data_columns(&inserted), None)?;
        let numbered = with_inputs(node, vec![conform(rows, window.input.schema())?])?;
        let new_rows = over_node(plan, node, numbered)?;
        let change = conform(difference(new_rows, of_replaced(old, shown_keys)?)?, plan.schema())?;
        let usable = keys.usable.clone();
        let keys = self.key_step(recomputed, usable, NullEquality::NullEqualsNull)?;
        Ok(Some((change, keys)))
    }
}

impl FirstRow {
    /// For each partition of the change its keys and two ranks among the changed rows and the table's row: that of the
    /// table's row, NULL if there is none, and the least one of a changed row.
    fn ranks(&self, change: &LogicalPlan, old: &LogicalPlan, shown_keys: &[Expr]) -> Result<LogicalPlan> {
        let (arity, width) = (self.partition.len(), self.partition.len() + self.order.len());
        let side = |rows: &LogicalPlan, mut keys: Vec<Expr>, is_changed: bool| {
            keys.push(lit(is_changed));
            positional(rows.clone(), keys, None)
        };
        let of_change = self.partition.iter().chain(self.order.iter().map(|key| &key.expr)).cloned().collect();
        let of_old = shown_keys.iter().cloned().chain(self.shown.iter().map(|&at| column(old.schema(), at))).collect();
        let both = add(vec![side(change, of_change, true)?, side(old, of_old, false)?])?;
        let mut rank = WindowFunction::new(rank_udwf(), Vec::new());
        rank.params.partition_by = (0..arity).map(|i| column(both.schema(), i)).collect();
        let order = (arity..width).map(|i| column(both.schema(), i)).zip(&self.order);
        rank.params.order_by = order.map(|(key, by)| key.sort(by.asc, by.nulls_first)).collect();
        let ranked = LogicalPlan::Window(Window::try_new(vec![Expr::from(rank).alias("rank")], both.into())?);
        let is_changed = column(ranked.schema(), width);
        let rank = cast(column(ranked.schema(), width + 1), DataType::Int64);
        let of_old = min(when(is_changed.clone().is_not_true(), rank.clone()).end()?).alias("of_old");
        let of_changed = min(when(is_changed, rank).end()?).alias("of_changed");
        let partition = (0..arity).map(|i| column(ranked.schema(), i)).collect();
        let ranks = Aggregate::try_new(ranked.into(), partition, vec![of_old, of_changed])?;
        let ranks = LogicalPlan::Aggregate(ranks);
        positional(ranks.clone(), columns(ranks.schema()), None)
    }
}
