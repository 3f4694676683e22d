//! Single commits of a Delta log, as far as the tool looks at them.

use std::collections::BTreeMap;

use deltalake::kernel::{Add, AddCDCFile, CommitInfo, Remove, Transaction};
use deltalake::logstore::LogStoreRef;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Deserializer;

use super::state::app;
use crate::error::{Context, Result};

/// One commit.
#[derive(Clone, Debug, Default)]
pub struct CommitFacts {
    /// The version that it created.
    pub version: u64,
    /// 63 bits over its bytes: another commit of that version has others.
    pub hash: i64,
    /// Data files whose rows it changed.
    pub files: DataFiles,
    /// `txn` actions by app id.
    pub txns: BTreeMap<String, i64>,
    /// `commitInfo`, if there is one.
    pub info: Option<CommitInfo>,
    /// Whether it changed the schema, the table's properties or the protocol.
    pub changes_metadata: bool,
}

/// Data files of one commit, as paths relative to the table, with their row counts where the log knows them.
#[derive(Clone, Debug, Default)]
pub struct DataFiles {
    /// Added.
    pub added: Vec<(String, Option<u64>)>,
    /// Removed.
    pub removed: Vec<String>,
    /// Added although no row changed (`dataChange` is false): rewritten, or described anew.
    pub moved_in: Vec<String>,
    /// Removed although no row changed.
    pub moved_out: Vec<String>,
    /// Change data files: where there are any, they tell the change exactly, and the other two only its files.
    pub cdc: Vec<String>,
    /// Whether any of the files has a deletion vector.
    pub deletion_vectors: bool,
    /// Sizes of the files whose rows changed, by path, where the log knows them.
    pub bytes: BTreeMap<String, u64>,
}

impl CommitFacts {
    fn note(&mut self, line: Line) {
        let Line { add, remove, cdc, txn, info, metadata, protocol } = line;
        let files = &mut self.files;
        match add {
            Some(add) if add.data_change => {
                files.deletion_vectors |= add.deletion_vector.is_some();
                files.bytes.insert(add.path.clone(), add.size.unsigned_abs());
                let rows = add.stats.as_deref().and_then(num_records);
                files.added.push((add.path, rows));
            }
            Some(add) => files.moved_in.push(add.path),
            None => {}
        }
        match remove {
            Some(remove) if remove.data_change => {
                files.deletion_vectors |= remove.deletion_vector.is_some();
                if let Some(size) = remove.size {
                    files.bytes.insert(remove.path.clone(), size.unsigned_abs());
                }
                files.removed.push(remove.path);
            }
            Some(remove) => files.moved_out.push(remove.path),
            None => {}
        }
        if let Some(cdc) = cdc {
            files.bytes.insert(cdc.path.clone(), cdc.size.unsigned_abs());
            files.cdc.push(cdc.path);
        }
        self.txns.extend(txn.map(|txn| (txn.app_id, txn.version)));
        if let Some(info) = info {
            self.info = serde_json::from_value(info).ok();
        }
        self.changes_metadata |= metadata.is_some() || protocol.is_some();
    }

    /// Whether rows changed.
    #[must_use]
    pub fn changes_data(&self) -> bool {
        !(self.files.added.is_empty() && self.files.removed.is_empty() && self.files.cdc.is_empty())
    }

    /// Whether rows were only added.
    #[must_use]
    pub fn only_adds(&self) -> bool {
        self.files.removed.is_empty() && self.files.cdc.is_empty() && !self.files.deletion_vectors
    }

    /// Name of the operation, `unknown` where the log does not say.
    #[must_use]
    pub fn operation(&self) -> &str {
        self.info.as_ref().and_then(|i| i.operation.as_deref()).unwrap_or("unknown")
    }

    /// Whether it is one of ours.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.txns.get(app::HEAD).is_some_and(|head| u64::try_from(*head) == Ok(self.version))
    }

    /// Rows of its change data files, where its metrics say so: ours do.
    #[must_use]
    pub fn rows_fed(&self) -> Option<u64> {
        let metrics = self.info.as_ref().filter(|_| self.is_ours())?.info.get("operationMetrics")?;
        let count = |key: &str| {
            let value = metrics.get(key)?;
            value.as_u64().or_else(|| value.as_str()?.parse().ok())
        };
        Some(count("numOutputRows")?.saturating_add(count("numDeletedRows")?))
    }

    /// Whether its change data files can be trusted: delta-rs computes those of an UPDATE with EXCEPT ALL, which
    /// DataFusion plans as an anti join, so duplicates get lost (datafusion#12956). Who does not say who it is may be
    /// delta-rs.
    #[must_use]
    pub fn cdc_is_exact(&self) -> bool {
        match self.info.as_ref().and_then(|i| i.engine_info.as_deref()) {
            Some(engine) => !(self.operation() == "UPDATE" && engine.starts_with("delta-rs")),
            None => false,
        }
    }
}

/// One line of a commit, as far as it is looked at. A reader has to ignore actions that it does not know, and what is in
/// `commitInfo` is its writer's own affair. Source: Delta protocol, "Protocol Evolution", "Commit Provenance Information".
#[derive(Deserialize)]
struct Line {
    add: Option<Add>,
    remove: Option<Remove>,
    cdc: Option<AddCDCFile>,
    txn: Option<Transaction>,
    #[serde(rename = "commitInfo")]
    info: Option<serde_json::Value>,
    #[serde(rename = "metaData")]
    metadata: Option<IgnoredAny>,
    protocol: Option<IgnoredAny>,
}

/// Reads the commit that created `version`; `None` when the log no longer holds it.
///
/// # Errors
/// When it cannot be read or parsed.
pub(super) async fn read_commit(log_store: &LogStoreRef, version: u64) -> Result<Option<CommitFacts>> {
    let read = log_store.read_commit_entry(version).await;
    let Some(bytes) = read.context(|| format!("commit {version} of {} cannot be read", log_store.root_url()))? else {
        return Ok(None);
    };
    let lines = Deserializer::from_slice(&bytes).into_iter::<Line>();
    let mut facts = CommitFacts { version, hash: hash(&bytes), ..CommitFacts::default() };
    for line in lines {
        facts.note(line.context(|| format!("commit {version} of {} is broken", log_store.root_url()))?);
    }
    Ok(Some(facts))
}

/// 63 bits over the bytes of a commit, never 0.
pub(super) fn hash(bytes: &[u8]) -> i64 {
    let mut first = [0_u8; 8];
    first.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    (i64::from_le_bytes(first) & i64::MAX).max(1)
}

pub(super) fn num_records(stats: &str) -> Option<u64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Stats {
        num_records: Option<u64>,
    }
    serde_json::from_str::<Stats>(stats).ok()?.num_records
}
