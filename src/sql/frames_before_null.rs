//! Frames of ranges that end before their row, such as `range between 5 preceding and 3 preceding`, where the order key
//! is NULL.
//!
//! The rows whose key is NULL are peers, and the frame of each of them ends with all of them. The engine computes a frame
//! that ends before its row as soon as it has read that row (`is_end_bound_safe_for_range` of DataFusion 55): so the
//! peers that come in a later batch are missing. A frame that ends with the current row waits for them.

use deltalake::datafusion::common::{Result, ScalarValue};
use deltalake::datafusion::logical_expr::expr::WindowFunction;
use deltalake::datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, Window, WindowFrame, WindowFrameBound, WindowFrameUnits, when,
};

use super::shapes::{column, columns, project};
use crate::node::window_function;

/// The same columns, where frames wait for the peers of NULL.
///
/// # Errors
/// The query engine refuses the plan.
pub(crate) fn waiting(window: Window) -> Result<LogicalPlan> {
    let input = window.input.schema();
    let mut exprs = window.window_expr.clone();
    // Of each such function: its position, the one for rows whose key is NULL, and the key.
    let mut found = Vec::new();
    for (at, expr) in window.window_expr.iter().enumerate() {
        let Some((of_null, key)) = window_function(expr).and_then(of_null) else { continue };
        if key.nullable(input.as_ref())? {
            found.push((input.fields().len() + at, input.fields().len() + exprs.len(), key));
            let mut name = format!("_of_null{at}");
            while window.schema.has_column_with_unqualified_name(&name) {
                name.push('_');
            }
            exprs.push(Expr::from(of_null).alias(name));
        }
    }
    if found.is_empty() {
        return Ok(LogicalPlan::Window(window));
    }
    let schema = window.schema;
    let all = LogicalPlan::Window(Window::try_new(exprs, window.input)?);
    let mut output = columns(&schema);
    for (at, of_null, key) in found {
        let (relation, field) = schema.qualified_field(at);
        let value = column(all.schema(), at);
        let value = when(key.is_null(), column(all.schema(), of_null)).otherwise(value)?;
        output[at] = value.alias_qualified(relation.cloned(), field.name());
    }
    project(all, output)
}

/// The function over the frame of rows whose key is NULL, and the key, if its own frame ends before its row.
fn of_null(call: &WindowFunction) -> Option<(WindowFunction, Expr)> {
    let frame = &call.params.window_frame;
    let ends_before = matches!(&frame.end_bound, WindowFrameBound::Preceding(by) if !by.is_null());
    let [key] = call.params.order_by.as_slice() else { return None };
    if frame.units != WindowFrameUnits::Range || !ends_before {
        return None;
    }
    let start = match &frame.start_bound {
        WindowFrameBound::Preceding(by) if by.is_null() => WindowFrameBound::Preceding(ScalarValue::Null),
        _ => WindowFrameBound::CurrentRow,
    };
    let mut of_null = call.clone();
    of_null.params.window_frame = WindowFrame::new_bounds(WindowFrameUnits::Range, start, WindowFrameBound::CurrentRow);
    Some((of_null, key.expr.clone()))
}
