//! One atomic commit, to exactly the version after the snapshot it was computed from.
//!
//! The crate's own commit loop is not used: it retries on newer versions after a conflict check that lets an OPTIMIZE
//! in between corrupt the table. Here a commit either creates `snapshot + 1` or fails with
//! [`Kind::Conflict`](crate::error::Kind), and the caller plans again.
//! Source: Delta protocol, "Delta Log Entries", "Change Metadata", "Transaction Identifiers", "Commit Provenance".

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use deltalake::kernel::transaction::{CommitData, TransactionError};
use deltalake::kernel::{
    Action, Add, AddCDCFile, CommitInfo, Metadata, MetadataExt, Protocol, Remove, Transaction, new_metadata,
};
use deltalake::logstore::{CommitOrBytes, LogStoreRef};
use deltalake::protocol::{DeltaOperation, SaveMode};
use serde_json::json;

use super::annotations::Annotations;
use super::columns::{NewColumns, schema};
use super::layout::Layout;
use super::log::hash;
use super::optimized::OPTIMIZE;
use super::readable;
use super::state::{HISTORY, app};
use super::table::{LakeTable, builder};
use crate::clock;
use crate::definition::Column;
use crate::digest::ChangeDigest;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::history::History;
use crate::storage::Location;

/// A checkpoint is written every this many commits.
const CHECKPOINT_INTERVAL: u64 = 20;

/// The changes of a commit.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// New data files.
    pub adds: Vec<Add>,
    /// Data files of the snapshot to remove.
    pub removes: Vec<Remove>,
    /// Change data files: path relative to the table and size.
    pub cdc: Vec<(String, u64)>,
    /// New columns, when the schema changes.
    pub schema: Option<NewColumns>,
    /// Properties with new values.
    pub properties: BTreeMap<String, String>,
    /// Properties that go.
    pub unset: Vec<String>,
    /// What the log is to say of the table, its columns and properties.
    pub annotations: Option<Annotations>,
    /// The digest of the change, if it is known.
    pub digest: Option<ChangeDigest>,
}

impl Change {
    /// Whether it has files whose rows change.
    fn changes_data(&self) -> bool {
        self.adds.iter().any(|add| add.data_change)
            || self.removes.iter().any(|remove| remove.data_change)
            || !self.cdc.is_empty()
    }
}

/// A commit about to happen.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Delta's name of the operation: `WRITE`, `MERGE`, ...
    pub operation: &'static str,
    /// Its changes.
    pub change: Change,
    /// State to record besides [`app::HEAD`]. A commit carries the complete state of the table.
    pub txns: BTreeMap<String, i64>,
    /// Facts for people, in `commitInfo`; never personal data.
    pub info: BTreeMap<String, serde_json::Value>,
    /// Counts for `operationMetrics`.
    pub metrics: BTreeMap<&'static str, u64>,
}

/// A table to be created.
#[derive(Clone, Debug)]
pub struct TableSpec {
    /// Its id; chosen by the caller if a write-ahead log names it.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its properties.
    pub properties: Properties,
    /// Which statistics the log has of its columns.
    pub layout: Layout,
}

/// Properties of a new table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// Whether commits write their change row by row.
    pub change_data_feed: bool,
}

impl Commit {
    /// Writes the digest of the change, beside what else is told of the commit.
    fn tell_digest(&mut self, id: &str, version: u64) {
        let Some(digest) = self.change.digest.take().filter(|_| self.change.changes_data()) else { return };
        let told = self.info.entry("stediDelta".to_owned()).or_insert_with(|| json!({}));
        if let Some(told) = told.as_object_mut() {
            told.insert("digest".to_owned(), json!(digest.told(id, version)));
        }
    }

    /// Repeats what recent refreshes of the table took, unless the commit is a refresh and says it itself: only the newest
    /// commit is read for it.
    fn repeat_history(&mut self, before: &History) -> History {
        let told = self.info.get_mut("stediDelta").and_then(serde_json::Value::as_object_mut);
        let Some(told) = told else { return History::default() };
        if let Some(own) = told.get(HISTORY) {
            return History::read(own);
        }
        if *before != History::default() {
            told.insert(HISTORY.to_owned(), before.told());
        }
        before.clone()
    }

    fn actions(self, version: u64) -> Vec<Action> {
        let now = clock::now_ms();
        let mut info: HashMap<String, serde_json::Value> = self.info.into_iter().collect();
        if !self.metrics.is_empty() {
            // The protocol stores metrics as strings.
            let metrics: BTreeMap<_, _> = self.metrics.iter().map(|(k, v)| (*k, v.to_string())).collect();
            info.insert("operationMetrics".into(), json!(metrics));
        }
        let mut actions = vec![Action::CommitInfo(CommitInfo {
            timestamp: Some(now),
            operation: Some(self.operation.to_owned()),
            operation_parameters: Some(HashMap::new()),
            read_version: version.checked_sub(1),
            engine_info: Some(super::ENGINE.to_owned()),
            info,
            ..CommitInfo::default()
        })];
        let head = [(app::HEAD.to_owned(), i64::try_from(version).unwrap_or(i64::MAX))];
        actions.extend(
            self.txns
                .into_iter()
                .filter(|(id, _)| id != app::HEAD)
                .chain(head)
                .map(|(id, version)| Action::Txn(Transaction::new(id, version))),
        );
        actions.extend(self.change.removes.into_iter().map(|mut remove| {
            remove.deletion_timestamp = Some(now);
            Action::Remove(remove)
        }));
        actions.extend(self.change.adds.into_iter().map(Action::Add));
        actions.extend(self.change.cdc.into_iter().map(|(path, size)| {
            Action::Cdc(AddCDCFile {
                path,
                size: i64::try_from(size).unwrap_or(i64::MAX),
                partition_values: HashMap::new(),
                data_change: false,
                tags: None,
            })
        }));
        actions
    }

    /// Commits on top of `table`, or on top of optimizations committed since, if they moved no row of the files that this
    /// commit removes: what it was computed from is the same then.
    ///
    /// # Errors
    /// `Conflict` if another newer version exists; `Failed` if the store fails or the table needs features that this tool
    /// does not write.
    pub async fn commit(self, table: &LakeTable) -> Result<LakeTable> {
        let again = self.clone();
        match self.commit_onto(table).await {
            Err(conflict) if conflict.kind() == Kind::Conflict => match table.after_optimizations(&again.change).await?
            {
                Some(newer) => again.commit_onto(&newer).await,
                None => Err(conflict),
            },
            other => other,
        }
    }

    async fn commit_onto(mut self, table: &LakeTable) -> Result<LakeTable> {
        if !self.change.removes.is_empty() {
            table.check_removable()?;
        }
        let version = table.version() + 1;
        let snapshot = table.inner().snapshot().context(|| format!("{} has no snapshot", table.location()))?;
        let (new_columns, mut properties) = (self.change.schema.take(), std::mem::take(&mut self.change.properties));
        let mut gone = std::mem::take(&mut self.change.unset);
        let annotations = self.change.annotations.take();
        if let Some(looked) = table.told_since() {
            self.txns.entry(app::BOUNDS.to_owned()).or_insert(looked);
        }
        if self.operation == OPTIMIZE {
            self.txns.insert(app::OPTIMIZED.to_owned(), i64::try_from(version).unwrap_or(i64::MAX));
        }
        self.tell_digest(&table.uuid(), version);
        let history = self.repeat_history(&table.state().history);
        let txns = with_head(&self.txns, version);
        let mut actions = self.actions(version);
        let keeps_properties = properties.is_empty() && gone.is_empty();
        if new_columns.is_some() || annotations.is_some() || !keeps_properties {
            let mut schema = snapshot.schema().as_ref().clone();
            if let Some(columns) = new_columns {
                schema = columns.schema(&schema)?;
            }
            if let Some(annotations) = &annotations {
                let before = snapshot.metadata().configuration();
                schema = annotations.commented(&schema, before, (&mut properties, &mut gone))?;
            }
            let metadata = snapshot.metadata().clone().with_schema(&schema);
            let set = |metadata: Metadata, (name, value)| metadata.add_config_key(name, value);
            let metadata = metadata.and_then(|metadata| properties.into_iter().try_fold(metadata, set));
            let unset = |metadata: Metadata, name: String| metadata.remove_config_key(&name);
            let metadata = metadata.and_then(|metadata| gone.into_iter().try_fold(metadata, unset));
            let metadata =
                metadata.and_then(|metadata| match annotations.as_ref().and_then(Annotations::description) {
                    Some(description) => metadata.with_description(description.to_owned()),
                    None => Ok(metadata),
                });
            let metadata = metadata.context(|| "the new schema cannot be written".into())?;
            readable::check(table.location(), &readable::obstacles(snapshot.protocol(), &metadata, &schema))?;
            actions.push(Action::Metadata(metadata));
        }
        table.check_writable()?;
        let log_store = table.log_store();
        let hash = put(&log_store, (table.location(), Some(table)), version, actions).await?;
        let mut inner = table.inner().clone();
        inner
            .update_incremental(Some(version))
            .await
            .context(|| format!("{} cannot be read back at version {version}", table.location()))?;
        if (version + 1).is_multiple_of(CHECKPOINT_INTERVAL) {
            // The commit is durable: a missing checkpoint costs time, not rows, and the next one makes up for it.
            let _ = deltalake::checkpoints::create_checkpoint(&inner, None).await;
        }
        Ok(LakeTable::after_commit(Some(table), table.location().clone(), inner, (txns, history, hash)).await)
    }
}

/// Creates a table with its first rows as version 0.
///
/// # Errors
/// `Conflict` if the table exists.
pub async fn create(location: &Location, spec: &TableSpec, mut commit: Commit) -> Result<LakeTable> {
    let mut configuration = HashMap::from([
        ("delta.enableExpiredLogCleanup".to_owned(), "false".to_owned()),
        ("delta.checkpointInterval".to_owned(), CHECKPOINT_INTERVAL.to_string()),
    ]);
    if spec.properties.change_data_feed {
        configuration.insert("delta.enableChangeDataFeed".to_owned(), "true".to_owned());
    }
    configuration.extend(spec.layout.properties());
    let mut properties = std::mem::take(&mut commit.change.properties);
    let mut schema = schema(&spec.columns)?;
    if let Some(annotations) = commit.change.annotations.take() {
        schema = annotations.commented(&schema, &HashMap::new(), (&mut properties, &mut Vec::new()))?;
    }
    configuration.extend(properties);
    let doing = || format!("{location} cannot be created");
    // Writer version 4 supports the change data feed; every engine reads reader version 1.
    let writer_version = if spec.properties.change_data_feed { 4 } else { 2 };
    let protocol = json!({"minReaderVersion": 1, "minWriterVersion": writer_version});
    let protocol: Protocol = serde_json::from_value(protocol).context(doing)?;
    let metadata = new_metadata(&schema, Vec::<String>::new(), configuration)
        .and_then(|m| m.with_table_id(spec.uuid.clone()))
        .and_then(|m| m.with_name(spec.name.clone()))
        .and_then(|m| m.with_description(spec.description.clone()))
        .context(doing)?;
    readable::check(location, &readable::obstacles(&protocol, &metadata, &schema))?;
    commit.txns.insert(app::BOUNDS.to_owned(), 0);
    // Before it there are no rows.
    commit.change.digest = commit.change.digest.map(ChangeDigest::whole);
    commit.tell_digest(&spec.uuid, 0);
    let history = commit.repeat_history(&History::default());
    let txns = with_head(&commit.txns, 0);
    let mut actions = commit.actions(0);
    actions.insert(1, Action::Protocol(protocol));
    actions.insert(2, Action::Metadata(metadata));
    let mut inner = builder(location)?.build().context(doing)?;
    let hash = put(&inner.log_store(), (location, None), 0, actions).await?;
    inner.load_version(0).await.context(|| format!("{location} cannot be read back"))?;
    Ok(LakeTable::after_commit(None, location.clone(), inner, (txns, history, hash)).await)
}

fn with_head(txns: &BTreeMap<String, i64>, version: u64) -> BTreeMap<String, i64> {
    let mut txns = txns.clone();
    txns.insert(app::HEAD.to_owned(), i64::try_from(version).unwrap_or(i64::MAX));
    txns
}

/// The bytes of a commit. A file of the table keeps the spelling of its `add`, whether it is removed or described
/// again: the library would re-encode its path, and the log treats another spelling as another file.
fn encoded(data: &CommitData, before: Option<&LakeTable>) -> Result<Bytes> {
    let doing = || "the commit cannot be encoded".to_owned();
    let bytes = data.get_bytes().context(doing)?;
    let Some(before) = before.filter(|table| table.is_spelled_otherwise()) else { return Ok(bytes) };
    let text = std::str::from_utf8(&bytes).context(doing)?;
    let line = |(action, line): (&Action, &str)| {
        let (name, path) = match action {
            Action::Add(add) => ("add", &add.path),
            Action::Remove(remove) => ("remove", &remove.path),
            _ => return Ok(line.to_owned()),
        };
        let Some(spelling) = before.other_spelling(path) else { return Ok(line.to_owned()) };
        let mut value: serde_json::Value = serde_json::from_str(line).context(doing)?;
        value[name]["path"] = json!(spelling);
        Ok(value.to_string())
    };
    let lines: Result<Vec<String>> = data.actions.iter().zip(text.lines()).map(line).collect();
    Ok(Bytes::from(lines?.join("\n")))
}

/// Writes a commit on top of the table's version and returns its [`hash`].
async fn put(
    log_store: &LogStoreRef,
    (location, before): (&Location, Option<&LakeTable>),
    version: u64,
    actions: Vec<Action>,
) -> Result<i64> {
    // `operation` is only used for a generated `commitInfo`; ours is among the actions.
    let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
    let data = CommitData::new(actions, operation, HashMap::new(), Vec::new());
    let bytes = encoded(&data, before)?;
    let entry = CommitOrBytes::LogBytes(bytes.clone());
    match log_store.write_commit_entry(version, entry, clock::random_uuid()).await {
        Ok(()) => Ok(hash(&bytes)),
        Err(failure) => {
            // A lost response is not a lost commit: check whether exactly these bytes are stored.
            let stored = log_store.read_commit_entry(version).await;
            match (stored, failure) {
                (Ok(Some(stored)), _) if stored == bytes => Ok(hash(&bytes)),
                (_, TransactionError::VersionAlreadyExists(_)) | (Ok(Some(_)), _) => {
                    Err(Error::conflict(format!("another writer committed version {version} of {location} meanwhile"))
                        .help("run the command again; it plans from the new version"))
                }
                (Ok(None), failure) => {
                    Err(Error::failed(format!("version {version} of {location} could not be committed"))
                        .because(failure)
                        .help("run the command again; nothing of this table was changed"))
                }
                (Err(_), failure) => {
                    Err(Error::failed(format!("it is unknown whether version {version} of {location} was committed"))
                        .because(failure)
                        .fact("because", "the store answered neither the commit nor the read of that version")
                        .help("run the command again; it looks first, and neither loses nor doubles a row"))
                }
            }
        }
    }
}

impl LakeTable {
    /// Refuses tables that engines cannot read in their current state, or whose protocol needs more than plain files
    /// and the change feed. Call it before files are read for a commit; every commit checks again.
    ///
    /// # Errors
    /// The obstacle, and the remedy.
    pub fn check_writable(&self) -> Result<()> {
        readable::check(self.location(), &self.obstacles())?;
        let Ok(snapshot) = self.inner().snapshot() else { return Ok(()) };
        if let Some(column) = snapshot.metadata().partition_columns().first() {
            return Err(Error::failed(format!("{} is partitioned by `{column}`", self.location()))
                .fact("expected", "no partition columns: their values would be in the log and in the names of files")
                .fact("because", "the table was replaced")
                .help("replace it by one without partitions, or move the table's folder away and sync"));
        }
        let protocol = snapshot.protocol();
        let (reader, writer) = (protocol.min_reader_version(), protocol.min_writer_version());
        if reader <= 1 && writer <= 4 {
            return self.check_promises();
        }
        Err(Error::failed(format!("{} needs reader version {reader} and writer version {writer}", self.location()))
            .fact("expected", "reader version 1, writer version 4 at most, so that every engine can read it")
            .fact("because", "another writer switched a table feature on")
            .help("ALTER TABLE ... DROP FEATURE in the engine that did, or move the table's folder away and sync"))
    }
}
