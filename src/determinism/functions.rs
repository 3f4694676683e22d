//! How windows and aggregates depend on the order of rows.

use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::logical_expr::expr::WindowFunction;
use deltalake::datafusion::logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits};

/// Aggregates that do not depend on the order of the rows. Sums of floating-point numbers do, within the rounding of
/// the last digits.
const ORDER_FREE: &[&str] = &[
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "grouping",
    "max",
    "median",
    "min",
    "percentile_cont",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "sum",
    "var",
    "var_pop",
];

/// Windows that give tied rows the same value.
const RANKS: &[&str] = &["rank", "dense_rank", "percent_rank", "cume_dist"];

/// Windows that pick the value of one row of the frame.
const PICKS: &[&str] = &["first_value", "last_value", "nth_value"];

/// The dependencies of the value of a window function, apart from the relation as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The row's partition and its place in the order; tied rows get the same value.
    Peers,
    /// The same, and the order of tied rows if their arguments differ.
    Values,
    /// The row itself: tied rows may get different values.
    Rows,
}

/// Whether an aggregate has the same result for every order of rows.
pub(crate) fn is_order_free(name: &str) -> bool {
    ORDER_FREE.contains(&name)
}

/// Whether an aggregate is approximate.
pub(crate) fn is_approximate(name: &str) -> bool {
    name.starts_with("approx")
}

/// The dependencies of a window function.
pub(super) fn reach(call: &WindowFunction) -> Reach {
    let name = call.fun.name();
    let frame = &call.params.window_frame;
    let by_peers = frame.units != WindowFrameUnits::Rows || is_whole(frame);
    if RANKS.contains(&name) {
        return Reach::Peers;
    }
    let is_aggregate =
        matches!(call.fun, deltalake::datafusion::logical_expr::WindowFunctionDefinition::AggregateUDF(_));
    match by_peers {
        true if is_aggregate && is_order_free(name) => Reach::Peers,
        true if is_aggregate || PICKS.contains(&name) => Reach::Values,
        _ => Reach::Rows,
    }
}

/// Whether a frame is the whole partition.
fn is_whole(frame: &WindowFrame) -> bool {
    let no_bound = ScalarValue::is_null;
    matches!(&frame.start_bound, WindowFrameBound::Preceding(bound) if no_bound(bound))
        && matches!(&frame.end_bound, WindowFrameBound::Following(bound) if no_bound(bound))
}
