//! The derivative of a query: the plans that compute the change of its result from the changes of its tables.
//!
//! A change is a multiset of rows with a signed weight (`_w`, last column): `+n` inserted n times, `-n` deleted n
//! times. For a plan `P`, with `P°` its result over the old snapshot of its tables and `P'` over the new one, the
//! program computes `P' - P°` without computing either of them completely:
//!
//! | operator | change | rule |
//! |---|---|---|
//! | scan, filter, projection, alias, unnest, union all | the operator over the change | linear |
//! | inner and cross join | `dL ⋈ R'  +  L° ⋈ dR` | bilinear, telescoped |
//! | semi, anti join | `dL ⋉ R'  ±  L° ⋉ (keys that began or ceased to exist)` | match existence |
//! | left and mark join, scalar subquery | `dL ⟕ R'  +  (L° ⟕ R' - L° ⟕ R°)`, the bracket for the keys of `dR` | linear in L |
//! | full join | `F(L' ⋉ K, R' ⋉ K) - F(L° ⋉ K, R° ⋉ K)`, `K` the keys of `dL` and `dR` | affected keys |
//! | count, sum, min, max of a grouping that the result shows | old value ± change, where exact | combined |
//! | `row_number() = 1` whose first order keys the result shows | the table's row or an inserted one, unless these keys tie | first row |
//! | `sum`, `count`, `row_number` and others from the start of a partition to the row | the table's values before the change, continued | running |
//! | group by, distinct, window whose keys the result shows | `F(X' ⋉ K) - result ⋉ K` | affected keys, the table for the old side |
//! | count and sum of a grouping below the top | `F(X' ⋉ K) - (F(X' ⋉ K) - F(dX))` by value, where exact | subtracted |
//! | union all of inputs with different constants | each input over its part of the table, at the top | by input |
//! | window whose frames are ranges bounded on both sides | the same, `K` with a range of order keys | affected ranges |
//! | `lag`, `lead`, window whose frames are so many rows | the same, the range found around the changed rows | neighbours |
//! | group by, distinct, window | `F(X' ⋉ K) - F(X° ⋉ K)`, `K` the keys of `dX` | affected keys |
//!
//! Every restriction `⋉ K` by materialised keys is only an optimisation: a superset of the keys, or no restriction at
//! all, gives the same change. So the executor may decide by size.
//!
//! This holds for queries whose tables determine their result: `determinism` refuses the others, such as one whose
//! `row_number()` uses an order with ties. The remaining exception are sums of floating-point numbers in another order,
//! whose last digits may differ.

mod affected;
mod bits;
mod branches;
mod build;
mod combine;
mod derive;
mod existence;
mod explain;
mod first_row;
mod frame;
mod join;
mod look;
mod neighbours;
mod outer;
mod range;
mod reach;
mod reasons;
mod restrict;
mod root;
mod running;
mod starts;
mod consolidated;
mod subtract;

use std::collections::BTreeSet;
use std::fmt;

use deltalake::datafusion::logical_expr::LogicalPlan;

use crate::determinism::{Code, Reason};
use crate::error::{Context, Result};
use crate::sql::normalise::{in_place, normalise};
use crate::sql::{is_recursive, plainly};

pub(crate) use range::{Within, ranges};
pub(crate) use root::{ResultReuse, Tops};
pub(crate) use subtract::is_subtracted;

/// Name of the weight column: Int64, last in every change.
pub(crate) const WEIGHT: &str = "_w";

/// Which rows of a table a scan reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The rows at the consumed version.
    Old,
    /// The rows at the cut.
    New,
    /// The difference of the two, with weights.
    Change,
    /// The maintained table itself: the query's result over the old rows.
    Maintained,
}

/// The source of the query's result over the old rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldResult {
    /// [`Side::Maintained`], where a rule can read it.
    Maintained,
    /// It is computed.
    Computed,
}

/// What is known of the size of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeSize {
    /// Nothing yet.
    Unknown,
    /// A step that must be held was too large. No rule may require one.
    Large,
}

/// Properties of a table's change that are known before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The table did not change.
    None,
    /// All weights are positive.
    InsertOnly,
    /// Any weights.
    Mutating,
}

/// The name of the scan of one side of a table in a program's plans: `customer_landing@old`.
#[must_use]
pub(crate) fn scan_name(table: &str, side: Side) -> String {
    let side = match side {
        Side::Old => "old",
        Side::New => "new",
        Side::Change => "change",
        Side::Maintained => "result",
    };
    format!("{table}@{side}")
}

/// The table and side of a scan's name; `None` for a scan of a step.
#[must_use]
pub(crate) fn parse_scan_name(name: &str) -> Option<(&str, Side)> {
    let (table, side) = name.rsplit_once('@')?;
    match side {
        "old" => Some((table, Side::Old)),
        "new" => Some((table, Side::New)),
        "change" => Some((table, Side::Change)),
        "result" => Some((table, Side::Maintained)),
        _ => None,
    }
}

/// Why a query has no derivative here, in terms that the author of the query knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotIncremental {
    /// At least one.
    pub reasons: Vec<Reason>,
}

impl fmt::Display for NotIncremental {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<_> = self.reasons.iter().map(Reason::to_string).collect();
        f.write_str(&reasons.join("; "))
    }
}

impl std::error::Error for NotIncremental {}

/// A query that can be maintained incrementally.
#[derive(Clone, Debug)]
pub struct Program {
    plan: LogicalPlan,
    tables: BTreeSet<String>,
}

/// The plans for a given combination of changed tables.
#[derive(Clone, Debug)]
pub struct Stages {
    /// In order; a step reads tables and earlier steps.
    pub steps: Vec<Step>,
    /// The change of the query's result: its columns, then [`WEIGHT`]. `None`: nothing can have changed.
    pub result: Option<LogicalPlan>,
    /// The result has positive weights only; otherwise it has to be consolidated.
    pub insert_only: bool,
}

/// An intermediate result: a view over tables and earlier steps, worth materialising while it is small.
///
/// A right semi join whose left input is a scan of a step restricts its right input by the step's keys: it may be
/// omitted, and is empty if the step is.
#[derive(Clone, Debug)]
pub struct Step {
    /// The name under which later plans scan it.
    pub name: String,
    /// Columns `c0, c1, ...`; [`WEIGHT`] last if rows have weights.
    pub plan: LogicalPlan,
    /// Hash joins read the result several times. If it is too large to be held, the change is to be planned with
    /// [`ChangeSize::Large`].
    pub must_be_held: bool,
}

impl Program {
    /// Tables that the query reads, by name.
    #[must_use]
    pub fn tables(&self) -> &BTreeSet<String> {
        &self.tables
    }

    /// The normalised query.
    #[must_use]
    pub fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// The steps for the tables that changed: terms of unchanged tables are omitted.
    ///
    /// # Errors
    /// The query engine refuses a plan.
    pub fn stages(&self, kind: &dyn Fn(&str) -> ChangeKind, old: OldResult, size: ChangeSize) -> Result<Stages> {
        derive::stages(&self.plan, kind, old, size).context(|| "the change cannot be planned".into())
    }
}

/// Derives the program that maintains the result of an analysed query, which must be deterministic.
///
/// # Errors
/// Every reason for which the query has to be recomputed instead.
pub fn differentiate(plan: &LogicalPlan) -> Result<Program, NotIncremental> {
    let because = |reasons: Vec<Reason>| NotIncremental { reasons };
    let rewriting = |text: String| because(vec![Reason::new(Code::NotRewritten, text)]);
    let before = reasons::of_query(plan);
    if !before.is_empty() {
        return Err(because(before));
    }
    let plan = normalise(plan).map_err(|e| rewriting(format!("the query cannot be normalised: {e}")))?;
    let after = reasons::of_normalised(&plan);
    if !after.is_empty() {
        return Err(because(after));
    }
    let tables = build::tables(&plan).map_err(|e| rewriting(format!("the query cannot be read: {e}")))?;
    let program = Program { plan, tables };
    // A dry run: plans that the engine refuses are found here and not in the middle of a sync.
    program
        .stages(&|_| ChangeKind::Mutating, OldResult::Maintained, ChangeSize::Unknown)
        .map_err(|e| rewriting(format!("its change cannot be planned: {e}")))?;
    Ok(program)
}

/// The query over the current rows of its tables, for a full evaluation.
///
/// # Errors
/// The query engine refuses the plan.
pub(crate) fn over_new(plan: &LogicalPlan) -> Result<LogicalPlan> {
    // The same normal form as for the change, so that both evaluate `in` and `not in` as SQL does. A query without a
    // normal form is passed to the engine unchanged.
    let plan = if is_recursive(plan) {
        in_place(plan).unwrap_or_else(|_| plan.clone())
    } else {
        normalise(plan).unwrap_or_else(|_| plan.clone())
    };
    build::over(&plan, Side::New, &|_| ChangeKind::Mutating).context(|| "the query cannot be planned".into())
}

/// The query over the current rows of its tables, planned as written: a second opinion.
///
/// # Errors
/// It cannot be planned so.
pub(crate) fn plainly_over_new(plan: &LogicalPlan) -> deltalake::datafusion::common::Result<LogicalPlan> {
    build::over(&plainly(plan)?, Side::New, &|_| ChangeKind::Mutating)
}

/// The change that turns one multiset of rows into another: both plans have the same columns, by position.
///
/// # Errors
/// The columns differ.
pub(crate) fn difference(new: LogicalPlan, old: LogicalPlan) -> Result<LogicalPlan> {
    build::difference(new, old)
        .and_then(build::consolidate)
        .context(|| "the difference of two results cannot be planned".into())
}

/// Sums the weights of equal rows and drops rows with weight 0; the columns and their names stay.
///
/// # Errors
/// The plan is no change.
pub(crate) fn consolidate(change: LogicalPlan) -> Result<LogicalPlan> {
    let schema = change.schema().clone();
    build::consolidate(change)
        .and_then(|plan| build::renamed(plan, &schema))
        .context(|| "a change cannot be consolidated".into())
}
