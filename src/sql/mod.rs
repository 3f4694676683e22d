//! SQL: the one front door for every text that somebody writes, and all that makes the query engine mean what SQL says.
//!
//! | step | what happens | where |
//! |---|---|---|
//! | read | text -> syntax, each part with its place; what the parser reads and the planner would drop is refused | [`text`], [`references`], [`refuse`] |
//! | rewrite | syntax -> syntax, in the words that the engine knows | [`rewrite`] |
//! | plan | syntax -> plan over the columns of tables, by the functions that are there | [`planner`], [`functions`] |
//! | analyse | every expression gets its type | [`analyse`] |
//! | normalise | a query in the small language that the calculus knows; subqueries are joins | [`mod@normalise`], [`decorrelate`] |
//! | optimise | the engine's rules, some of them ours | [`optimizer`] |
//! | run | the engine's operators, kept from what it believes wrongly | [`physical`] |
//!
//! The query of a table, a condition and a question that a person asks all go this way: [`plan_sql`], [`Condition`],
//! [`Question`]. docs/datafusion.md has a row for everything here that the engine should do itself one day.

pub(crate) mod analyse;
mod ad_hoc_query;
mod condition;
pub(crate) mod decorrelate;
mod engine;
mod fallible;
pub(crate) mod functions;
pub(crate) mod normalise;
pub(crate) mod optimizer;
pub(crate) mod options;
pub(crate) mod physical;
pub(crate) mod planner;
mod question;
pub(crate) mod references;
pub(crate) mod refuse;
pub(crate) mod rewrite;
pub(crate) mod shapes;
pub(crate) mod text;
mod unique;
pub(crate) mod words;

use deltalake::datafusion::common::tree_node::TreeNodeRecursion;
use deltalake::datafusion::logical_expr::LogicalPlan;

pub use ad_hoc_query::asked;
pub use condition::Condition;
pub(crate) use condition::{condition_of, plan_condition};
pub use engine::{Planner, engine};
pub use fallible::{can_fail, never_fails};
pub use normalise::normalise;
pub use optimizer::plain::plainly;
pub use planner::{plan_sql, scan};
pub use question::Question;

use crate::determinism::{Code, Reason};
use optimizer::reorder;

/// Whether there is a plan for a query: all of its subqueries are joins, or values that the engine computes first.
///
/// # Errors
/// Why there is none.
pub fn plannable(plan: &LogicalPlan) -> Result<(), Reason> {
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

/// Whether a query reads its own rows so far.
#[must_use]
pub fn is_recursive(plan: &LogicalPlan) -> bool {
    let mut found = false;
    // The closure never fails, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::RecursiveQuery(_));
        Ok(TreeNodeRecursion::Continue)
    });
    found
}
