//! Where the rows begin and end that a change of a window's [`Neighbours`] affects, and those that they need: a look at
//! the order keys around the changed ones, in steps.
//!
//! 1. Of each touched partition the first and the last changed key, and a range around them that is as much wider on both
//!    sides as the first and the last changed key of all partitions are apart.
//! 2. What the keys in that range tell.
//! 3. Of the partitions with too few keys there, what all keys tell: those before, and those behind the changed ones.
//! 4. The ranges.

use deltalake::datafusion::common::{NullEquality, Result, ScalarValue};
use deltalake::datafusion::functions::core::expr_fn::coalesce;
use deltalake::datafusion::functions_aggregate::expr_fn::{max, min};
use deltalake::datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use deltalake::datafusion::functions_window::rank::dense_rank_udwf;
use deltalake::datafusion::logical_expr::expr::WindowFunction;
use deltalake::datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, JoinType, LogicalPlan, Window, WindowFunctionDefinition, lit, when,
};

use super::Side;
use super::build::{column, columns, join, positional, project, scan_step};
use super::combine::filter;
use super::derive::{Deriver, KeysOf};
use super::neighbours::Neighbours;
use super::range::{Range, beyond};
use super::restrict::{Key, Keys, On};

/// Columns of all steps, behind those of the partition: the first and the last changed key, and 1 if one is NULL.
const FIRST: usize = 0;
const LAST: usize = 1;
pub(super) const HAS_NULL: usize = 2;
const OWN: usize = 3;

/// What is found of a partition: [`FOUND`] keys, and 1 if a key is NULL. First where the affected rows begin and where
/// those begin that they need, then where the affected rows end and where those end that they need.
const FOUND: usize = 4;

/// A window, and what its functions read.
struct Look<'a> {
    input: &'a LogicalPlan,
    /// The partition, then the order key.
    exprs: &'a [Expr],
    arity: usize,
    of: &'a Neighbours,
}

impl Deriver<'_> {
    /// The touched partitions of a window, with the range of the affected keys and of those that they need. `input` is the
    /// window's and `change` its change; `exprs` are the partition, then the order key. `None` if the change is large.
    pub(super) fn neighbour_keys(
        &mut self,
        input: &LogicalPlan,
        change: &LogicalPlan,
        exprs: &[Expr],
        of: &Neighbours,
    ) -> Result<Option<KeysOf>> {
        if self.large {
            return Ok(None);
        }
        let look = Look { input, exprs, arity: exprs.len() - 1, of };
        let of_order = of.order.get_type(input.schema().as_ref())?;
        let (Some(least), Some(greatest)) = (ScalarValue::min(&of_order), ScalarValue::max(&of_order)) else {
            return Ok(None);
        };
        let near = self.near(&look, change)?;
        let found = self.found(&look, &near)?;
        let known = self.known(&look, &near, found)?;
        let before = self.rest(&look, &known, 1, |rest| [lit(least.clone()), look.own(rest, FIRST)])?;
        let before = self.found(&look, &before)?;
        let behind = self.rest(&look, &known, 3, |rest| [look.own(rest, LAST), lit(greatest.clone())])?;
        let behind = self.found(&look, &behind)?;
        let ranges = look.ranges(&known, before, behind, [lit(least), lit(greatest)])?;
        let keys = self.key_step(ranges, (0..look.arity).collect(), NullEquality::NullEqualsNull)?;
        let range = |least: usize| Some(Range { least, greatest: least + 1, below: 0, above: 0 });
        Ok(Some(KeysOf { range: range(look.arity), needed: range(look.arity + 2), ..keys }))
    }

    /// The first step.
    fn near(&mut self, look: &Look<'_>, change: &LogicalPlan) -> Result<Keys> {
        let plan = ends_of_changes(change, look.exprs)?;
        let (first, last) = (look.own(&plan, FIRST), look.own(&plan, LAST));
        let mut all = columns(plan.schema());
        let (least, greatest) = (look.own(&plan, OWN), look.own(&plan, OWN + 1));
        all.truncate(look.arity + OWN);
        all.push(beyond(first, greatest.clone(), least.clone()));
        all.push(beyond(last, least, greatest));
        self.held_keys(positional(plan, all, None)?)
    }

    /// What the keys within the ranges of a step tell, of each partition that has some.
    fn found(&mut self, look: &Look<'_>, keys: &Keys) -> Result<LogicalPlan> {
        let arity = look.arity;
        let range = Range { least: arity + OWN, greatest: arity + OWN + 1, below: 0, above: 0 };
        let partition = look.exprs.iter().take(arity).cloned().zip((0..arity).map(Key::Equals));
        let on: On = partition.chain([(look.of.order.clone(), Key::Within(range))]).collect();
        let rows = self.side(look.input, Side::New)?;
        let rows = self.restrict(rows, keys, on)?;
        let named = look.exprs.iter().enumerate().map(|(i, expr)| expr.clone().unalias().alias(format!("n{i}")));
        let rows = project(rows, named.collect())?;
        let scan = scan_step(&keys.step, &keys.schema)?;
        let on = (0..arity).map(|i| (column(scan.schema(), i), column(rows.schema(), i))).collect();
        let order = column(rows.schema(), arity);
        let side = when(order.clone().lt(look.own(&scan, FIRST)), lit(-1_i64))
            .when(order.clone().gt(look.own(&scan, LAST)), lit(1_i64))
            .otherwise(lit(0_i64))?;
        let mut values: Vec<Expr> = (0..arity).map(|i| column(scan.schema(), i)).collect();
        values.extend([order, side]);
        let both = join(scan, rows, on, None, JoinType::Inner, NullEquality::NullEqualsNull)?;
        look.nearest(positional(both, values, None)?)
    }

    /// The second step: what the first look found, beside the first and last changed keys.
    fn known(&mut self, look: &Look<'_>, near: &Keys, found: LogicalPlan) -> Result<Keys> {
        let all = look.beside(scan_step(&near.step, &near.schema)?, found, "near")?;
        let found = near.schema.fields().len() + look.arity;
        let at = |i: usize| column(all.schema(), i);
        let has_null = look.own(&all, HAS_NULL).eq(lit(1_i64)).or(at(found + FOUND).eq(lit(1_i64)));
        let mut exprs: Vec<Expr> = (0..look.arity + HAS_NULL).map(at).collect();
        exprs.push(when(has_null, lit(1_i64)).otherwise(lit(0_i64))?);
        exprs.extend((found..found + FOUND).map(at));
        Ok(self.key_step(positional(all, exprs, None)?, Vec::new(), NullEquality::NullEqualsNull)?.keys)
    }

    /// The third step, of one side: the partitions of which a key was not found, and the range to look into.
    fn rest(
        &mut self,
        look: &Look<'_>,
        known: &Keys,
        missing: usize,
        range: impl FnOnce(&LogicalPlan) -> [Expr; 2],
    ) -> Result<Keys> {
        let all = scan_step(&known.step, &known.schema)?;
        let is_missing = look.own(&all, OWN + missing).is_null();
        let no_null = look.own(&all, HAS_NULL).eq(lit(0_i64));
        let rest = filter(all, is_missing.and(no_null))?;
        let mut exprs = columns(rest.schema());
        exprs.truncate(look.arity + OWN);
        exprs.extend(range(&rest));
        Ok(self.key_step(positional(rest, exprs, None)?, Vec::new(), NullEquality::NullEqualsNull)?.keys)
    }
}

/// Of each touched partition the first and the last changed key and [`HAS_NULL`], then the first and the last changed key
/// of all partitions. `exprs` are the partition, then the order key.
pub(super) fn ends_of_changes(change: &LogicalPlan, exprs: &[Expr]) -> Result<LogicalPlan> {
    let arity = exprs.len() - 1;
    let changed = positional(change.clone(), exprs.to_vec(), None)?;
    let mut groups = columns(changed.schema());
    let order = groups.split_off(arity).remove(0);
    let is_null = when(order.clone().is_null(), lit(1_i64)).otherwise(lit(0_i64))?;
    let ends = vec![min(order.clone()), max(order), max(is_null)];
    let ends = LogicalPlan::Aggregate(Aggregate::try_new(changed.into(), groups, ends)?);
    let (first, last) = (column(ends.schema(), arity + FIRST), column(ends.schema(), arity + LAST));
    let whole =
        |udaf, of: Expr| Expr::from(WindowFunction::new(WindowFunctionDefinition::AggregateUDF(udaf), vec![of]));
    let of_all = vec![whole(min_udaf(), first).alias("least"), whole(max_udaf(), last).alias("greatest")];
    Ok(LogicalPlan::Window(Window::try_new(of_all, ends.into())?))
}

impl Look<'_> {
    /// A column of a step, by its place behind the partition's columns.
    fn own(&self, plan: &LogicalPlan, at: usize) -> Expr {
        column(plan.schema(), self.arity + at)
    }

    /// Per partition the keys that are looked for, and whether one is NULL. `keys` are the partition, the order key, and
    /// -1 or 1 where that is before or behind the changed ones.
    fn nearest(&self, keys: LogicalPlan) -> Result<LogicalPlan> {
        let (order, side) = (self.own(&keys, 0), self.own(&keys, 1));
        let keys = filter(keys, side.clone().not_eq(lit(0_i64)).or(order.clone().is_null()))?;
        let partition: Vec<Expr> = (0..self.arity).map(|i| column(keys.schema(), i)).collect();
        let ranked = |input: LogicalPlan, asc: bool, name: &str| {
            let mut rank = WindowFunction::new(dense_rank_udwf(), Vec::new());
            rank.params.partition_by = partition.iter().chain([&side]).cloned().collect();
            rank.params.order_by = vec![order.clone().sort(asc, false)];
            Window::try_new(vec![Expr::from(rank).alias(name)], input.into()).map(LogicalPlan::Window)
        };
        let ranked = ranked(ranked(keys, false, "before")?, true, "behind")?;
        let (before, behind) = (self.own(&ranked, 2), self.own(&ranked, 3));
        let nth = |at: i64, rank: &Expr, n: u64| -> Result<Expr> {
            let is_nth = side.clone().eq(lit(at)).and(rank.clone().eq(lit(n)));
            Ok(max(when(is_nth, order.clone()).end()?))
        };
        let Neighbours { below, above, .. } = *self.of;
        let both = below.saturating_add(above);
        let found = vec![
            nth(-1, &before, above)?.alias("begin"),
            nth(-1, &before, both)?.alias("begin_of_needed"),
            nth(1, &behind, below)?.alias("end"),
            nth(1, &behind, both)?.alias("end_of_needed"),
            max(when(order.clone().is_null(), lit(1_i64)).otherwise(lit(0_i64))?).alias("has_null"),
        ];
        Ok(LogicalPlan::Aggregate(Aggregate::try_new(ranked.into(), partition, found)?))
    }

    /// The rows of a plan, each beside what was found of its partition, if anything was.
    fn beside(&self, plan: LogicalPlan, found: LogicalPlan, name: &str) -> Result<LogicalPlan> {
        let named = columns(found.schema()).into_iter().enumerate().map(|(i, e)| e.alias(format!("{name}{i}")));
        let found = project(found.clone(), named.collect())?;
        let on = (0..self.arity).map(|i| (column(plan.schema(), i), column(found.schema(), i))).collect();
        join(plan, found, on, None, JoinType::Left, NullEquality::NullEqualsNull)
    }

    /// The partitions with the affected ranges and the needed ones. `none` are the ends of a range without ends.
    fn ranges(&self, known: &Keys, before: LogicalPlan, behind: LogicalPlan, none: [Expr; 2]) -> Result<LogicalPlan> {
        let all = scan_step(&known.step, &known.schema)?;
        let width = all.schema().fields().len();
        let all = self.beside(all, before, "before")?;
        let all = self.beside(all, behind, "behind")?;
        let no_end = self.own(&all, HAS_NULL).eq(lit(1_i64));
        let [least, greatest] = none;
        let found = |at: usize, none: &Expr| -> Result<Expr> {
            let looked = width + self.arity + if at < 2 { 0 } else { self.arity + FOUND + 1 };
            let found = vec![self.own(&all, OWN + at), column(all.schema(), looked + at), none.clone()];
            when(no_end.clone(), none.clone()).otherwise(coalesce(found))
        };
        let changed = |at: usize, none: &Expr| when(no_end.clone(), none.clone()).otherwise(self.own(&all, at));
        let Neighbours { below, above, .. } = *self.of;
        let mut exprs: Vec<Expr> = (0..self.arity).map(|i| column(all.schema(), i)).collect();
        exprs.push(if above == 0 { changed(FIRST, &least)? } else { found(0, &least)? });
        exprs.push(if below == 0 { changed(LAST, &greatest)? } else { found(2, &greatest)? });
        exprs.push(if below + above == 0 { changed(FIRST, &least)? } else { found(1, &least)? });
        exprs.push(if below + above == 0 { changed(LAST, &greatest)? } else { found(3, &greatest)? });
        positional(all, exprs, None)
    }
}
