//! The last part of a sync with `--verify`: every selected derived table is compared with its query, including
//! unchanged ones.

use std::collections::BTreeMap;

use super::Work;
use crate::error::{Error, Result};
use crate::lake::LakeTable;
use crate::name::TableName;
use crate::outcome::{Problem, SyncOutcome};
use crate::refresh;

impl Work<'_> {
    /// Verifies the current tables. Tables that failed or were skipped have reported that already.
    pub(super) async fn verify(&self, outcome: &mut SyncOutcome, standing: &BTreeMap<TableName, LakeTable>) {
        for table in self.workspace.project.tables.iter().filter(|t| self.selection.tables.contains(&t.name)) {
            let (Some(_), Some(found)) = (table.derived(), standing.get(&table.name)) else { continue };
            let failed = |t: &&crate::outcome::TableOutcome| t.table == table.name && t.problem.is_some();
            if outcome.tables.iter().any(|t| failed(&t)) {
                continue;
            }
            self.progress.table(table.name.as_str(), "verifying");
            let verified = self.verify_one(&table.name, found, standing).await;
            let Some(entry) = self.entry(outcome, &table.name) else { continue };
            match verified {
                Ok((verified, mismatch)) => {
                    entry.verified = Some(verified);
                    entry.problem = mismatch.map(Problem::Failed);
                }
                Err(error) => entry.problem = Some(Problem::Failed(self.workspace.told(error))),
            }
        }
    }

    async fn verify_one(
        &self,
        name: &TableName,
        found: &LakeTable,
        standing: &BTreeMap<TableName, LakeTable>,
    ) -> Result<(crate::outcome::Verified, Option<Error>)> {
        let table = self.workspace.table(name.as_str())?;
        let sources = self.workspace.sources(table);
        let sources = sources.into_iter().filter_map(|s| Some((s.clone(), standing.get(&s)?.clone()))).collect();
        let job = self.workspace.job(table, sources, self.run)?;
        let verified = Box::pin(refresh::verify(&job, found)).await?;
        let mismatch = (!verified.is_equal()).then(|| refresh::mismatch(&job, found, verified));
        Ok((verified, mismatch))
    }
}
