//! SQL: the single entry point for every text that a user writes, and all rules that make the query engine follow SQL.
//!
//! | step | action | module |
//! |---|---|---|
//! | read | text -> syntax, each part with its place; refuses clauses that the parser misreads or the planner drops | [`text`], [`references`], [`refuse`] |
//! | rewrite | syntax -> syntax that the engine supports | [`rewrite`] |
//! | plan | syntax -> plan over the columns of tables, with the known functions | [`planner`], [`functions`] |
//! | analyse | every expression gets its type | [`analyse`] |
//! | normalise | the query in the few operators of the calculus; subqueries become joins | [`mod@normalise`], [`decorrelate`] |
//! | optimise | the engine's rules, some of them replaced | [`optimizer`] |
//! | run | the engine's operators, with corrections | [`physical`] |
//!
//! The query of a table, a condition and an ad-hoc query all take this path: [`plan_sql`], [`Condition`], [`Question`].
//! docs/proof/datafusion.md lists every rule here that the engine should make unnecessary one day.

pub(crate) mod analyse;
mod ad_hoc_query;
mod condition;
pub(crate) mod decorrelate;
mod engine;
mod fallible;
pub(crate) mod frames_before_null;
pub(crate) mod functions;
mod hidden_columns;
pub(crate) mod interval;
mod long_unions;
pub(crate) mod normalise;
pub(crate) mod optimizer;
pub(crate) mod options;
pub(crate) mod physical;
pub(crate) mod planner;
mod question;
pub(crate) mod references;
mod relations;
pub(crate) mod refuse;
pub(crate) mod rewrite;
mod row_condition;
pub(crate) mod shapes;
pub(crate) mod text;
mod unary;
mod unique;
mod versions;
pub(crate) mod visit;
pub(crate) mod words;
mod written;

use deltalake::datafusion::common::tree_node::TreeNodeRecursion;
use deltalake::datafusion::logical_expr::LogicalPlan;

pub(crate) use ad_hoc_query::asked;
pub(crate) use condition::Condition;
pub(crate) use condition::{condition_of, is_row_wise, plan_condition};
pub(crate) use engine::{Planner, engine};
pub(crate) use fallible::{can_fail, never_fails};
pub(crate) use normalise::normalise;
pub(crate) use optimizer::plain::plainly;
pub(crate) use planner::{plan_sql, scan};
pub(crate) use question::Question;
pub(crate) use row_condition::row_condition;

use crate::determinism::{Code, Reason};
use optimizer::reorder;

/// Checks that a query has a plan: all of its subqueries are joins, or values that the engine computes first.
///
/// # Errors
/// Why there is none.
pub(crate) fn plannable(plan: &LogicalPlan) -> Result<(), Reason> {
    if !is_recursive(plan) && normalise(plan).is_ok_and(|plan| !normalise::leaves_subqueries(&plan)) {
        return Ok(());
    }
    let text = "the query engine has no plan for a correlated subquery of this query";
    if normalise::loses_empty_groups(plan) {
        return Err(Reason::new(Code::SubqueryNotPlanned, text));
    }
    match reorder::optimised(plan) {
        Ok(plan) if !normalise::leaves_correlated(&plan) => Ok(()),
        Ok(_) => Err(Reason::new(Code::SubqueryNotPlanned, text)),
        Err(e) => Err(Reason::new(Code::SubqueryNotPlanned, format!("{text}: {e}"))),
    }
}

/// Whether a query is recursive.
#[must_use]
pub(crate) fn is_recursive(plan: &LogicalPlan) -> bool {
    let mut found = false;
    // The closure never fails, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::RecursiveQuery(_));
        Ok(TreeNodeRecursion::Continue)
    });
    found
}
