//! Single commits of a Delta log, reduced to the fields that the tool uses.

use std::collections::BTreeMap;

use deltalake::kernel::{CommitInfo, Transaction};
use deltalake::logstore::LogStoreRef;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Deserializer;

use super::paths::resolve;
use super::state::{Consumed, State, app};
use super::statistics::{Tags, widest_of};
use crate::digest::ToldChange;
use crate::error::{Context, Result};
use crate::storage::Location;

/// One commit.
#[derive(Clone, Debug, Default)]
pub struct CommitFacts {
    /// The version that it created.
    pub version: u64,
    /// 63 bits over its bytes; they identify the commit.
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

/// Data files of one commit, as paths relative to the table, with their row counts if the log has them.
#[derive(Clone, Debug, Default)]
pub struct DataFiles {
    /// Added.
    pub added: Vec<(String, Option<u64>)>,
    /// Removed.
    pub removed: Vec<String>,
    /// Added without a changed row (`dataChange` is false): rewritten, or described again.
    pub moved_in: Vec<(String, Option<u64>)>,
    /// Removed without a changed row.
    pub moved_out: Vec<String>,
    /// Change data files: if there are any, they are the exact change, and `added` and `removed` are only its files.
    pub cdc: Vec<String>,
    /// Whether any of the files whose rows changed has a deletion vector.
    pub deletion_vectors: bool,
    /// The same for files without a changed row.
    pub moved_vectors: bool,
    /// Sizes of the files with changed rows, by path, if the log has them.
    pub bytes: BTreeMap<String, u64>,
    /// The most bytes of texts and lists in a row of any of them, if the log says that it has wide ones.
    pub widest: u64,
    /// The irregularity of a path: it is spelled differently than ours, or leads out of the table's folder. Then only a
    /// snapshot knows the files.
    pub odd_path: Option<String>,
}

impl DataFiles {
    fn path(&mut self, table: &Location, spelled: String) -> String {
        match resolve(table, &spelled) {
            Ok(path) if path == spelled => path,
            Ok(path) => {
                self.odd_path.get_or_insert_with(|| "spells the path of a file differently".into());
                path
            }
            Err(why) => {
                self.odd_path = Some(format!("names a file that {why}"));
                spelled
            }
        }
    }
}

impl CommitFacts {
    fn note(&mut self, table: &Location, line: Line) {
        let Line { add, remove, cdc, txn, info, metadata, protocol } = line;
        let files = &mut self.files;
        let tags = [&add, &remove].into_iter().flatten().map(|file| file.tags.as_ref());
        files.widest = tags.filter_map(widest_of).fold(files.widest, u64::max);
        if let Some(File { path, size, data_change, stats, deletion_vector, .. }) = add {
            let path = files.path(table, path);
            let rows = stats.as_deref().and_then(num_records);
            if data_change {
                files.deletion_vectors |= deletion_vector.is_some();
                files.bytes.insert(path.clone(), size.unwrap_or_default().unsigned_abs());
                files.added.push((path, rows));
            } else {
                files.moved_vectors |= deletion_vector.is_some();
                files.moved_in.push((path, rows));
            }
        }
        if let Some(File { path, size, data_change, deletion_vector, .. }) = remove {
            let path = files.path(table, path);
            if data_change {
                files.deletion_vectors |= deletion_vector.is_some();
                if let Some(size) = size {
                    files.bytes.insert(path.clone(), size.unsigned_abs());
                }
                files.removed.push(path);
            } else {
                files.moved_vectors |= deletion_vector.is_some();
                files.moved_out.push(path);
            }
        }
        if let Some(cdc) = cdc {
            let path = files.path(table, cdc.path);
            files.bytes.insert(path.clone(), cdc.size.unwrap_or_default().unsigned_abs());
            files.cdc.push(path);
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

    /// Whether it added or removed files and declares that no row changed.
    #[must_use]
    pub fn moves_files(&self) -> bool {
        !(self.files.moved_in.is_empty() && self.files.moved_out.is_empty())
    }

    /// The same commit if that declaration is false: its files then count as a change.
    #[must_use]
    pub fn not_only_moving(mut self) -> Self {
        let files = &mut self.files;
        files.added.append(&mut files.moved_in);
        files.removed.append(&mut files.moved_out);
        files.deletion_vectors |= std::mem::take(&mut files.moved_vectors);
        self
    }

    /// Whether rows were only added.
    #[must_use]
    pub fn only_adds(&self) -> bool {
        self.files.removed.is_empty() && self.files.cdc.is_empty() && !self.files.deletion_vectors
    }

    /// Name of the operation, `unknown` if the log has none.
    #[must_use]
    pub fn operation(&self) -> &str {
        self.info.as_ref().and_then(|i| i.operation.as_deref()).unwrap_or("unknown")
    }

    /// When it was committed, by what it says itself: `inCommitTimestamp`, else the time of the writer.
    #[must_use]
    pub fn committed_ms(&self) -> Option<i64> {
        let info = self.info.as_ref()?;
        info.in_commit_timestamp.or(info.timestamp)
    }

    /// What a commit of ours says of itself for people, by its key.
    #[must_use]
    pub fn fact(&self, key: &str) -> Option<&serde_json::Value> {
        self.info.as_ref()?.info.get("stediDelta")?.get(key)
    }

    /// The digest of its change, if it is one of ours and says it.
    #[must_use]
    pub fn digest(&self) -> Option<ToldChange> {
        let told = self.fact("digest").filter(|_| self.is_ours())?;
        serde_json::from_value(told.clone()).ok()
    }

    /// The run of a commit of ours.
    #[must_use]
    pub fn run(&self) -> Option<&str> {
        self.fact("run")?.as_str().filter(|run| !run.is_empty())
    }

    /// Source table, by its name at that time -> version from which a commit of ours was computed.
    #[must_use]
    pub fn sources(&self) -> BTreeMap<String, u64> {
        let sources = self.fact("sources").and_then(serde_json::Value::as_object).into_iter().flatten();
        sources.filter_map(|(name, version)| Some((name.clone(), version.as_u64()?))).collect()
    }

    /// Whether it is one of ours.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.txns.get(app::HEAD).is_some_and(|head| u64::try_from(*head) == Ok(self.version))
    }

    /// The version of a source that it records.
    #[must_use]
    pub fn consumed(&self, source_uuid: &str) -> Option<Consumed> {
        State { txns: self.txns.clone(), ..State::default() }.source(source_uuid)
    }

    /// Whether it is a statement of a migration: its rows are those of the version before, in other columns.
    #[must_use]
    pub fn is_migration(&self) -> bool {
        self.is_ours() && self.changes_metadata && self.txns.contains_key(app::STATEMENT)
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
    /// DataFusion plans as an anti join, so duplicates get lost (datafusion#12956). A writer that does not name itself
    /// may be delta-rs.
    #[must_use]
    pub fn cdc_is_exact(&self) -> bool {
        match self.info.as_ref().and_then(|i| i.engine_info.as_deref()) {
            Some(engine) => !(self.operation() == "UPDATE" && engine.starts_with("delta-rs")),
            None => false,
        }
    }
}

/// One line of a commit, reduced to the fields in use. A reader has to ignore unknown actions, and the content of
/// `commitInfo` is up to its writer. Source: Delta protocol, "Protocol Evolution", "Commit Provenance Information".
#[derive(Deserialize)]
struct Line {
    add: Option<File>,
    remove: Option<File>,
    cdc: Option<File>,
    txn: Option<Transaction>,
    #[serde(rename = "commitInfo")]
    info: Option<serde_json::Value>,
    #[serde(rename = "metaData")]
    metadata: Option<IgnoredAny>,
    protocol: Option<IgnoredAny>,
}

/// A file of an action, with its path as spelled in the log, which the library's own actions do not keep.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    path: String,
    size: Option<i64>,
    data_change: bool,
    stats: Option<String>,
    deletion_vector: Option<IgnoredAny>,
    tags: Option<Tags>,
}

/// Reads the commit that created `version`; `None` when the log no longer holds it.
///
/// # Errors
/// When it cannot be read or parsed.
pub(super) async fn read_commit(
    table: &Location,
    log_store: &LogStoreRef,
    version: u64,
) -> Result<Option<CommitFacts>> {
    let read = log_store.read_commit_entry(version).await;
    let Some(bytes) = read.context(|| format!("commit {version} of {table} cannot be read"))? else {
        return Ok(None);
    };
    let lines = Deserializer::from_slice(&bytes).into_iter::<Line>();
    let mut facts = CommitFacts { version, hash: hash(&bytes), ..CommitFacts::default() };
    for line in lines {
        facts.note(table, line.context(|| format!("commit {version} of {table} is broken"))?);
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
