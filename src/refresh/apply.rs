//! The work of a refresh: computes, writes, checks and commits rows.

use std::collections::BTreeMap;

use deltalake::datafusion::execution::SendableRecordBatchStream;
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use serde_json::json;

use super::ahead::ahead;
use super::broken::Unreadable;
use super::choose::Planned;
use super::consent::{Ended, Scope};
use super::inputs::Inputs;
use super::inspect::{Coverage, Inspector};
use super::phases::Watch;
use super::{Refreshed, Work, rows};
use crate::clock;
use crate::digest::{ChangeDigest, DigestKey, RowDigest};
use crate::error::{Context, Error, Kind, Result};
use crate::evaluate::{self, Limits};
use crate::incremental;
use crate::lake::{
    Annotations, CHANGING_FILE_ROWS, Change, Commit, DataWriter, Joins, LakeTable, Layout, Properties, Scanned,
    TableSpec, app, create, out_of_memory,
};
use crate::merge::{self, CdcChange, Merged, RowChange, RowStream};
use crate::outcome::{Io, Mode, Phases, Rows, Warning, counted};
use crate::plan;

/// A commit ready to be made, with its messages.
pub(super) struct Ready {
    pub change: Change,
    pub mode: Mode,
    pub reason: String,
    pub seen: Inspector,
    pub io: Io,
    pub ended: u64,
    pub replaced: Option<u64>,
    pub ambiguous: Option<Warning>,
}

/// The contents of the batches of a stream of new rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batches {
    /// Each row as often as it comes.
    Rows,
    /// Rows with their weight.
    Weighted,
}

impl Work<'_> {
    /// Computes the change and commits it.
    pub(super) async fn incremental(self, planned: Planned, reason: String) -> Result<Refreshed> {
        let Planned { program, inputs } = planned;
        let change = match self.change(&program, &inputs).await {
            Err(error) if out_of_memory(&error) => {
                let inputs = inputs.with_session(self.session(Joins::SortMerge)?);
                self.change(&program, &inputs).await
            }
            other => other,
        };
        match change {
            Ok(Merged::Done(ready)) => self.commit(Ready { reason, ..ready }).await,
            Ok(Merged::Drifted(missing)) => self.drifted(missing.to_string()).await,
            // A missing consumed version may only be noticed when its rows are read.
            Err(error) => match inputs.gone() {
                Some(lost) => self.not_by_change(lost).await,
                None => match self.unreadable(&error).await {
                    Some(Unreadable::Before(lost)) => self.not_by_change(lost).await,
                    Some(Unreadable::Stands(found)) => Err(found),
                    None => Err(error),
                },
            },
        }
    }

    /// Commits only that the current table is up to date.
    pub(super) async fn adopt(self, reason: String) -> Result<Refreshed> {
        let seen = Inspector::new(self.job.table, Coverage::NewRows)?;
        let files_before = self.current.as_ref().map_or(0, |table| table.size().0);
        let io = Io { files_before, ..Io::default() };
        let (change, mode) = (Change::default(), Mode::Incremental);
        self.commit(Ready { change, mode, reason, seen, io, ended: 0, replaced: None, ambiguous: None }).await
    }

    async fn change(&self, program: &incremental::Program, inputs: &Inputs) -> Result<Merged<Ready>> {
        let Some(current) = &self.current else {
            return Err(Error::new(Kind::Internal, "a table that does not exist cannot change"));
        };
        let scope = match self.guard() {
            Some(guard) => Scope::Change(guard.ended(inputs).await?),
            None => Scope::Change(Ended::default()),
        };
        let mut watch = Watch::start();
        let change = evaluate::run(program, inputs.session(), &inputs.beside(current)).await?;
        let mut io = Io { files_read: inputs.changed_files(), files_before: current.size().0, ..Io::default() };
        let ended = match &scope {
            Scope::Change(ended) => ended.count(),
            Scope::All => 0,
        };
        let mut seen = Inspector::new(self.job.table, self.coverage)?;
        io.phases.compute += watch.lap();
        let delta = if change.insert_only {
            let stream = rows::sorted(change.into_stream(), &self.job.table.cluster_by, inputs.session()).await?;
            let stream = ahead(stream);
            self.append(stream, Batches::Weighted, &mut seen, &mut io).await?
        } else {
            let limit = Limits::of(inputs.session()).bytes;
            let stream = change.into_stream();
            let Some(rows) = rows::row_change(stream, current, limit, u64::MAX).await? else {
                return Err(Error::new(Kind::Internal, "a change has more rows than can be counted"));
            };
            io.phases.compute += watch.lap();
            match self.merge(current, rows, inputs.session(), &mut seen, &mut io).await? {
                Merged::Done(change) => change,
                Merged::Drifted(missing) => return Ok(Merged::Drifted(missing)),
            }
        };
        watch.lap();
        io.rows_read = Scanned::rows(inputs.session());
        let verdict = self.check_constraints(inputs, Some(current), &mut seen, &scope).await;
        self.discard_if_rejected(&delta, verdict).await?;
        io.phases.check += watch.lap();
        let ambiguous = self.ambiguous(inputs).await?;
        let reason = String::new();
        let mode = Mode::Incremental;
        Ok(Merged::Done(Ready { change: delta, mode, reason, seen, io, ended, replaced: None, ambiguous }))
    }

    /// Writes rows into new files.
    pub(super) async fn append(
        &self,
        mut stream: SendableRecordBatchStream,
        batches: Batches,
        seen: &mut Inspector,
        io: &mut Io,
    ) -> Result<Change> {
        let schema = self.job.table.schema();
        let key = self.digests();
        let mut writer = DataWriter::over(&self.location, schema, self.job.project.target_file_size)
            .layout(Layout::defined(self.job.table))
            .rows_per_file(CHANGING_FILE_ROWS)
            .digested(key.clone());
        let mut watch = Watch::start();
        while let Some(batch) = stream.try_next().await.context(|| "the query stopped".into())? {
            io.phases.compute += watch.lap();
            let rows = match batches {
                Batches::Rows => batch,
                Batches::Weighted => rows::spread(&batch)?.0,
            };
            let rows = seen.inserts(&rows)?;
            writer.write(&rows).await?;
            io.phases.write += watch.lap();
        }
        io.phases.compute += watch.lap();
        let written = writer.close().await?;
        io.phases.write += watch.lap();
        io.files_added += written.adds.len() as u64;
        io.bytes_written += written.bytes();
        let digest = ChangeDigest::of(key.as_ref(), written.digest, Some(RowDigest::default()));
        Ok(Change { adds: written.adds, digest, ..Change::default() })
    }

    /// The key with which rows of the table are digested.
    fn digests(&self) -> Option<DigestKey> {
        DigestKey::of(&self.job.privacy)?.for_rows_of(&self.job.table.schema())
    }

    /// Applies deleted and inserted rows.
    pub(super) async fn merge(
        &self,
        current: &LakeTable,
        rows: RowChange,
        session: &SessionContext,
        seen: &mut Inspector,
        io: &mut Io,
    ) -> Result<Merged<Change>> {
        let mut watch = Watch::start();
        let key = self.digests();
        let mut written = Io::default();
        let (gone, inserts) = (rows.rows(CdcChange::Delete), rows.inserts());
        let come = rows::stream_of(rows.rows(CdcChange::Insert), current.schema());
        let come = async {
            // Deleted rows are observed first: a deleted key is not new.
            let deleted = observed(gone, key.as_ref(), seen).await?;
            let mut change = Change::default();
            let mut inserted = Some(RowDigest::default());
            if inserts > 0 {
                let come = rows::sorted(come, &self.job.table.cluster_by, session).await?;
                change = self.append(come, Batches::Rows, seen, &mut written).await?;
                inserted = change.digest.map(|digest| digest.rows);
            }
            change.digest = ChangeDigest::of(key.as_ref(), inserted, Some(deleted));
            Ok(change)
        };
        let applied = match merge::apply(current, rows, self.job.project.target_file_size, come).await? {
            Merged::Done(applied) => applied,
            Merged::Drifted(missing) => return Ok(Merged::Drifted(missing)),
        };
        io.files_added += applied.change.adds.len() as u64;
        io.files_removed += applied.files_touched;
        io.bytes_written += applied.bytes_written + written.bytes_written;
        io.phases.write += watch.lap();
        Ok(Merged::Done(applied.change))
    }

    /// Returns a verdict. The files of a refused change are removed at once: no version names them, and they hold rows
    /// of people who have not consented.
    pub(super) async fn discard_if_rejected(&self, change: &Change, verdict: Result<()>) -> Result<()> {
        if verdict.is_err() {
            let files =
                change.adds.iter().map(|a| a.path.as_str()).chain(change.cdc.iter().map(|(path, _)| path.as_str()));
            for file in files {
                self.location.remove(file).await;
            }
        }
        verdict
    }

    /// Expectations, primary key and consent: nothing is committed against them. `before`: the table whose rows stay but
    /// for the change.
    pub(super) async fn check_constraints(
        &self,
        inputs: &Inputs,
        before: Option<&LakeTable>,
        seen: &mut Inspector,
        scope: &Scope,
    ) -> Result<()> {
        if let Some(current) = before.filter(|_| self.coverage == Coverage::AllRows) {
            self.standing_rows(current, inputs.session(), seen).await?;
        }
        seen.verdict(&self.job.privacy).map_err(|error| match scope {
            Scope::Change(ended) if ended.count() > 0 => {
                error.fact("holds back", format!("the withdrawal of {}", counted(ended.count(), "person")))
            }
            _ => error,
        })?;
        let keys = match scope {
            Scope::Change(_) => Coverage::NewRows,
            Scope::All => Coverage::AllRows,
        };
        if let (Some(current), true) = (before, seen.asks_who_stays(keys)) {
            self.keys_are_new(current, inputs.session(), seen, keys).await?;
        }
        if let Some(guard) = self.guard() {
            guard.check(inputs, before, seen, scope, &self.job.privacy).await?;
        }
        Ok(())
    }

    /// Warns of subjects that identify nobody, if the record of consent changed.
    pub(super) async fn ambiguous(&self, inputs: &Inputs) -> Result<Option<Warning>> {
        let Some(guard) = self.guard() else { return Ok(None) };
        if !inputs.moved(guard.rule.record.name.as_str()) {
            return Ok(None);
        }
        let count = guard.ambiguous(inputs).await?;
        Ok((count > 0).then(|| guard.ambiguity(count)))
    }

    /// Checks that no inserted row has the primary key of a kept row. Reads the key columns, of files that may hold one
    /// of the new keys; in a full refresh of all files: kept rows may be unchecked, since they come from another
    /// definition or another writer.
    async fn keys_are_new(
        &self,
        current: &LakeTable,
        session: &SessionContext,
        seen: &mut Inspector,
        coverage: Coverage,
    ) -> Result<()> {
        let doing = || format!("the primary keys of {} cannot be compared", self.job.table.name);
        let mut frame = session.read_table(current.provider(session, None).await?).context(doing)?;
        if let Some(range) = seen.range_of_new_keys().filter(|_| coverage == Coverage::NewRows) {
            frame = frame.filter(range).context(doing)?;
        }
        let keys = self.job.table.primary_key.iter().map(deltalake::datafusion::logical_expr::ident);
        let mut stream =
            frame.select(keys.collect::<Vec<_>>()).context(doing)?.execute_stream().await.context(doing)?;
        while let Some(batch) = stream.try_next().await.context(doing)? {
            seen.stays(&batch, coverage)?;
        }
        seen.verdict(&self.job.privacy)
    }

    pub(super) async fn commit(self, ready: Ready) -> Result<Refreshed> {
        let Ready { mut change, mode, reason, seen, mut io, ended, replaced, ambiguous } = ready;
        let job = self.job;
        let annotations = Annotations::of(job.table);
        let is_told = |table: &LakeTable| table.annotated_otherwise(&annotations).is_empty();
        if change.schema.is_some() || !self.current.as_ref().is_some_and(is_told) {
            change.annotations = Some(annotations);
        }
        let updated = seen.updated();
        let inserted = seen.inserted - updated;
        let deleted = replaced.unwrap_or(seen.deleted - updated);
        let mut txns: BTreeMap<String, i64> = BTreeMap::from([
            (app::DEFINITION.to_owned(), self.fingerprint.now),
            (app::MIGRATION.to_owned(), job.migration),
        ]);
        // Also if there are none: a checkpoint keeps the value of an earlier commit.
        let expectations = plan::expectations(job.table);
        if expectations != 0 || self.standing.expectations != 0 {
            txns.insert(app::EXPECTATIONS.to_owned(), expectations);
        }
        for source in job.sources.values() {
            let version = source.version();
            txns.insert(app::source(&source.uuid()), i64::try_from(version).unwrap_or(i64::MAX));
            // Also if it is unknown: a checkpoint keeps the value of an earlier commit.
            txns.insert(app::commit(&source.uuid()), source.commit_hash(version).await?.unwrap_or(0));
        }
        let cut: BTreeMap<&str, u64> = job.sources.iter().map(|(name, t)| (name.as_str(), t.version())).collect();
        io.bytes_read = self.meter.bytes_read();
        let mut facts = json!({
            "mode": mode, "reason": reason, "run": job.run, "sources": cut,
            "rowsInserted": inserted, "rowsUpdated": updated, "rowsDeleted": deleted,
        });
        if mode == Mode::Full || io.phases != Phases::default() {
            self.tell_work(&mut facts, mode, &io);
        }
        let commit = Commit {
            operation: if change.removes.is_empty() { "WRITE" } else { "MERGE" },
            metrics: BTreeMap::from([("numOutputRows", seen.inserted), ("numDeletedRows", seen.deleted)]),
            change,
            txns,
            info: BTreeMap::from([("stediDelta".to_owned(), facts)]),
        };
        let version_before = self.current.as_ref().map(LakeTable::version);
        let table = match &self.current {
            Some(current) => commit.commit(current).await?,
            None => {
                let spec = TableSpec {
                    uuid: clock::random_uuid().to_string(),
                    name: job.table.name.to_string(),
                    description: job.table.description.clone(),
                    columns: job.table.columns.clone(),
                    properties: Properties { change_data_feed: true },
                    layout: Layout::defined(job.table),
                };
                create(&self.location, &spec, commit).await?
            }
        };
        io.bytes_read = self.meter.bytes_read();
        Ok(Refreshed {
            table,
            version_before,
            mode,
            reason,
            rows: Rows { inserted, updated, deleted, quarantined: 0 },
            io,
            warnings: seen.warnings().into_iter().chain(ambiguous).collect(),
            grants_ended: ended,
        })
    }
}

/// Shows the inspector the deleted rows, and digests them.
async fn observed(mut gone: RowStream, key: Option<&DigestKey>, seen: &mut Inspector) -> Result<RowDigest> {
    let mut deleted = RowDigest::default();
    while let Some(batch) = gone.try_next().await? {
        seen.deletes(&batch)?;
        if let Some(key) = key {
            deleted += key.rows(&batch)?;
        }
    }
    Ok(deleted)
}
