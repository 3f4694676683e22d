//! What is done where a table's change cannot be computed, as its definition says.

use super::inputs::Lost;
use super::{Refreshed, Work};
use crate::definition::{Policy, Table};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::name::TableName;
use crate::outcome::{Warning, counted};
use crate::plan;

impl Work<'_> {
    /// A full refresh where an incremental one was begun, if the definition allows it.
    pub(super) async fn not_by_change(self, lost: Lost) -> Result<Refreshed> {
        if self.job.derived.refresh == Policy::Incremental {
            return Err(self.loses(&lost));
        }
        self.full(lost.to_string()).await
    }

    /// The same where the table turned out not to be what our newest commit left.
    pub(super) async fn drifted(self, reason: String) -> Result<Refreshed> {
        if self.job.derived.refresh == Policy::Incremental {
            return Err(plan::not_incremental(self.job.table, &self.standing, &reason));
        }
        self.repair(reason).await
    }

    /// The error of a table with `refresh = "incremental"` for which the change of a source is lost. Other tables read that
    /// source, or this table, and what a vacuum took is lost to them as well: the hint heals them all.
    pub(super) fn loses(&self, lost: &Lost) -> Error {
        let table = self.job.table;
        let error = plan::not_incremental(table, &self.standing, &lost.to_string());
        let Ok(source) = TableName::parse(&lost.source) else { return error };
        let own = [Some(&table.name), self.job.derived.quarantine_of.as_ref()];
        let is_other = |name: &TableName| {
            let half = self.job.project.table(name).and_then(Table::quarantine_of);
            !own.contains(&Some(name)) && half != Some(&table.name)
        };
        if Graph::new(self.job.project).descendants(&source).iter().any(is_other) {
            return error.help(format!("stedi-delta sync -s {source}+ --full-refresh   (every table below {source})"));
        }
        error
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
