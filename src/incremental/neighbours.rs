//! Windows that read a number of rows before and after their own, such as `lag(x)` and `rows between 6 preceding and
//! current row`: how far a change reaches.
//!
//! Such a row needs `below` rows of its partition with lesser order keys and `above` with greater ones. Of each touched
//! partition let `first` and `last` be the least and the greatest changed key, by the first order key alone. The rows
//! beyond them are the same in the old and the new snapshot, so a look into one snapshot tells where the affected rows
//! begin and end: at the `above`-th key below `first` and the `below`-th one above `last`. They need those up to the
//! `above + below`-th key on both sides. Keys are counted, not rows, so that peers are never separated, and so that
//! groups of peers can be counted, too.
//!
//! The look is cheap in most cases: changes come in batches, such as those of a day, and each partition's neighbours are
//! not further from its first and last changed key than the first and last changed key of all partitions are from each
//! other. Where that is not so, the rest of the partition's keys is read, on the side where they were too few.
//!
//! A partition with an order key that is NULL is recomputed.

use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use deltalake::datafusion::logical_expr::{
    Expr, ExprSchemable, Window, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};

use super::affected::common_partition;
use super::derive::compares_exactly;
use super::frame::reads_its_frame;
use super::range::has_ranges;
use super::restrict::restricts_tables;
use crate::node::window_function;

/// How many rows the functions of a window read beside their own.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Neighbours {
    /// The first order key, over the window's input.
    pub order: Expr,
    /// How many with lesser keys.
    pub below: u64,
    /// How many with greater keys.
    pub above: u64,
}

impl Neighbours {
    /// Those of all functions of a window; `None` if one reads more, or another partition or order.
    pub(super) fn of(window: &Window) -> Option<Self> {
        let schema = window.input.schema();
        let partition = common_partition(window);
        let is_exact = |key: &Expr| key.get_type(schema.as_ref()).is_ok_and(|of| compares_exactly(&of));
        if partition.is_empty() || !partition.iter().all(is_exact) {
            return None;
        }
        let mut functions = window.window_expr.iter().map(|expr| of_function(window_function(expr)?, &partition));
        let mut all = functions.next()??;
        for other in functions {
            let other = other.filter(|other| other.order == all.order)?;
            all.below = all.below.max(other.below);
            all.above = all.above.max(other.above);
        }
        let of_order = all.order.get_type(schema.as_ref()).ok()?;
        // Where ranges restrict no table, a look reads as much as the recomputation of whole partitions does.
        (has_ranges(&of_order) && restricts_tables(&window.input, &all.order)).then_some(all)
    }
}

fn of_function(function: &WindowFunction, partition: &[Expr]) -> Option<Neighbours> {
    let params = &function.params;
    let order = params.order_by.first()?;
    // The engine's planner makes a window of each partition and order; other plans may not.
    if !params.partition_by.iter().all(|key| partition.contains(key)) {
        return None;
    }
    let (before, after) = match &function.fun {
        WindowFunctionDefinition::WindowUDF(udf) if matches!(udf.name(), "lag" | "lead") => {
            if params.null_treatment == Some(NullTreatment::IgnoreNulls) {
                return None;
            }
            let by = match params.args.get(1) {
                None => 1,
                Some(Expr::Literal(ScalarValue::Int64(Some(by)), _)) => *by,
                Some(_) => return None,
            };
            let is_before = (udf.name() == "lag") == (by >= 0);
            if is_before { (by.unsigned_abs(), 0) } else { (0, by.unsigned_abs()) }
        }
        of if reads_its_frame(of) => {
            let frame = &params.window_frame;
            if !matches!(frame.units, WindowFrameUnits::Rows | WindowFrameUnits::Groups) {
                return None;
            }
            (around(&frame.start_bound)?.0, around(&frame.end_bound)?.1)
        }
        _ => return None,
    };
    let (below, above) = if order.asc { (before, after) } else { (after, before) };
    Some(Neighbours { order: order.expr.clone(), below, above })
}

/// How far a bound is before and after its row. `None`: there is no bound.
fn around(bound: &WindowFrameBound) -> Option<(u64, u64)> {
    let count = |by: &ScalarValue| match by {
        ScalarValue::UInt64(Some(by)) => Some(*by),
        _ => None,
    };
    match bound {
        WindowFrameBound::Preceding(by) => Some((count(by)?, 0)),
        WindowFrameBound::Following(by) => Some((0, count(by)?)),
        WindowFrameBound::CurrentRow => Some((0, 0)),
    }
}
