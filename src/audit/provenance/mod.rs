//! Row-level provenance: for each row of a query's result, the rows of a table that it comes from.
//!
//! The normalised query is computed again with one more column, [`ORIGIN`]: the columns by which the rows of one of its
//! scans are identified. A row of the result then stands there once per row of that scan that it comes from:
//!
//! | operator | rows that a row comes from |
//! |---|---|
//! | scan | itself |
//! | filter, projection, unnest, union all | those of the input row |
//! | inner, left and full join | those of both rows of the pair |
//! | semi and mark join (`exists`, `in`) | those of the left row; as a condition, those of all rows that match |
//! | anti join (`not exists`) | those of the left row; there is no row that matches |
//! | group by, distinct | those of all rows of the group |
//! | grouping sets, rollup, cube | those of all rows of the group, by the keys of the row's own grouping set |
//! | window, limit | those of the row itself, not those that it was compared with |
//!
//! Other operators have no rule: for scans below them there is a reason instead. Rows that are equal in all columns that
//! an operator sees are told apart by none of these.

mod grouping;
mod scans;
mod trace;

use deltalake::datafusion::common::Result;
use deltalake::datafusion::logical_expr::LogicalPlan;

pub(super) use scans::Scan;
pub(super) use trace::ORIGIN;

use crate::outcome::Role;
use crate::sql::{is_recursive, normalise};

/// A query by the scans of its tables.
#[derive(Debug)]
pub(super) struct Provenance {
    plan: LogicalPlan,
    scans: Vec<Scan>,
}

impl Provenance {
    /// That of an analysed query.
    ///
    /// # Errors
    /// The reason why it has no normal form.
    pub(super) fn of(plan: &LogicalPlan) -> Result<Self, String> {
        if is_recursive(plan) {
            return Err("its query is recursive".to_owned());
        }
        let plan = normalise(plan).map_err(|error| error.unredacted().to_string())?;
        if crate::sql::normalise::leaves_subqueries(&plan) {
            return Err("its query has a subquery that is no join".to_owned());
        }
        let scans = scans::scans(&plan);
        Ok(Self { plan, scans })
    }

    /// The normalised query.
    pub(super) fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// Its scans.
    pub(super) fn scans(&self) -> &[Scan] {
        &self.scans
    }

    /// The rows of the result, each once per row of a scan that it comes from, or once with NULL: the columns of the
    /// query, then the struct [`ORIGIN`] of the columns `carried` of the scan's table.
    ///
    /// # Errors
    /// An operator has no rule, or the engine refuses the plan.
    pub(super) fn rows(&self, scan: usize, carried: &[String]) -> Result<LogicalPlan> {
        trace::traced(&self.plan, scan, carried)
    }

    /// Whether an output column is, through all operators, a column of a table: a condition on it can then be moved
    /// anywhere and fails nowhere.
    pub(super) fn is_plain(&self, column: usize) -> bool {
        scans::is_plain(&self.plan, column)
    }
}

/// Whether rows of a scan take part in rows of the result.
pub(super) fn takes_part(scan: &Scan) -> bool {
    scan.unknown.is_none() && scan.role != Role::Absence
}
