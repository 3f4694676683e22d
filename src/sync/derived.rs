//! The second half of a sync: every derived table is brought to the cut as soon as its sources are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;

use super::{Attempt, Done};
use crate::clock;
use crate::definition::Table;
use crate::error::{Error, Kind, Result};
use crate::lake::{Annotations, LakeTable, Layout, bounds_mended};
use crate::name::TableName;
use crate::outcome::Mode;
use crate::refresh::{self, Answers, Job, Opened};

/// The memory that the writers and reads of one refresh take, beside its operators.
const OF_ONE_REFRESH: u64 = 64 << 20;

/// Refreshes that run at once. A level of a hundred tables held the writers of all of them: eight times the limit.
fn at_once(memory_limit: u64) -> usize {
    usize::try_from(memory_limit / OF_ONE_REFRESH).unwrap_or(usize::MAX).clamp(2, 16)
}

/// Logs opened concurrently.
const OPEN_AT_ONCE: usize = 16;

/// The result for a derived table.
pub(super) enum Fate {
    /// It is at the cut.
    Done(Box<Done>),
    /// It failed.
    Failed(Error),
    /// This source of it is not at the cut.
    Skipped(TableName),
}

/// Derived tables opened at the start of the attempt.
pub(super) type Ahead = BTreeMap<TableName, Result<Opened>>;

impl Attempt<'_> {
    /// Opens the selected derived tables, all at once.
    pub(super) async fn open_all(&self) -> Ahead {
        let mut ahead = Ahead::new();
        let is_wanted = |t: &&Table| t.derived().is_some() && self.selected(&t.name);
        let tables: Vec<&Table> = self.workspace.project.tables.iter().filter(is_wanted).collect();
        for some in tables.chunks(OPEN_AT_ONCE) {
            ahead.extend(join_all(some.iter().map(|table| self.open(table))).await);
        }
        ahead
    }

    async fn open(&self, table: &Table) -> (TableName, Result<Opened>) {
        let opened = match self.workspace.location(table) {
            Ok(location) => Opened::at(&location).await,
            Err(error) => Err(error),
        };
        (table.name.clone(), opened)
    }

    /// Refreshes the selected derived tables over the tables of the cut: the result of each, and the first conflict
    /// with a concurrent commit. After a conflict no further refresh is started: a new cut must be pinned.
    pub(super) async fn refresh_all(
        &self,
        mut cut: BTreeMap<TableName, LakeTable>,
        mut behind: BTreeSet<TableName>,
        mut ahead: Ahead,
    ) -> (BTreeMap<TableName, Fate>, Option<Error>) {
        let mut conflict = None;
        let mut fates = BTreeMap::new();
        let mut waiting: Vec<&Table> =
            self.workspace.project.tables.iter().filter(|t| t.derived().is_some() && self.selected(&t.name)).collect();
        let answers = Arc::default();
        let mut running = FuturesUnordered::new();
        let most = at_once(self.workspace.project.memory_limit);
        loop {
            let mut still = Vec::new();
            for table in waiting {
                if conflict.is_some() {
                    break;
                }
                let sources = self.workspace.sources(table);
                if let Some(source) = sources.iter().find(|s| behind.contains(*s)) {
                    behind.insert(table.name.clone());
                    self.skipped(table, source);
                    fates.insert(table.name.clone(), Fate::Skipped(source.clone()));
                } else if running.len() < most && sources.iter().all(|s| cut.contains_key(s)) {
                    let sources = sources.iter().filter_map(|s| Some((s.clone(), cut.get(s)?.clone()))).collect();
                    let opened = ahead.remove(&table.name);
                    running.push(self.refresh(table, sources, opened, &answers));
                } else {
                    still.push(table);
                }
            }
            waiting = still;
            let Some((name, result)) = running.next().await else { break };
            match result {
                Ok(done) => {
                    cut.insert(name.clone(), done.table.clone());
                    fates.insert(name, Fate::Done(Box::new(done)));
                }
                Err(error) if error.kind() == Kind::Conflict => {
                    conflict.get_or_insert(error);
                }
                Err(error) => {
                    behind.insert(name.clone());
                    fates.insert(name, Fate::Failed(error));
                }
            }
        }
        (fates, conflict)
    }

    async fn refresh(
        &self,
        table: &Table,
        sources: BTreeMap<TableName, LakeTable>,
        opened: Option<Result<Opened>>,
        answers: &Arc<Answers>,
    ) -> (TableName, Result<Done>) {
        let started = clock::instant();
        self.started(table);
        let result = async {
            self.progress.table(table.name.as_str(), "refreshing");
            let job = Job {
                full_refresh: self.full_refresh(&table.name),
                answers: Arc::clone(answers),
                ..self.workspace.job(table, sources, self.run)?
            };
            // Boxed: the future of a refresh is large, and a project may run many concurrently.
            let opened = match opened {
                Some(opened) => opened?,
                None => Opened::at(&job.location).await?,
            };
            let done = Box::pin(refresh::refresh(&job, opened)).await?;
            // Only now: commits of other writers since ours have been examined.
            let (stands, reason) = match done.table.mended(&Layout::defined(table), self.run).await? {
                Some((mended, files)) if done.reason.is_empty() => (mended, bounds_mended(files)),
                Some((mended, _)) => (mended, done.reason),
                None => (done.table, done.reason),
            };
            let (stands, mode, reason) = match stands.annotated(&Annotations::of(table), self.run).await? {
                Some((annotated, why)) => {
                    let reasons = [reason, why].into_iter().filter(|reason| !reason.is_empty()).collect::<Vec<_>>();
                    let mode = if done.mode == Mode::None { Mode::Metadata } else { done.mode };
                    (annotated, mode, reasons.join(", "))
                }
                None => (stands, done.mode, reason),
            };
            Ok(Done {
                table: stands,
                version_before: done.version_before,
                mode,
                reason,
                rows: done.rows,
                io: done.io,
                elapsed: started.elapsed(),
                waiting: Vec::new(),
                warnings: done.warnings,
                left_out: Vec::new(),
                grants_ended: done.grants_ended,
            })
        };
        let result = result.await.map_err(|error| self.workspace.told(error));
        self.ended(table, started, &result);
        (table.name.clone(), result)
    }
}
