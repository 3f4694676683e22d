//! What is done where a table's change cannot be computed, as its definition says.

use super::{Refreshed, Work};
use crate::definition::Policy;
use crate::error::Result;
use crate::outcome::{Warning, counted};
use crate::plan;

impl Work<'_> {
    /// A full refresh where an incremental one was begun, if the definition allows it.
    pub(super) async fn not_by_change(self, reason: String) -> Result<Refreshed> {
        if self.job.derived.refresh == Policy::Incremental {
            return Err(plan::not_incremental(self.job.table, &self.standing, &reason));
        }
        self.full(reason).await
    }

    /// The same where the table turned out not to be what our newest commit left.
    pub(super) async fn drifted(self, reason: String) -> Result<Refreshed> {
        if self.job.derived.refresh == Policy::Incremental {
            return self.not_by_change(reason).await;
        }
        self.repair(reason).await
    }

    /// A full refresh of a table that is not what our newest commit left, and a word about it.
    pub(super) async fn repair(self, reason: String) -> Result<Refreshed> {
        let warning = Warning {
            message: format!("{} had drifted and was rebuilt: {reason}", self.job.table.name),
            details: Vec::new(),
            help: Some(format!("see its versions: stedi-delta history {}", self.job.table.name)),
        };
        let mut done = self.full(reason).await?;
        let rows = [("came", done.rows_inserted), ("changed", done.rows_updated), ("went", done.rows_deleted)];
        let rows: Vec<String> =
            rows.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{} {what}", counted(*n, "row"))).collect();
        let details = if rows.is_empty() { "its rows were those of its query".to_owned() } else { rows.join(", ") };
        done.warnings.insert(0, Warning { details: vec![details], ..warning });
        Ok(done)
    }
}
