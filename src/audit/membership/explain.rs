//! Why rows are in a table: they are followed to the rows that they were computed from, version by version as the
//! commits record them, down to the records of landing files.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::prelude::SessionContext;

use super::matching::{Equal, Origins, Targets, missing};
use super::rows::{Rows, TableAt};
use crate::audit::classified::Classified;
use crate::audit::provenance::{Provenance, Scan, takes_part};
use crate::audit::recorded::{Newest, Recorded, RecordedSource, opened, recorded};
use crate::definition::{Derived, SOURCE_FILE, SOURCE_OFFSET, Table};
use crate::error::{Error, Kind, Result};
use crate::lake::LakeTable;
use crate::migrate::{ColumnNames, Journal};
use crate::outcome::{Explained, Record, Role, SourceRows};
use crate::workspace::Workspace;

/// Follows rows.
pub(super) struct Explainer<'a> {
    workspace: &'a Workspace,
    session: &'a SessionContext,
    journal: &'a Journal,
    newest: Newest,
    /// The columns of tables by their classification.
    classified: BTreeMap<String, Classified>,
    /// The rows found so far.
    pub rows: Rows,
    /// Most rows of one kind that are followed for one row.
    most: usize,
}

/// A derived table at a version, with what it was computed from.
struct Version {
    recorded: Recorded,
    sources: BTreeMap<String, LakeTable>,
    providers: BTreeMap<String, Arc<dyn TableProvider>>,
    provenance: Provenance,
}

impl<'a> Explainer<'a> {
    pub(super) fn new(
        workspace: &'a Workspace,
        (session, journal): (&'a SessionContext, &'a Journal),
        most: usize,
    ) -> Self {
        let (newest, rows, classified) = (Newest::default(), Rows::default(), BTreeMap::new());
        Self { workspace, session, journal, newest, classified, rows, most }
    }

    /// Follows all rows that have sources.
    ///
    /// # Errors
    /// When a log cannot be read. What cannot be told is said at the row.
    pub(super) async fn follow(&mut self) -> Result<()> {
        while let Some((at, nodes)) = self.rows.next() {
            if let Err(why) = self.follow_version(&at, &nodes).await {
                let text = self.workspace.told(why);
                let causes = text.causes().into_iter().map(|cause| format!(": {cause}")).collect::<String>();
                self.note(&nodes, &format!("what it was computed from is not known: {}{causes}", text.message()));
            }
        }
        Ok(())
    }

    fn note(&mut self, nodes: &[usize], note: &str) {
        for node in nodes {
            if let Some(node) = self.rows.nodes.get_mut(*node) {
                node.notes.push(note.to_owned());
            }
        }
    }

    async fn follow_version(&mut self, at: &TableAt, nodes: &[usize]) -> Result<()> {
        let workspace = self.workspace;
        let table = workspace.table(&at.table)?;
        let Some(derived) = table.derived() else { return Ok(()) };
        let recorded = self.recorded(table, derived, at.version.0).await?;
        if !recorded.is_same_definition {
            let note = format!(
                "{} v{} was computed by another definition: this is what the query of today computes it from",
                table.name, at.version.0
            );
            self.note(nodes, &note);
        }
        let provenance = match Provenance::of(&derived.plan) {
            Ok(provenance) => provenance,
            Err(why) => {
                self.all_rows(derived, &recorded, nodes, &why);
                return Ok(());
            }
        };
        let version = self.version(recorded, provenance).await?;
        let rows = self.rows.batch(nodes)?;
        let targets = Targets::of(&rows, &version.provenance)?;
        let (mut given, mut inexact) = (HashSet::new(), HashSet::new());
        let mut asked = false;
        for (number, scan) in version.provenance.scans().iter().enumerate() {
            let source = version.recorded.sources.iter().find(|source| source.name.as_str() == scan.table);
            let read = source.and_then(|source| source.version);
            let mut of_rows: Vec<SourceRows> = vec![untold(scan, read); nodes.len()];
            if takes_part(scan) {
                asked = true;
                match self.origins(&version, &targets, number, &mut inexact).await {
                    Ok(found) => {
                        given.extend(found.keys().copied());
                        for (row, origins) in found {
                            if let (Some(rows), Some(read)) = (of_rows.get_mut(row), read) {
                                self.take(rows, scan, read, origins)?;
                            }
                        }
                    }
                    Err(error) => {
                        let error = workspace.told(error);
                        let why = error.causes().pop().unwrap_or_else(|| error.message().to_owned());
                        let note = cannot(scan, &why);
                        given.extend(0..nodes.len());
                        of_rows.iter_mut().for_each(|rows| (rows.rows, rows.note) = (None, Some(note.clone())));
                    }
                }
            }
            for (node, rows) in nodes.iter().zip(of_rows) {
                if let Some(node) = self.rows.nodes.get_mut(*node) {
                    node.sources.push(rows);
                }
            }
        }
        let of =
            |rows: &mut dyn Iterator<Item = usize>| rows.filter_map(|row| nodes.get(row).copied()).collect::<Vec<_>>();
        let inexact = of(&mut inexact.into_iter());
        self.note(
            &inexact,
            "found without its floating-point numbers: computed again, they differ in their last digits",
        );
        if asked {
            let missing = of(&mut missing(nodes.len(), &given).into_iter());
            let note = format!("the query of {} does not give this row from these sources", table.name);
            self.note(&missing, &note);
            for node in missing {
                if let Some(node) = self.rows.nodes.get_mut(node) {
                    node.sources.clear();
                }
            }
        }
        Ok(())
    }

    /// What the commit of a version records.
    async fn recorded(&mut self, table: &Table, derived: &Derived, version: u64) -> Result<Recorded> {
        let missing = || Error::new(Kind::Internal, format!("{} is gone", table.name));
        let newest = self.newest.table(self.workspace, &table.name).await?.ok_or_else(missing)?;
        let at = newest.at(version).await?;
        let recorded = recorded(self.workspace, &mut self.newest, (table, derived), &at).await?;
        if !recorded.is_ours {
            return Err(Error::failed(format!("no commit of this tool made {} v{version}", table.name)));
        }
        Ok(recorded)
    }

    /// Names what a query read whose rows cannot be followed: each row of it may take part.
    fn all_rows(&mut self, derived: &Derived, recorded: &Recorded, nodes: &[usize], why: &str) {
        let is_read = |source: &&RecordedSource| derived.sources.contains(&source.name);
        for source in recorded.sources.iter().filter(is_read) {
            let note = format!("{why}: it is explained by all rows of {}, each of which may take part", source.name);
            let rows = SourceRows {
                table: source.name.to_string(),
                version: source.version,
                role: Role::Group,
                rows: None,
                nodes: Vec::new(),
                note: Some(note),
            };
            for node in nodes {
                if let Some(node) = self.rows.nodes.get_mut(*node) {
                    node.sources.push(rows.clone());
                }
            }
        }
    }

    /// Opens what a version was computed from.
    async fn version(&mut self, recorded: Recorded, provenance: Provenance) -> Result<Version> {
        let untold = |why: String| Error::failed(why);
        let reads = |name: &crate::name::TableName| provenance.scans().iter().any(|scan| scan.table == name.as_str());
        let sources = opened(self.workspace, &mut self.newest, &recorded, reads).await.map_err(untold)?;
        let mut providers = BTreeMap::new();
        for (name, source) in &sources {
            providers.insert(name.clone(), source.provider(self.session, None).await?);
            let table = &self.workspace.table(name)?.name;
            if let Some(newest) = self.newest.table(self.workspace, table).await? {
                let names = ColumnNames::of(self.journal, &newest.uuid());
                let classified = Classified::of_table(self.workspace, name, &newest, names);
                self.classified.insert(name.clone(), classified);
            }
        }
        Ok(Version { recorded, sources, providers, provenance })
    }

    /// The columns by which rows of a source are identified: of a record its file and offset, else all of them.
    fn carried(&self, version: &Version, table: &str) -> Vec<String> {
        let Ok(source) = self.workspace.table(table) else { return Vec::new() };
        if source.landing().is_some() {
            return vec![SOURCE_FILE.to_owned(), SOURCE_OFFSET.to_owned()];
        }
        let stored = version.sources.get(table).map(LakeTable::schema);
        let is_stored = |name: &&String| stored.as_ref().is_some_and(|stored| stored.field_with_name(name).is_ok());
        source.columns.iter().map(|column| &column.name).filter(is_stored).cloned().collect()
    }

    /// The origins of the given rows in a scan. Rows that the query does not give exactly are looked for without their
    /// floating-point numbers.
    async fn origins(
        &self,
        version: &Version,
        targets: &Targets,
        number: usize,
        inexact: &mut HashSet<usize>,
    ) -> Result<HashMap<usize, Origins>> {
        let scan = version.provenance.scans().get(number);
        let scan = scan.ok_or_else(|| Error::new(Kind::Internal, "a query lacks a scan"))?;
        if let Some(source) = version.sources.get(&scan.table) {
            let schema = source.schema();
            if let Some(column) = scan.columns.iter().find(|name| schema.field_with_name(name).is_err()) {
                let at = source.version();
                return Err(Error::failed(format!("{} v{at} has no column `{column}`", scan.table)));
            }
        }
        let carried = self.carried(version, &scan.table);
        let of = (&version.provenance, number, carried.as_slice());
        let mut found = targets.origins(self.session, &version.providers, of, (Equal::InAll, self.most)).await?;
        if targets.have_floats() && found.len() < targets.rows() {
            let nearly = targets.origins(self.session, &version.providers, of, (Equal::ButFloats, self.most)).await?;
            for (row, origins) in nearly {
                if let std::collections::hash_map::Entry::Vacant(free) = found.entry(row) {
                    inexact.insert(row);
                    free.insert(origins);
                }
            }
        }
        Ok(found)
    }

    /// Adds the rows of a source to those that are followed.
    fn take(&mut self, rows: &mut SourceRows, scan: &Scan, version: u64, origins: Origins) -> Result<()> {
        rows.rows = Some(origins.count);
        let gone = || Error::new(Kind::Internal, "a source of the query was not opened");
        let shown = self.classified.get(&scan.table).ok_or_else(gone)?;
        for row in &origins.first {
            rows.nodes.push(self.rows.node(self.workspace, (&scan.table, version), row, shown)?);
        }
        let listed = rows.nodes.len() as u64;
        let mut notes = Vec::new();
        if listed < origins.count {
            notes.push(format!("the first {listed} of them are followed"));
        }
        if scan.is_compared && origins.count > 0 {
            notes.push("a window function or a limit compared it with other rows, which are not listed".to_owned());
        }
        rows.note = (!notes.is_empty()).then(|| notes.join("; "));
        Ok(())
    }

    /// A row of the subject with the records that it comes from, those of values first.
    pub(super) fn explained(&self, node: usize, copies: u64) -> Explained {
        let mut best: BTreeMap<usize, (Role, Vec<String>)> = BTreeMap::new();
        let mut seen: BTreeSet<(usize, Role)> = BTreeSet::new();
        let mut pending: BTreeSet<(Role, Vec<String>, usize)> = BTreeSet::from([(Role::Value, Vec::new(), node)]);
        while let Some((role, via, at)) = pending.pop_first() {
            if !seen.insert((at, role)) {
                continue;
            }
            let Some(row) = self.rows.nodes.get(at) else { continue };
            if row.place.is_some() {
                best.entry(at).or_insert((role, via));
                continue;
            }
            let mut via = via;
            if at != node {
                via.push(row.table.clone());
            }
            for rows in &row.sources {
                pending.extend(rows.nodes.iter().map(|next| (role.max(rows.role), via.clone(), *next)));
            }
        }
        let mut records: Vec<Record> = best.into_iter().map(|(node, (role, via))| Record { node, role, via }).collect();
        let order = |record: &Record| {
            let row = self.rows.nodes.get(record.node);
            (record.role, row.map(|row| (row.table.clone(), row.version, row.place.clone())))
        };
        records.sort_by_cached_key(order);
        Explained { node, copies, records }
    }
}

/// What is said of a scan before its rows are known.
fn untold(scan: &Scan, version: Option<u64>) -> SourceRows {
    let (rows, note) = match (&scan.unknown, scan.role) {
        (Some(why), _) => (None, Some(cannot(scan, why))),
        (None, Role::Absence) => (Some(0), Some(format!("no row of {} matches (`not exists`)", scan.table))),
        (None, _) => (Some(0), None),
    };
    SourceRows { table: scan.table.clone(), version, role: scan.role, rows, nodes: Vec::new(), note }
}

fn cannot(scan: &Scan, why: &str) -> String {
    format!("the rows of {} that it read cannot be told apart: {why}", scan.table)
}
