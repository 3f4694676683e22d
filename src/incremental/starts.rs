//! Where [`super::running`] aggregates continue: of each touched partition the first changed order key, and what the
//! table's last row before it shows.
//!
//! 1. Of each touched partition the first changed key, and a range before it that is as long as the first and the last
//!    changed key of all partitions are apart.
//! 2. The table's last row in that range, by the order keys that the result shows. If rows tie for it, their values must
//!    be equal, or of a kind that only grows or only falls.
//! 3. Of the partitions without a row there, the last one of all rows before the first changed key.

use deltalake::datafusion::common::{NullEquality, Result, ScalarValue};
use deltalake::datafusion::functions_aggregate::expr_fn::{count, max, min};
use deltalake::datafusion::functions_window::rank::rank_udwf;
use deltalake::datafusion::logical_expr::expr::WindowFunction;
use deltalake::datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, JoinType, LogicalPlan, SortExpr, Window, lit, when,
};

use super::build::{column, columns, join, positional, project, scan_step};
use super::combine::{filter, index_of};
use super::derive::Deriver;
use super::look::{HAS_NULL as SOME_NULL, ends_of_changes};
use super::range::{Range, beyond};
use super::restrict::{Key, Keys, On};
use super::running::{Kind, Running};

/// Columns of the steps of a look, behind those of the partition: the first changed key, 1 if a changed key is NULL, and
/// the range to look into.
const FIRST: usize = 0;
const HAS_NULL: usize = 1;
const FROM: usize = 2;

/// Columns of what a look finds of a partition: 1, 1 if rows tie with different values, the values.
const FOUND: usize = 0;
const TIES: usize = 1;
const VALUES: usize = 2;

/// The columns of the starts, one for each touched partition: its keys, then these, then the values before the change.
pub(super) struct Slots<'a> {
    arity: usize,
    plan: &'a LogicalPlan,
}

impl<'a> Slots<'a> {
    const FIRST: usize = 0;
    /// The least order key from the first changed one on.
    pub(super) const LEAST: usize = 1;
    /// The greatest one.
    pub(super) const GREATEST: usize = 2;
    const AGAIN: usize = 3;
    const EXISTS: usize = 4;
    const VALUES: usize = 5;

    /// Those of a plan that begins with them.
    pub(super) fn of(arity: usize, plan: &'a LogicalPlan) -> Self {
        Self { arity, plan }
    }

    fn at(&self, i: usize) -> Expr {
        column(self.plan.schema(), self.arity + i)
    }

    /// The first changed order key.
    pub(super) fn first_changed(&self) -> Expr {
        self.at(Self::FIRST)
    }

    /// 1 if the partition must be recomputed, else 0.
    pub(super) fn again(&self) -> Expr {
        self.at(Self::AGAIN)
    }

    /// Whether there is a row before the change.
    pub(super) fn exists(&self) -> Expr {
        self.at(Self::EXISTS).is_not_null()
    }

    /// What it shows of a function; NULL if there is none.
    pub(super) fn value(&self, function: usize) -> Expr {
        self.at(Self::VALUES + function)
    }
}

/// Whether a row with an order key comes with another key or behind it.
pub(super) fn behind(by: &SortExpr, order: &Expr, key: Expr) -> Expr {
    let behind = if by.asc { order.clone().gt_eq(key) } else { order.clone().lt_eq(key) };
    if by.nulls_first { behind } else { behind.or(order.clone().is_null()) }
}

/// Which rows a look takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nulls {
    /// Those with a key.
    Excluded,
    /// Also those whose key is NULL, if they come first.
    Included,
}

/// The same rows under names that no column of a step has.
pub(super) fn numbered_columns(rows: LogicalPlan) -> Result<LogicalPlan> {
    let numbered = columns(rows.schema()).into_iter().enumerate().map(|(i, e)| e.alias(format!("r{i}")));
    let numbered = numbered.collect();
    project(rows, numbered)
}

impl Deriver<'_> {
    /// A scan of the held starts of the touched partitions, by [`Slots`]. `None` if the order key's type has no ends.
    pub(super) fn starts(
        &mut self,
        plan: &LogicalPlan,
        of: &Running,
        change: &LogicalPlan,
        shown_keys: &[Expr],
    ) -> Result<Option<LogicalPlan>> {
        let (by, _) = of.first();
        let arity = of.partition.len();
        let of_order = by.expr.get_type(change.schema().as_ref())?;
        let (Some(least), Some(greatest)) = (ScalarValue::min(&of_order), ScalarValue::max(&of_order)) else {
            return Ok(None);
        };
        let near = self.just_before(of, change)?;
        let found = self.last_rows(plan, of, &near, shown_keys, Nulls::Excluded)?;
        let near = scan_step(&near.step, &near.schema)?;
        let known = beside(near, found, arity)?;
        let known = self.key_step(positional(known.clone(), columns(known.schema()), None)?, Vec::new(), EQUAL)?.keys;
        let scan = scan_step(&known.step, &known.schema)?;
        let at = |i: usize| column(scan.schema(), arity + i);
        // Behind the step's own columns stand the partition again and what was found.
        let found = FROM + 2 + arity;
        let is_open = at(found + FOUND).is_null().and(at(HAS_NULL).eq(lit(0_i64)));
        let rest = filter(scan.clone(), is_open)?;
        let mut all = columns(rest.schema());
        all.truncate(arity + FROM);
        let first = column(rest.schema(), arity + FIRST);
        all.extend(if by.asc { [lit(least.clone()), first] } else { [first, lit(greatest.clone())] });
        let rest = self.key_step(positional(rest, all, None)?, Vec::new(), EQUAL)?.keys;
        let rest = self.last_rows(plan, of, &rest, shown_keys, Nulls::Included)?;

        let width = scan.schema().fields().len();
        let all = beside(scan, rest, arity)?;
        let at = |i: usize| column(all.schema(), i);
        let found_near = at(arity + found + FOUND).is_not_null();
        let either = |i: usize| when(found_near.clone(), at(arity + found + i)).otherwise(at(width + arity + i));
        let first = at(arity + FIRST);
        let is_again = at(arity + HAS_NULL).eq(lit(1_i64)).or(either(TIES)?.eq(lit(1_i64)));
        let mut starts: Vec<Expr> = (0..arity).map(at).chain([first.clone()]).collect();
        starts.extend(if by.asc { [first, lit(greatest)] } else { [lit(least), first] });
        starts.push(when(is_again, lit(1_i64)).otherwise(lit(0_i64))?);
        starts.push(either(FOUND)?);
        for i in 0..of.functions.len() {
            starts.push(either(VALUES + i)?);
        }
        self.held_step(positional(all, starts, None)?).map(Some)
    }

    /// The first step.
    fn just_before(&mut self, of: &Running, change: &LogicalPlan) -> Result<Keys> {
        let (by, _) = of.first();
        let arity = of.partition.len();
        let exprs: Vec<Expr> = of.partition.iter().chain([&by.expr]).cloned().collect();
        let ends = ends_of_changes(change, &exprs)?;
        let at = |i: usize| column(ends.schema(), i);
        let [first, last, has_null, least, greatest] =
            [0, 1, SOME_NULL, SOME_NULL + 1, SOME_NULL + 2].map(|i| at(arity + i));
        let mut all: Vec<Expr> = (0..arity).map(at).collect();
        let first = if by.asc { first } else { last };
        all.extend([first.clone(), has_null]);
        all.extend(if by.asc {
            [beyond(first.clone(), greatest, least), first]
        } else {
            [first.clone(), beyond(first, least, greatest)]
        });
        self.held_keys(positional(ends, all, None)?)
    }

    /// The partitions of a step that have rows of the table in its range and before the first changed key, and the values
    /// of the last ones.
    fn last_rows(
        &mut self,
        plan: &LogicalPlan,
        of: &Running,
        keys: &Keys,
        shown_keys: &[Expr],
        nulls: Nulls,
    ) -> Result<LogicalPlan> {
        let (by, shown) = of.first();
        let arity = of.partition.len();
        let rows = self.scan_result(plan)?;
        let range = Range { least: arity + FROM, greatest: arity + FROM + 1, below: 0, above: 0 };
        let equals = shown_keys.iter().cloned().zip((0..arity).map(Key::Equals));
        let on: On = equals.chain([(column(rows.schema(), shown), Key::Within(range))]).collect();
        let rows = numbered_columns(self.restrict(rows, keys, on)?)?;
        let scan = scan_step(&keys.step, &keys.schema)?;
        let of_row = |i: usize| column(rows.schema(), i);
        let mut on = Vec::with_capacity(arity);
        for (i, key) in shown_keys.iter().enumerate() {
            on.push((column(scan.schema(), i), of_row(index_of(plan, key)?)));
        }
        let (order, first) = (of_row(shown), column(scan.schema(), arity + FIRST));
        let range = [column(scan.schema(), arity + FROM), column(scan.schema(), arity + FROM + 1)];
        let is_before = if by.asc {
            order.clone().lt(first).and(order.clone().gt_eq(range[0].clone()))
        } else {
            order.clone().gt(first).and(order.clone().lt_eq(range[1].clone()))
        };
        let is_before = match nulls == Nulls::Included && by.nulls_first {
            true => is_before.or(order.is_null()),
            false => is_before,
        };
        let mut values: Vec<Expr> = (0..arity).map(|i| column(scan.schema(), i)).collect();
        values.extend(of.order.iter().map(|(_, shown)| of_row(*shown)));
        values.extend(of.functions.iter().map(|function| of_row(function.shown)));
        let rows = join(scan, rows, on, Some(is_before), JoinType::Inner, EQUAL)?;
        of.last_values(positional(rows, values, None)?)
    }
}

const EQUAL: NullEquality = NullEquality::NullEqualsNull;

/// The rows of a plan, each beside what was found of its partition, if anything was.
fn beside(plan: LogicalPlan, found: LogicalPlan, arity: usize) -> Result<LogicalPlan> {
    let found = numbered_columns(found)?;
    let on = (0..arity).map(|i| (column(plan.schema(), i), column(found.schema(), i))).collect();
    join(plan, found, on, None, JoinType::Left, EQUAL)
}

impl Running {
    /// Per partition what the last of its rows show. `rows` are the partition, the order keys, the functions.
    fn last_values(&self, rows: LogicalPlan) -> Result<LogicalPlan> {
        let (arity, keys) = (self.partition.len(), self.order.len());
        let partition: Vec<Expr> = (0..arity).map(|i| column(rows.schema(), i)).collect();
        let mut rank = WindowFunction::new(rank_udwf(), Vec::new());
        rank.params.partition_by.clone_from(&partition);
        let order = self
            .order
            .iter()
            .enumerate()
            .map(|(i, (by, _))| column(rows.schema(), arity + i).sort(!by.asc, !by.nulls_first));
        rank.params.order_by = order.collect();
        let ranked = LogicalPlan::Window(Window::try_new(vec![Expr::from(rank).alias("rank")], rows.into())?);
        let rank = column(ranked.schema(), arity + keys + self.functions.len());
        let last = filter(ranked, rank.eq(lit(1_u64)))?;
        // Of each function the value, and what tells whether there are others.
        let mut exprs = vec![count(lit(1_i64))];
        for (i, function) in self.functions.iter().enumerate() {
            let value = column(last.schema(), arity + keys + i);
            exprs.push(if function.kind == Kind::Min { min(value.clone()) } else { max(value.clone()) });
            exprs.extend([min(value.clone()), count(value)]);
        }
        let exprs = exprs.into_iter().enumerate().map(|(i, e)| e.alias(format!("found{i}"))).collect();
        let found = LogicalPlan::Aggregate(Aggregate::try_new(last.into(), partition, exprs)?);
        let at = |i: usize| column(found.schema(), arity + i);
        let mut ties = lit(false);
        let mut output: Vec<Expr> = (0..arity).map(|i| column(found.schema(), i)).collect();
        for (i, function) in self.functions.iter().enumerate() {
            let [value, least, values] = [1, 2, 3].map(|of| at(3 * i + of));
            if matches!(function.kind, Kind::Sum | Kind::Last) {
                let some_null = values.clone().gt(lit(0_i64)).and(values.not_eq(at(0)));
                ties = ties.or(some_null).or(value.clone().not_eq(least).is_true());
            }
            output.push(value);
        }
        let ties = when(ties, lit(1_i64)).otherwise(lit(0_i64))?;
        output.splice(arity..arity, [lit(1_i64), ties]);
        positional(found, output, None)
    }
}
