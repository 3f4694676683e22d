//! Brings one derived table to the cut: plan, change sets, derivative, checks, commit.
//!
//! In every mode, rows pass the same inspector and the same consent check before the commit, and the commit carries the
//! versions of every source from which they were computed.

mod ahead;
mod apply;
mod broken;
mod choose;
mod consent;
mod expectations;
mod full;
mod identity;
mod inputs;
mod inspect;
mod fallback_to_full;
mod nulls;
mod phases;
mod rows;
mod verify;

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake::datafusion::prelude::SessionContext;

use crate::definition::{ColumnType, Derived, Project, Table};
use crate::error::{Error, Kind, Result};
use crate::lake::{Evidence, Joins, LakeTable, MovedRows, SessionOptions, session};
use crate::migration::Places;
use crate::name::TableName;
use crate::outcome::{Io, Mode, Rows, Warning};
use crate::plan::cost::Costs;
use crate::plan::{self, Decision, Fingerprint, SourceStanding, Standing};
use crate::privacy::Privacy;
use crate::sql::Planner;
use crate::storage::{Location, Meter};
pub(crate) use broken::{is_of_reading, unreadable, unreadable_file};
use choose::{Estimates, Strategy};
pub(crate) use choose::{Foreseen, Moved, foresee};
use consent::Guard;
pub(crate) use consent::{Answers, MovedGrants, Rule, Subjects, consent_changes, is_bytes, rows_of, texts};
use inputs::Inputs;
use inspect::Coverage;
pub(crate) use verify::{mismatch, recompute, verify};

/// The refresh of one table.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The project.
    pub project: &'a Project,
    /// The table.
    pub table: &'a Table,
    /// Its query.
    pub derived: &'a Derived,
    /// Its folder.
    pub location: Location,
    /// Its sources at the cut, including the grants table.
    pub sources: BTreeMap<TableName, LakeTable>,
    /// Why it is computed whole, regardless of its state.
    pub full_refresh: Option<&'static str>,
    /// Run id, for the log.
    pub run: String,
    /// Number of the newest migration.
    pub migration: i64,
    /// The names that tables had before migrations renamed them.
    pub places: Arc<Places>,
    /// How subjects appear in messages.
    pub privacy: Privacy,
    /// What refreshes of the same cut have found out about consent.
    pub(crate) answers: Arc<Answers>,
}

/// The result of a refresh.
#[derive(Debug)]
pub(crate) struct Refreshed {
    /// The current table.
    pub table: LakeTable,
    /// Version before.
    pub version_before: Option<u64>,
    /// The mode.
    pub mode: Mode,
    /// The reason.
    pub reason: String,
    /// Rows inserted, updated (same primary key), and deleted.
    pub rows: Rows,
    /// Files and bytes.
    pub io: Io,
    /// Failed `warn` expectations.
    pub warnings: Vec<Warning>,
    /// Subjects whose grant ended and who have no row left.
    pub grants_ended: u64,
}

/// The state of a derived table relative to the cut.
///
/// # Errors
/// When a log cannot be read.
pub(crate) async fn standing(job: &Job<'_>, table: Option<&LakeTable>, evidence: Evidence) -> Result<Standing> {
    let mut sources = Vec::new();
    for (name, source) in &job.sources {
        let consumed = match table {
            Some(table) => table.consumed(&source.uuid()).await?,
            None => None,
        };
        let replaced = match consumed {
            Some(consumed) => source.is_other_than(consumed).await?,
            None => false,
        };
        let consumed = match consumed.map(|c| c.version) {
            // Rows that were only moved are no change: the table is at the cut, and records nothing.
            Some(version) if !replaced && source.is_only_optimized_since(version).await? => Some(source.version()),
            other => other,
        };
        sources.push(SourceStanding { name: name.clone(), consumed, current: source.version(), replaced });
    }
    let Some(table) = table else {
        return Ok(Standing { location: job.location.to_string(), sources, ..Standing::default() });
    };
    let state = table.state();
    let drift = drift(table, evidence).await?.or_else(|| other_columns(job.table, table));
    Ok(Standing {
        version: Some(table.version()),
        location: job.location.to_string(),
        ours: state.head().is_some(),
        definition: state.definition(),
        expectations: state.expectations(),
        columns: columns_changed(job.table, table),
        drift,
        sources,
    })
}

/// By which columns a table differs from its definition.
fn columns_changed(table: &Table, stands: &LakeTable) -> Option<String> {
    let stored = stands.schema();
    let declared = |name: &str| table.columns.iter().find(|c| c.name == name);
    let mut changes = Vec::new();
    for column in &table.columns {
        let wanted = column.column_type.delta_name();
        match stored.field_with_name(&column.name) {
            Err(_) => changes.push(format!("+ {} {wanted}", column.name)),
            Ok(field) if column.column_type.arrow() != *field.data_type() => {
                changes.push(format!("~ {} {} -> {wanted}", column.name, ColumnType::name_of(field.data_type())));
            }
            Ok(field) if column.nullable != field.is_nullable() => {
                changes.push(format!("~ {} {}", column.name, if column.nullable { "nullable" } else { "not null" }));
            }
            Ok(_) => {}
        }
    }
    let gone = stored.fields().iter().filter(|field| declared(field.name()).is_none());
    changes.extend(gone.map(|field| format!("- {}", field.name())));
    let moved = || stored.fields().iter().map(|field| field.name()).ne(table.columns.iter().map(|c| &c.name));
    if changes.is_empty() && moved() {
        changes.push("other order".to_owned());
    }
    (!changes.is_empty()).then(|| changes.join(", "))
}

/// What somebody did to the rows of a table since our newest commit.
async fn drift(table: &LakeTable, evidence: Evidence) -> Result<Option<String>> {
    let state = table.state();
    if !state.readable {
        return Ok(Some("commits since the last sync can no longer be read".to_owned()));
    }
    for commit in &state.foreign {
        let (version, operation) = (commit.version, commit.operation());
        if commit.changes_data() {
            return Ok(Some(format!("version {version} ({operation}) was committed by another writer")));
        }
        let lies = match table.moved(commit, evidence).await? {
            MovedRows::Same => continue,
            MovedRows::Others => "its files hold other rows than those that they replace".to_owned(),
            MovedRows::Unknown { .. } if evidence == Evidence::Log => continue,
            MovedRows::Unknown { why, .. } => format!("this cannot be verified: {why}"),
        };
        return Ok(Some(format!(
            "version {version} ({operation}) by another writer declares that it changed no row, but {lies}"
        )));
    }
    Ok(None)
}

/// A change of the columns of a table by another writer, if its definition has not changed.
fn other_columns(table: &Table, stands: &LakeTable) -> Option<String> {
    let stored = stands.schema();
    let declared = |name: &str| table.columns.iter().find(|c| c.name == name);
    let found = stored.fields().iter().find_map(|field| match declared(field.name()) {
        None => Some(format!("column `{}` was added by another writer", field.name())),
        Some(column) if column.column_type.arrow() == *field.data_type() => None,
        Some(_) => {
            Some(format!("another writer made column `{}` {}", field.name(), ColumnType::name_of(field.data_type())))
        }
    });
    let gone = || table.columns.iter().find(|c| stored.field_with_name(&c.name).is_err());
    found.or_else(|| gone().map(|c| format!("column `{}` was removed by another writer", c.name)))
}

/// A derived table, opened ahead of its refresh: all of them concurrently, while files are still ingested, so that the
/// latency of a remote store is paid once and not per table. A commit by another writer in between makes the refresh's
/// own commit a conflict.
#[derive(Debug)]
pub(crate) struct Opened {
    meter: Arc<Meter>,
    location: Location,
    current: Option<LakeTable>,
}

impl Opened {
    /// Opens the table in this folder, if there is one.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub(crate) async fn at(location: &Location) -> Result<Self> {
        let meter = Arc::new(Meter::default());
        let location = location.metered(&meter);
        let current = LakeTable::open(&location).await?;
        Ok(Self { meter, location, current })
    }

    /// The table, if there is one.
    #[must_use]
    pub(crate) fn table(&self) -> Option<&LakeTable> {
        self.current.as_ref()
    }

    /// An already open table.
    fn with(job: &Job<'_>, current: Option<LakeTable>) -> Self {
        let meter = Arc::new(Meter::default());
        Self { location: job.location.metered(&meter), meter, current }
    }
}

/// Brings one derived table to the cut.
///
/// # Errors
/// `Evidence` if an expectation or consent forbids the commit, `Conflict` after a concurrent commit, `Failed`
/// otherwise. Nothing was committed then.
pub(crate) async fn refresh(job: &Job<'_>, opened: Opened) -> Result<Refreshed> {
    refreshed(job, opened).await.map_err(|error| nulls::forbidden_null(error, job.table))
}

async fn refreshed(job: &Job<'_>, opened: Opened) -> Result<Refreshed> {
    let mut work = Work::new(job, opened).await?;
    overtaken(job, &work.standing).await?;
    let Strategy { decision, planned, costs, .. } = work.strategy(Estimates::Needed).await?;
    work.costs = costs;
    match (decision, planned) {
        (Decision::UpToDate, _) => work.up_to_date(),
        (Decision::Adopt(reason), _) => work.adopt(reason).await,
        // Before any file is read or written for it.
        (Decision::Check | Decision::Full(_) | Decision::Repair(_) | Decision::Incremental(_), _)
            if let Some(Err(error)) = work.current.as_ref().map(LakeTable::check_writable) =>
        {
            Err(error)
        }
        (Decision::Check, _) => work.check().await,
        (Decision::Incremental(reason), Some(planned)) => work.incremental(*planned, reason).await,
        (other, _) => work.whole(other).await,
    }
}

/// A table that was computed from a newer version of a source than the cut's was refreshed by another sync, unless that
/// version does not exist (any more).
async fn overtaken(job: &Job<'_>, standing: &Standing) -> Result<()> {
    for source in &standing.sources {
        let Some(consumed) = source.consumed.filter(|v| *v > source.current) else { continue };
        let Some(at_cut) = job.sources.get(&source.name) else { continue };
        let newest = LakeTable::open(at_cut.location()).await?;
        if newest.is_some_and(|t| t.uuid() == at_cut.uuid() && t.version() >= consumed) {
            return Err(Error::conflict(format!("another sync has brought {} past this cut", job.table.name))
                .help("run the command again; it pins a newer cut"));
        }
    }
    Ok(())
}

struct Work<'a> {
    job: &'a Job<'a>,
    location: Location,
    current: Option<LakeTable>,
    standing: Standing,
    fingerprint: Fingerprint,
    meter: Arc<Meter>,
    /// The rows on which expectations are checked.
    coverage: Coverage,
    /// What the model expects of both modes, if the decision depended on it.
    costs: Option<Costs>,
}

impl<'a> Work<'a> {
    async fn new(job: &'a Job<'a>, opened: Opened) -> Result<Self> {
        let Opened { meter, location, current } = opened;
        let standing = standing(job, current.as_ref(), Evidence::Rows).await?;
        let fingerprint = plan::fingerprint(job.project, job.table, job.derived, &job.places);
        let is_unchecked = plan::is_unchecked(job.table, standing.expectations);
        let coverage = if is_unchecked { Coverage::AllRows } else { Coverage::NewRows };
        Ok(Self { job, location, current, standing, fingerprint, meter, coverage, costs: None })
    }

    fn up_to_date(self) -> Result<Refreshed> {
        let Some(table) = self.current else {
            return Err(Error::new(Kind::Internal, "a table that does not exist is up to date"));
        };
        let io = Io { files_before: table.size().0, ..Io::default() };
        Ok(Refreshed {
            version_before: Some(table.version()),
            table,
            mode: Mode::None,
            reason: String::new(),
            rows: Rows::default(),
            io,
            warnings: Vec::new(),
            grants_ended: 0,
        })
    }

    /// A session for this table's queries.
    fn session(&self, joins: Joins) -> Result<SessionContext> {
        self.planned_by(Planner::Optimised, joins)
    }

    fn planned_by(&self, planner: Planner, joins: Joins) -> Result<SessionContext> {
        let metered: Vec<Location> = self.job.sources.values().map(|t| t.location().metered(&self.meter)).collect();
        let stores: Vec<&Location> = metered.iter().chain([&self.location]).collect();
        session(SessionOptions { joins, planner, ..SessionOptions::of(self.job.project) }, &stores)
    }

    fn inputs(&self, joins: Joins) -> Result<Inputs> {
        let tables = self.job.sources.iter().map(|(name, table)| (name.as_str(), table));
        Ok(Inputs::at_cut(self.session(joins)?, tables))
    }

    fn guard(&self) -> Option<Guard<'_>> {
        let table = self.job.table;
        let consent = table.consent.as_ref()?;
        Some(Guard { table, consent, rule: Rule::of(self.job.project, consent)?, answers: &self.job.answers })
    }
}
