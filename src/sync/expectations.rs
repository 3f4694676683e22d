//! Changed expectations of a landing table: new records are checked when they land, existing rows here.

use super::{Attempt, Done};
use crate::checks;
use crate::definition::{Action, Table};
use crate::error::{Error, Result};
use crate::lake::LakeTable;
use crate::outcome::{Mode, Warning, counted};
use crate::plan::{self, EXPECTATIONS_CHANGED};
use crate::retry;

impl Attempt<'_> {
    /// Checks all rows of a landing table if its expectations have changed since they were checked, and records that in
    /// a commit of its own. Rows that should be in quarantine stay: their records are in the landing files.
    ///
    /// # Errors
    /// `Evidence` if rows fail a `fail` expectation: they have landed, but tables below do not use them.
    pub(super) async fn checked(&self, table: &Table, mut done: Done) -> Result<Done> {
        let is_unchecked = |stands: &LakeTable| plan::is_unchecked(table, stands.state().expectations());
        if !is_unchecked(&done.table) {
            return Ok(done);
        }
        let known = &done.table;
        let mut first = Some(known.clone());
        let check = || {
            let first = first.take();
            async move {
                let stands = match first {
                    Some(stands) => stands,
                    None => LakeTable::open(known.location()).await?.unwrap_or_else(|| known.clone()),
                };
                if is_unchecked(&stands) {
                    let (stands, warnings) = self.check_rows(table, &stands).await?;
                    return Ok((stands, Some(warnings)));
                }
                Ok((stands, None))
            }
        };
        let (stands, warnings) = retry::COMMIT.until_no_conflict(check).await?;
        done.table = stands;
        // `None`: a concurrent run has checked the rows.
        let Some(warnings) = warnings else { return Ok(done) };
        done.warnings.extend(warnings);
        if done.mode == Mode::None {
            done.mode = Mode::Check;
        }
        let reasons = [done.reason.as_str(), EXPECTATIONS_CHANGED].into_iter().filter(|reason| !reason.is_empty());
        done.reason = reasons.collect::<Vec<_>>().join(", ");
        Ok(done)
    }

    async fn check_rows(&self, table: &Table, stands: &LakeTable) -> Result<(LakeTable, Vec<Warning>)> {
        let name = table.name.as_str();
        let found = checks::failing(table, stands, &self.workspace.session()?, |_| true).await?;
        let failing = || found.iter().filter(|(_, rows)| *rows > 0);
        let refused = failing().filter(|(check, _)| check.action == Action::Fail);
        let refused = refused.map(|(check, rows)| (check.name.as_str(), counted(*rows, "row"))).collect();
        if let Some(error) = checks::refused(name, &refused) {
            return Err(found_in(error, stands).help(format!(
                "correct the landing files, then: stedi-delta sync --reload {name}; or let the expectation `warn`"
            )));
        }
        let warnings = failing().map(|(check, rows)| match check.action {
            Action::Quarantine => Warning {
                help: Some(format!("move them to quarantine: stedi-delta sync --reload {name}")),
                ..checks::warning(&check.name, name, *rows)
            },
            _ => checks::warning(&check.name, name, *rows),
        });
        Ok((checks::record(stands, table, self.run).await?, warnings.collect()))
    }
}

fn found_in(error: Error, stands: &LakeTable) -> Error {
    error.fact("table", format!("{} (v{})", stands.location(), stands.version()))
}
