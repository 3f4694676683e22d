//! The state of a table, in `txn` actions: they survive checkpoints and log cleanup.

use std::collections::BTreeMap;

use crate::plan::history::History;

/// The app ids. They never contain a fingerprint: switching from query A to B and back to A would resume from A's stale
/// version.
pub(crate) mod app {
    /// The version that the commit creates.
    pub(crate) const HEAD: &str = "stedi-delta/head";
    /// 63 bits of the definition's fingerprint.
    pub(crate) const DEFINITION: &str = "stedi-delta/definition";
    /// 63 bits over the expectations by which every row of the table was checked; 0 if unknown.
    pub(crate) const EXPECTATIONS: &str = "stedi-delta/expectations";
    /// Number of the ingest batch.
    pub(crate) const BATCH: &str = "stedi-delta/batch";
    /// 63 bits over the versions of all tables, on the system table `runs`.
    pub(crate) const STANDING: &str = "stedi-delta/standing";
    /// 63 bits of the id of the key of the digests in the newest row of the system table `runs`; 0 if it has none.
    pub(crate) const DIGESTS: &str = "stedi-delta/digests";
    /// The version up to which all data files of ours were described with bounds that enclose their values.
    pub(crate) const BOUNDS: &str = "stedi-delta/bounds";
    /// On a commit that only merges and sorts files: the version that it creates. A later commit may carry an older number.
    pub(crate) const OPTIMIZED: &str = "stedi-delta/optimized";
    /// Number of the newest migration included.
    pub(crate) const MIGRATION: &str = "stedi-delta/migration";
    /// On the commit of a statement of that migration: which of its statements it is, from 1.
    pub(crate) const STATEMENT: &str = "stedi-delta/statement";

    /// The consumed version of the source table with this uuid.
    #[must_use]
    pub(crate) fn source(uuid: &str) -> String {
        format!("{SOURCE_PREFIX}{uuid}")
    }

    /// Which commit of that source created the consumed version: 63 bits over its bytes, 0 if unknown. A restored log
    /// assigns the same version numbers again, so that the number alone does not identify the version.
    #[must_use]
    pub(crate) fn commit(uuid: &str) -> String {
        format!("stedi-delta/commit/{uuid}")
    }

    /// The prefix of [`source`].
    pub(crate) const SOURCE_PREFIX: &str = "stedi-delta/source/";
}

/// The key in `commitInfo` under which each commit of ours repeats what recent refreshes took.
pub(crate) const HISTORY: &str = "history";

/// Whether a sync may have assigned a batch number: they start at 1 and count up. A greater one is another writer's,
/// and the greatest one has no successor.
#[must_use]
pub(crate) fn is_batch(number: i64) -> bool {
    (0..=1 << 53).contains(&number)
}

/// A version of a source that a table was computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// Its number.
    pub version: u64,
    /// [`CommitFacts::hash`](super::CommitFacts::hash) of the commit that created it, if known.
    pub commit: Option<i64>,
}

/// The newest commit of ours on a table, and the commits after it.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// All `txn` actions of the newest commit of ours, by app id.
    pub txns: BTreeMap<String, i64>,
    /// Versions after the newest commit of ours, oldest first, by other writers.
    pub foreign: Vec<super::CommitFacts>,
    /// What recent refreshes took, as the newest commit of ours repeats it.
    pub(crate) history: History,
    /// False if commits between ours and the newest could not be read: then `foreign` is unknown.
    pub readable: bool,
}

impl State {
    /// The version that the newest commit of ours created.
    #[must_use]
    pub fn head(&self) -> Option<u64> {
        self.version(app::HEAD)
    }

    /// The fingerprint of the definition with which the table was built.
    #[must_use]
    pub fn definition(&self) -> Option<i64> {
        self.txns.get(app::DEFINITION).copied()
    }

    /// The fingerprint of the expectations by which every row was checked; 0 if unknown.
    #[must_use]
    pub fn expectations(&self) -> i64 {
        self.txns.get(app::EXPECTATIONS).copied().unwrap_or(0)
    }

    /// The newest ingest batch in the table; 0 if there is none, or its number was not assigned by a sync.
    #[must_use]
    pub fn batch(&self) -> i64 {
        self.txns.get(app::BATCH).copied().filter(|number| is_batch(*number)).unwrap_or(0)
    }

    /// A batch number that no sync assigned.
    #[must_use]
    pub fn impossible_batch(&self) -> Option<i64> {
        self.txns.get(app::BATCH).copied().filter(|number| !is_batch(*number))
    }

    /// What a commit that changes neither rows nor columns hands on.
    #[must_use]
    pub fn carried(&self) -> BTreeMap<String, i64> {
        let mut txns = self.txns.clone();
        txns.remove(app::STATEMENT);
        txns
    }

    /// Whether the table includes a statement of a migration, by both numbers.
    #[must_use]
    pub fn includes(&self, migration: i64, statement: i64) -> bool {
        let newest = self.txns.get(app::MIGRATION).copied().unwrap_or(0);
        let last = self.txns.get(app::STATEMENT).copied().unwrap_or(i64::MAX);
        migration < newest || (migration == newest && statement <= last)
    }

    /// The consumed version of a source.
    #[must_use]
    pub fn source(&self, uuid: &str) -> Option<Consumed> {
        let commit = self.txns.get(&app::commit(uuid)).copied();
        Some(Consumed { version: self.version(&app::source(uuid))?, commit: commit.filter(|hash| *hash != 0) })
    }

    fn version(&self, app_id: &str) -> Option<u64> {
        self.txns.get(app_id).and_then(|v| u64::try_from(*v).ok())
    }
}
