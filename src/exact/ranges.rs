//! Bounds on the values of an expression, from its operators and literals.

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::{DFSchema, Result, ScalarValue};
use deltalake::datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

use super::chain::{magnitude_of, magnitude_of_call, operators};
use super::checked::operator;

/// The tolerance for rounding errors of doubles.
const SLACK: f64 = 1.000_000_1;

/// Whether an integer or decimal type can hold all numbers up to a magnitude.
pub(super) fn stays_within(magnitude: f64, of: &DataType) -> bool {
    magnitude * SLACK < greatest(of)
}

/// The maximum magnitude of the values of an expression; infinite if unknown.
pub(super) fn magnitude(expr: &Expr, schema: &DFSchema) -> Result<f64> {
    let by_type = || Ok::<_, deltalake::datafusion::common::DataFusionError>(greatest(&expr.get_type(schema)?));
    let of = |op: Operator, left: &Expr, right: &Expr| -> Result<f64> {
        let (left, right) = (magnitude(left, schema)?, magnitude(right, schema)?);
        Ok(magnitude_of(op, left, right))
    };
    match expr {
        Expr::Literal(value, _) => Ok(number(value).map_or(f64::INFINITY, f64::abs)),
        Expr::Alias(alias) => magnitude(&alias.expr, schema),
        Expr::Negative(inner) => magnitude(inner, schema),
        Expr::Cast(cast) if is_exact(&cast.expr.get_type(schema)?) => {
            // A cast fails if the value does not fit; one to fewer digits rounds.
            Ok((magnitude(&cast.expr, schema)? + 1.0).min(greatest(cast.field.data_type())))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply) =>
        {
            of(*op, left, right)
        }
        Expr::ScalarFunction(call) => match (operator(call), call.args.as_slice()) {
            (Some(op), [left, right]) => Ok(of(op, left, right)?.min(by_type()?)),
            (None, args) if let Some(operators) = operators(call) => magnitude_of_call(operators, args, schema),
            _ => by_type(),
        },
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            results.map(|result| magnitude(result, schema)).try_fold(0.0, |most, next| Ok(f64::max(most, next?)))
        }
        _ => by_type(),
    }
}

fn is_exact(of: &DataType) -> bool {
    of.is_integer() || matches!(of, DataType::Decimal128(..))
}

/// One more than the maximum value of a type.
pub(super) fn greatest(of: &DataType) -> f64 {
    match of {
        DataType::Int8 => 2_f64.powi(7),
        DataType::Int16 => 2_f64.powi(15),
        DataType::Int32 => 2_f64.powi(31),
        DataType::Int64 => 2_f64.powi(63),
        DataType::UInt8 => 2_f64.powi(8),
        DataType::UInt16 => 2_f64.powi(16),
        DataType::UInt32 => 2_f64.powi(32),
        DataType::UInt64 => 2_f64.powi(64),
        DataType::Decimal128(p, s) => 10_f64.powi(i32::from(*p) - i32::from(*s)),
        _ => f64::INFINITY,
    }
}

fn number(value: &ScalarValue) -> Option<f64> {
    if value.is_null() {
        return Some(0.0);
    }
    match value.cast_to(&DataType::Float64).ok()? {
        ScalarValue::Float64(number) => number,
        _ => None,
    }
}

/// Whether the quotient of two decimals fits for every dividend: the divisor is a non-zero constant.
pub(super) fn divides_all(left: &Expr, right: &Expr, of_type: &DataType, schema: &DFSchema) -> Result<bool> {
    let divisor = match right {
        Expr::Literal(value, _) => number(value).filter(|divisor| *divisor != 0.0),
        _ => None,
    };
    Ok(match divisor {
        Some(divisor) => stays_within(magnitude(left, schema)? / divisor.abs() + 1.0, of_type),
        None => false,
    })
}
