//! Long chains of checked operators, `a + b - c * d + ...`, as functions of many arguments instead of nested ones.
//!
//! The engine computes the name and the type of a call from those of its arguments, again at every level and in every
//! rule: a sum of 500 nested calls took minutes. One call computes one operator after the other from the left, with the
//! same types, results and errors.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, FieldRef};
use deltalake::datafusion::common::{DFSchema, DataFusionError, Result, internal_err};
use deltalake::datafusion::logical_expr::expr::ScalarFunction;
use deltalake::datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use deltalake::datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility, binary_expr,
};
use deltalake::datafusion::physical_expr_common::datum::apply;

use super::checked::{compute, is_overflow, out_of_range, step_is_checked};
use super::ranges::{greatest, magnitude};
use crate::node::{is_long_chain, operands};

/// Operators of one call: its arguments are in memory together.
const OF_ONE_CALL: usize = 32;

/// Whether an expression is the top of a long chain.
pub(super) fn is_long(expr: &Expr) -> bool {
    is_long_chain(expr, connects)
}

fn connects(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide)
}

/// Type and maximum magnitude of an operand.
struct Operand {
    of_type: DataType,
    magnitude: f64,
}

impl Operand {
    fn of(expr: &Expr, schema: &DFSchema) -> Result<Self> {
        Ok(Self { of_type: expr.get_type(schema)?, magnitude: magnitude(expr, schema)? })
    }

    /// The result of an operator, and whether it has to be checked.
    fn with(&self, op: Operator, right: &Self) -> Result<(Self, bool)> {
        let of_type = result_type(&self.of_type, op, &right.of_type)?;
        let unbounded = magnitude_of(op, self.magnitude, right.magnitude);
        let is_checked = step_is_checked(op, &of_type, unbounded);
        let bounded = is_checked || op == Operator::Divide;
        let magnitude = if bounded { unbounded.min(greatest(&of_type)) } else { unbounded };
        Ok((Self { of_type, magnitude }, is_checked))
    }
}

/// The maximum magnitude of an operator's result; infinite if unknown.
pub(super) fn magnitude_of(op: Operator, left: f64, right: f64) -> f64 {
    let result = match op {
        Operator::Plus | Operator::Minus => left + right,
        Operator::Multiply => left * right,
        _ => f64::INFINITY,
    };
    // NaN comes from zero times infinity.
    if result.is_nan() { f64::INFINITY } else { result }
}

/// Rewrites a long chain: `operand` rewrites each operand, `single` one checked operator with its operands.
pub(super) fn rewritten(
    chain: Expr,
    schema: &DFSchema,
    column: Option<&str>,
    operand: &dyn Fn(Expr) -> Result<Expr>,
    single: &dyn Fn(Operator, Expr, Expr) -> Expr,
) -> Result<Expr> {
    let (first, steps) = operands(chain, connects);
    let first = operand(first)?;
    let mut known = Operand::of(&first, schema)?;
    let mut open = Open { args: vec![first], operators: Vec::new() };
    for (at, (op, right)) in steps.into_iter().enumerate() {
        let right = operand(right)?;
        let (result, is_checked) = known.with(op, &Operand::of(&right, schema)?)?;
        known = result;
        // The first two operands may be constants, which are tried when the project is checked; so are divisors.
        let is_single = at == 0 || op == Operator::Divide;
        if !is_checked || is_single || open.operators.len() == OF_ONE_CALL {
            let left = open.closed(column, single);
            open.args.push(left);
        }
        match (is_checked, is_single) {
            (true, false) => {
                open.operators.push(op);
                open.args.push(right);
            }
            (true, true) => {
                if let Some(left) = open.args.pop() {
                    open.args.push(single(op, left, right));
                }
            }
            (false, _) => {
                if let Some(left) = open.args.pop() {
                    open.args.push(binary_expr(left, op, right));
                }
            }
        }
    }
    Ok(open.closed(column, single))
}

/// The call that is being collected.
struct Open {
    args: Vec<Expr>,
    operators: Vec<Operator>,
}

impl Open {
    fn closed(&mut self, column: Option<&str>, single: &dyn Fn(Operator, Expr, Expr) -> Expr) -> Expr {
        let mut args = std::mem::take(&mut self.args);
        let operators = std::mem::take(&mut self.operators);
        match (operators.as_slice(), args.len()) {
            ([op], 2) => {
                let right = args.pop().unwrap_or_default();
                single(*op, args.pop().unwrap_or_default(), right)
            }
            ([], _) => args.pop().unwrap_or_default(),
            _ => {
                let signature = Signature::any(args.len(), Volatility::Immutable);
                let of = Chain { operators, operands: args.clone(), column: column.map(str::to_owned), signature };
                ScalarUDF::new_from_impl(of).call(args)
            }
        }
    }
}

/// Operators with overflow checks, applied from the left.
#[derive(Debug)]
pub(super) struct Chain {
    operators: Vec<Operator>,
    /// As they were planned, for messages.
    operands: Vec<Expr>,
    /// The column of the select list that contains it.
    column: Option<String>,
    signature: Signature,
}

/// Equal operators are equal functions: their messages do not matter.
impl PartialEq for Chain {
    fn eq(&self, other: &Self) -> bool {
        self.operators == other.operators
    }
}

impl Eq for Chain {}

impl Hash for Chain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.operators.hash(state);
    }
}

/// The operators of a call of a chain.
pub(super) fn operators(call: &ScalarFunction) -> Option<&[Operator]> {
    call.func.inner().downcast_ref::<Chain>().map(|of| of.operators.as_slice())
}

/// A call of a chain with the query's own operators.
pub(super) fn nested(operators: &[Operator], args: &[Expr]) -> Expr {
    let mut args = args.iter().cloned();
    let first = args.next().unwrap_or_default();
    operators.iter().zip(args).fold(first, |left, (op, right)| binary_expr(left, *op, right))
}

/// The maximum magnitude of a call of a chain.
pub(super) fn magnitude_of_call(operators: &[Operator], args: &[Expr], schema: &DFSchema) -> Result<f64> {
    let Some((first, rest)) = args.split_first() else { return Ok(f64::INFINITY) };
    let mut result = Operand::of(first, schema)?;
    for (op, right) in operators.iter().zip(rest) {
        result = result.with(*op, &Operand::of(right, schema)?)?.0;
    }
    Ok(result.magnitude)
}

fn result_type(left: &DataType, op: Operator, right: &DataType) -> Result<DataType> {
    BinaryTypeCoercer::new(left, &op, right).get_result_type()
}

impl Chain {
    /// The error of an operator; its operands are written as in the query.
    fn overflow(&self, at: usize, of_type: &DataType) -> DataFusionError {
        let left = nested(&self.operators[..at], &self.operands);
        let right = self.operands.get(at + 1).cloned().unwrap_or_default();
        out_of_range(self.operators[at], [&left, &right], of_type, self.column.as_deref())
    }
}

impl ScalarUDFImpl for Chain {
    fn name(&self) -> &'static str {
        "checked_chain"
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        self.schema_name(args)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let Some((first, rest)) = args.split_first() else { return internal_err!("a chain has operands") };
        let mut name = first.schema_name().to_string();
        for (op, right) in self.operators.iter().zip(rest) {
            name += &format!(" {op} {}", right.schema_name());
        }
        Ok(name)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        let Some((first, rest)) = arg_types.split_first() else { return internal_err!("a chain has operands") };
        let mut steps = self.operators.iter().zip(rest);
        steps.try_fold(first.clone(), |left, (op, right)| result_type(&left, *op, right))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut operands = args.args.into_iter();
        let Some(mut result) = operands.next() else { return internal_err!("a chain has operands") };
        for (at, (op, right)) in self.operators.iter().zip(operands).enumerate() {
            let of_type = result_type(&result.data_type(), *op, &right.data_type())?;
            let computed = apply(&result, &right, |left, right| compute(*op, left, right, &of_type));
            result = computed.map_err(|error| if is_overflow(&error) { self.overflow(at, &of_type) } else { error })?;
        }
        Ok(result)
    }
}
