//! Orders of aggregates that the query engine cannot follow, although they are deterministic: it would fail at run
//! time, or silently use another order.

use deltalake::datafusion::logical_expr::Expr;
use deltalake::datafusion::logical_expr::expr::{AggregateFunction, Sort};
use deltalake::datafusion::logical_expr::utils::AggregateOrderSensitivity;

use super::Finding;
use super::walk::bare;

/// An aggregate whose order is not followed.
pub(super) struct Unfollowed {
    /// Its position among the aggregates.
    pub at: usize,
    /// Why.
    pub problem: Finding,
    /// What to write instead.
    pub way_out: &'static str,
}

/// The aggregates of one grouping whose order the engine does not follow. Columns of `grouped` are constant in a group
/// and do not affect the order.
///
/// The rows of a group have one order, that of the aggregates that need one; those that sort by themselves only have
/// preferences (`get_finer_aggregate_exprs_requirement` of DataFusion 55). The engine also tries reversed orders; if
/// that makes an order longer, it uses it forwards and drops its previous one. That is a conflict here, too.
pub(super) fn unfollowed(aggregates: &[Option<&AggregateFunction>], grouped: &[&Expr]) -> Vec<Unfollowed> {
    let mut found = Vec::new();
    let all = || aggregates.iter().enumerate().filter_map(|(at, f)| Some((at, (*f)?)));
    for (at, f) in all().filter(|(_, f)| !orders_its_values(f)) {
        let before = "the query engine cannot order the distinct values of ";
        let problem = Finding::of_call(before, f.func.name(), " by anything else");
        found.push(Unfollowed { at, problem, way_out: "order them by themselves, and by nothing more" });
    }
    let sensitivity = |f: &AggregateFunction| f.func.order_sensitivity();
    let needs = all().filter(|(_, f)| sensitivity(f).hard_requires());
    let wishes = all().filter(|(_, f)| sensitivity(f) == AggregateOrderSensitivity::SoftRequirement);
    let (mut rows, mut is_needed): (Vec<&Sort>, bool) = (Vec::new(), false);
    for ((at, f), is_wish) in needs.map(|f| (f, false)).chain(wishes.map(|f| (f, true))) {
        let is_constant = |sort: &&Sort| grouped.iter().any(|g| bare(g) == bare(&sort.expr));
        let order: Vec<&Sort> = f.params.order_by.iter().filter(|sort| !is_constant(sort)).collect();
        is_needed |= !is_wish && !order.is_empty();
        if begins_with(&rows, &order, false) || begins_with(&rows, &order, true) {
            continue;
        }
        if begins_with(&order, &rows, false) {
            rows = order;
        } else if !is_wish || (is_needed && begins_with(&order, &rows, true)) {
            let before = "the query engine cannot order rows for ";
            let problem = Finding::of_call(before, f.func.name(), " and for another aggregate beside it");
            let way_out = "let one order begin with the other, or compute one of them in a subquery and join it";
            found.push(Unfollowed { at, problem, way_out });
        }
    }
    found
}

/// Whether distinct values that an aggregate collects are ordered only by themselves, or not at all.
fn orders_its_values(f: &AggregateFunction) -> bool {
    let collects = f.params.distinct && matches!(f.func.name(), "array_agg" | "string_agg");
    let value = || f.params.args.first().map(bare);
    match f.params.order_by.as_slice() {
        _ if !collects => true,
        [] => true,
        [only] => value() == Some(bare(&only.expr)),
        _ => false,
    }
}

/// Whether `order` begins with all of `first`, read backwards if `reversed`.
fn begins_with(order: &[&Sort], first: &[&Sort], reversed: bool) -> bool {
    let same = |(a, b): (&&Sort, &&Sort)| {
        bare(&a.expr) == bare(&b.expr) && (a.asc != b.asc) == reversed && (a.nulls_first != b.nulls_first) == reversed
    };
    first.len() <= order.len() && order.iter().zip(first).all(same)
}
