//! `a || b` of texts, with a limit; long chains of it as one function of many arguments, for the reason of
//! `exact::chain`.

use deltalake::arrow::compute::kernels::concat_elements::concat_elements_dyn;
use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use deltalake::datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::sizes::Growth;
use super::{OutputLimit, is_array, too_large};
use crate::node::{is_long_chain, operands};

/// The name of the function for `||`.
pub(crate) const JOINED: &str = "joined_text";

/// Arguments of one call: they are in memory together.
const OF_ONE_CALL: usize = 32;

/// A call of the function.
pub(super) fn call(texts: Vec<Expr>) -> Expr {
    let signature = Signature::exact(vec![DataType::Utf8; texts.len()], Volatility::Immutable);
    ScalarUDF::new_from_impl(Joined { signature }).call(texts)
}

fn connects(op: Operator) -> bool {
    op == Operator::StringConcat
}

/// Whether an expression is the top of a long chain of texts.
pub(super) fn is_long(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    if !is_long_chain(expr, connects) {
        return Ok(false);
    }
    let mut at = expr;
    while let Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) = at {
        if right.get_type(schema)? != DataType::Utf8 {
            return Ok(false);
        }
        at = left;
    }
    Ok(at.get_type(schema)? == DataType::Utf8)
}

/// A long chain as calls; `operand` rewrites each operand.
pub(super) fn joined(chain: Expr, operand: impl Fn(Expr) -> Result<Expr>) -> Result<Expr> {
    let (first, others) = operands(chain, connects);
    let mut open = vec![operand(first)?];
    for (_, text) in others {
        if open.len() == OF_ONE_CALL {
            open = vec![call(open)];
        }
        open.push(operand(text)?);
    }
    Ok(call(open))
}

/// Texts, one after the other.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Joined {
    signature: Signature,
}

impl ScalarUDFImpl for Joined {
    fn name(&self) -> &'static str {
        JOINED
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        self.schema_name(args)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<String> = args.iter().map(|text| text.schema_name().to_string()).collect();
        Ok(names.join(" || "))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let limit = OutputLimit::within(&args.config_options);
        let mut texts = args.args.into_iter();
        let Some(mut left) = texts.next() else { return exec_err!("an operator has operands") };
        for right in texts {
            let both = [left, right];
            let bytes = Growth::Sum.bytes(&both, args.number_rows)?;
            if bytes > limit {
                return Err(too_large("a result of `||`", bytes, limit));
            }
            let [left_text, right_text] = &both;
            let is_of_rows = is_array(left_text) || is_array(right_text);
            let rows = if is_of_rows { args.number_rows } else { 1 };
            let joined = concat_elements_dyn(&left_text.to_array(rows)?, &right_text.to_array(rows)?)?;
            left = match is_of_rows {
                true => ColumnarValue::Array(joined),
                false => ColumnarValue::Scalar(ScalarValue::try_from_array(&joined, 0)?),
            };
        }
        Ok(left)
    }
}
