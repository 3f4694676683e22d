//! Windows whose frames are ranges bounded on both sides, such as `range between interval '364 days' preceding and
//! current row`: how far a change reaches.
//!
//! If the frame of a row with order key `d` lies within `[d - below, d + above]`, a change at `t` affects the rows of
//! its partition in `[t - above, t + below]`, and the rows in `[lo, hi]` need those in `[lo - below, hi + above]`. Of
//! each touched partition one range is kept, from its first to its last changed key ([`super::range`]).
//!
//! - The rows whose key is NULL are peers of each other alone. They belong to every range; and if the key of a changed
//!   row is NULL, its whole partition counts as affected.
//! - Where `d - below` leaves the key's type, the engine's frame ends with the partition. So do our ranges.
//! - A month has at most 31 days; so many are taken for it.
//!
//! Functions that ignore their frame (`rank`, `lag`) have no such bounds, nor have frames of rows and groups. Keys of
//! other types are left to the rule for partitions: floating-point numbers, and moments in zones whose days differ.

use deltalake::arrow::datatypes::{DataType, TimeUnit};
use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::logical_expr::expr::WindowFunction;
use deltalake::datafusion::logical_expr::{
    Expr, ExprSchemable, Window, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};

use crate::node::window_function;
use crate::sql::interval::{Interval, NANOS_OF_A_DAY};

/// The window functions, besides aggregates, that read their frame only.
const FRAMED: [&str; 3] = ["first_value", "last_value", "nth_value"];

const DAYS_OF_A_MONTH: i128 = 31;

/// The bounds of all frames of a window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    /// The order key, over the window's input.
    pub order: Expr,
    /// How far frames reach to lesser keys, in units of the key.
    pub below: i64,
    /// How far frames reach to greater keys.
    pub above: i64,
}

impl Frame {
    /// The frame that holds the frames of all functions of a window; `None` if one has no bounds, or another order key.
    pub(super) fn of(window: &Window) -> Option<Self> {
        let mut frames = window.window_expr.iter().map(|expr| of_function(window, window_function(expr)?));
        let mut frame = frames.next()??;
        for other in frames {
            let other = other.filter(|other| other.order == frame.order)?;
            frame.below = frame.below.max(other.below);
            frame.above = frame.above.max(other.above);
        }
        Some(frame)
    }
}

fn of_function(window: &Window, function: &WindowFunction) -> Option<Frame> {
    let params = &function.params;
    let [order] = params.order_by.as_slice() else { return None };
    let frame = &params.window_frame;
    if !reads_its_frame(&function.fun) || frame.units != WindowFrameUnits::Range {
        return None;
    }
    let of_key = order.expr.get_type(window.input.schema().as_ref()).ok()?;
    // The current row counts as part of the frame, so that a changed row is affected itself.
    let before = match &frame.start_bound {
        WindowFrameBound::Preceding(by) => distance(by, &of_key)?,
        WindowFrameBound::Following(by) => distance(by, &of_key).map(|_| 0)?,
        WindowFrameBound::CurrentRow => distance_of_none(&of_key)?,
    };
    let after = match &frame.end_bound {
        WindowFrameBound::Following(by) => distance(by, &of_key)?,
        WindowFrameBound::Preceding(by) => distance(by, &of_key).map(|_| 0)?,
        WindowFrameBound::CurrentRow => distance_of_none(&of_key)?,
    };
    let (below, above) = if order.asc { (before, after) } else { (after, before) };
    Some(Frame { order: order.expr.clone(), below, above })
}

/// Whether a function's value depends on the rows of its frame alone.
pub(super) fn reads_its_frame(function: &WindowFunctionDefinition) -> bool {
    match function {
        WindowFunctionDefinition::AggregateUDF(_) => true,
        WindowFunctionDefinition::WindowUDF(udf) => FRAMED.contains(&udf.name()),
    }
}

/// 0, if ranges of keys of this type are supported.
fn distance_of_none(of_key: &DataType) -> Option<i64> {
    super::range::has_ranges(of_key).then_some(0)
}

/// An upper limit of a bound's distance, in units of the key. `None`: there is no bound, or none that is known.
fn distance(by: &ScalarValue, of_key: &DataType) -> Option<i64> {
    distance_of_none(of_key)?;
    let whole = |by: i64| (by >= 0).then_some(by);
    match (by, of_key) {
        (ScalarValue::Int8(Some(by)), DataType::Int8) => whole(i64::from(*by)),
        (ScalarValue::Int16(Some(by)), DataType::Int16) => whole(i64::from(*by)),
        (ScalarValue::Int32(Some(by)), DataType::Int32) => whole(i64::from(*by)),
        (ScalarValue::Int64(Some(by)), DataType::Int64) => whole(*by),
        _ => span(Interval::of(by)?, of_key),
    }
}

/// The longest time that an interval can be, in units of the key, rounded up.
fn span(interval: Interval, of_key: &DataType) -> Option<i64> {
    if interval.is_negative() {
        return None;
    }
    let unit = match of_key {
        DataType::Date32 => NANOS_OF_A_DAY,
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
        _ => return None,
    };
    let nanos = interval.length(DAYS_OF_A_MONTH);
    Some(i64::try_from((nanos + unit - 1) / unit).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use deltalake::arrow::datatypes::IntervalMonthDayNano;

    fn interval(months: i32, days: i32, nanoseconds: i64) -> ScalarValue {
        ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { months, days, nanoseconds }))
    }

    #[test]
    fn a_distance_is_never_too_short() {
        let moment = |unit, zone: Option<&str>| DataType::Timestamp(unit, zone.map(Into::into));
        let micros = moment(TimeUnit::Microsecond, Some("UTC"));
        let day = 86_400_000_000;
        for (by, of_key, expected) in [
            (interval(0, 364, 0), DataType::Date32, Some(364)),
            (interval(2, 1, 0), DataType::Date32, Some(63)),
            (interval(0, 0, 1), DataType::Date32, Some(1)),
            (interval(0, 1, 1), micros.clone(), Some(day + 1)),
            (interval(1, 0, 0), micros.clone(), Some(31 * day)),
            (interval(0, 0, 1_500_000_000), moment(TimeUnit::Second, None), Some(2)),
            (interval(i32::MAX, 0, 0), moment(TimeUnit::Nanosecond, None), Some(i64::MAX)),
            (interval(1, -31, 0), DataType::Date32, None),
            (interval(0, 1, 0), moment(TimeUnit::Microsecond, Some("America/Denver")), None),
            (interval(0, 1, 0), DataType::Int64, None),
            (ScalarValue::IntervalMonthDayNano(None), DataType::Date32, None),
            (ScalarValue::Int64(Some(3)), DataType::Int64, Some(3)),
            (ScalarValue::Int64(Some(-3)), DataType::Int64, None),
            (ScalarValue::Int64(None), DataType::Int64, None),
            (ScalarValue::Int32(Some(3)), DataType::Int64, None),
            (ScalarValue::Float64(Some(1.0)), DataType::Float64, None),
        ] {
            assert_eq!(distance(&by, &of_key), expected, "{by:?} of {of_key}");
        }
    }
}
