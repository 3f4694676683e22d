//! `+`, `-`, `*` and `/` of integers and decimals with overflow errors.
//!
//! The engine wraps: `i * i` of the integer 50000 is -1794967296, and decimals of more than 38 digits lose some. Athena
//! and Spark (ANSI) report an error, and so does this. Quotients of decimals are rounded half away from zero, where the
//! engine truncates them. Operations that cannot overflow, such as `1 - discount`, are left to the engine.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, AsArray, Datum, Decimal128Array};
use deltalake::arrow::compute::kernels::numeric;
use deltalake::arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, i256};
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::common::config::ConfigOptions;
use deltalake::datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use deltalake::datafusion::common::{Column, DFSchema, DataFusionError, Result, ScalarValue, internal_err};
use deltalake::datafusion::logical_expr::expr::ScalarFunction;
use deltalake::datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use deltalake::datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility, binary_expr, lit,
};
use deltalake::datafusion::optimizer::AnalyzerRule;
use deltalake::datafusion::physical_expr_common::datum::apply;
use deltalake::datafusion::sql::unparser::expr_to_sql;

use super::chain;
use super::ranges::{divides_all, magnitude, stays_within};
use super::sums::rounded;
use crate::error::OutOfRange;
use crate::node::{visible, with_expressions};

/// The rule that replaces operators by `Arithmetic`. It runs after every expression has its type.
#[derive(Debug)]
pub(crate) struct CheckedArithmetic;

impl AnalyzerRule for CheckedArithmetic {
    fn name(&self) -> &'static str {
        "checked_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(in_node).map(|rewritten| rewritten.data)
    }
}

fn in_node(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = visible(&node);
    with_expressions(node, |expr| {
        // Other names are the engine's own.
        let column = match &expr {
            Expr::Alias(alias) if is_plain(&alias.name) => Some(alias.name.clone()),
            _ => None,
        };
        rewritten(expr, &schema, column.as_deref())
    })
}

fn rewritten(expr: Expr, schema: &DFSchema, column: Option<&str>) -> Result<Transformed<Expr>> {
    let operand = |expr: Expr| rewritten(expr, schema, column).data();
    let single = |op: Operator, left: Expr, right: Expr| call(op, false, [left, right], column);
    let long = |expr: Expr| match chain::is_long(&expr) {
        true => {
            let chain = chain::rewritten(expr, schema, column, &operand, &single)?;
            Ok(Transformed::new(chain, true, TreeNodeRecursion::Jump))
        }
        false => Ok(Transformed::no(expr)),
    };
    expr.transform_down_up(long, |e| checked(e, schema, column))
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn checked(expr: Expr, schema: &DFSchema, column: Option<&str>) -> Result<Transformed<Expr>> {
    let (op, left, right, negates) = match &expr {
        Expr::BinaryExpr(of) if is_checked(&expr, schema)? => {
            (of.op, of.left.as_ref().clone(), of.right.as_ref().clone(), false)
        }
        Expr::Negative(of) => {
            let of_type = of.get_type(schema)?;
            if !of_type.is_signed_integer() || stays_within(magnitude(of, schema)?, &of_type) {
                return Ok(Transformed::no(expr));
            }
            (Operator::Minus, lit(ScalarValue::new_zero(&of_type)?), of.as_ref().clone(), true)
        }
        _ => return Ok(Transformed::no(expr)),
    };
    Ok(Transformed::yes(call(op, negates, [left, right], column)))
}

/// A call of a checked operator.
fn call(op: Operator, negates: bool, [left, right]: [Expr; 2], column: Option<&str>) -> Expr {
    let of = Arithmetic {
        op,
        negates,
        operands: [shown(&left), shown(&right)],
        column: column.map(str::to_owned),
        signature: Signature::any(2, Volatility::Immutable),
    };
    ScalarUDF::new_from_impl(of).call(vec![left, right])
}

/// Whether the result of an operator may overflow its type, or would be truncated.
fn is_checked(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    let Expr::BinaryExpr(BinaryExpr { op, .. }) = expr else { return Ok(false) };
    Ok(match op {
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide => {
            let of_type = expr.get_type(schema)?;
            // Of other types nothing is known.
            (of_type.is_integer() || is_decimal(&of_type)) && step_is_checked(*op, &of_type, magnitude(expr, schema)?)
        }
        _ => false,
    })
}

/// The same of an operator by the type and the maximum magnitude of its result.
pub(super) fn step_is_checked(op: Operator, of_type: &DataType, magnitude: f64) -> bool {
    match op {
        Operator::Plus | Operator::Minus | Operator::Multiply => {
            let below_zero = op == Operator::Minus && of_type.is_unsigned_integer();
            let is_exact = of_type.is_integer() || is_decimal(of_type);
            is_exact && (below_zero || !stays_within(magnitude, of_type))
        }
        Operator::Divide => is_decimal(of_type),
        _ => false,
    }
}

fn is_decimal(of: &DataType) -> bool {
    matches!(of, DataType::Decimal128(..))
}

/// An operand as the user wrote it: without the engine's casts, and without qualifiers, which the query may not contain
/// in this form.
fn shown(expr: &Expr) -> String {
    if let Expr::Cast(cast) = expr
        && cast.field.data_type().is_numeric()
    {
        return shown(&cast.expr);
    }
    let text = written(expr).and_then(|expr| expr_to_sql(&expr)).map(|sql| sql.to_string());
    let text = text.unwrap_or_else(|_| expr.human_display().to_string());
    // Columns of an aggregate are called as the engine displays their expressions.
    let computed = expr.column_refs().into_iter().filter(|c| c.relation.is_none() && !is_plain(&c.name));
    computed.fold(text, |text, column| text.replace(&format!("\"{}\"", column.name), as_in_query(&column.name)))
}

/// An expression that the engine displays, `max(c.num)`, if a query can contain it in this form, and else `...`: the
/// engine's literals and types are words with capitals before a `(`, its windows stand in brackets.
fn as_in_query(displayed: &str) -> &str {
    let is_of_engine = |(at, _): (usize, &str)| {
        let before = &displayed[..at];
        let word = before.rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or_default();
        word.chars().any(|c| c.is_ascii_uppercase())
    };
    let is_foreign = displayed.contains(['[', '{', '"']) || displayed.match_indices('(').any(is_of_engine);
    if is_foreign { "..." } else { displayed }
}

/// An expression with the query's own operators, over unqualified columns.
fn written(expr: &Expr) -> Result<Expr> {
    let plain = |expr: Expr| match expr {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))),
        Expr::ScalarFunction(call) => match (operator(&call), call.args.as_slice()) {
            (Some(op), [left, right]) => Ok(Transformed::yes(binary_expr(left.clone(), op, right.clone()))),
            (None, args) if let Some(operators) = chain::operators(&call) => {
                Ok(Transformed::yes(chain::nested(operators, args)))
            }
            _ => Ok(Transformed::no(Expr::ScalarFunction(call))),
        },
        other => Ok(Transformed::no(other)),
    };
    expr.clone().transform_up(plain).data()
}

/// An operator with an overflow check.
#[derive(Debug)]
pub(super) struct Arithmetic {
    op: Operator,
    /// Whether it is `- x`, computed as `0 - x`.
    negates: bool,
    /// For messages.
    operands: [String; 2],
    /// The column of the select list that contains it.
    column: Option<String>,
    signature: Signature,
}

/// Equal operators are equal functions: their messages do not matter.
impl PartialEq for Arithmetic {
    fn eq(&self, other: &Self) -> bool {
        (self.op, self.negates) == (other.op, other.negates)
    }
}

impl Eq for Arithmetic {}

impl Hash for Arithmetic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.op, self.negates).hash(state);
    }
}

/// The operator of a function of this module.
#[must_use]
pub(crate) fn operator(call: &ScalarFunction) -> Option<Operator> {
    call.func.inner().downcast_ref::<Arithmetic>().map(|of| of.op)
}

/// Whether a call of a function of this module has a value for every row: a quotient with a non-zero constant divisor.
///
/// # Errors
/// Its operands have no type.
pub(crate) fn has_every_value(call: &ScalarFunction, schema: &DFSchema) -> Result<bool> {
    match (operator(call), call.args.as_slice()) {
        (Some(Operator::Divide), [left, right]) => {
            let of_type = Expr::ScalarFunction(call.clone()).get_type(schema)?;
            divides_all(left, right, &of_type, schema)
        }
        _ => Ok(false),
    }
}

impl Arithmetic {
    fn result_type(&self, left: &DataType, right: &DataType) -> Result<DataType> {
        BinaryTypeCoercer::new(left, &self.op, right).get_result_type()
    }

    fn out_of_range(&self, of_type: &DataType) -> DataFusionError {
        let (right, column) = (&self.operands[1], self.column.as_deref());
        if self.negates {
            let way_out = format!("write `- cast({right} as {})`", wider(of_type));
            return overflow(&format!("- {right}"), of_type, column, &way_out);
        }
        too_great(self.op, &self.operands, of_type, column)
    }
}

fn too_great(op: Operator, [left, right]: &[String; 2], of_type: &DataType, column: Option<&str>) -> DataFusionError {
    let way_out = format!("write `cast({left} as {}) {op} {right}`", wider(of_type));
    overflow(&format!("{left} {op} {right}"), of_type, column, &way_out)
}

/// The error of an operator over expressions.
pub(super) fn out_of_range(
    op: Operator,
    [left, right]: [&Expr; 2],
    of_type: &DataType,
    column: Option<&str>,
) -> DataFusionError {
    too_great(op, &[shown(left), shown(right)], of_type, column)
}

fn wider(of_type: &DataType) -> &'static str {
    match of_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 => "bigint",
        DataType::Int64 | DataType::UInt64 => "decimal(38, 0)",
        _ => "double",
    }
}

/// Whether an operator failed because its result does not fit.
pub(super) fn is_overflow(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ArrowError(arrow, _) if matches!(arrow.as_ref(), ArrowError::ArithmeticOverflow(_)))
}

/// The error of a result that does not fit its type.
pub(super) fn overflow(what: &str, of_type: &DataType, column: Option<&str>, way_out: &str) -> DataFusionError {
    DataFusionError::External(Box::new(OutOfRange {
        what: what.to_owned(),
        type_name: sql_name(of_type),
        column: column.map(str::to_owned),
        way_out: way_out.to_owned(),
    }))
}

/// A type as written in a query.
pub(super) fn sql_name(of: &DataType) -> String {
    match of {
        DataType::Int8 => "tinyint".into(),
        DataType::Int16 => "smallint".into(),
        DataType::Int32 => "integer".into(),
        DataType::Int64 => "bigint".into(),
        DataType::Decimal128(p, s) => format!("decimal({p}, {s})"),
        DataType::Duration(_) => "interval day to second".into(),
        other => other.to_string(),
    }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        match self.op {
            Operator::Plus => "checked_plus",
            Operator::Minus => "checked_minus",
            Operator::Multiply => "checked_multiply",
            _ => "rounded_divide",
        }
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        self.schema_name(args)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [left, right] = args else { return internal_err!("an operator has two operands") };
        if self.negates {
            return Ok(format!("(- {})", right.schema_name()));
        }
        Ok(format!("{} {} {}", left.schema_name(), self.op, right.schema_name()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        let [left, right] = arg_types else { return internal_err!("an operator has two operands") };
        self.result_type(left, right)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let of_type = args.return_field.data_type().clone();
        let [left, right] = args.args.as_slice() else { return internal_err!("an operator has two operands") };
        let result = apply(left, right, |left, right| compute(self.op, left, right, &of_type));
        result.map_err(|error| if is_overflow(&error) { self.out_of_range(&of_type) } else { error })
    }
}

pub(super) fn compute(
    op: Operator,
    left: &dyn Datum,
    right: &dyn Datum,
    of_type: &DataType,
) -> Result<ArrayRef, ArrowError> {
    let result = match op {
        Operator::Plus => numeric::add(left, right)?,
        Operator::Minus => numeric::sub(left, right)?,
        Operator::Multiply => numeric::mul(left, right)?,
        _ => return divided(left, right, of_type),
    };
    match result.as_primitive_opt::<Decimal128Type>() {
        Some(decimals) if !decimals.iter().flatten().all(|value| fits(value, of_type)) => Err(too_many_digits()),
        _ => Ok(result),
    }
}

fn too_many_digits() -> ArrowError {
    ArrowError::ArithmeticOverflow("too many digits".into())
}

/// Whether a number fits a type, in units of its scale.
pub(super) fn fits(value: i128, of_type: &DataType) -> bool {
    match of_type {
        DataType::Int64 | DataType::Duration(_) => i64::try_from(value).is_ok(),
        DataType::UInt64 => u64::try_from(value).is_ok(),
        DataType::Decimal128(digits, _) => value.unsigned_abs() < 10_u128.pow(u32::from(*digits)),
        _ => true,
    }
}

/// Quotients of decimals in digits of `of_type`, rounded half away from zero.
fn divided(left: &dyn Datum, right: &dyn Datum, of_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let (left, left_is_one) = left.get();
    let (right, right_is_one) = right.get();
    let (DataType::Decimal128(_, l), DataType::Decimal128(_, r), DataType::Decimal128(p, s)) =
        (left.data_type(), right.data_type(), of_type)
    else {
        return Err(ArrowError::InvalidArgumentError("a quotient of decimals has decimals".into()));
    };
    // l / r = (left / 10^l) / (right / 10^r), in units of 10^-s.
    let shift = i32::from(*s) + i32::from(*r) - i32::from(*l);
    let power = i256::from_i128(10).checked_pow(shift.unsigned_abs()).ok_or_else(too_many_digits)?;
    let (left, right) = (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
    let quotient = |dividend: i128, divisor: i128| {
        if divisor == 0 {
            return Err(ArrowError::DivideByZero);
        }
        let (mut dividend, mut divisor) = (i256::from_i128(dividend), i256::from_i128(divisor));
        let scaled = if shift < 0 { &mut divisor } else { &mut dividend };
        *scaled = scaled.checked_mul(power).ok_or_else(too_many_digits)?;
        let quotient = rounded(dividend, divisor).and_then(i256::to_i128).filter(|value| fits(*value, of_type));
        quotient.ok_or_else(too_many_digits)
    };
    let rows = if left_is_one { right.len() } else { left.len() };
    let value = |of: &Decimal128Array, is_one: bool, row: usize| {
        let row = if is_one { 0 } else { row };
        of.is_valid(row).then(|| of.value(row))
    };
    let quotients = (0..rows).map(|row| {
        let operands = value(left, left_is_one, row).zip(value(right, right_is_one, row));
        operands.map(|(dividend, divisor)| quotient(dividend, divisor)).transpose()
    });
    let quotients = quotients.collect::<Result<Decimal128Array, _>>()?;
    Ok(Arc::new(quotients.with_precision_and_scale(*p, *s)?))
}
