//! Coercion of operands of different types, before the engine's own.
//!
//! The common types of DataFusion 55 lose values, or fail: decimal(30,15) for a decimal and a double (1e300 fails,
//! 1e-16 is 0), nanoseconds for a date or a text and a timestamp (9999-12-31 fails). The difference of two timestamps
//! becomes an interval of no days, which is less than `interval '1 day'` even if it has 36 hours; hours added to a date
//! vanish. Here, decimals beside doubles become doubles; dates and texts beside timestamps become timestamps; intervals
//! beside differences become microseconds; a date with added hours becomes a timestamp; unsigned numbers in arithmetic
//! become signed: `row_number() over (...) - 5`. The difference of two dates is a number of days, `at time zone` keeps
//! microseconds, and a cast from there to a timestamp without zone is the local time. Number literals are unchanged:
//! `price > 0.1` compares decimals.

use std::collections::HashSet;
use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use deltalake::datafusion::common::config::ConfigOptions;
use deltalake::datafusion::common::tree_node::{Transformed, TreeNode};
use deltalake::datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use deltalake::datafusion::functions::datetime::expr_fn::to_local_time;
use deltalake::datafusion::logical_expr::expr::{Cast, InSubquery, SetComparison, TryCast};
use deltalake::datafusion::logical_expr::expr_schema::cast_subquery;
use deltalake::datafusion::logical_expr::planner::TypePlanner;
use deltalake::datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, Union, binary_expr, lit,
};
use deltalake::datafusion::optimizer::AnalyzerRule;
use deltalake::datafusion::sql::sqlparser::ast::{DataType as SqlType, TimezoneInfo};

use crate::determinism::{Code, Reason};
use crate::node::{visible, with_expressions};

/// Timestamps are microseconds, as in tables. The engine's nanoseconds end in 2262.
#[derive(Debug)]
pub(crate) struct Timestamps;

impl TypePlanner for Timestamps {
    fn plan_type_field(&self, sql_type: &SqlType) -> Result<Option<FieldRef>> {
        let zone = match sql_type {
            SqlType::Datetime(None) | SqlType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
                None
            }
            SqlType::Timestamp(None, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => Some("UTC".into()),
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(Field::new("", DataType::Timestamp(TimeUnit::Microsecond, zone), true))))
    }
}

/// Functions whose arguments get one common type.
const OF_ONE_TYPE: [&str; 7] = ["coalesce", "nvl", "ifnull", "nvl2", "greatest", "least", "make_array"];

/// The rule; runs before the engine's own coercion.
#[derive(Debug)]
pub(crate) struct Operands;

impl AnalyzerRule for Operands {
    fn name(&self) -> &'static str {
        "operands"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(in_node).map(|rewritten| rewritten.data)
    }
}

fn in_node(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = visible(&node);
    let rewritten = with_expressions(node, |expr| expr.transform_up(|expr| in_expr(expr, &schema)))?;
    let rewritten = rewritten.transform_data(|node| match node {
        LogicalPlan::Union(union) => in_union(union),
        LogicalPlan::Aggregate(grouped) => each_key_once(grouped),
        LogicalPlan::Join(mut join) => {
            let (left, right) = (join.left.schema().clone(), join.right.schema().clone());
            let mut changed = false;
            for (l, r) in &mut join.on {
                if let Some(to) = common([(&*l, left.as_ref()), (&*r, right.as_ref())], true)? {
                    *l = adapted(l.clone(), &to, &left)?;
                    *r = adapted(r.clone(), &to, &right)?;
                    changed = true;
                }
            }
            let join = LogicalPlan::Join(join);
            Ok(if changed { Transformed::yes(join) } else { Transformed::no(join) })
        }
        other => Ok(Transformed::no(other)),
    })?;
    // A former decimal column may be a double now, here or below.
    rewritten.map_data(LogicalPlan::recompute_schema)
}

/// Casts expressions that need one type: the operands of a comparison, the results of a `case`, the arguments of a
/// function.
fn in_expr(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let united = |operands: Vec<&mut Expr>| agree(operands, schema, false);
    let compared = |mut operands: Vec<&mut Expr>| -> Result<bool> {
        let spans = spans(&mut operands, schema)?;
        Ok(agree(operands, schema, true)? || spans)
    };
    let changed = match &mut expr {
        Expr::BinaryExpr(of) if compares(of.op) => compared(vec![&mut of.left, &mut of.right])?,
        Expr::BinaryExpr(of) if of.op == Operator::Minus && both_dates(of, schema)? => {
            *of.left = days(std::mem::take(&mut *of.left), schema)?;
            *of.right = days(std::mem::take(&mut *of.right), schema)?;
            true
        }
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => in_zone(expr, field, schema)?,
        Expr::BinaryExpr(of) if computes(of.op) => {
            signed([&mut of.left, &mut of.right], schema)?
                || of_date(&mut of.left, &of.right, schema)?
                || of_date(&mut of.right, &of.left, schema)?
        }
        Expr::Between(of) => compared(vec![&mut of.expr, &mut of.low, &mut of.high])?,
        Expr::InList(of) => compared(std::iter::once(&mut *of.expr).chain(&mut of.list).collect())?,
        Expr::Case(of) => {
            let (whens, mut thens): (Vec<_>, Vec<_>) =
                of.when_then_expr.iter_mut().map(|(when, then)| (&mut **when, &mut **then)).unzip();
            thens.extend(of.else_expr.as_deref_mut());
            let asked = match &mut of.expr {
                Some(of) => compared(std::iter::once(&mut **of).chain(whens).collect())?,
                None => false,
            };
            united(thens)? || asked
        }
        Expr::ScalarFunction(of) if of.name() == "nullif" => compared(of.args.iter_mut().collect())?,
        Expr::ScalarFunction(of) if of.name() == "round" => return rounded(expr, schema),
        Expr::ScalarFunction(of) if OF_ONE_TYPE.contains(&of.name()) => {
            // The first argument of `nvl2` is only tested for NULL.
            let asked = usize::from(of.name() == "nvl2");
            united(of.args.iter_mut().skip(asked).collect())?
        }
        Expr::AggregateFunction(of) if of.params.distinct && of.func.name() == "count" => {
            one_zero(&mut of.params.args, schema)?
        }
        Expr::WindowFunction(of) if of.params.distinct && of.fun.name() == "count" => {
            one_zero(&mut of.params.args, schema)?
        }
        Expr::InSubquery(InSubquery { expr, subquery, .. })
        | Expr::SetComparison(SetComparison { expr, subquery, .. }) => {
            let (mine, theirs) = (expr.get_type(schema)?, subquery.subquery.schema().field(0).data_type().clone());
            match common_type(&[mine, theirs.clone()], true) {
                Some(to) => {
                    **expr = adapted(std::mem::take(&mut **expr), &to, schema)?;
                    if adapts(&theirs, &to) {
                        *subquery = cast_subquery(subquery.clone(), &to)?;
                    }
                    true
                }
                None => false,
            }
        }
        _ => false,
    };
    Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
}

/// Distinct floating-point numbers with one zero, as in `group by`: without grouping the engine counts -0.0 and 0.0
/// separately.
fn one_zero(of: &mut [Expr], schema: &DFSchema) -> Result<bool> {
    let mut changed = false;
    for arg in of {
        let of_type = arg.get_type(schema)?;
        let zero = ScalarValue::new_zero(&of_type).map(lit);
        let is_done = matches!((&*arg, &zero), (Expr::BinaryExpr(sum), Ok(zero)) if *sum.right == *zero);
        if let (true, false, Ok(zero)) = (of_type.is_floating(), is_done, zero) {
            *arg = binary_expr(std::mem::take(arg), Operator::Plus, zero);
            changed = true;
        }
    }
    Ok(changed)
}

/// Whether dates are subtracted: the engine plans a number of days but computes a duration.
fn both_dates(of: &BinaryExpr, schema: &DFSchema) -> Result<bool> {
    Ok(is_date(&of.left.get_type(schema)?) && is_date(&of.right.get_type(schema)?))
}

/// A date as days since 1970.
fn days(date: Expr, schema: &DFSchema) -> Result<Expr> {
    date.cast_to(&DataType::Date32, schema)?.cast_to(&DataType::Int32, schema)?.cast_to(&DataType::Int64, schema)
}

/// Casts to timestamps: to microseconds even where the engine writes nanoseconds (`at time zone`); and a timestamp of a
/// zone cast to one without is the local time, where the engine uses UTC.
fn in_zone(of: &mut Box<Expr>, field: &mut FieldRef, schema: &DFSchema) -> Result<bool> {
    let DataType::Timestamp(unit, zone) = field.data_type() else { return Ok(false) };
    let (unit, zone) = (*unit, zone.clone());
    let from = of.get_type(schema)?;
    let mut changed = false;
    // A number is counted in the unit.
    if unit == TimeUnit::Nanosecond && !from.is_numeric() {
        let to = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
        *field = Arc::new(field.as_ref().clone().with_data_type(to));
        changed = true;
    }
    if zone.is_none() && matches!(&from, DataType::Timestamp(_, Some(zone)) if zone.as_ref() != "UTC") {
        **of = to_local_time(vec![std::mem::take(&mut **of)]);
        changed = true;
    }
    Ok(changed)
}

/// The type of `round(x, 1)` of a decimal depends on whether the engine knows the digits as a constant, which it does
/// after a cast: rows then had another type than the plan. So the result is cast to the type without known digits.
fn rounded(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(of) = &mut expr else { return Ok(Transformed::no(expr)) };
    let Some(DataType::Decimal128(digits, scale)) = of.args.first().map(|of| of.get_type(schema)).transpose()? else {
        return Ok(Transformed::no(expr));
    };
    if of.args.len() == 1 {
        of.args.push(lit(0_i32));
    }
    if !matches!(of.args.get(1), Some(Expr::Literal(..))) {
        return Ok(Transformed::no(expr));
    }
    let to = DataType::Decimal128((digits + 1).min(38), scale);
    Ok(Transformed::yes(expr.cast_to(&to, schema)?))
}

fn agree(operands: Vec<&mut Expr>, schema: &DFSchema, compared: bool) -> Result<bool> {
    let Some(to) = common(operands.iter().map(|e| (&**e, schema)), compared)? else { return Ok(false) };
    for operand in operands {
        *operand = adapted(std::mem::take(operand), &to, schema)?;
    }
    Ok(true)
}

/// Converts intervals beside differences of timestamps to differences, with a month of 30 days as elsewhere. Other
/// intervals cannot be compared: the engine compares months, then days, then the rest, so that 25 hours are less than a
/// day.
fn spans(operands: &mut [&mut Expr], schema: &DFSchema) -> Result<bool> {
    const DAY_US: i64 = 86_400_000_000;
    let types = operands.iter().map(|e| e.get_type(schema)).collect::<Result<Vec<_>>>()?;
    if !types.iter().any(|t| matches!(t, DataType::Interval(_))) {
        return Ok(false);
    }
    if types.iter().any(|t| matches!(t, DataType::Duration(_))) {
        for operand in operands.iter_mut() {
            if let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(of)), _) = &**operand {
                let days = i64::from(of.months) * 30 + i64::from(of.days);
                let us = days.checked_mul(DAY_US).and_then(|us| us.checked_add(of.nanoseconds / 1_000));
                **operand = lit(ScalarValue::DurationMicrosecond(us));
            }
        }
    }
    for operand in operands.iter() {
        if matches!(operand.get_type(schema)?, DataType::Interval(_)) {
            let text = "intervals of months, days and hours have no order";
            let reason =
                Reason::new(Code::IntervalOrder, format!("{text}: compare moments, `b > a + interval '1 day'`"));
            return Err(DataFusionError::Plan(reason.to_string()));
        }
    }
    Ok(true)
}

/// Converts a date to a timestamp if an interval with hours, or an unknown one, is added or subtracted.
fn of_date(date: &mut Expr, interval: &Expr, schema: &DFSchema) -> Result<bool> {
    if !is_date(&date.get_type(schema)?)
        || interval.get_type(schema)? != DataType::Interval(IntervalUnit::MonthDayNano)
        || matches!(interval, Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(of)), _) if of.nanoseconds == 0)
    {
        return Ok(false);
    }
    *date = std::mem::take(date).cast_to(&DataType::Timestamp(TimeUnit::Microsecond, None), schema)?;
    Ok(true)
}

/// Row numbers and lengths, which are unsigned in the engine: 1 - 2 of them would be 18446744073709551615.
fn signed(operands: [&mut Expr; 2], schema: &DFSchema) -> Result<bool> {
    let mut changed = false;
    for operand in operands {
        if operand.get_type(schema)?.is_unsigned_integer() {
            *operand = std::mem::take(operand).cast_to(&DataType::Int64, schema)?;
            changed = true;
        }
    }
    Ok(changed)
}

fn is_date(of_type: &DataType) -> bool {
    matches!(of_type, DataType::Date32 | DataType::Date64)
}

fn computes(op: Operator) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    matches!(op, Plus | Minus | Multiply | Divide | Modulo)
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// `group by k, j, k`: the engine computes the second `k` but does not count it among the columns.
fn each_key_once(mut grouped: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let keys = grouped.group_expr.len();
    let mut seen = HashSet::new();
    grouped.group_expr.retain(|key| seen.insert(key.clone()));
    if grouped.group_expr.len() == keys {
        return Ok(Transformed::no(LogicalPlan::Aggregate(grouped)));
    }
    let once = Aggregate::try_new(grouped.input, grouped.group_expr, grouped.aggr_expr)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(once)))
}

fn in_union(union: Union) -> Result<Transformed<LogicalPlan>> {
    let mut columns = Vec::new();
    for i in 0..union.schema.fields().len() {
        let counts = union.inputs.iter().filter(|input| !is_literal_column(input, i));
        let types: Vec<_> = counts.map(|input| input.schema().field(i).data_type().clone()).collect();
        columns.push(common_type(&types, false));
    }
    if columns.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let mut inputs = Vec::with_capacity(union.inputs.len());
    for input in union.inputs {
        let casts = input.schema().iter().zip(&columns).map(|((relation, field), to)| {
            let column = Expr::from((relation, field));
            Ok(match to {
                Some(to) => adapted(column, to, input.schema())?.alias_qualified(relation.cloned(), field.name()),
                None => column,
            })
        });
        let casts = casts.collect::<Result<Vec<_>>>()?;
        inputs.push(LogicalPlanBuilder::from(input).project(casts)?.build()?.into());
    }
    Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?)))
}

/// Whether a column of a union's input is a numeric literal that a decimal can hold.
fn is_literal_column(input: &LogicalPlan, i: usize) -> bool {
    match input {
        LogicalPlan::Projection(p) => p.expr.get(i).is_some_and(is_literal),
        LogicalPlan::Values(v) => v.values.iter().all(|row| row.get(i).is_some_and(is_literal)),
        _ => false,
    }
}

/// The common type of operands, if the engine would choose a worse one. Numeric literals do not affect it.
fn common<'e>(
    operands: impl IntoIterator<Item = (&'e Expr, &'e DFSchema)>,
    compared: bool,
) -> Result<Option<DataType>> {
    let counts = operands.into_iter().filter(|(expr, _)| !is_literal(expr));
    let types = counts.map(|(expr, schema)| expr.get_type(schema)).collect::<Result<Vec<_>>>()?;
    Ok(common_type(&types, compared))
}

fn common_type(types: &[DataType], compared: bool) -> Option<DataType> {
    let to = |of: &&DataType| match of {
        DataType::Timestamp(TimeUnit::Microsecond, _) => true,
        other => other.is_floating(),
    };
    // The wider of two: Float64 before Float32, a zone before none.
    let rank = |of: &&DataType| matches!(of, DataType::Float64 | DataType::Timestamp(_, Some(_)));
    let to = types.iter().filter(to).max_by_key(rank)?;
    // In a union with text everything becomes text.
    let adapted = |of: &DataType| adapts(of, to) && (compared || !of.is_string());
    types.iter().any(adapted).then(|| to.clone())
}

/// Whether values of a type are cast to another one here.
fn adapts(from: &DataType, to: &DataType) -> bool {
    match to {
        DataType::Timestamp(..) => is_date(from) || from.is_string(),
        _ => to.is_floating() && from.is_decimal(),
    }
}

/// A numeric literal with the digits that the engine gives a decimal beside it.
fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Float64(Some(v)), _) => {
            v.abs() < 1e15 && v.to_string().split_once('.').is_none_or(|(_, digits)| digits.len() <= 15)
        }
        Expr::Alias(alias) => is_literal(&alias.expr),
        Expr::Negative(inner) => is_literal(inner),
        _ => false,
    }
}

fn adapted(expr: Expr, to: &DataType, schema: &DFSchema) -> Result<Expr> {
    if adapts(&expr.get_type(schema)?, to) { expr.cast_to(to, schema) } else { Ok(expr) }
}
