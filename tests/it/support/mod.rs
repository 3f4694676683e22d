//! A lake in a temporary folder, driven through the library as the command line drives it.

pub(crate) mod aws;
mod cloud;
pub(crate) mod crowd;
pub(crate) mod faulty;
mod people;
mod ran;
pub(crate) mod second;
pub(crate) mod shop;
pub(crate) mod slow;
pub(crate) mod traces;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deltalake::DeltaTableBuilder;
use deltalake::arrow::array::{AsArray, RecordBatch};
use deltalake::arrow::util::display::{ArrayFormatter, FormatOptions};
use stedi_delta::Privacy;
use stedi_delta::Storage;
use stedi_delta::Workspace;
use stedi_delta::internals::definition::{Action, Table};
use stedi_delta::internals::lake::LakeTable;
use stedi_delta::outcome::{Mode, PlanOutcome, Problem, SyncOutcome, TableOutcome, TablePlan};
use stedi_delta::progress::{Progress, Silent};
use stedi_delta::workspace::WorkspaceOptions;
use stedi_delta::{inspect, sync};
use url::Url;

pub(crate) use ran::Ran;

pub(crate) use people::{DERIVED, accelerometer, assert_still, customer, steps};

/// The repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The real STEDI landing files, if this machine has them. Prints the skip otherwise.
pub(crate) fn real_data() -> Option<PathBuf> {
    let folder = repository().join("../shared/data/stedi");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIP: the real STEDI files are not beside this clone");
    None
}

/// A project, its landing folder and its warehouse, in a temporary folder.
pub(crate) struct Lake {
    folder: tempfile::TempDir,
    root: PathBuf,
    storage: Storage,
    /// Where landing folder and warehouse are, if not in `folder`.
    base: Option<PathBuf>,
    /// The bucket where they are instead.
    cloud: Option<cloud::Cloud>,
}

impl Lake {
    /// The repository's own STEDI project over an empty landing folder.
    pub(crate) fn stedi() -> Self {
        Self::with_project(repository().to_path_buf())
    }

    /// A project of its own: files by path under the project folder. `stedi-delta.toml` is written unless given.
    pub(crate) fn project(files: &[(&str, &str)]) -> Self {
        let lake = Self::with_project(PathBuf::new());
        let root = lake.folder.path().join("project");
        fs::create_dir_all(&root).unwrap();
        let lake = Self { root, ..lake };
        lake.define(
            "stedi-delta.toml",
            "name = \"shop\"\nzones = [\"landing\", \"trusted\", \"curated\"]\n[targets.dev]\n\
             landing = \"l\"\nwarehouse = \"w\"\n",
        );
        for (path, text) in files {
            lake.define(path, text);
        }
        lake
    }

    fn with_project(root: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("landing")).unwrap();
        Self { folder, root, storage: Storage::default(), base: None, cloud: None }
    }

    /// The same lake seen through another storage.
    pub(crate) fn through(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// Writes a definition file.
    pub(crate) fn define(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes a landing file, old enough to be read.
    pub(crate) fn land(&self, path: &str, bytes: impl AsRef<[u8]>) {
        if let Some(cloud) = &self.cloud {
            return cloud.land(path, bytes.as_ref());
        }
        let path = self.landing().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
        fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    }

    /// Copies a folder of landing files.
    pub(crate) fn land_all(&self, from: &Path) {
        if let Some(cloud) = &self.cloud {
            return cloud.land_all(from);
        }
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let to = self.landing().join(path.strip_prefix(from).unwrap());
            copy(&path, &to);
        }
    }

    /// The project folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn base(&self) -> PathBuf {
        self.base.clone().unwrap_or_else(|| self.folder.path().to_owned())
    }

    /// A folder for caches of the program.
    pub(crate) fn caches(&self) -> PathBuf {
        self.folder.path().join("caches")
    }

    /// The landing folder.
    pub(crate) fn landing(&self) -> PathBuf {
        self.base().join("landing")
    }

    /// The warehouse folder.
    pub(crate) fn warehouse(&self) -> PathBuf {
        self.base().join("warehouse")
    }

    /// The project at its target, loaded again.
    pub(crate) async fn workspace(&self) -> Workspace {
        self.site_through(self.storage.clone()).await
    }

    /// The project through another storage.
    pub(crate) async fn site_through(&self, storage: Storage) -> Workspace {
        self.open(storage).await.unwrap_or_else(|e| panic!("{e} {:?}", e.facts()))
    }

    async fn open(&self, storage: Storage) -> stedi_delta::error::Result<Workspace> {
        let text = |path: PathBuf| Some(path.to_str().unwrap().to_owned());
        let options = WorkspaceOptions {
            root: self.root.clone(),
            target: None,
            landing: text(self.landing()),
            warehouse: text(self.warehouse()),
        };
        let (options, storage) = match &self.cloud {
            Some(cloud) => (cloud.options(options), cloud.storage(storage).await),
            None => (options, storage),
        };
        Workspace::open(&options, storage, Privacy::new(Some("test"), false)).await
    }

    /// The project with stores of its own.
    pub(crate) async fn fresh_site(&self) -> Workspace {
        self.site_through(Storage::default()).await
    }

    /// This project over the landing folder and warehouse of another lake.
    pub(crate) fn over(mut self, other: &Self) -> Self {
        self.base = Some(other.base());
        self
    }

    /// A sync with any outcome, with a cache, as the program has one.
    pub(crate) async fn try_sync_with(&self, options: sync::Options) -> SyncOutcome {
        let options = sync::Options { cache: options.cache.or_else(|| Some(self.caches())), ..options };
        let progress: Arc<dyn Progress> = Arc::new(Silent);
        sync::sync(&self.workspace().await, &options, &progress).await
    }

    /// A sync with any outcome.
    pub(crate) async fn try_sync(&self) -> SyncOutcome {
        self.try_sync_with(sync::Options::default()).await
    }

    /// A sync that must succeed.
    pub(crate) async fn sync(&self) -> SyncOutcome {
        let outcome = self.try_sync().await;
        assert_ok(&outcome);
        outcome
    }

    /// Rows of a query, each as text with `|` between the values, sorted.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        let batches = inspect::query(&self.workspace().await, sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let mut rows: Vec<String> = batches.iter().flat_map(texts).collect();
        rows.sort();
        rows
    }

    /// The only value of a query, as a number.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let batches = inspect::query(&self.workspace().await, sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        batches[0].column(0).as_primitive::<deltalake::arrow::datatypes::Int64Type>().value(0)
    }

    /// Every derived table equals its query over the current tables, as a multiset.
    pub(crate) async fn assert_recomputed(&self) {
        let workspace = self.workspace().await;
        for table in workspace.project.tables.iter().filter(|t| t.derived().is_some()) {
            let sql = effective(table);
            let (stored, computed) = (self.rows(&format!("select * from {}", table.name)).await, self.rows(&sql).await);
            assert!(
                stored == computed,
                "{} is not its query: {} rows stored, {} computed",
                table.name,
                stored.len(),
                computed.len()
            );
        }
    }

    /// All rows of all tables of the project, by table.
    pub(crate) async fn contents(&self) -> Vec<(String, Vec<String>)> {
        let mut contents = Vec::new();
        for table in &self.workspace().await.project.tables {
            contents.push((table.name.to_string(), self.rows(&format!("select * from {}", table.name)).await));
        }
        contents
    }

    /// The current table in a folder of the warehouse.
    pub(crate) async fn table(&self, path: &str) -> LakeTable {
        LakeTable::open(&self.workspace().await.warehouse.join(path)).await.unwrap().unwrap()
    }

    /// Every file below the warehouse with its size.
    pub(crate) fn files(&self) -> Vec<(PathBuf, u64)> {
        if let Some(cloud) = &self.cloud {
            return cloud.files();
        }
        let mut files = Vec::new();
        walk(&self.warehouse(), &mut files);
        files.sort();
        files
    }
}

/// The query that a table must equal: its own, where its quarantining expectations are met.
fn effective(table: &Table) -> String {
    let sql = &table.derived().unwrap().canonical_sql;
    let checks = table.expectations.iter().filter(|e| e.action == Action::Quarantine);
    match checks.map(|e| format!("({})", e.check.text)).reduce(|all, next| format!("{all} and {next}")) {
        Some(all) => format!("select * from ({sql}) as {} where {all}", table.name),
        None => sql.clone(),
    }
}

/// A sync that recomputes each table and compares.
pub(crate) fn verify() -> sync::Options {
    sync::Options { verify: true, ..sync::Options::default() }
}

/// The outcome of one table.
pub(crate) fn of<'o>(outcome: &'o SyncOutcome, table: &str) -> &'o TableOutcome {
    outcome.tables.iter().find(|t| t.table.as_str() == table).unwrap_or_else(|| panic!("no outcome of {table}"))
}

/// The plan of one table.
pub(crate) fn plan_of<'p>(plan: &'p PlanOutcome, table: &str) -> &'p TablePlan {
    plan.tables.iter().find(|t| t.table.as_str() == table).unwrap_or_else(|| panic!("no plan of {table}"))
}

/// No table was computed whole.
pub(crate) fn assert_no_full(outcome: &SyncOutcome) {
    for table in &outcome.tables {
        assert!(table.mode != Mode::Full, "{}: {}", table.table, table.reason);
    }
}

/// Another writer deletes rows from a table.
pub(crate) async fn foreign_delete(lake: &Lake, table: &str, predicate: &str) {
    let url = Url::from_directory_path(lake.warehouse().join(table)).unwrap();
    let table = DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
    table.delete().with_predicate(predicate).await.unwrap();
}

/// The modes of all tables by name.
pub(crate) fn modes(outcome: &SyncOutcome) -> Vec<(&str, Mode)> {
    outcome.tables.iter().map(|t| (t.table.as_str(), t.mode)).collect()
}

/// Nothing failed.
pub(crate) fn assert_ok(outcome: &SyncOutcome) {
    if let Some(error) = &outcome.problem {
        panic!("sync failed: {error}");
    }
    for table in &outcome.tables {
        match &table.problem {
            Some(Problem::Failed(error)) => panic!("{}: {error} {:?}", table.table, error.facts()),
            Some(Problem::Skipped(above)) => panic!("{} was skipped: {above}", table.table),
            None => assert!(table.left_out.is_empty(), "{}: {:?}", table.table, table.left_out),
        }
    }
}

fn texts(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<ArrayFormatter<'_>> =
        batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("|"))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            copy(&path, &to.join(path.file_name().unwrap()));
        }
        return;
    }
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    let mut permissions = fs::metadata(to).unwrap().permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "a temporary copy of a read-only file")]
    permissions.set_readonly(false);
    fs::set_permissions(to, permissions).unwrap();
    fs::File::options().write(true).open(to).unwrap().set_modified(old).unwrap();
}

fn walk(folder: &Path, files: &mut Vec<(PathBuf, u64)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            walk(&entry.path(), files);
        } else {
            files.push((entry.path(), entry.metadata().unwrap().len()));
        }
    }
}
