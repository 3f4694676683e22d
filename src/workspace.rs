//! A project at a target: all of its roots and tables.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deltalake::datafusion::prelude::SessionContext;
use futures::{StreamExt, stream};
use tokio::sync::Semaphore;

use crate::aws::{Aws, AwsSettings};
use crate::catalog::{Catalog, GlueCatalog, LocalCatalog};
use crate::definition::cases;
use crate::definition::{self, Claim, Derived, Policy, Project, Table, TableKind, Target, clashes};
use crate::determinism::{Code, Reason};
use crate::error::{Error, Kind, Result};
use crate::evaluate;
use crate::graph::Graph;
use crate::ingest::{self, LandingContext};
use crate::lake::{LakeTable, SessionOptions, session, sweep_spill, with_memory_limit};
use crate::migration::{self, Home, Places};
use crate::name::{TableName, misread_in_path, nearest};
use crate::plan;
use crate::privacy::{Privacy, without_credentials, word};
use crate::refresh::Job;
use crate::source::faults::sorted;
use crate::source::{Fault, SourceFile};
use crate::storage::{Encryption, Location, Storage};

/// The roots of a project in memory.
const LANDING_IN_MEMORY: &str = "/landing";
const WAREHOUSE_IN_MEMORY: &str = "/warehouse";

/// Identifies a workspace.
#[derive(Clone, Debug, Default)]
pub struct WorkspaceOptions {
    /// Project folder.
    pub root: PathBuf,
    /// Target name; `None` = the project's default.
    pub target: Option<String>,
    /// Overrides the target's landing root.
    pub landing: Option<String>,
    /// Overrides the target's warehouse root.
    pub warehouse: Option<String>,
}

/// A project at a target.
#[derive(Clone)]
pub struct Workspace {
    /// The checked project.
    pub project: Arc<Project>,
    /// The target's name.
    pub target: String,
    /// Landing root as written.
    pub landing_text: String,
    /// Warehouse root as written.
    pub warehouse_text: String,
    /// Landing root.
    pub landing: Location,
    /// Warehouse root.
    pub warehouse: Location,
    /// Database of the catalog.
    pub database: String,
    /// The catalog.
    pub catalog: Arc<dyn Catalog>,
    /// How personal data appears in messages.
    pub privacy: Privacy,
    /// The dependencies between tables.
    pub graph: Graph,
    /// Where tables are that migrations of this lake moved.
    pub places: Arc<Places>,
    storage: Storage,
    /// Landing files that may be read concurrently.
    workers: Arc<Semaphore>,
}

/// Refuses a folder whose path Delta readers misinterpret; `what` names it.
fn check_path(what: &str, location: &Location) -> Result<()> {
    let Some((found, taken_for)) = misread_in_path(location.path.as_ref()) else { return Ok(()) };
    Err(Error::failed(format!("{what} `{location}` cannot hold tables"))
        .fact("found", format!("`{found}` in its path: Delta readers take that for {taken_for}")))
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workspace({} -> {})", self.project.name, self.target)
    }
}

/// Loads and checks a project completely: its files, and whether its queries can be maintained in their declared mode.
///
/// # Errors
/// All faults together.
pub fn load(root: &Path) -> Result<Project> {
    let (project, faults) = examine(root, None)?;
    if faults.is_empty() { Ok(project) } else { Err(Error::definition(sorted(faults))) }
}

/// [`load`] as if the project had this file, or had it with this text.
///
/// # Errors
/// All faults together.
pub fn load_with(root: &Path, file: SourceFile) -> Result<Project> {
    let (project, faults) = examine(root, Some(file))?;
    if faults.is_empty() { Ok(project) } else { Err(Error::definition(sorted(faults))) }
}

fn examine(root: &Path, file: Option<SourceFile>) -> Result<(Project, Vec<Fault>)> {
    let (project, mut faults) = definition::examine(root, file)?;
    faults.extend(plan::unmaintainable(&project));
    faults.extend(migration::faults(&project));
    Ok((project, faults))
}

/// [`load`], whether the variables of a target (default: the project's) are set, and whether the query engine has a plan for every query and its change. Takes some milliseconds per table.
///
/// # Errors
/// All faults together.
pub async fn check(root: &Path, target: Option<&str>) -> Result<Project> {
    let (project, mut faults) = examine(root, None)?;
    // A table that cannot be read is not one that is gone.
    let is_whole = faults.is_empty();
    let target = target.unwrap_or(&project.default_target);
    faults.extend(project.unset.get(target).into_iter().flatten().cloned());
    // A sync does not ask: it has the lake itself.
    if is_whole {
        faults.extend(migration::differences(&project));
    }
    let session = session(SessionOptions::of(&project), &[])?;
    let has_fault = |table: &Table, derived: &Derived, faults: &[Fault]| {
        let files = [&table.file.path, &derived.sql_file.path];
        faults.iter().any(|f| f.place.as_ref().is_some_and(|p| files.contains(&&p.file.path)))
    };
    let own =
        |table: &'_ Table| table.derived().is_some_and(|d| d.quarantine_of.is_none() && !has_fault(table, d, &faults));
    let queries: Vec<&Derived> = project.tables.iter().filter(|t| own(t)).filter_map(Table::derived).collect();
    // Planning is all of the work: one query per core at a time.
    let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
    let rehearsals: Vec<_> =
        queries.iter().map(|d| evaluate::rehearse(&d.plan, d.refresh != Policy::Full, &session)).collect();
    let rehearsals: Vec<Result<()>> = stream::iter(rehearsals).buffered(at_once).collect().await;
    for (derived, rehearsed) in queries.into_iter().zip(rehearsals) {
        if let Err(error) = rehearsed {
            // No data were read.
            let error = error.unredacted();
            let why = std::iter::once(error.message().to_owned()).chain(error.causes()).collect::<Vec<_>>().join(": ");
            let reason = Reason::new(Code::NotPlanned, why);
            faults.push(plan::unplannable(derived, &reason, "write it another way"));
        }
    }
    if faults.is_empty() {
        // Over tables with faults they would have further ones.
        faults.extend(cases::cases(root, &project)?.1);
    }
    if faults.is_empty() { Ok(project) } else { Err(Error::definition(sorted(faults))) }
}

/// Schemes are case-insensitive.
fn is_on_s3(place: &str) -> bool {
    place.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("s3"))
}

/// Characters of a name that no table has in the error about it.
const SHOWN_OF_NAME: usize = 200;

/// The error for a name that no table has.
#[must_use]
pub fn unknown_table(name: &str, known: &[&str]) -> Error {
    // The beginning of an address may end within its credentials, where nothing recognises them.
    let name = name.split_once("://").map_or(name, |(scheme, _)| scheme);
    let shown = match name.char_indices().nth(SHOWN_OF_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    };
    let error = Error::new(Kind::Usage, format!("table `{shown}` is not in this project"));
    if let Some((before, _)) = name.split_once('@').filter(|(before, _)| known.contains(before)) {
        return error.fact("expected", "the table's name alone").help(format!("did you mean `{before}`?"));
    }
    // Without its zone, and as unquoted names fold.
    let folded = shown.trim().rsplit('.').next().unwrap_or_default().to_lowercase();
    match nearest(&folded, known.iter().copied()) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.fact("tables", known.join(", ")),
    }
}

/// A project at a target by its addresses, without any connection.
#[derive(Debug)]
pub struct ResolvedTarget {
    /// The checked project.
    pub project: Project,
    /// The target's name.
    pub target: String,
    /// Landing root as written.
    pub landing: String,
    /// Warehouse root as written.
    pub warehouse: String,
    /// The base folders of a relative landing root and of a relative warehouse root.
    bases: [PathBuf; 2],
}

/// The location of a table.
#[derive(Clone, Debug)]
pub struct TablePlace {
    /// Its name.
    pub name: String,
    /// Folder or URL, as written.
    pub place: String,
    /// Whether it is the quarantine of a landing table.
    pub is_quarantine: bool,
}

impl ResolvedTarget {
    /// Loads and checks the project and finds its target.
    ///
    /// # Errors
    /// Faults of the project; an unknown target.
    pub fn find(options: &WorkspaceOptions) -> Result<Self> {
        for (flag, given) in [("--landing", &options.landing), ("--warehouse", &options.warehouse)] {
            without_credentials(Kind::Usage, flag, given.as_deref().unwrap_or_default())?;
        }
        let project = load(&options.root)?;
        let name = options.target.clone().unwrap_or_else(|| project.default_target.clone());
        let Some(target) = project.targets.get(&name) else {
            let known: Vec<&str> = project.targets.keys().map(String::as_str).collect();
            let error = Error::new(Kind::Usage, format!("target `{name}` is not in this project"))
                .fact("targets", known.join(", "));
            return Err(match nearest(&name, known).and_then(word) {
                Some(near) => error.help(format!("did you mean `--target {near}`?")),
                None => error.help("add it to stedi-delta.toml as [targets.NAME]"),
            });
        };
        if let Some(unset) = project.unset.get(&name).filter(|unset| !unset.is_empty()) {
            return Err(Error::definition(unset.clone()));
        }
        // A root from the command line is relative to the current folder, one in the file to the project.
        let here = std::env::current_dir().unwrap_or_else(|_| project.root.clone());
        let base = |given: &Option<String>| if given.is_some() { here.clone() } else { project.root.clone() };
        let address = Self {
            target: name,
            landing: options.landing.clone().unwrap_or_else(|| target.landing.clone()),
            warehouse: options.warehouse.clone().unwrap_or_else(|| target.warehouse.clone()),
            bases: [base(&options.landing), base(&options.warehouse)],
            project,
        };
        if address.landing.trim_end_matches('/') == address.warehouse.trim_end_matches('/') {
            return Err(Error::new(Kind::Usage, "files and tables cannot share a folder")
                .fact("landing", address.landing.clone())
                .fact("warehouse", address.warehouse.clone())
                .help("name another one with --landing or --warehouse"));
        }
        if options.warehouse.is_some() {
            address.check_places()?;
        }
        Ok(address)
    }

    /// Each table needs its own folder, also in a warehouse from the command line.
    fn check_places(&self) -> Result<()> {
        let tables = self.project.tables.iter().filter(|t| t.quarantine_of().is_none());
        let claim = |table: &Table| Claim {
            name: table.name.to_string(),
            zone: table.zone.clone(),
            location: table.location.clone(),
            is_landing: table.landing().is_some(),
            has_quarantine: self.project.tables.iter().any(|other| other.quarantine_of() == Some(&table.name)),
        };
        let claims: Vec<Claim> = tables.map(claim).collect();
        let clashes = clashes(&claims, (&self.warehouse, &self.bases[1]), &self.project.root);
        match clashes.into_iter().next() {
            Some((_, found)) => Err(Error::new(Kind::Usage, found)
                .fact("warehouse", self.warehouse.clone())
                .help("name another one with --warehouse, or choose another `location` for the table")),
            None => Ok(()),
        }
    }

    fn at(&self) -> Target {
        self.project.targets.get(&self.target).cloned().unwrap_or_default()
    }

    /// Database of the catalog.
    #[must_use]
    pub fn database(&self) -> String {
        let target = self.at();
        target.glue.and_then(|glue| glue.database).unwrap_or(target.database)
    }

    /// The locations of tables, after the moves of `places`; quarantines of landing tables follow them.
    #[must_use]
    pub fn places(&self, places: &Places) -> Vec<TablePlace> {
        let mut found = Vec::new();
        for table in &self.project.tables {
            let home = home(table, places);
            let root = self.warehouse.trim_end_matches('/');
            let place = table.location.clone().unwrap_or_else(|| format!("{root}/{home}"));
            found.push(TablePlace { name: table.name.to_string(), place: place.clone(), is_quarantine: false });
            if table.landing().is_some() {
                let folder = place.trim_end_matches('/').rsplit_once('/').map_or("", |(folder, _)| folder);
                let place = format!("{folder}/{}", home.quarantine().name);
                found.push(TablePlace { name: table.name.quarantine().to_string(), place, is_quarantine: true });
            }
        }
        found
    }

    /// Whether a migration of the project renames or drops a table: then only the lake tells where its tables are.
    #[must_use]
    pub fn moves_tables(&self) -> bool {
        let moves = |statement: &migration::Statement| statement.action.moves();
        migration::parsed(&self.project).is_ok_and(|all| all.iter().flat_map(|one| &one.statements).any(moves))
    }

    /// Whether anything of this project is on AWS.
    fn is_on_aws(&self) -> bool {
        let roots = [&self.landing, &self.warehouse].into_iter();
        let own = self.project.tables.iter().filter_map(|t| t.location.as_ref());
        self.at().glue.is_some() || roots.chain(own).any(|place| is_on_s3(place))
    }

    /// The storage, connected to AWS if the project needs it.
    async fn connected(&self, storage: Storage) -> Result<Storage> {
        let Target { aws, glue, .. } = self.at();
        if !self.is_on_aws() {
            return Ok(storage);
        }
        let region = aws.region.or_else(|| glue.and_then(|glue| glue.region));
        let settings = AwsSettings { region, endpoint: aws.endpoint };
        let connected = match storage.aws() {
            Some(aws) => aws.clone(),
            None => Aws::load(&settings).await?,
        };
        Ok(storage.with_aws(connected, Encryption { sse: aws.sse, kms_key_id: aws.kms_key_id }))
    }
}

/// The folder of a table that names no `location`. The quarantine of a derived table is beside that.
fn home(table: &Table, places: &Places) -> Home {
    match table.quarantine_of() {
        Some(owner) => places.home(owner.as_str(), &table.zone).quarantine(),
        None => places.home(table.name.as_str(), &table.zone),
    }
}

impl Workspace {
    /// Loads and checks the project and finds its roots; if it is on AWS, finds credentials. Accesses no store.
    ///
    /// # Errors
    /// Faults of the project; an unknown target; roots without a store; no access to AWS.
    pub async fn open(options: &WorkspaceOptions, storage: Storage, privacy: Privacy) -> Result<Self> {
        Self::connect(ResolvedTarget::find(options)?, storage, privacy).await
    }

    /// The second half of [`Self::open`]. Removes spill files of killed runs.
    ///
    /// # Errors
    /// Roots without a store; no access to AWS.
    pub async fn connect(address: ResolvedTarget, storage: Storage, privacy: Privacy) -> Result<Self> {
        if address.at().glue.is_some() && !is_on_s3(&address.warehouse) {
            return Err(Error::failed(format!("target `{}` registers its tables in Glue", address.target))
                .fact("found", format!("the warehouse is the folder `{}`", address.warehouse))
                .fact("expected", "a warehouse on `s3://`: Athena reads nothing else")
                .help("name one with --warehouse s3://bucket/prefix, or another target with --target"));
        }
        sweep_spill(address.project.spill_folder.as_deref());
        let storage = address.connected(storage).await?;
        let [landing_base, warehouse_base] = &address.bases;
        let landing = storage.location(&address.landing, landing_base)?;
        let warehouse = storage.location(&address.warehouse, warehouse_base)?;
        check_path("the warehouse", &warehouse)
            .map_err(|error| error.help("choose another folder with --warehouse"))?;
        for table in &address.project.tables {
            let Some(text) = &table.location else { continue };
            let location = storage.location(text, &address.project.root)?;
            check_path(&format!("the location of {}", table.name), &location)
                .map_err(|error| error.help("write another `location`, without it"))?;
        }
        let database = address.database();
        let catalog: Arc<dyn Catalog> = match (address.at().glue, storage.aws()) {
            (Some(glue), Some(aws)) => Arc::new(GlueCatalog::new(aws, &glue, storage.listener())?),
            _ => Arc::new(LocalCatalog::new(warehouse.store.clone(), &warehouse.path)),
        };
        Ok(Self {
            workers: ingest::workers(address.project.memory_limit),
            graph: Graph::new(&address.project),
            places: Arc::default(),
            project: Arc::new(address.project),
            target: address.target,
            landing_text: address.landing,
            warehouse_text: address.warehouse,
            landing,
            warehouse,
            database,
            catalog,
            privacy,
            storage,
        })
    }

    /// The project over empty stores in memory, without a target: for tests of its queries.
    ///
    /// # Errors
    /// The query engine has no place for it.
    pub fn in_memory(project: Arc<Project>, privacy: Privacy) -> Result<Self> {
        let storage = Storage::in_memory();
        let [landing, warehouse] = [LANDING_IN_MEMORY, WAREHOUSE_IN_MEMORY];
        let (landing_root, warehouse_root) =
            (storage.location(landing, &project.root)?, storage.location(warehouse, &project.root)?);
        Ok(Self {
            workers: ingest::workers(project.memory_limit),
            graph: Graph::new(&project),
            places: Arc::default(),
            target: "memory".to_owned(),
            landing_text: landing.to_owned(),
            warehouse_text: warehouse.to_owned(),
            landing: landing_root,
            database: project.name.clone(),
            catalog: Arc::new(LocalCatalog::new(warehouse_root.store.clone(), &warehouse_root.path)),
            warehouse: warehouse_root,
            privacy,
            storage,
            project,
        })
    }

    /// The same, with tables where the migrations of its lake moved them.
    ///
    /// # Errors
    /// If two tables have one folder then.
    pub fn with_places(&self, places: Places) -> Result<Self> {
        let moved = Self { places: Arc::new(places), ..self.clone() };
        if moved.places.is_empty() {
            return Ok(moved);
        }
        let mut folders: BTreeMap<String, String> = BTreeMap::new();
        for table in &moved.project.tables {
            let mut own = vec![(moved.location(table)?, format!("table `{}`", table.name))];
            if table.landing().is_some() {
                own.push((moved.quarantine(table)?, format!("the quarantine of `{}`", table.name)));
            }
            for (folder, whose) in own {
                if let Some(other) = folders.insert(folder.to_string(), whose.clone()) {
                    return Err(Error::failed(format!("the folder of {whose} is the folder of {other}"))
                        .fact("folder", folder.to_string())
                        .fact("because", "a folder of the name of one of them is that of a renamed or dropped table")
                        .help("give the new one of them a `location` in a folder of its own, beside the folders of the zones"));
                }
            }
        }
        Ok(moved)
    }

    /// The folder of this warehouse in which a table is, or was, that names no `location`.
    #[must_use]
    pub fn folder(&self, home: &Home) -> Location {
        self.warehouse.join(&home.zone).join(&home.name)
    }

    /// The table of a name.
    ///
    /// # Errors
    /// `Usage` when there is none.
    pub fn table(&self, name: &str) -> Result<&Table> {
        let found = self.project.tables.iter().find(|t| t.name.as_str() == name);
        found.ok_or_else(|| self.unknown(name))
    }

    /// A landing table.
    ///
    /// # Errors
    /// `Usage` when there is none of that name.
    pub fn landing_table(&self, name: &str) -> Result<&Table> {
        let table = self.table(name)?;
        match table.kind {
            TableKind::Landing(_) => Ok(table),
            TableKind::Derived(_) => Err(Error::new(Kind::Usage, format!("{name} is a derived table"))
                .fact("expected", "a landing table: only these read files")),
        }
    }

    /// The error for a name that no table has.
    #[must_use]
    pub fn unknown(&self, name: &str) -> Error {
        let known: Vec<&str> = self.project.tables.iter().map(|t| t.name.as_str()).collect();
        unknown_table(name, &known)
    }

    /// An error of a computation over rows, redacted by the project's privacy.
    #[must_use]
    pub fn told(&self, error: Error) -> Error {
        let error = with_memory_limit(error, self.project.memory_limit);
        self.privacy.tell(error, self.project.has_personal_data())
    }

    /// Folder of a table: its own `location`, or else the one with which it was made.
    ///
    /// # Errors
    /// If its own `location` has no store.
    pub fn location(&self, table: &Table) -> Result<Location> {
        match &table.location {
            Some(text) => self.storage.location(text, &self.project.root),
            None => Ok(self.folder(&home(table, &self.places))),
        }
    }

    /// Any other folder, by its URL.
    ///
    /// # Errors
    /// When it has no store.
    pub fn place_at(&self, url: &str) -> Result<Location> {
        self.storage.location(&url.replacen("s3a://", "s3://", 1), &self.project.root)
    }

    /// Folder of the quarantine table of a landing table.
    ///
    /// # Errors
    /// As [`Self::location`].
    pub fn quarantine(&self, table: &Table) -> Result<Location> {
        Ok(self.location(table)?.sibling(&home(table, &self.places).quarantine().name))
    }

    /// A landing table with its locations and settings.
    ///
    /// # Errors
    /// As [`Self::location`].
    pub fn place<'a>(&self, table: &'a Table, run: &str) -> Result<LandingContext<'a>> {
        Ok(LandingContext {
            table,
            root: self.landing.clone(),
            location: self.location(table)?,
            quarantine: self.quarantine(table)?,
            target_file_size: self.project.target_file_size,
            workers: self.workers.clone(),
            run: run.to_owned(),
            migration: self.migration(),
            privacy: self.privacy.clone(),
        })
    }

    /// Number of the newest migration, 0 without any.
    #[must_use]
    pub fn migration(&self) -> i64 {
        self.project.migrations.iter().map(|m| i64::from(m.number)).max().unwrap_or(0)
    }

    /// The same lake for reads, while every write goes into a local folder: tables are then read as they would be.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn in_scratch(&self, folder: &Path) -> Result<Self> {
        let storage = self.storage.over(folder);
        let warehouse = storage.location(self.warehouse.url.as_str(), &self.project.root)?;
        // Nobody could compare digests of rows that nobody commits.
        let privacy = self.privacy.clone().without_digests();
        Ok(Self { warehouse, storage, privacy, ..self.clone() })
    }

    /// A session that reads this workspace's tables.
    ///
    /// # Errors
    /// When the query engine cannot start.
    pub fn session(&self) -> Result<SessionContext> {
        let mut locations = vec![self.warehouse.clone()];
        for table in self.project.tables.iter().filter(|t| t.location.is_some()) {
            locations.push(self.location(table)?);
        }
        session(SessionOptions::of(&self.project), &locations.iter().collect::<Vec<_>>())
    }

    /// The refresh of a derived table over its sources.
    ///
    /// # Errors
    /// As [`Self::location`]; a landing table has none.
    pub fn job<'a>(&'a self, table: &'a Table, sources: BTreeMap<TableName, LakeTable>, run: &str) -> Result<Job<'a>> {
        let no_query = || Error::new(Kind::Internal, format!("{} has no query", table.name));
        Ok(Job {
            project: &self.project,
            table,
            derived: table.derived().ok_or_else(no_query)?,
            location: self.location(table)?,
            sources,
            full_refresh: None,
            places: self.places.clone(),
            run: run.to_owned(),
            migration: self.migration(),
            privacy: self.privacy.clone(),
            answers: Arc::default(),
        })
    }

    /// Every table from which a derived table is computed or by which it is guarded.
    #[must_use]
    pub fn sources(&self, table: &Table) -> Vec<TableName> {
        self.graph.sources(&table.name).cloned().collect()
    }
}
