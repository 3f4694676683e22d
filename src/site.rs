//! A project at a target: where everything of it lives.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::{Catalog, LocalCatalog};
use crate::definition::{self, Project, Table, TableKind};
use crate::error::{Error, Kind, Result};
use crate::graph::Graph;
use crate::ingest::Place;
use crate::lake::{SessionOptions, session};
use crate::name::{TableName, nearest};
use crate::plan;
use crate::privacy::Privacy;
use crate::storage::{Location, Storage};

/// What names a site.
#[derive(Clone, Debug, Default)]
pub struct SiteOptions {
    /// Project folder.
    pub root: PathBuf,
    /// Target name; `None` = the project's default.
    pub target: Option<String>,
    /// Landing root instead of the target's.
    pub landing: Option<String>,
    /// Warehouse root instead of the target's.
    pub warehouse: Option<String>,
}

/// A project at a target.
#[derive(Clone)]
pub struct Site {
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
    /// What is computed from what.
    pub graph: Graph,
    storage: Storage,
}

/// What looks like a URL escape in the path of a local folder.
fn escape(location: &Location) -> Option<String> {
    let path = location.url.to_file_path().ok()?.to_string_lossy().into_owned();
    let is_escape = |at: &usize| {
        let digits = path.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit))
    };
    let (at, _) = path.match_indices('%').find(|(at, _)| is_escape(at))?;
    path.get(at..at + 3).map(str::to_owned)
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Site({} -> {})", self.project.name, self.target)
    }
}

/// Loads and checks a project in full: its files, and whether its queries can be maintained as they say.
///
/// # Errors
/// All faults together.
pub fn load(root: &Path) -> Result<Project> {
    let project = definition::load(root)?;
    let faults = plan::unmaintainable(&project);
    if faults.is_empty() { Ok(project) } else { Err(Error::definition(faults)) }
}

impl Site {
    /// Loads and checks the project, and finds its roots. Touches no store.
    ///
    /// # Errors
    /// Faults of the project; an unknown target; roots that have no store.
    pub fn open(options: &SiteOptions, storage: Storage, privacy: Privacy) -> Result<Self> {
        let project = load(&options.root)?;
        let name = options.target.clone().unwrap_or_else(|| project.default_target.clone());
        let Some(target) = project.targets.get(&name) else {
            let known: Vec<&str> = project.targets.keys().map(String::as_str).collect();
            let error = Error::new(Kind::Usage, format!("target `{name}` is not in this project"))
                .fact("targets", known.join(", "));
            return Err(match nearest(&name, known) {
                Some(near) => error.help(format!("did you mean `--target {near}`?")),
                None => error.help("add it to stedi-delta.toml as [targets.NAME]"),
            });
        };
        // A root given on the command line is relative to where the person stands, one in the file to the project.
        let here = std::env::current_dir().unwrap_or_else(|_| project.root.clone());
        let base = |given: &Option<String>| if given.is_some() { here.clone() } else { project.root.clone() };
        let landing_text = options.landing.clone().unwrap_or_else(|| target.landing.clone());
        let warehouse_text = options.warehouse.clone().unwrap_or_else(|| target.warehouse.clone());
        let landing = storage.location(&landing_text, &base(&options.landing))?;
        let warehouse = storage.location(&warehouse_text, &base(&options.warehouse))?;
        if let Some(escape) = escape(&warehouse) {
            return Err(Error::failed(format!("the warehouse `{warehouse}` cannot hold tables"))
                .fact("found", format!("`{escape}` in its path: Delta readers take that for an escaped character"))
                .help("choose another folder with --warehouse"));
        }
        let catalog = Arc::new(LocalCatalog::new(warehouse.store.clone(), &warehouse.path));
        let database = target.database.clone();
        Ok(Self {
            graph: Graph::new(&project),
            project: Arc::new(project),
            target: name,
            landing_text,
            warehouse_text,
            landing,
            warehouse,
            database,
            catalog,
            privacy,
            storage,
        })
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
        let error = Error::new(Kind::Usage, format!("table `{name}` is not in this project"));
        match nearest(name, known.iter().copied()) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error.fact("tables", known.join(", ")),
        }
    }

    /// Folder of a table.
    ///
    /// # Errors
    /// When its own `location` has no store.
    pub fn location(&self, table: &Table) -> Result<Location> {
        match &table.location {
            Some(text) => self.storage.location(text, &self.project.root),
            None => Ok(self.warehouse.join(&table.zone).join(table.name.as_str())),
        }
    }

    /// Folder of the quarantine table of a landing table.
    ///
    /// # Errors
    /// As [`Self::location`].
    pub fn quarantine(&self, table: &Table) -> Result<Location> {
        Ok(self.location(table)?.sibling(table.name.quarantine().as_str()))
    }

    /// A landing table and everything around it.
    ///
    /// # Errors
    /// As [`Self::location`].
    pub fn place<'a>(&self, table: &'a Table, run: &str) -> Result<Place<'a>> {
        Ok(Place {
            table,
            root: self.landing.clone(),
            location: self.location(table)?,
            quarantine: self.quarantine(table)?,
            target_file_size: self.project.target_file_size,
            run: run.to_owned(),
            migration: self.migration(),
        })
    }

    /// Number of the newest migration, 0 without any.
    #[must_use]
    pub fn migration(&self) -> i64 {
        self.project.migrations.iter().map(|m| i64::from(m.number)).max().unwrap_or(0)
    }

    /// A session that reads this site's tables.
    ///
    /// # Errors
    /// When the query engine cannot start.
    pub fn session(&self) -> Result<deltalake::datafusion::prelude::SessionContext> {
        let mut locations = vec![self.warehouse.clone()];
        for table in self.project.tables.iter().filter(|t| t.location.is_some()) {
            locations.push(self.location(table)?);
        }
        let options = SessionOptions { memory_limit: self.project.memory_limit / 2, hash_joins: true };
        session(options, &locations.iter().collect::<Vec<_>>())
    }

    /// Every table that a derived table is computed or guarded from.
    #[must_use]
    pub fn sources(&self, table: &Table) -> Vec<TableName> {
        self.graph.sources(&table.name).cloned().collect()
    }
}
