//! Whether the tables of a query determine its result, as a multiset of rows.
//!
//! A query that keeps "the first three rows" of an order with ties has several correct results. A table of it would
//! hold whichever row came first: its change could not be computed, two engines would disagree, and nothing could be
//! verified. So such queries are refused, each with a [`Code`] and a remedy.
//!
//! An order is total where it matters if tied rows agree in every column that the query uses: exchanging them is then
//! not observable. That holds if the order contains a key (`facts`, `operators`), or all used columns (`walk`). The
//! check is conservative: it may refuse a deterministic query, but never accepts a nondeterministic one
//! (`evaluate/tests/shuffled.rs` runs random queries over rows in two orders).

mod column_set;
mod columns;
mod facts;
mod functions;
mod operators;
mod orders;
mod reason;
#[cfg(test)]
mod tests;
mod walk;

use deltalake::datafusion::common::Span;
use deltalake::datafusion::common::tree_node::TreeNodeRecursion;
use deltalake::datafusion::logical_expr::LogicalPlan;

pub(crate) use column_set::Columns;
pub(crate) use columns::{Scope, subquery_of};
pub(crate) use functions::{is_approximate, is_order_free};
pub(crate) use reason::{Code, Reason};

/// A nondeterministic part of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undetermined {
    /// Its kind.
    pub code: Code,
    /// The finding as text.
    pub finding: Finding,
    /// What to write instead.
    pub way_out: String,
    /// Its place in the text of the query.
    pub place: Clue,
}

impl Undetermined {
    /// The reason; `written` is the name by which the query calls the function, if known.
    #[must_use]
    pub(crate) fn reason(&self, written: Option<&str>) -> Reason {
        let Finding { before, called, after } = &self.finding;
        let name = written.or(called.as_deref()).map_or_else(String::new, |name| format!("`{name}`"));
        Reason::new(self.code, format!("{before}{name}{after}"))
    }
}

/// A lower-case fragment around the name of a function. Functions have several names; the message uses the one in the
/// text of the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    before: String,
    called: Option<String>,
    after: String,
}

impl Finding {
    fn of_call(before: &str, name: &str, after: impl Into<String>) -> Self {
        Self { before: before.into(), called: Some(name.into()), after: after.into() }
    }
}

impl From<&str> for Finding {
    fn from(text: &str) -> Self {
        Self { before: text.into(), called: None, after: String::new() }
    }
}

/// How to find a place in the text of a query: plans do not contain it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Clue {
    /// The call of a function by one of these names, before the first of these columns.
    Call {
        /// All names of the function.
        names: Vec<String>,
        /// Columns of the call.
        columns: Vec<Span>,
    },
    /// The `limit` or `offset` after these columns, with this number.
    Limit {
        /// Its number.
        number: Option<i64>,
        /// Columns of the `order by` before it.
        columns: Vec<Span>,
    },
    /// The `distinct on` before these columns.
    DistinctOn {
        /// Columns of it.
        columns: Vec<Span>,
    },
}

/// Every nondeterministic part of an analysed query, once.
///
/// `keys` gives the keys of a table by its name: sets of columns that no two of its rows share.
#[must_use]
pub(crate) fn undetermined(plan: &LogicalPlan, keys: &dyn Fn(&str) -> Vec<Vec<String>>) -> Vec<Undetermined> {
    let mut recursive = Vec::new();
    // The visitor never returns an error.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::RecursiveQuery(query) = node {
            recursive.push(query.name.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    let mut walk = walk::Walk::new(operators::Known::new(keys, recursive));
    walk.result(plan);
    walk.found
}
