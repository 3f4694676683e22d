//! Groupings that are not at the top of a query, with counts and exact sums only: the old groups are the new ones minus
//! the change, so that the rows of the touched groups are read once, in the new snapshot.
//!
//! Let `n'` be the number of a group's new rows and `n` that of its change, counted by weight. Since the new rows are the
//! old ones plus the change, the group had `n' - n` rows, and existed if that is not 0; likewise for the values that are
//! not NULL, and for their sum, which was NULL if there were none. Each is exact: counts are integers, and sums are
//! computed in 76 digits, of which 38 are a value's and at most 19 a weight's.
//!
//! `distinct` is a grouping without aggregates. Keys of floating-point numbers are left to the general rule, since a
//! group shows either zero of those that it holds.

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::tree_node::TreeNode;
use deltalake::datafusion::common::{NullEquality, Result};
use deltalake::datafusion::functions::core::expr_fn::coalesce;
use deltalake::datafusion::functions_aggregate::expr_fn::{count, sum};
use deltalake::datafusion::logical_expr::expr::AggregateFunction;
use deltalake::datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, JoinType, LogicalPlan, cast, lit, when};

use super::Side;
use super::build::{add, column, columns, conform, join, named_by_position, nth, positional, project, weight};
use super::combine::{filter, is_exact, plain_argument, wide};
use super::derive::{Change, Deriver, KeysOf, compares_exactly};

/// An aggregate that can be subtracted.
struct Additive {
    is_sum: bool,
    argument: Expr,
    data_type: DataType,
}

impl Deriver<'_> {
    /// The change of a grouping from its new groups and the change of its input; `None` if an aggregate is another one.
    pub(super) fn subtracted(
        &mut self,
        aggregate: &Aggregate,
        change: &LogicalPlan,
        keys: &KeysOf,
    ) -> Result<Option<Change>> {
        let Some(parts) = parts(aggregate)? else { return Ok(None) };
        let arity = aggregate.group_expr.len();
        let rows = self.side(&aggregate.input, Side::New)?;
        let rows = self.restrict_to(rows, Some(keys), &aggregate.group_expr)?;
        // Of both sides: the keys, the number of rows, and of each aggregate the number of values and its own value.
        let mut values = vec![count(lit(1_i64))];
        for (part, own) in parts.iter().zip(&aggregate.aggr_expr) {
            values.extend([count(part.argument.clone()), own.clone()]);
        }
        let values = named_by_position(values).collect();
        let new = Aggregate::try_new(rows.into(), aggregate.group_expr.clone(), values)?;
        let new = LogicalPlan::Aggregate(new);
        let named = columns(new.schema()).into_iter().enumerate().map(|(i, e)| e.alias(format!("n{i}"))).collect();
        let new = project(new, named)?;
        let delta = delta(aggregate, &parts, change)?;
        let delta = positional(delta.clone(), columns(delta.schema()), None)?;
        let width = delta.schema().fields().len();
        let on = (0..arity).map(|i| (column(delta.schema(), i), column(new.schema(), i))).collect();
        let both = join(delta, new, on, None, JoinType::Left, NullEquality::NullEqualsNull)?;
        let both = self.step(positional(both.clone(), columns(both.schema()), None)?)?;

        let zero = |e: Expr| coalesce(vec![e, lit(0_i64)]);
        let changed = |i: usize| column(both.schema(), i);
        let now = |i: usize| column(both.schema(), width + i);
        let counted_before = |i: usize| zero(now(i)) - zero(changed(i));
        let mut before: Vec<Expr> = (0..arity).map(&changed).collect();
        let mut after: Vec<Expr> = (0..arity).map(&now).collect();
        for (i, part) in parts.iter().enumerate() {
            let (values, value) = (arity + 1 + 2 * i, arity + 2 + 2 * i);
            after.push(now(value));
            before.push(if part.is_sum {
                let none = cast(lit(0_i64), wide(&part.data_type));
                let of = |e: Expr| coalesce(vec![cast(e, wide(&part.data_type)), none.clone()]);
                let left = cast(of(now(value)) - of(changed(value)), part.data_type.clone());
                when(counted_before(values).not_eq(lit(0_i64)), left).end()?
            } else {
                counted_before(values)
            });
        }
        let existed = filter(both.clone(), counted_before(arity).not_eq(lit(0_i64)))?;
        let exists = filter(both.clone(), now(arity).is_not_null())?;
        let terms = vec![positional(exists, after, Some(lit(1_i64)))?, positional(existed, before, Some(lit(-1_i64)))?];
        Ok(Some(Change::computed(conform(add(terms)?, &aggregate.schema)?)))
    }
}

/// Whether the rule applies to a grouping.
pub(crate) fn is_subtracted(aggregate: &Aggregate) -> bool {
    matches!(parts(aggregate), Ok(Some(_)))
}

fn parts(aggregate: &Aggregate) -> Result<Option<Vec<Additive>>> {
    let schema = aggregate.input.schema();
    for key in &aggregate.group_expr {
        if !compares_exactly(&key.get_type(schema.as_ref())?) {
            return Ok(None);
        }
    }
    if aggregate.group_expr.is_empty() || shows_a_zero(&aggregate.input)? {
        return Ok(None);
    }
    let mut parts = Vec::with_capacity(aggregate.aggr_expr.len());
    for (i, expr) in aggregate.aggr_expr.iter().enumerate() {
        let Expr::AggregateFunction(function) = expr.clone().unalias() else { return Ok(None) };
        let data_type = aggregate.schema.field(aggregate.group_expr.len() + i).data_type().clone();
        let AggregateFunction { func, params } = &function;
        let is_sum = match func.name() {
            "count" => false,
            "sum" if is_exact(&data_type) => true,
            _ => return Ok(None),
        };
        let Some(argument) = plain_argument(params) else { return Ok(None) };
        parts.push(Additive { is_sum, argument: argument.clone(), data_type });
    }
    Ok(Some(parts))
}

/// Whether a grouping below has a floating-point key. Which zero it shows depends on the rows that are read, and here the
/// change and the new rows are read apart.
fn shows_a_zero(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| {
        let LogicalPlan::Aggregate(aggregate) = node else { return Ok(false) };
        let keys = aggregate.schema.fields().iter().take(aggregate.group_expr.len());
        Ok(keys.into_iter().any(|key| key.data_type().is_floating() || key.data_type().is_nested()))
    })
}

/// Per group of the change, by weight: the keys, the number of rows, and for each aggregate the number of values and
/// their sum.
fn delta(aggregate: &Aggregate, parts: &[Additive], change: &LogicalPlan) -> Result<LogicalPlan> {
    let arity = aggregate.group_expr.len();
    let mut inputs = aggregate.group_expr.clone();
    inputs.extend(parts.iter().map(|part| part.argument.clone()));
    let input = positional(change.clone(), inputs, Some(weight()))?;
    let mut values = vec![sum(weight())];
    for (i, part) in parts.iter().enumerate() {
        let x = column(input.schema(), arity + i);
        let counted = when(x.clone().is_not_null(), weight()).end()?;
        values.push(sum(counted));
        // A count has no sum; the column keeps the positions equal.
        let value = if part.is_sum {
            let wide = wide(&part.data_type);
            sum(cast(cast(x, wide.clone()) * cast(weight(), DataType::Decimal256(76, 0)), wide))
        } else {
            sum(lit(0_i64))
        };
        values.push(value);
    }
    let groups = (0..arity).map(|i| column(input.schema(), i)).collect();
    // The columns of the input have the first names by position.
    let width = input.schema().fields().len();
    let values = values.into_iter().enumerate().map(|(i, value)| value.alias(nth(width + i))).collect();
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(input.into(), groups, values)?))
}
