//! A full refresh: computes the whole query and compares it with the table.

use super::ahead::ahead;
use super::apply::{Batches, Ready};
use super::consent::Scope;
use super::inputs::Inputs;
use super::inspect::{Coverage, Inspector};
use super::phases::Watch;
use super::{Refreshed, Work, rows};
use crate::digest::ChangeDigest;
use crate::error::Result;
use crate::evaluate::{self, Limits};
use crate::lake::{Joins, LakeTable, NewColumns, Scanned, out_of_memory};
use crate::merge::Merged;
use crate::outcome::{Io, Mode};
use deltalake::datafusion::logical_expr::LogicalPlan;

/// A change of more rows than this is not applied row by row: the table is rewritten.
const DIFFERENCE_ROWS: u64 = 1_000_000;

impl Work<'_> {
    /// Computes the whole query and commits the difference.
    pub(super) async fn full(mut self, reason: String) -> Result<Refreshed> {
        self.coverage = Coverage::AllRows;
        let inputs = self.inputs(Joins::Hash)?;
        let ready = match self.recompute(&inputs, reason.clone()).await {
            Err(error) if out_of_memory(&error) => self.recompute(&self.inputs(Joins::SortMerge)?, reason).await,
            other => other,
        };
        match ready {
            Ok(ready) => self.commit(ready).await,
            Err(error) => Err(self.unreadable_source(&error).await.unwrap_or(error)),
        }
    }

    /// The whole result: as a difference if the table has the same columns, so that its readers see only what changed;
    /// else as a new set of files. The latter also if a data file of the table is lost: none of its rows is needed.
    async fn recompute(&self, inputs: &Inputs, reason: String) -> Result<Ready> {
        let Some(current) = self.current.as_ref().filter(|t| t.schema() == self.job.table.schema()) else {
            return self.replace(inputs, reason).await;
        };
        if let Err(refused) = current.check_files() {
            return self.replace(inputs, format!("{reason}; {refused}")).await;
        }
        match self.by_difference(current, inputs, reason.clone()).await {
            Ok(Some(ready)) => Ok(ready),
            Ok(None) => self.replace(inputs, reason).await,
            Err(error) => match self.broken_itself(&error).await {
                Some(file) => {
                    let reason = format!("{reason}; its data file `{file}` cannot be read");
                    self.replace(inputs, reason).await
                }
                None => Err(error),
            },
        }
    }

    /// The difference to the current rows. `None` if it cannot be applied row by row.
    async fn by_difference(&self, current: &LakeTable, inputs: &Inputs, reason: String) -> Result<Option<Ready>> {
        let mut io = Io { files_read: inputs.files(), files_before: current.size().0, ..Io::default() };
        let session = inputs.session();
        let mut watch = Watch::start();
        let old = current.provider(session, None).await?;
        let change = evaluate::difference(&self.job.derived.plan, old, session, inputs).await?;
        let limit = Limits::of(session).bytes;
        let rows = rows::row_change(change.into_stream(), current, limit, DIFFERENCE_ROWS).await?;
        let Some(rows) = rows else { return Ok(None) };
        io.phases.compute += watch.lap();
        let mut seen = Inspector::new(self.job.table, self.coverage)?;
        let Merged::Done(change) = self.merge(current, rows, session, &mut seen, &mut io).await? else {
            return Ok(None);
        };
        watch.lap();
        io.rows_read = Scanned::rows(session);
        let verdict = self.check_constraints(inputs, Some(current), &mut seen, &Scope::All).await;
        self.discard_if_rejected(&change, verdict).await?;
        io.phases.check += watch.lap();
        let ambiguous = self.ambiguous(inputs).await?;
        Ok(Some(Ready { change, mode: Mode::Full, reason, seen, io, ended: 0, replaced: None, ambiguous }))
    }

    /// The whole result in new files that replace all existing ones.
    async fn replace(&self, inputs: &Inputs, reason: String) -> Result<Ready> {
        let files_before = self.current.as_ref().map_or(0, |t| t.size().0);
        let mut io = Io { files_read: inputs.files(), files_before, ..Io::default() };
        let plan: &LogicalPlan = &self.job.derived.plan;
        if let Some(current) = self.current.as_ref().filter(|t| t.size().0 > 0) {
            current.check_removable()?;
        }
        // Sorted separately: an order on the query's own plan is pushed into it, which the engine does not support for
        // every plan.
        let mut watch = Watch::start();
        let stream = evaluate::full(plan, inputs.session(), inputs).await?;
        let stream = rows::sorted(stream, &self.job.table.cluster_by, inputs.session()).await?;
        let stream = ahead(stream);
        let mut seen = Inspector::new(self.job.table, self.coverage)?;
        io.phases.compute += watch.lap();
        let mut change = self.append(stream, Batches::Rows, &mut seen, &mut io).await?;
        io.rows_read = Scanned::rows(inputs.session());
        watch.lap();
        // No row stays.
        let verdict = self.check_constraints(inputs, None, &mut seen, &Scope::All).await;
        self.discard_if_rejected(&change, verdict).await?;
        io.phases.check += watch.lap();
        let mut replaced = None;
        if let Some(current) = &self.current {
            change.removes = current.removes(|_| true);
            change.digest = change.digest.map(ChangeDigest::whole);
            io.files_removed = change.removes.len() as u64;
            replaced = current.rows();
            if current.schema() != self.job.table.schema() {
                change.schema = Some(NewColumns::Only(self.job.table.columns.clone()));
            }
        }
        let ambiguous = self.ambiguous(inputs).await?;
        Ok(Ready { change, mode: Mode::Full, reason, seen, io, ended: 0, replaced, ambiguous })
    }
}
