//! `lineage`: the versions from which a version of a table was computed, by what its commits record, down to landing
//! files; or those that were computed from it.

use std::collections::{BTreeMap, HashMap};

use deltalake::arrow::array::{Array, AsArray};
use deltalake::arrow::datatypes::Int64Type;
use deltalake::datafusion::functions_aggregate::expr_fn::count;
use deltalake::datafusion::logical_expr::{ident, lit};
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use super::recorded::{Newest, recorded};
use crate::changes;
use crate::definition::column_lineage::inputs;
use crate::definition::{ColumnType, SOURCE_FILE, Table};
use crate::error::{Context, Error, Result};
use crate::lake::{LakeTable, app};
use crate::migrate::{self, Moves};
use crate::outcome::{ColumnInput, ColumnLineage, LandingFile, LineageEdge, LineageOutcome, LineageTable};
use crate::plan;
use crate::travel::{self, Named, NamedKind, Zone};
use crate::workspace::Workspace;

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To what it was computed from.
    Upstream,
    /// To what was computed from it.
    Downstream,
}

/// Whose lineage is asked for.
#[derive(Clone, Debug)]
pub struct LineageOptions {
    /// The table, with or without a version: `t`, `t@v12`, `t@2026-11-20`.
    pub table: String,
    /// The time zone of dates.
    pub zone: Zone,
    /// Where to.
    pub direction: Direction,
    /// Whether columns are asked for, too.
    pub columns: bool,
}

/// The lineage of a version of a table.
///
/// # Errors
/// `Usage` if there is no such table or version; `Failed` if it can no longer be read.
pub async fn lineage(workspace: &Workspace, options: &LineageOptions) -> Result<LineageOutcome> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    let (named, table) = travel::open(workspace, &options.table, &options.zone).await?;
    let is_newest = travel::split(&options.table).1.is_none();
    let mut walk = Walk {
        workspace,
        session: workspace.session()?,
        newest: Newest::default(),
        known: HashMap::new(),
        outcome: LineageOutcome {
            is_downstream: options.direction == Direction::Downstream,
            project: workspace.project.name.clone(),
            target: workspace.target.clone(),
            landing: workspace.landing.url.to_string(),
            notes: named.notes.clone(),
            ..LineageOutcome::default()
        },
    };
    let work = match options.direction {
        Direction::Upstream => walk.upstream(&named, table).await,
        Direction::Downstream => walk.downstream(&named, table, is_newest).await,
    };
    work.map_err(|error| workspace.told(error))?;
    if options.columns {
        walk.outcome.columns = Some(walk.columns());
    }
    Ok(walk.outcome)
}

struct Walk<'a> {
    workspace: &'a Workspace,
    session: SessionContext,
    newest: Newest,
    known: HashMap<(String, Option<u64>), usize>,
    outcome: LineageOutcome,
}

/// A table of the graph whose neighbours are not known yet.
struct Pending {
    number: usize,
    table: LakeTable,
}

impl Walk<'_> {
    /// The number of a version in the graph, and whether it is new.
    fn number(&mut self, name: &str, version: Option<u64>) -> (usize, bool) {
        if let Some(known) = self.known.get(&(name.to_owned(), version)) {
            return (*known, false);
        }
        let number = self.outcome.tables.len();
        let table = self.workspace.table(name).ok();
        self.outcome.tables.push(LineageTable {
            name: name.to_owned(),
            zone: table.map(|table| table.zone.clone()),
            kind: table.map_or("", kind),
            version,
            sql: table.and_then(Table::derived).map(|derived| derived.canonical_sql.clone()),
            ..LineageTable::default()
        });
        self.known.insert((name.to_owned(), version), number);
        (number, true)
    }

    fn note(&mut self, number: usize, note: String) {
        if let Some(table) = self.outcome.tables.get_mut(number) {
            table.notes.push(note);
        }
    }

    /// What the log says of a version.
    async fn describe(&mut self, number: usize, table: &LakeTable) -> Result<()> {
        let commit = table.commit_at(table.version()).await?;
        let commit = commit.unwrap_or_default();
        let schema = table.schema();
        let columns =
            schema.fields().iter().map(|field| (field.name().clone(), ColumnType::name_of(field.data_type())));
        if let Some(found) = self.outcome.tables.get_mut(number) {
            found.committed_ms = commit.committed_ms().or_else(|| table.committed_ms());
            found.run = commit.run().map(str::to_owned);
            found.id = table.uuid();
            found.url = table.location().url.to_string();
            found.columns = columns.collect();
        }
        Ok(())
    }

    async fn upstream(&mut self, named: &Named, table: LakeTable) -> Result<()> {
        let (root, _) = self.number(&named.name, Some(table.version()));
        if named.kind != NamedKind::Table {
            let kind = match named.kind {
                NamedKind::Quarantine => "quarantine",
                NamedKind::System => "system",
                _ => "dropped",
            };
            if let Some(found) = self.outcome.tables.get_mut(root) {
                found.kind = kind;
            }
        }
        self.describe(root, &table).await?;
        let mut pending = vec![Pending { number: root, table }];
        while let Some(next) = pending.pop() {
            let name = self.outcome.tables.get(next.number).map(|table| table.name.clone()).unwrap_or_default();
            match self.workspace.table(&name).map(Table::derived) {
                Ok(Some(_)) => pending.extend(self.sources(&name, &next).await?),
                Ok(None) => self.files(&name, &next).await?,
                Err(_) if next.number == root && named.kind == NamedKind::Quarantine => {
                    self.files(&name, &next).await?;
                }
                Err(_) => self.note(next.number, "nothing records what it was computed from".to_owned()),
            }
        }
        Ok(())
    }

    /// The sources of a version of a derived table; those that are new in the graph.
    async fn sources(&mut self, name: &str, of: &Pending) -> Result<Vec<Pending>> {
        let workspace = self.workspace;
        let table = workspace.table(name)?;
        let Some(derived) = table.derived() else { return Ok(Vec::new()) };
        let recorded = recorded(workspace, &mut self.newest, (table, derived), &of.table).await?;
        if !recorded.is_ours {
            self.note(
                of.number,
                "no commit of this tool made it: nothing records what it was computed from".to_owned(),
            );
            return Ok(Vec::new());
        }
        if !recorded.is_same_definition {
            self.note(of.number, "it was computed by another definition than that of today".to_owned());
        }
        let mut pending = Vec::new();
        for source in recorded.sources {
            let (number, is_new) = self.number(source.name.as_str(), source.version);
            let is_consent = !derived.sources.contains(&source.name);
            let edge = LineageEdge { from: number, to: of.number, read: source.version, is_consent };
            if !self.outcome.edges.contains(&edge) {
                self.outcome.edges.push(edge);
            }
            if !is_new {
                continue;
            }
            if let Some(why) = source.why {
                self.note(number, why);
                continue;
            }
            let newest = self.newest.table(workspace, &source.name).await?;
            let (Some(newest), Some(version)) = (newest, source.version) else { continue };
            match newest.at(version).await {
                Ok(table) => {
                    self.describe(number, &table).await?;
                    pending.push(Pending { number, table });
                }
                Err(_) => self.note(number, format!("v{version} can no longer be opened")),
            }
        }
        Ok(pending)
    }

    /// The files whose records a version of a landing table, or of its quarantine, holds.
    async fn files(&mut self, name: &str, of: &Pending) -> Result<()> {
        let newest = match self.workspace.table(name) {
            Ok(table) => self.newest.table(self.workspace, &table.name).await?,
            Err(_) => None,
        };
        // A quarantine was opened as it is.
        let newest = newest.unwrap_or_else(|| of.table.clone());
        let files = match changes::readable_at(&newest, name, of.table.version()).await {
            Ok(table) => files(&self.session, &table).await,
            Err(error) => Err(error),
        };
        match files {
            Ok(files) => {
                if let Some(table) = self.outcome.tables.get_mut(of.number) {
                    table.files = Some(files);
                }
            }
            Err(error) => {
                let error = self.workspace.told(error);
                self.note(of.number, format!("its files are not known: {}", error.message()));
            }
        }
        Ok(())
    }

    async fn downstream(&mut self, named: &Named, table: LakeTable, is_newest: bool) -> Result<()> {
        let (root, _) = self.number(&named.name, Some(table.version()));
        self.describe(root, &table).await?;
        let mut pending = vec![Pending { number: root, table }];
        while let Some(next) = pending.pop() {
            let name = self.outcome.tables.get(next.number).map(|table| table.name.clone()).unwrap_or_default();
            let Ok(source) = self.workspace.table(&name) else { continue };
            let dependents: Vec<_> = self.workspace.graph.dependents(&source.name).cloned().collect();
            for dependent in dependents {
                let Some(newest) = self.newest.table(self.workspace, &dependent).await? else {
                    self.outcome.notes.push(format!("{dependent} does not exist yet"));
                    continue;
                };
                let found = match is_newest {
                    true => consumed(&newest, &next.table).await?.map(|read| (newest.clone(), read)),
                    false => computed_from(&newest, &next.table).await?,
                };
                let Some((found, read)) = found else {
                    let of = format!("{} v{}", name, next.table.version());
                    self.outcome
                        .notes
                        .push(format!("no version of {dependent} records that it was computed from {of}"));
                    continue;
                };
                let (number, is_new) = self.number(dependent.as_str(), Some(found.version()));
                let derived = self.workspace.table(dependent.as_str())?.derived();
                let is_consent = derived.is_none_or(|derived| !derived.sources.contains(&source.name));
                let edge = LineageEdge { from: next.number, to: number, read: Some(read), is_consent };
                if !self.outcome.edges.contains(&edge) {
                    self.outcome.edges.push(edge);
                }
                if is_new {
                    self.describe(number, &found).await?;
                    pending.push(Pending { number, table: found });
                }
            }
        }
        Ok(())
    }

    /// What the columns of the derived tables in the graph are computed from, by the definitions of today.
    fn columns(&self) -> Vec<ColumnLineage> {
        let mut all = Vec::new();
        for (number, found) in self.outcome.tables.iter().enumerate() {
            let derived = self.workspace.table(&found.name).ok().and_then(Table::derived);
            let Some(derived) = derived else { continue };
            let edges = self.outcome.edges.iter().filter(|edge| edge.to == number);
            let sources: BTreeMap<&str, usize> =
                edges.filter_map(|edge| Some((self.outcome.tables.get(edge.from)?.name.as_str(), edge.from))).collect();
            let input = |table: &str, column: &str, used| {
                let table = *sources.get(table)?;
                Some(ColumnInput { table, column: column.to_owned(), used })
            };
            for (index, field) in derived.plan.schema().fields().iter().enumerate() {
                let found = inputs(&derived.plan, index);
                let inputs = found.iter().filter_map(|((table, column), used)| input(table, column, Some(*used)));
                let inputs: Vec<ColumnInput> = inputs.collect();
                // Downstream it may come from tables that are not in the graph.
                if inputs.is_empty() && !found.is_empty() {
                    continue;
                }
                all.push(ColumnLineage { table: number, column: Some(field.name().clone()), inputs });
            }
            let deciding = plan::columns_deciding(&derived.plan);
            let deciding = deciding.iter().filter_map(|(table, column)| input(table, column, None));
            let deciding: Vec<ColumnInput> = deciding.collect();
            if !deciding.is_empty() {
                all.push(ColumnLineage { table: number, column: None, inputs: deciding });
            }
        }
        all
    }
}

fn kind(table: &Table) -> &'static str {
    match (table.quarantine_of(), table.landing()) {
        (Some(_), _) => "quarantine",
        (None, Some(_)) => "landing",
        (None, None) => "derived",
    }
}

/// The version of a source that a table's newest commit of ours records.
async fn consumed(table: &LakeTable, source: &LakeTable) -> Result<Option<u64>> {
    Ok(table.consumed(&source.uuid()).await?.map(|consumed| consumed.version))
}

/// The newest version that was computed from exactly this version of a source, with the number of that.
async fn computed_from(newest: &LakeTable, source: &LakeTable) -> Result<Option<(LakeTable, u64)>> {
    let id = app::source(&source.uuid());
    let commits = travel::times(newest).await?;
    let wanted = source.version();
    let is_meant = |facts: &crate::lake::CommitFacts| {
        facts.is_ours() && facts.txns.get(&id).and_then(|read| u64::try_from(*read).ok()) == Some(wanted)
    };
    let found = commits.iter().rev().find(|commit| is_meant(&commit.facts));
    let Some(found) = found else { return Ok(None) };
    Ok(newest.at(found.facts.version).await.ok().map(|table| (table, wanted)))
}

async fn files(session: &SessionContext, table: &LakeTable) -> Result<Vec<LandingFile>> {
    let doing = || "the files of a landing table cannot be counted".to_owned();
    let rows = session.read_table(table.provider(session, None).await?).context(doing)?;
    let counted = rows.aggregate(vec![ident(SOURCE_FILE)], vec![count(lit(1_i64)).alias("n")]).context(doing)?;
    let mut stream = counted.execute_stream().await.context(doing)?;
    let mut files = Vec::new();
    while let Some(batch) = stream.try_next().await.context(doing)? {
        let (names, counts) = (batch.column(0).as_string_opt::<i32>(), batch.column(1).as_primitive_opt::<Int64Type>());
        let (Some(names), Some(counts)) = (names, counts) else { return Err(Error::failed(doing())) };
        files.extend(
            (0..batch.num_rows()).filter(|row| names.is_valid(*row)).map(|row| LandingFile {
                path: names.value(row).to_owned(),
                records: counts.value(row).unsigned_abs(),
            }),
        );
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
