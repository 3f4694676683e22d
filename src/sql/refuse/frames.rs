//! Frames of windows that the query engine counts wrongly.

use std::cmp::Ordering;

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::{DFSchema, ScalarValue};
use deltalake::datafusion::logical_expr::expr::WindowFunction;
use deltalake::datafusion::logical_expr::{ExprSchemable, WindowFrameBound, WindowFrameUnits};

use crate::sql::interval::{Interval, NANOS_OF_A_DAY};

/// The problem of a frame, and the replacement: it has a negative offset, ends before it begins, or is in hours over a
/// date. The engine takes rows from such frames that were never in them, or finds them by the batches in which they come.
pub(super) fn misread(call: &WindowFunction, schema: &DFSchema) -> Option<(&'static str, &'static str)> {
    let frame = &call.params.window_frame;
    let offsets = [&frame.start_bound, &frame.end_bound].map(offset);
    if offsets.iter().flatten().any(|by| is_negative(by)) {
        return Some(("a negative offset", "exchange `preceding` and `following`"));
    }
    if !in_order(&frame.start_bound, &frame.end_bound) {
        return Some(("a frame that ends before it begins", "write the earlier bound first"));
    }
    let of_date =
        || call.params.order_by.first().and_then(|key| key.expr.get_type(schema).ok()) == Some(DataType::Date32);
    let hours = |by: &&ScalarValue| Interval::of(by).is_some_and(|by| i128::from(by.nanos) % NANOS_OF_A_DAY != 0);
    if frame.units == WindowFrameUnits::Range && offsets.iter().flatten().any(hours) && of_date() {
        return Some(("a frame of hours over dates", "write whole days, or order by a timestamp"));
    }
    None
}

fn offset(bound: &WindowFrameBound) -> Option<&ScalarValue> {
    match bound {
        WindowFrameBound::Preceding(by) | WindowFrameBound::Following(by) => Some(by).filter(|by| !by.is_null()),
        WindowFrameBound::CurrentRow => None,
    }
}

fn is_negative(by: &ScalarValue) -> bool {
    match Interval::of(by) {
        Some(by) => by.is_negative(),
        None => compared_to_zero(by) == Some(Ordering::Less),
    }
}

fn compared_to_zero(by: &ScalarValue) -> Option<Ordering> {
    by.partial_cmp(&ScalarValue::new_zero(&by.data_type()).ok()?)
}

fn in_order(start: &WindowFrameBound, end: &WindowFrameBound) -> bool {
    use WindowFrameBound::{CurrentRow, Following, Preceding};
    let is_zero = |by: &ScalarValue| compared_to_zero(by) == Some(Ordering::Equal);
    match (start, end) {
        (Preceding(start), Preceding(end)) => start.is_null() || at_least(start, end),
        (Following(start), Following(end)) => end.is_null() || at_least(end, start),
        (CurrentRow, Preceding(by)) | (Following(by), CurrentRow) => is_zero(by),
        (Following(start), Preceding(end)) => is_zero(start) && is_zero(end),
        (Preceding(_), CurrentRow | Following(_)) | (CurrentRow, CurrentRow | Following(_)) => true,
    }
}

/// Whether one offset is certain to reach as far as another one: a month has 28 to 31 days.
fn at_least(far: &ScalarValue, near: &ScalarValue) -> bool {
    match (Interval::of(far), Interval::of(near)) {
        _ if far == near => true,
        (Some(far), Some(near)) => far.length(28) >= near.length(31),
        _ => matches!(far.partial_cmp(near), Some(Ordering::Greater | Ordering::Equal)),
    }
}
