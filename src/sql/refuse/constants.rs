//! Expressions that fail for every row because of constants in the query: `date_trunc('foo', at)`, `x / 0`,
//! `cast('abc' as bigint)`. They are reported when the project is checked: over rows they would stop a sync.

use std::sync::Arc;

use deltalake::arrow::array::{RecordBatch, RecordBatchOptions};
use deltalake::arrow::datatypes::Schema;
use deltalake::datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use deltalake::datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use deltalake::datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, Volatility, lit};
use deltalake::datafusion::physical_expr::create_physical_expr;

use crate::error::OutOfRange;
use crate::exact;
use crate::sql::options::execution_props;

/// The word to point at and the engine's error for a call over its constants, with NULL in place of columns.
pub(crate) fn fails(expr: &Expr, schema: &DFSchema) -> Option<(String, String)> {
    let (word, call) = match expr {
        Expr::ScalarFunction(call) if let Some(op) = exact::operator(call) => {
            let mut call = call.clone();
            let [left, right] = call.args.as_mut_slice() else { return None };
            match op {
                // NULL by zero is NULL.
                Operator::Divide if is_constant(right) => {
                    *left = lit(ScalarValue::new_one(&left.get_type(schema).ok()?).ok()?);
                }
                _ if is_constant(left) && is_constant(right) => {}
                _ => return None,
            }
            (op.to_string(), Expr::ScalarFunction(call))
        }
        Expr::ScalarFunction(call) if call.func.signature().volatility == Volatility::Immutable => {
            if !call.args.iter().any(is_constant) {
                return None;
            }
            let mut call = call.clone();
            for arg in call.args.iter_mut().filter(|arg| !is_constant(arg)) {
                *arg = lit(ScalarValue::try_new_null(&arg.get_type(schema).ok()?).ok()?);
            }
            (call.name().to_owned(), Expr::ScalarFunction(call))
        }
        Expr::BinaryExpr(of) if matches!(of.op, Operator::Divide | Operator::Modulo) && is_constant(&of.right) => {
            // NULL by zero is NULL.
            let one = ScalarValue::new_one(&of.left.get_type(schema).ok()?).ok()?;
            let of = BinaryExpr { left: Box::new(lit(one)), ..of.clone() };
            (of.op.to_string(), Expr::BinaryExpr(of))
        }
        Expr::Cast(_) if is_constant(expr) => ("cast".to_owned(), expr.clone()),
        _ => return None,
    };
    let error = computed(&call).err()?;
    if let Some(found) = OutOfRange::within(&error) {
        return Some((word, format!("{found}: {}", found.way_out)));
    }
    // An expression that the engine does not support at all is reported when the whole query is tried.
    if matches!(error.find_root(), DataFusionError::Internal(_) | DataFusionError::NotImplemented(_)) {
        return None;
    }
    let text = error.find_root().message().into_owned();
    let text = text.lines().next().unwrap_or_default();
    Some((word, text.trim_start_matches("Cast error: ").trim_start_matches("Compute error: ").to_owned()))
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..) => true,
        Expr::Negative(of) => is_constant(of),
        Expr::Cast(cast) => is_constant(&cast.expr),
        Expr::Alias(alias) => is_constant(&alias.expr),
        _ => false,
    }
}

fn computed(call: &Expr) -> Result<()> {
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one)?;
    // An expression without a plan is reported elsewhere.
    let Ok(call) =
        create_physical_expr(call, &DFSchema::empty(), &execution_props(), &PhysicalPlanningContext::default())
    else {
        return Ok(());
    };
    call.evaluate(&row).map(|_| ())
}
