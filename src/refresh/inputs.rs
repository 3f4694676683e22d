//! The sources of one refresh: each at the consumed version, at the version of the cut, and as the change between.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::prelude::SessionContext;

use crate::changes::{self, ChangeSet, Changes};
use crate::error::{Error, Kind, Result};
use crate::evaluate::Sources;
use crate::incremental::{ChangeKind, OldResult, Side};
use crate::lake::LakeTable;

/// One source.
#[derive(Clone, Debug)]
struct Source {
    /// At the cut.
    table: LakeTable,
    /// The consumed version; `None` if only the cut is needed.
    consumed: Option<u64>,
    change: Option<ChangeSet>,
}

/// Why the change of a source cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// Its name.
    pub source: String,
    /// The reason.
    pub why: String,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.why, self.source)
    }
}

/// All sources of one refresh, by table name.
#[derive(Clone)]
pub(super) struct Inputs {
    session: SessionContext,
    sources: HashMap<String, Source>,
    /// The current maintained table.
    result: Option<LakeTable>,
    /// Why a consumed version is missing, if a plan read its rows and failed.
    gone: Arc<Mutex<Option<Lost>>>,
}

impl Inputs {
    /// Sources of which only the cut is read.
    #[must_use]
    pub(super) fn at_cut<'a>(
        session: SessionContext,
        tables: impl IntoIterator<Item = (&'a str, &'a LakeTable)>,
    ) -> Self {
        let source = |table: &LakeTable| Source { table: table.clone(), consumed: None, change: None };
        let sources = tables.into_iter().map(|(name, table)| (name.to_owned(), source(table))).collect();
        Self { session, sources, result: None, gone: Arc::default() }
    }

    /// Determines what changed in each source since `consumed`.
    ///
    /// # Errors
    /// If a log is broken. The reason why a change can no longer be computed is not an error but the value.
    pub(super) async fn since(&mut self, consumed: &HashMap<String, u64>) -> Result<Option<Lost>> {
        for (name, source) in &mut self.sources {
            let Some(from) = consumed.get(name) else { continue };
            match changes::since(&source.table, *from).await? {
                Changes::Known(change) => source.change = Some(*change),
                Changes::Lost(why) => return Ok(Some(Lost { source: name.clone(), why })),
            }
            source.consumed = Some(*from);
        }
        Ok(None)
    }

    /// The change of a source since the consumed version, after [`Self::since`].
    #[must_use]
    pub(super) fn change(&self, name: &str) -> Option<&ChangeSet> {
        self.sources.get(name)?.change.as_ref()
    }

    /// The same sources, and the table that is maintained over them.
    #[must_use]
    pub(super) fn beside(&self, maintained: &LakeTable) -> Self {
        Self { result: Some(maintained.clone()), ..self.clone() }
    }

    /// The session that reads them.
    #[must_use]
    pub(super) fn session(&self) -> &SessionContext {
        &self.session
    }

    /// The same sources with another session.
    #[must_use]
    pub(super) fn with_session(&self, session: SessionContext) -> Self {
        Self { session, sources: self.sources.clone(), result: None, gone: Arc::clone(&self.gone) }
    }

    /// Whether a source's rows differ from the consumed ones, or were never consumed.
    #[must_use]
    pub(super) fn moved(&self, name: &str) -> bool {
        self.sources.get(name).is_some_and(|s| s.consumed != Some(s.table.version()))
    }

    /// The version of a source at the cut, and the consumed one.
    #[must_use]
    pub(super) fn versions(&self, name: &str) -> Option<(u64, Option<u64>)> {
        let source = self.sources.get(name)?;
        Some((source.table.version(), source.consumed))
    }

    /// Why the change cannot be computed after all: rows of a consumed version are missing.
    #[must_use]
    pub(super) fn gone(&self) -> Option<Lost> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The consumed rows.
    async fn old(&self, name: &str, source: &Source, consumed: u64) -> Result<Arc<dyn TableProvider>> {
        // Files that were only rewritten hold the same rows, and exist.
        if source.change.as_ref().is_some_and(ChangeSet::is_empty) {
            return source.table.provider(&self.session, None).await;
        }
        let lost = |why: &str| {
            let lost = Lost { source: name.to_owned(), why: why.to_owned() };
            let error = Error::failed(lost.to_string());
            self.gone.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(lost);
            error
        };
        let old = match source.table.at(consumed).await {
            Ok(old) => old,
            Err(error) => return Err(lost(&format!("v{consumed} can no longer be read")).because(error)),
        };
        if let Err(refused) = old.check_files() {
            return Err(lost(&format!("v{consumed} cannot be read: {refused}")));
        }
        if let Some(change) = &source.change
            && !change.can_read(&old).await?
        {
            return Err(lost(&format!("files of v{consumed} are gone")));
        }
        old.provider(&self.session, None).await
    }

    /// The changed sources, for people: `customer_landing v3 -> v4`; with the reason if a table that should have an
    /// exact feed does not.
    #[must_use]
    pub(super) fn what_changed(&self) -> String {
        let mut moved: Vec<String> = self
            .sources
            .iter()
            .filter_map(|(name, source)| {
                let consumed = source.consumed.filter(|v| *v != source.table.version())?;
                let moved = format!("{name} v{consumed} -> v{}", source.table.version());
                match source.change.as_ref().filter(|c| c.misses_feed()).and_then(ChangeSet::why) {
                    Some(why) => Some(format!("{moved} (file diff: {why})")),
                    None => Some(moved),
                }
            })
            .collect();
        moved.sort();
        moved.join(", ")
    }

    /// Files that the change sets read.
    #[must_use]
    pub(super) fn changed_files(&self) -> u64 {
        self.sources.values().filter_map(|s| s.change.as_ref()).map(ChangeSet::files).sum()
    }

    /// Data files at the cut.
    #[must_use]
    pub(super) fn files(&self) -> u64 {
        self.sources.values().map(|s| s.table.size().0).sum()
    }
}

#[async_trait]
impl Sources for Inputs {
    async fn provider(&self, table: &str, side: Side) -> Result<Arc<dyn TableProvider>> {
        let missing = || Error::new(Kind::Internal, format!("`{table}` is no source of this query"));
        let source = || self.sources.get(table).ok_or_else(missing);
        match side {
            Side::New => source()?.table.provider(&self.session, None).await,
            Side::Old => {
                let source = source()?;
                self.old(table, source, source.consumed.ok_or_else(missing)?).await
            }
            Side::Change => source()?.change.as_ref().ok_or_else(missing)?.provider(&self.session).await,
            Side::Maintained => self.result.as_ref().ok_or_else(missing)?.provider(&self.session, None).await,
        }
    }

    fn change_kind(&self, table: &str) -> ChangeKind {
        match self.sources.get(table).and_then(|s| s.change.as_ref()) {
            Some(change) if change.is_empty() => ChangeKind::None,
            Some(change) if change.only_adds() => ChangeKind::InsertOnly,
            Some(_) => ChangeKind::Mutating,
            None => ChangeKind::None,
        }
    }

    fn old_result(&self) -> OldResult {
        if self.result.is_some() { OldResult::Maintained } else { OldResult::Computed }
    }
}
