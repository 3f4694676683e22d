//! After its work a sync merges small files of the tables to which it has committed. It never fails because of that, and
//! waits for nobody.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::{Purpose, Work};
use crate::lake::LakeTable;
use crate::name::TableName;
use crate::optimize::{Share, Target, share};
use crate::outcome::SyncOutcome;

impl Work<'_> {
    /// Merges files of tables of this run, of quarantines that have grown, and of the ledger.
    pub(super) async fn optimize(&self, outcome: &mut SyncOutcome, standing: &mut BTreeMap<TableName, LakeTable>) {
        if !self.optimizes() {
            return;
        }
        let mut left = self.share(outcome);
        for at in 0..outcome.tables.len() {
            let entry = &outcome.tables[at];
            let Some(table) = self.workspace.project.table(&entry.table) else { continue };
            let is_changed = entry.problem.is_none() && entry.version_before != entry.version_after;
            let has_grown = table.landing().is_some() && entry.rows.quarantined > 0;
            if !table.auto_optimize.unwrap_or(self.workspace.project.auto_optimize) {
                continue;
            }
            if is_changed && let Some(stands) = standing.get(&table.name).cloned() {
                let Ok(target) = Target::table(&self.workspace, table) else { continue };
                let (done, stands) = share(&mut left, &target, stands).await;
                outcome.tables[at].version_after = Some(stands.version());
                standing.insert(table.name.clone(), stands);
                outcome.optimized.extend(done);
            }
            if has_grown {
                self.optimize_at(outcome, Target::quarantine(&self.workspace, table).ok(), &mut left).await;
            }
        }
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ledger) = ledger.filter(|_| self.workspace.project.auto_optimize) {
            let (done, _) = share(&mut left, &Target::system(&self.workspace, "files"), ledger).await;
            outcome.optimized.extend(done);
        }
    }

    /// Merges files of the table of runs.
    pub(super) async fn optimize_runs(&self, outcome: &mut SyncOutcome, runs: LakeTable) {
        if self.optimizes() && self.workspace.project.auto_optimize {
            let mut left = self.share(outcome);
            let (done, _) = share(&mut left, &Target::system(&self.workspace, "runs"), runs).await;
            outcome.optimized.extend(done);
        }
    }

    async fn optimize_at(&self, outcome: &mut SyncOutcome, target: Option<Target<'_>>, left: &mut Share<'_>) {
        let Some(target) = target else { return };
        if let Ok(Some(table)) = LakeTable::open(target.location()).await {
            outcome.optimized.extend(share(left, &target, table).await.0);
        }
    }

    /// A saved plan is applied and nothing else.
    fn optimizes(&self) -> bool {
        self.purpose == Purpose::Apply && self.options.plan.is_none()
    }

    /// What this run may spend, after what it has spent.
    fn share(&self, outcome: &SyncOutcome) -> Share<'_> {
        let spent = outcome.tables.iter().map(|table| table.io.bytes_read + table.io.bytes_written).sum();
        let mut share = Share::new(&self.workspace, (self.run, spent), self.progress);
        let merged: u64 = outcome.optimized.iter().map(|table| table.bytes_read).sum();
        share.bytes = share.bytes.saturating_sub(merged);
        share
    }
}
