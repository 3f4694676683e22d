//! One Delta table at one version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Once, OnceLock};

use deltalake::arrow::datatypes::{Schema, SchemaRef};
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::prelude::SessionContext;
use deltalake::kernel::{Add, LogicalFileView, Remove};
use deltalake::logstore::LogStoreRef;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use tokio::sync::Mutex;

use super::belief::doubted;
pub(super) use super::file::DeltaFile;
use super::gap::gap;
use super::log::{CommitFacts, hash, read_commit};
use super::log_store;
use super::moved::MovedRows;
use super::paths::{self, Spelled};
use super::readable::{self, Obstacle};
use super::relation::Relation;
use super::row_cache::RowCache;
use super::state::{Consumed, HISTORY, State, app};
use super::statistics::{tags_of_remove, widest_of};
use super::width;
use crate::error::{Context, Error, Result};
use crate::plan::history::History;
use crate::storage::{Location, SCRATCH};
use crate::types::plain_schema;

/// How many commits are searched backwards for the newest one of ours before the checkpoint is used instead.
const SEARCH_COMMITS: u64 = 64;

/// A table at one version, with its whole file list in memory.
#[derive(Clone, Debug)]
pub struct LakeTable {
    location: Location,
    inner: DeltaTable,
    state: Arc<State>,
    /// Older versions opened through this one or a clone of it: tables with a common source need the same ones.
    older: Arc<Mutex<BTreeMap<u64, Self>>>,
    /// Cached facts about commits of this log by version: [`CommitFacts::hash`], `None` if the log no longer holds one.
    hashes: Arc<Mutex<BTreeMap<u64, Option<i64>>>>,
    /// Spellings of this version's files in the log, computed on first use.
    spelled: Arc<OnceLock<Spelled>>,
    /// What the log says of this version's files, computed on first use.
    of_files: Arc<OnceLock<OfFiles>>,
    /// [`Self::schema`] of this version, computed on first use.
    schema: Arc<OnceLock<SchemaRef>>,
    /// The cache of this version's rows.
    pub(super) row_cache: Arc<RowCache>,
    /// Whether commits of this log that declare that they changed no row really did not, by version.
    verdicts: Arc<Mutex<BTreeMap<u64, MovedRows>>>,
}

/// What decides how the rows of a version are read.
#[derive(Debug)]
struct OfFiles {
    /// Columns with bounds that cannot be trusted.
    doubted: BTreeSet<String>,
    /// The most bytes of a row.
    widest: u64,
    /// Bytes of all files.
    bytes: u64,
}

/// [`LakeTable::hashes`] and [`LakeTable::verdicts`].
type OfLog = (Arc<Mutex<BTreeMap<u64, Option<i64>>>>, Arc<Mutex<BTreeMap<u64, MovedRows>>>);

/// Maximum number of older versions that are cached.
const OLDER_KEPT: usize = 4;

impl LakeTable {
    /// The name that the table had when it was made; `None` = its log has none.
    #[must_use]
    pub fn made_as(&self) -> Option<&str> {
        self.inner().snapshot().ok()?.metadata().name()
    }

    /// Opens the newest version; `None` when there is no table.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn open(location: &Location) -> Result<Option<Self>> {
        let Some(inner) = load(location, None).await? else { return Ok(None) };
        let location = location.clone();
        let mut table = Self::new(location, inner, Arc::default(), (Arc::default(), Arc::default()));
        table.state = Arc::new(table.find_state().await?);
        Ok(Some(table))
    }

    /// `of_log`: cached facts about the commits of its log.
    fn new(location: Location, inner: DeltaTable, state: Arc<State>, of_log: OfLog) -> Self {
        let (hashes, verdicts) = of_log;
        let (older, spelled, of_files, schema) = (Arc::default(), Arc::default(), Arc::default(), Arc::default());
        Self { location, inner, state, older, hashes, spelled, of_files, schema, row_cache: Arc::default(), verdicts }
    }

    /// The same table at another version; its [`Self::state`] stays that of the newest.
    ///
    /// # Errors
    /// When that version cannot be read any more.
    pub async fn at(&self, version: u64) -> Result<Self> {
        if version == self.version() {
            return Ok(self.clone());
        }
        let mut older = self.older.lock().await;
        if let Some(table) = older.get(&version) {
            return Ok(table.clone());
        }
        let Some(inner) = load(&self.location, Some(version)).await? else {
            return Err(Error::failed(format!("{} has no version {version}", self.location)));
        };
        let of_log = (self.hashes.clone(), self.verdicts.clone());
        let table = Self::new(self.location.clone(), inner, self.state.clone(), of_log);
        if older.len() >= OLDER_KEPT {
            older.clear();
        }
        older.insert(version, table.clone());
        Ok(table)
    }

    /// The same table at a version, read again from the store: what was read before may have been deleted since.
    ///
    /// # Errors
    /// When that version cannot be read.
    pub(crate) async fn reopened(&self, version: u64) -> Result<Self> {
        let inner = load(&self.location, Some(version)).await?;
        let inner = inner.ok_or_else(|| Error::failed(format!("{} has no version {version}", self.location)))?;
        let of_log = (self.hashes.clone(), self.verdicts.clone());
        Ok(Self::new(self.location.clone(), inner, self.state.clone(), of_log))
    }

    /// Writes a checkpoint of this version.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn checkpoint(&self) -> Result<()> {
        let written = deltalake::checkpoints::create_checkpoint(&self.inner, None).await;
        written.context(|| format!("the checkpoint of {} cannot be written", self.location))
    }

    /// The same version with its own [`Self::state`]: that of the newest commit of ours up to it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn with_own_state(&self) -> Result<Self> {
        Ok(Self { state: Arc::new(self.find_state().await?), ..self.clone() })
    }

    /// Wraps the table after a commit of ours on `before`.
    pub(super) async fn after_commit(
        before: Option<&Self>,
        location: Location,
        inner: DeltaTable,
        (txns, history, hash): (BTreeMap<String, i64>, History, i64),
    ) -> Self {
        let state = Arc::new(State { txns, history, foreign: Vec::new(), readable: true });
        let of_log = before.map(|table| (table.hashes.clone(), table.verdicts.clone())).unwrap_or_default();
        let table = Self::new(location, inner, state, of_log);
        table.hashes.lock().await.insert(table.version(), Some(hash));
        table
    }

    /// Its location.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.inner.version().unwrap_or_default()
    }

    /// The id assigned at creation; a recreated table has another.
    #[must_use]
    pub fn uuid(&self) -> String {
        self.inner.snapshot().map(|s| s.metadata().id().to_owned()).unwrap_or_default()
    }

    /// The state in our newest commit, and the commits after it.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The table's log.
    #[must_use]
    pub fn log_store(&self) -> LogStoreRef {
        self.inner.log_store()
    }

    /// The Arrow schema of the stored rows, without what the log says besides of columns, such as comments: that decides
    /// nothing.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let plain = || {
            let schema =
                self.inner.snapshot().map_or_else(|_| Arc::new(Schema::empty()), |s| s.snapshot().arrow_schema());
            plain_schema(&schema).unwrap_or(schema)
        };
        Arc::clone(self.schema.get_or_init(plain))
    }

    /// The `schemaString` of the newest metadata.
    #[must_use]
    pub fn schema_string(&self) -> String {
        // The library keeps it to itself, and writes the metadata of fields in any order.
        let metadata = self.inner.snapshot().ok().and_then(|s| serde_json::to_value(s.metadata()).ok());
        metadata.and_then(|metadata| Some(metadata["schemaString"].as_str()?.to_owned())).unwrap_or_default()
    }

    /// The obstacles to reading this version with other engines.
    #[must_use]
    pub fn obstacles(&self) -> Vec<Obstacle> {
        let Ok(snapshot) = self.inner.snapshot() else { return Vec::new() };
        readable::obstacles(snapshot.protocol(), snapshot.metadata(), snapshot.schema().as_ref())
    }

    /// When the version was committed, ms since the epoch, by the store's clock.
    #[must_use]
    pub fn committed_ms(&self) -> Option<i64> {
        self.inner.snapshot().ok().and_then(|s| s.version_timestamp(self.version()))
    }

    fn spelled(&self) -> &Spelled {
        self.spelled.get_or_init(|| {
            let snapshot = self.inner.snapshot();
            snapshot.map_or_else(|_| Spelled::default(), |snapshot| Spelled::of(&self.location, snapshot))
        })
    }

    /// Whether the log spells the path of a file differently than our commits do: then only snapshots know the files,
    /// since a `remove` in one spelling does not end an `add` in another.
    #[must_use]
    pub fn is_spelled_otherwise(&self) -> bool {
        self.spelled().any()
    }

    /// The spelling in the log of a file that the Delta library calls `decoded`, if a commit of ours would spell it
    /// differently.
    pub(super) fn other_spelling(&self, decoded: &str) -> Option<&str> {
        self.spelled().other_spelling(decoded)
    }

    /// Refuses a version whose log names a file outside of the table's folder, or one file twice: engines then read
    /// different rows, and a vacuum or a backup of the folder misses the file.
    ///
    /// # Errors
    /// The first such file, by its name in the log.
    pub fn check_files(&self) -> Result<()> {
        let Some((file, why)) = self.spelled().refused() else { return Ok(()) };
        let help = "in the engine that committed it: RESTORE the version before, or copy the rows into the table; or \
                    move the table's folder away and sync";
        Err(Error::failed(format!("`{file}` in the log of {} {why}", self.location))
            .fact("table", format!("v{}, unchanged", self.version()))
            .fact("expected", "data files in the table's own folder, each named once")
            .help(help))
    }

    /// All data files.
    #[must_use]
    pub fn files(&self) -> Vec<DeltaFile> {
        let Ok(snapshot) = self.inner.snapshot() else { return Vec::new() };
        let spelled = self.spelled();
        let file = |(add, rows): (Add, Option<u64>)| {
            let path = spelled.path(&add.path).to_owned();
            DeltaFile { path, ..DeltaFile::of(add, rows) }
        };
        let all = snapshot.log_data();
        #[expect(deprecated, reason = "nothing else of it tells the tags")]
        let adds = all.iter().map(|file| (file.add_action(), file.num_records().map(|n| n as u64)));
        adds.map(file).collect()
    }

    /// A file's path, independent of its spelling in the log, by what the Delta library calls it.
    pub(super) fn path_of<'p>(&'p self, decoded: &'p str) -> &'p str {
        self.spelled().path(decoded)
    }

    /// The paths of all data files.
    #[must_use]
    pub fn paths(&self) -> BTreeSet<String> {
        let Ok(snapshot) = self.inner.snapshot() else { return BTreeSet::new() };
        let spelled = self.spelled();
        snapshot.log_data().iter().map(|file| spelled.path(&file.path()).to_owned()).collect()
    }

    /// The add of every data file.
    pub(super) fn adds(&self) -> Vec<Add> {
        let Ok(snapshot) = self.inner.snapshot() else { return Vec::new() };
        #[expect(deprecated, reason = "nothing else of it tells the tags")]
        snapshot.log_data().iter().map(|file| file.add_action()).collect()
    }

    /// Number of data files and their size in bytes.
    #[must_use]
    pub fn size(&self) -> (u64, u64) {
        let Ok(snapshot) = self.inner.snapshot() else { return (0, 0) };
        snapshot.log_data().iter().fold((0, 0), |(n, bytes), f| (n + 1, bytes + f.size().unsigned_abs()))
    }

    /// Rows, if every file's count is known.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        let snapshot = self.inner.snapshot().ok()?;
        snapshot.log_data().iter().map(|f| f.num_records().map(|n| n as u64)).sum()
    }

    /// Remove actions for the files with these paths.
    #[must_use]
    pub fn removes(&self, wanted: impl Fn(&str) -> bool) -> Vec<Remove> {
        let Ok(snapshot) = self.inner.snapshot() else { return Vec::new() };
        let spelled = self.spelled();
        let wanted = snapshot.log_data().into_iter().filter(|f| wanted(spelled.path(&f.path())));
        #[expect(deprecated, reason = "nothing else of it tells the tags")]
        let tags = |f: &LogicalFileView| tags_of_remove(f.add_action().tags.as_ref());
        wanted.map(|f| Remove { tags: tags(&f), ..f.remove_action(true) }).collect()
    }

    /// A relation over the rows, or over those of some of its files.
    ///
    /// # Errors
    /// When the snapshot cannot be scanned, and as [`Self::check_files`].
    pub async fn provider(
        &self,
        session: &SessionContext,
        files: Option<Vec<String>>,
    ) -> Result<Arc<dyn TableProvider>> {
        self.check_files()?;
        let OfFiles { doubted, widest, bytes } = self.of_files.get_or_init(|| {
            let (schema, adds) = (self.schema(), self.adds());
            let widest = adds.iter().filter_map(|add| widest_of(add.tags.as_ref())).max().unwrap_or(0);
            OfFiles {
                doubted: doubted(&schema, &adds),
                widest: widest + width::fixed(schema.fields()),
                bytes: adds.iter().map(|add| add.size.unsigned_abs()).sum(),
            }
        });
        width::narrow(session, *widest);
        let cache = (files.is_none() && RowCache::admits(*bytes)).then(|| self.row_cache.clone());
        if let Some(rows) = cache.as_ref().and_then(|cache| cache.get()) {
            return Ok(rows);
        }
        let mut builder = self.inner.table_provider().with_session(Arc::new(session.state()));
        if let Some(files) = files {
            let spelled = self.spelled();
            builder =
                builder.with_file_paths(files.iter().map(|file| paths::url(&self.location, spelled.spelling(file))));
        }
        builder
            .build()
            .await
            .map(|p| Arc::new(Relation::of(self, Arc::new(p), doubted.clone(), cache)) as Arc<dyn TableProvider>)
            .context(|| format!("{} cannot be read at version {}", self.location, self.version()))
    }

    /// Reduces the session's rows per batch for rows of this table, the widest of which has so many bytes of texts and
    /// lists.
    pub(crate) fn narrow(&self, session: &SessionContext, widest: u64) {
        width::narrow(session, widest + width::fixed(self.schema().fields()));
    }

    /// The commits `(from, to]`, oldest first; `None` when one of them is no longer in the log.
    ///
    /// # Errors
    /// When one cannot be parsed.
    pub async fn commits(&self, from: u64, to: u64) -> Result<Option<Vec<CommitFacts>>> {
        let log_store = self.log_store();
        let mut commits = Vec::new();
        for version in from + 1..=to {
            match read_commit(&self.location, &log_store, version).await? {
                Some(commit) => commits.push(commit),
                None => return Ok(None),
            }
        }
        Ok(Some(commits))
    }

    /// The commit that created `version`, if the log still holds it.
    ///
    /// # Errors
    /// When it cannot be parsed.
    pub async fn commit_at(&self, version: u64) -> Result<Option<CommitFacts>> {
        read_commit(&self.location, &self.log_store(), version).await
    }

    /// [`CommitFacts::hash`] of the commit that created `version`; `None` where the log does not hold it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn commit_hash(&self, version: u64) -> Result<Option<i64>> {
        let mut hashes = self.hashes.lock().await;
        if let Some(known) = hashes.get(&version) {
            return Ok(*known);
        }
        let log_store = self.log_store();
        let read = log_store.read_commit_entry(version).await;
        let bytes = read.context(|| format!("commit {version} of {} cannot be read", self.location))?;
        let found = bytes.map(|bytes| hash(&bytes));
        hashes.insert(version, found);
        Ok(found)
    }

    /// Every commit of ours carries the complete state, so the newest one is enough: one small read if no other writer
    /// committed since.
    async fn find_state(&self) -> Result<State> {
        let log_store = self.log_store();
        let newest = self.version();
        let mut foreign = Vec::new();
        for version in (newest.saturating_sub(SEARCH_COMMITS)..=newest).rev() {
            let read = read_commit(&self.location, &log_store, version).await?;
            self.hashes.lock().await.insert(version, read.as_ref().map(|commit| commit.hash));
            let Some(commit) = read else { break };
            if commit.is_ours() {
                foreign.reverse();
                let history = commit.fact(HISTORY).map(History::read).unwrap_or_default();
                return Ok(State { txns: commit.txns, history, foreign, readable: true });
            }
            foreign.push(commit);
            if version == 0 {
                foreign.reverse();
                return Ok(State { foreign, readable: true, ..State::default() });
            }
        }
        self.state_from_checkpoint().await
    }

    /// The commits are gone or too many: read the snapshot, which also knows the state of the checkpoint.
    async fn state_from_checkpoint(&self) -> Result<State> {
        let snapshot = self.inner.snapshot().context(|| format!("{} has no snapshot", self.location))?;
        let log_store = self.log_store();
        let mut txns = BTreeMap::new();
        for app_id in
            [app::HEAD, app::DEFINITION, app::BATCH, app::STANDING, app::BOUNDS, app::EXPECTATIONS, app::MIGRATION]
        {
            let read = snapshot.transaction_version(log_store.as_ref(), app_id).await;
            if let Some(version) = read.context(|| format!("the state of {} cannot be read", self.location))? {
                txns.insert(app_id.to_owned(), version);
            }
        }
        let head = txns.get(app::HEAD).and_then(|v| u64::try_from(*v).ok());
        let (foreign, readable) = match head {
            Some(head) if head <= self.version() => match self.commits(head, self.version()).await? {
                Some(foreign) => (foreign, true),
                None => (Vec::new(), false),
            },
            _ => (Vec::new(), head.is_none()),
        };
        Ok(State { txns, foreign, readable, ..State::default() })
    }

    /// The consumed version of a source: from the newest commit of ours, else from the checkpoint.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn consumed(&self, source_uuid: &str) -> Result<Option<Consumed>> {
        if let Some(consumed) = self.state.source(source_uuid) {
            return Ok(Some(consumed));
        }
        if self.state.txns.keys().any(|k| k.starts_with(app::SOURCE_PREFIX)) {
            return Ok(None);
        }
        self.recorded(source_uuid).await
    }

    /// The version of a source that this version of the table records: that of the newest commit with one, at or before
    /// it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn recorded(&self, source_uuid: &str) -> Result<Option<Consumed>> {
        let mut state = State::default();
        for app_id in [app::source(source_uuid), app::commit(source_uuid)] {
            if let Some(found) = self.recorded_txn(&app_id).await? {
                state.txns.insert(app_id, found);
            }
        }
        Ok(state.source(source_uuid))
    }

    /// The newest `txn` of an app id, at or before this version.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn recorded_txn(&self, app_id: &str) -> Result<Option<i64>> {
        let snapshot = self.inner.snapshot().context(|| format!("{} has no snapshot", self.location))?;
        let read = snapshot.transaction_version(self.log_store().as_ref(), app_id).await;
        read.context(|| format!("the state of {} cannot be read", self.location))
    }

    /// The same table at another version, which is opened by the commits in between if it is a later one.
    ///
    /// # Errors
    /// As [`Self::at`].
    pub async fn advanced(&self, version: u64) -> Result<Self> {
        if version <= self.version() {
            return self.at(version).await;
        }
        let mut inner = self.inner.clone();
        if inner.update_incremental(Some(version)).await.is_err() {
            // A commit in between is gone.
            return self.at(version).await;
        }
        let of_log = (self.hashes.clone(), self.verdicts.clone());
        let table = Self::new(self.location.clone(), inner, self.state.clone(), of_log);
        // With older versions of its own: they would hold each other in memory.
        table.older.lock().await.insert(self.version(), Self { older: Arc::default(), ..self.clone() });
        Ok(table)
    }

    /// Whether the commit that created a consumed version of this table has been replaced: the log was restored or
    /// replaced, and its numbers mean other rows. False if unknown.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn is_other_than(&self, consumed: Consumed) -> Result<bool> {
        let Some(commit) = consumed.commit.filter(|_| consumed.version <= self.version()) else { return Ok(false) };
        Ok(self.commit_hash(consumed.version).await?.is_some_and(|stands| stands != commit))
    }

    pub(super) fn verdicts(&self) -> &Mutex<BTreeMap<u64, MovedRows>> {
        &self.verdicts
    }

    pub(super) fn inner(&self) -> &DeltaTable {
        &self.inner
    }
}

fn register_schemes() {
    static ONCE: Once = Once::new();
    // In a rehearsal, a log may be on any store.
    ONCE.call_once(|| log_store::register(&["file", "s3", SCRATCH]));
}

pub(super) fn builder(location: &Location) -> Result<DeltaTableBuilder> {
    register_schemes();
    let builder = DeltaTableBuilder::from_url(location.url.clone());
    let builder = builder.context(|| format!("`{location}` cannot hold a table"))?;
    Ok(builder.with_storage_backend(location.store.clone(), location.url.clone()))
}

async fn load(location: &Location, version: Option<u64>) -> Result<Option<DeltaTable>> {
    // A missing local folder means no table; delta-rs reports it as an error of the store.
    if location.no_folder().is_some() {
        return Ok(None);
    }
    let mut builder = builder(location)?;
    if let Some(version) = version {
        builder = builder.with_version(version);
    }
    match builder.load().await {
        Ok(table) => Ok(Some(table)),
        Err(DeltaTableError::NotATable(_)) if version.is_none() => Ok(None),
        Err(cause) => {
            if let Ok(Some(gap)) = gap(location, version).await {
                return Err(gap);
            }
            let at = version.map_or_else(String::new, |v| format!(" at version {v}"));
            Err(Error::failed(format!("{location} cannot be opened{at}")).because(cause))
        }
    }
}
