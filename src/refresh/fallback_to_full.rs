//! The fallback by a table's definition if its change cannot be computed.

use super::inputs::Lost;
use super::{Refreshed, Work};
use crate::definition::Table;
use crate::error::{Error, Kind, Result};
use crate::graph::Graph;
use crate::name::TableName;
use crate::outcome::{Warning, counted};
use crate::plan::{self, Change, Decision};

impl Work<'_> {
    /// The fallback if an incremental refresh was started and rows that it needs are missing.
    pub(super) async fn not_by_change(self, lost: Lost) -> Result<Refreshed> {
        let change = Change::Lost { why: lost.to_string(), error: self.loses(&lost) };
        let decision = plan::by_change(self.job.table, &self.standing, change);
        self.whole(decision).await
    }

    /// The fallback if the table has drifted.
    pub(super) async fn drifted(self, reason: String) -> Result<Refreshed> {
        let decision = plan::drifted(self.job.table, &self.standing, reason);
        self.whole(decision).await
    }

    /// Carries out a decision for a full refresh, or to stop.
    pub(super) async fn whole(self, decision: Decision) -> Result<Refreshed> {
        match decision {
            Decision::Full(reason) => self.full(reason).await,
            Decision::Repair(reason) => self.repair(reason).await,
            Decision::Stop(error) => Err(error),
            other => Err(Error::new(Kind::Internal, format!("`{}` without its change", other.reason()))),
        }
    }

    /// The error of a table with `refresh = "incremental"` if the change of a source is lost. Other tables that read
    /// that source, or this table, lost the vacuumed files as well: the hint repairs them all.
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

    /// A full refresh of a drifted table, with a warning.
    pub(super) async fn repair(self, reason: String) -> Result<Refreshed> {
        let warning = Warning {
            message: format!("{} had drifted and was rebuilt: {reason}", self.job.table.name),
            details: Vec::new(),
            help: Some(format!("see its versions: stedi-delta history {}", self.job.table.name)),
        };
        let mut done = self.full(reason).await?;
        let rows = [("came", done.rows.inserted), ("changed", done.rows.updated), ("went", done.rows.deleted)];
        let rows: Vec<String> =
            rows.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{} {what}", counted(*n, "row"))).collect();
        let details = if rows.is_empty() { "its rows were those of its query".to_owned() } else { rows.join(", ") };
        done.warnings.insert(0, Warning { details: vec![details], ..warning });
        Ok(done)
    }
}
