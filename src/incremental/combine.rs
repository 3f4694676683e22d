//! Counts, sums, minima and maxima at the top of a query: old value and change give the new value, without reading the
//! tables below.
//!
//! A group is combined only if the result is certain to be exact; the others are recomputed from their rows
//! ([`super::root`]):
//!
//! - `count` and exact sums (integers, decimals) add and subtract. Without deleted rows that is sufficient. With them,
//!   a visible `count(*)` tells whether the group still exists, and a sum is NULL only if no value is left: so its
//!   argument must not be nullable.
//! - `min` and `max` combine with inserted values; a deleted value must differ from the current one.
//! - Without keys there is one group, whatever rows there are: it is recomputed once it may have lost its last row.
//! - A row inserted or deleted several times counts as often; beyond [`MOST_COPIES`] it is left to the general rule.

use deltalake::arrow::datatypes::{DECIMAL256_MAX_PRECISION, DataType};
use deltalake::datafusion::common::{NullEquality, Result};
use deltalake::datafusion::functions::core::expr_fn::coalesce;
use deltalake::datafusion::functions_aggregate::expr_fn::{max, min, sum};
use deltalake::datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use deltalake::datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, Filter, JoinType, LogicalPlan, cast, lit, try_cast, when,
};

use super::build::{add, column, columns, conform, join, positional, project, weight};
use super::derive::{Deriver, KeysOf};
use super::root::{ResultReuse, Top, over_node, shown};

/// Up to this many copies of one row, a sum multiplies: far below where the product could overflow before the sum does.
const MOST_COPIES: i64 = 1_000_000;

/// How the values of one aggregate combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `count` of an expression that is never NULL: the number of rows.
    Rows,
    Count,
    Sum,
    Min,
    Max,
}

struct Combined {
    kind: Kind,
    argument: Expr,
    nullable: bool,
    /// The column of the result that shows it.
    shown: usize,
    data_type: DataType,
}

impl Deriver<'_> {
    /// The change of a query that is a grouping under projections, and the keys of the groups that must be recomputed;
    /// `None` unless all of its aggregates combine.
    pub(super) fn combined(&mut self, top: &Top<'_>, aggregate: &Aggregate) -> Result<Option<(LogicalPlan, KeysOf)>> {
        let Top { plan, node, change, keys, shown_keys } = *top;
        let Some(parts) = parts(plan, node, aggregate)? else { return Ok(None) };
        let arity = aggregate.group_expr.len();
        let delta = delta(aggregate, &parts, change)?;
        let old = self.rows_of_result(plan, keys, shown_keys)?;
        let width = old.schema().fields().len();
        let mut old_columns = columns(old.schema());
        old_columns.push(lit(1_i64));
        let named = |(i, e): (usize, Expr)| e.alias(format!("r{i}"));
        let old = project(old, old_columns.into_iter().enumerate().map(named).collect())?;
        let on = shown_keys
            .iter()
            .enumerate()
            .map(|(i, key)| Ok((column(delta.schema(), i), column(old.schema(), index_of(plan, key)?))))
            .collect::<Result<Vec<_>>>()?;
        let both = join(delta, old, on, None, JoinType::Left, NullEquality::NullEqualsNull)?;
        let both = self.step(positional(both.clone(), columns(both.schema()), None)?)?;
        let at = Slots { arity, parts: parts.len(), plan: &both };

        let again = at.again(&parts)?;
        // Without keys the step only says whether the one group is computed anew.
        let of_group = if arity == 0 { vec![lit(1_i64)] } else { (0..arity).map(|i| at.key(i)).collect() };
        let anew = positional(filter(both.clone(), again.clone())?, of_group, None)?;
        let kept = filter(both.clone(), again.is_not_true())?;
        let mut terms = Vec::with_capacity(2);
        // The new rows of the groups.
        let mut values: Vec<Expr> = (0..arity).map(|i| at.key(i)).collect();
        for (i, part) in parts.iter().enumerate() {
            values.push(at.value(i, part)?);
        }
        let now = filter(kept.clone(), at.gone(&parts).is_not_true())?;
        let now = over_node(plan, node, conform(project(now, numbered(values))?, &aggregate.schema)?)?;
        terms.push(positional(now.clone(), columns(now.schema()), Some(lit(1_i64)))?);
        // The old rows.
        let was = filter(kept, at.old(width).is_not_null())?;
        terms.push(positional(was, (0..width).map(|i| at.old(i)).collect(), Some(lit(-1_i64)))?);
        let change = conform(add(terms)?, plan.schema())?;
        let usable = keys.map(|keys| keys.usable.clone()).unwrap_or_default();
        let keys = self.key_step(anew, usable, NullEquality::NullEqualsNull)?;
        Ok(Some((change, keys)))
    }
}

/// Whether a plan is a node below projections.
pub(super) fn projections_to(plan: &LogicalPlan, node: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(p) => projections_to(&p.input, node),
        other => std::ptr::eq(other, node),
    }
}

fn numbered(exprs: Vec<Expr>) -> Vec<Expr> {
    exprs.into_iter().enumerate().map(|(i, e)| e.alias(format!("n{i}"))).collect()
}

/// The column of a plan's result that shows a key.
pub(super) fn index_of(plan: &LogicalPlan, key: &Expr) -> Result<usize> {
    let Expr::Column(column) = key else { return Ok(0) };
    plan.schema().as_ref().clone().strip_qualifiers().index_of_column(column)
}

pub(super) fn filter(input: LogicalPlan, predicate: Expr) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Filter(Filter::try_new(predicate, input.into())?))
}

/// The reads that combining avoids; `None` if nothing combines.
pub(super) fn result_reuse(plan: &LogicalPlan, node: &LogicalPlan) -> Option<ResultReuse> {
    let LogicalPlan::Aggregate(aggregate) = node else { return None };
    let parts = parts(plan, node, aggregate).ok()??;
    let takes_back = |part: &Combined| match part.kind {
        Kind::Rows | Kind::Count => true,
        Kind::Sum => !part.nullable,
        Kind::Min | Kind::Max => false,
    };
    let counted = parts.iter().any(|part| part.kind == Kind::Rows);
    Some(if counted && parts.iter().all(takes_back) { ResultReuse::All } else { ResultReuse::AllOfAppends })
}

/// The aggregates, if all of them combine and are visible in the result.
fn parts(plan: &LogicalPlan, node: &LogicalPlan, aggregate: &Aggregate) -> Result<Option<Vec<Combined>>> {
    // A `having` hides groups whose old values would be needed.
    if !projections_to(plan, node) {
        return Ok(None);
    }
    let mut parts = Vec::with_capacity(aggregate.aggr_expr.len());
    for (i, expr) in aggregate.aggr_expr.iter().enumerate() {
        let at = aggregate.group_expr.len() + i;
        let Some(shown) = shown(plan, node, at) else { return Ok(None) };
        let Expr::AggregateFunction(AggregateFunction { func, params }) = expr.clone().unalias() else {
            return Ok(None);
        };
        let Some(argument) = plain_argument(&params) else { return Ok(None) };
        let schema = aggregate.input.schema();
        let nullable = argument.nullable(schema.as_ref())?;
        let data_type = aggregate.schema.field(at).data_type().clone();
        let ordered = !data_type.is_nested() && !data_type.is_floating();
        let kind = match func.name() {
            "count" if !nullable => Kind::Rows,
            "count" => Kind::Count,
            "sum" if is_exact(&data_type) => Kind::Sum,
            "min" if ordered => Kind::Min,
            "max" if ordered => Kind::Max,
            _ => return Ok(None),
        };
        parts.push(Combined { kind, argument: argument.clone(), nullable, shown, data_type });
    }
    Ok(Some(parts))
}

/// The argument of an aggregate of one argument without `distinct`, `filter` and `order by`.
pub(super) fn plain_argument(params: &AggregateFunctionParams) -> Option<&Expr> {
    let plain = !params.distinct && params.filter.is_none() && params.order_by.is_empty();
    match params.args.as_slice() {
        [argument] if plain => Some(argument),
        _ => None,
    }
}

/// Whether sums of this type can be added and subtracted.
pub(super) fn is_exact(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::UInt64 | DataType::Decimal128(..))
}

/// Wide enough for the intermediate sums of inserts and deletes.
pub(super) fn wide(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Decimal128(_, scale) => DataType::Decimal256(DECIMAL256_MAX_PRECISION, *scale),
        _ => DataType::Decimal256(DECIMAL256_MAX_PRECISION, 0),
    }
}

impl Combined {
    fn wide(&self) -> DataType {
        wide(&self.data_type)
    }

    /// The sum of this many copies of a value.
    fn times(&self, x: Expr, copies: Expr) -> Expr {
        let copies = cast(copies, DataType::Decimal256(DECIMAL256_MAX_PRECISION, 0));
        cast(cast(x, self.wide()) * copies, self.wide())
    }
}

/// Per group of the change: the keys, per aggregate the inserted and deleted values, then whether rows are deleted,
/// then whether a row is inserted or deleted too many times.
fn delta(aggregate: &Aggregate, parts: &[Combined], change: &LogicalPlan) -> Result<LogicalPlan> {
    let mut inputs = aggregate.group_expr.clone();
    inputs.extend(parts.iter().map(|p| p.argument.clone()));
    let input = positional(change.clone(), inputs, Some(weight()))?;
    let arity = aggregate.group_expr.len();
    let groups: Vec<Expr> = (0..arity).map(|i| column(input.schema(), i)).collect();
    let mut values = Vec::with_capacity(2 * parts.len() + 2);
    for (i, part) in parts.iter().enumerate() {
        let x = column(input.schema(), arity + i);
        let (comes, goes) = (weight().gt(lit(0_i64)), weight().lt(lit(0_i64)));
        let taken = |moves: Expr| when(moves, x.clone()).end();
        let counted = |moves: Expr, copies: Expr| when(moves.and(x.clone().is_not_null()), copies).end();
        let summed = |moves: Expr, copies: Expr| {
            let once = copies.clone().eq(lit(1_i64));
            let times = when(once, cast(x.clone(), part.wide())).otherwise(part.times(x.clone(), copies))?;
            when(moves, times).end()
        };
        let (copies, lost) = (weight(), lit(0_i64) - weight());
        let (plus, minus) = match part.kind {
            Kind::Rows | Kind::Count => (sum(counted(comes, copies)?), sum(counted(goes, lost)?)),
            Kind::Sum => (sum(summed(comes, copies)?), sum(summed(goes, lost)?)),
            Kind::Min => (min(taken(comes)?), min(taken(goes)?)),
            Kind::Max => (max(taken(comes)?), max(taken(goes)?)),
        };
        values.push(plus.alias(format!("plus{i}")));
        values.push(minus.alias(format!("minus{i}")));
    }
    values.push(max(when(weight().lt(lit(0_i64)), lit(1_i64)).otherwise(lit(0_i64))?).alias("some_go"));
    let few = weight().between(lit(-MOST_COPIES), lit(MOST_COPIES));
    values.push(max(when(few, lit(0_i64)).otherwise(lit(1_i64))?).alias("many"));
    let is_global = groups.is_empty();
    let delta = LogicalPlan::Aggregate(Aggregate::try_new(input.into(), groups, values)?);
    if !is_global {
        return Ok(delta);
    }
    // Without keys there is a row for no change, too.
    let some_go = column(delta.schema(), 2 * parts.len());
    filter(delta, some_go.is_not_null())
}

/// Columns of the step: keys, pairs of inserted and deleted values, two flags, the old row, whether there is one.
struct Slots<'a> {
    arity: usize,
    parts: usize,
    plan: &'a LogicalPlan,
}

impl Slots<'_> {
    fn at(&self, i: usize) -> Expr {
        column(self.plan.schema(), i)
    }

    fn key(&self, i: usize) -> Expr {
        self.at(i)
    }

    fn plus(&self, part: usize) -> Expr {
        self.at(self.arity + 2 * part)
    }

    fn minus(&self, part: usize) -> Expr {
        self.at(self.arity + 2 * part + 1)
    }

    fn some_go(&self) -> Expr {
        self.at(self.arity + 2 * self.parts).eq(lit(1_i64))
    }

    fn many(&self) -> Expr {
        self.at(self.arity + 2 * self.parts + 1).eq(lit(1_i64))
    }

    /// A column of the old row; all are NULL if there is no row.
    fn old(&self, i: usize) -> Expr {
        self.at(self.arity + 2 * self.parts + 2 + i)
    }

    fn count(&self, part: usize, shown: usize) -> Expr {
        let zero = |e: Expr| coalesce(vec![e, lit(0_i64)]);
        zero(self.old(shown)) + zero(self.plus(part)) - zero(self.minus(part))
    }

    /// Whether the group no longer exists; called only if that can be determined.
    fn gone(&self, parts: &[Combined]) -> Expr {
        match parts.iter().position(|p| p.kind == Kind::Rows) {
            Some(i) => self.some_go().and(self.count(i, parts[i].shown).eq(lit(0_i64))),
            None => lit(false),
        }
    }

    /// Whether the group must be recomputed.
    fn again(&self, parts: &[Combined]) -> Result<Expr> {
        let width = self.plan.schema().fields().len() - 1;
        let there = self.at(width);
        let mut doubts = there.clone().is_null();
        // Without keys the group stays when its last row goes, and its sums become NULL.
        let least = i64::from(self.arity == 0);
        match parts.iter().position(|p| p.kind == Kind::Rows) {
            Some(i) => doubts = doubts.or(self.count(i, parts[i].shown).lt(lit(least))),
            None => doubts = lit(true),
        }
        let mut too_great = lit(false);
        for (i, part) in parts.iter().enumerate() {
            let goes = self.minus(i).is_not_null();
            let old = self.old(part.shown);
            match part.kind {
                Kind::Sum if part.nullable => doubts = doubts.or(goes),
                Kind::Min => doubts = doubts.or(goes.and(self.minus(i).gt(old).is_not_true())),
                Kind::Max => doubts = doubts.or(goes.and(self.minus(i).lt(old).is_not_true())),
                Kind::Sum | Kind::Rows | Kind::Count => {}
            }
            if part.kind == Kind::Sum {
                // The sum itself reports it, with its own message.
                let sum = self.sum(i, part)?;
                let fits = try_cast(sum.clone(), part.data_type.clone()).is_not_null();
                too_great = too_great.or(sum.is_not_null().and(!fits));
            }
        }
        let doubtful = self.many().or(too_great).or(self.some_go().and(doubts));
        // Without keys there is always a group.
        Ok(if self.arity == 0 { doubtful.or(there.is_null()) } else { doubtful })
    }

    /// The new value of a sum, in its wide type.
    fn sum(&self, i: usize, part: &Combined) -> Result<Expr> {
        let (old, plus, minus) = (cast(self.old(part.shown), part.wide()), self.plus(i), self.minus(i));
        let with = cast(old.clone() + plus.clone(), part.wide());
        let sum = when(old.clone().is_null(), plus.clone()).when(plus.is_null(), old).otherwise(with)?;
        let less = cast(sum.clone() - minus.clone(), part.wide());
        when(minus.is_null(), sum).otherwise(less)
    }

    /// The new value.
    fn value(&self, i: usize, part: &Combined) -> Result<Expr> {
        let (old, plus) = (self.old(part.shown), self.plus(i));
        Ok(match part.kind {
            Kind::Rows | Kind::Count => self.count(i, part.shown),
            Kind::Sum => try_cast(self.sum(i, part)?, part.data_type.clone()),
            Kind::Min | Kind::Max => {
                let better =
                    if part.kind == Kind::Min { plus.clone().lt(old.clone()) } else { plus.clone().gt(old.clone()) };
                when(old.clone().is_null(), plus.clone()).when(better, plus).otherwise(old)?
            }
        })
    }
}
