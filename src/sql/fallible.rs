//! Expressions that can fail, such as `x / y` and `cast(s as bigint)`.

use deltalake::arrow::datatypes::{DataType, TimeUnit};
use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::common::{DFSchema, Result, ScalarValue};
use deltalake::datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use deltalake::datafusion::logical_expr::utils::merge_schema;
use deltalake::datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};

use crate::bounded::JOINED;
use crate::exact;

/// Whether any expression of a query can fail.
pub(crate) fn can_fail(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| {
        let schema = merge_schema(&node.inputs());
        let mut found = false;
        node.apply_expressions(|expr| {
            found |= !computes(expr, &schema);
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(found)
    })
}

/// Whether an operator's expression has a value for every row.
fn computes(expr: &Expr, schema: &DFSchema) -> bool {
    let all = |exprs: &[Expr]| exprs.iter().all(|expr| computes(expr, schema));
    match expr {
        Expr::Alias(alias) => computes(&alias.expr, schema),
        Expr::AggregateFunction(AggregateFunction { params, .. }) => {
            all(&params.args) && params.filter.as_ref().is_none_or(|filter| computes(filter, schema))
        }
        Expr::WindowFunction(of) => {
            let WindowFunction { params, .. } = of.as_ref();
            all(&params.args)
                && all(&params.partition_by)
                && params.order_by.iter().all(|order| computes(&order.expr, schema))
        }
        other => never_fails(other, schema),
    }
}

/// Whether an expression has a value for every row. Below a filter or a join it is evaluated on rows for which the
/// query never computes it: a `cast('none' as bigint)` behind `where s <> 'none'` would stop the change there.
#[must_use]
pub(crate) fn never_fails(expr: &Expr, schema: &DFSchema) -> bool {
    let fails = expr.exists(|e| {
        Ok(match e {
            Expr::Column(_) | Expr::Literal(..) | Expr::Alias(_) | Expr::TryCast(_) | Expr::Case(_) => false,
            Expr::Not(_) | Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::IsTrue(_) | Expr::IsNotTrue(_) => false,
            Expr::IsFalse(_) | Expr::IsNotFalse(_) | Expr::IsUnknown(_) | Expr::IsNotUnknown(_) => false,
            Expr::Between(_) | Expr::InList(_) | Expr::Like(_) => false,
            Expr::Cast(cast) => !holds_all(cast.field.data_type(), &cast.expr.get_type(schema)?),
            Expr::BinaryExpr(of) => !has_result(of, schema)?,
            Expr::ScalarFunction(call) if exact::operator(call).is_some() => !exact::has_every_value(call, schema)?,
            Expr::ScalarFunction(call) => !is_total(call.name(), &call.args),
            _ => true,
        })
    });
    !fails.unwrap_or(true)
}

fn has_result(of: &BinaryExpr, schema: &DFSchema) -> Result<bool> {
    use Operator::{
        And, Divide, Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, Minus, Modulo, Multiply, NotEq, Or,
        Plus, StringConcat,
    };
    Ok(match of.op {
        And | Or | Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom | StringConcat => true,
        Plus | Minus | Multiply | Divide | Modulo => {
            let divides = matches!(of.op, Divide | Modulo);
            let divisor = || matches!(of.right.as_ref(), Expr::Literal(by, _) if is_divisor(by));
            match Expr::BinaryExpr(of.clone()).get_type(schema)? {
                result if result.is_floating() => true,
                // Operations that can overflow are functions of `exact` by now.
                result if result.is_integer() => !divides || divisor(),
                DataType::Decimal128(..) => !divides || divisor(),
                DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, _) => true,
                DataType::Duration(TimeUnit::Microsecond) => !divides,
                _ => false,
            }
        }
        _ => false,
    })
}

/// Whether every dividend is safe: the least integer divided by -1 overflows.
fn is_divisor(by: &ScalarValue) -> bool {
    let minus_one = ScalarValue::new_negative_one(&by.data_type());
    let zero = ScalarValue::new_zero(&by.data_type());
    !by.is_null() && zero.is_ok_and(|zero| *by != zero) && minus_one.is_ok_and(|minus_one| *by != minus_one)
}

/// Functions that have a value for every argument.
fn is_total(name: &str, args: &[Expr]) -> bool {
    const ALWAYS: [&str; 31] = [
        JOINED,
        "lower",
        "upper",
        "initcap",
        "trim",
        "btrim",
        "ltrim",
        "rtrim",
        "concat",
        "concat_ws",
        "reverse",
        "replace",
        "strpos",
        "character_length",
        "octet_length",
        "starts_with",
        "ends_with",
        "contains",
        "md5",
        "coalesce",
        "nullif",
        "greatest",
        "least",
        "isnan",
        "floor",
        "ceil",
        "get_field",
        "struct",
        "named_struct",
        "make_array",
        "array_length",
    ];
    // These take constants that select a part; they are checked with the project.
    const BY_CONSTANTS: [&str; 6] = ["substr", "left", "right", "date_part", "json_extract", "json_extract_scalar"];
    let constants = || args.iter().filter(|arg| !matches!(arg, Expr::Literal(..))).count() <= 1;
    ALWAYS.contains(&name) || BY_CONSTANTS.contains(&name) && constants()
}

/// Whether a type can represent every value of another one.
fn holds_all(to: &DataType, from: &DataType) -> bool {
    let bits = |t: &DataType| t.primitive_width().unwrap_or(usize::MAX);
    let before_comma = |p: u8, s: i8| i16::from(p) - i16::from(s);
    let is_moment = |t: &DataType| {
        matches!(t, DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond, _))
    };
    match (from, to) {
        _ if from == to => true,
        (_, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => !from.is_nested(),
        (DataType::Decimal128(p, s), DataType::Decimal128(wide, scale)) => {
            scale >= s && before_comma(*wide, *scale) >= before_comma(*p, *s)
        }
        (DataType::Int8, DataType::Decimal128(p, s)) => before_comma(*p, *s) >= 3,
        (DataType::Int16, DataType::Decimal128(p, s)) => before_comma(*p, *s) >= 5,
        (DataType::Int32, DataType::Decimal128(p, s)) => before_comma(*p, *s) >= 10,
        (DataType::Int64, DataType::Decimal128(p, s)) => before_comma(*p, *s) >= 19,
        (DataType::UInt64, DataType::Decimal128(p, s)) => before_comma(*p, *s) >= 20,
        // Only the engine's own functions return these, and no value exceeds 63 bits.
        (_, DataType::Int64) if from.is_unsigned_integer() => true,
        (_, DataType::Float32 | DataType::Float64) => from.is_numeric(),
        (_, _) if from.is_signed_integer() && to.is_signed_integer() => bits(to) >= bits(from),
        (DataType::Boolean, _) => to.is_integer(),
        (DataType::Date32, _) => is_moment(to),
        (DataType::Timestamp(TimeUnit::Microsecond, _), DataType::Date32) => true,
        (DataType::Timestamp(unit, _), DataType::Timestamp(same, _)) => unit == same,
        _ => false,
    }
}
