//! The tables of one test, in memory.

use std::collections::{BTreeMap, BTreeSet};

use deltalake::arrow::array::{BooleanArray, RecordBatch};
use deltalake::arrow::compute::filter_record_batch;

use crate::clock;
use crate::definition::Table;
use crate::definition::cases::Case;
use crate::error::{Context, Error, Kind, Result};
use crate::lake::{Change, Commit, DataWriter, LakeTable, Layout, Properties, TableSpec, create};
use crate::name::TableName;
use crate::refresh::{self, Job, Opened, Refreshed};
use crate::workspace::Workspace;

/// The tables of one test: those that are given, and those that are computed from them.
pub(super) struct TestLake<'a> {
    workspace: &'a Workspace,
    case: &'a Case,
    /// In topological order; the tested one is the last that is computed.
    tables: Vec<&'a Table>,
    stands: BTreeMap<TableName, LakeTable>,
    run: String,
}

impl<'a> TestLake<'a> {
    /// Tables that the tested one needs; none of them exists yet.
    ///
    /// # Errors
    /// There is no such table.
    pub(super) fn new(workspace: &'a Workspace, case: &'a Case) -> Result<Self> {
        let tested = workspace.table(case.table.as_str())?;
        let mut needed = BTreeSet::from([tested.name.clone()]);
        let mut left = vec![tested.name.clone()];
        while let Some(name) = left.pop() {
            let table = workspace.table(name.as_str())?;
            if case.given.contains_key(&name) {
                continue;
            }
            left.extend(workspace.sources(table).into_iter().filter(|source| needed.insert(source.clone())));
        }
        let tables = workspace.project.tables.iter().filter(|table| needed.contains(&table.name)).collect();
        Ok(Self { workspace, case, tables, stands: BTreeMap::new(), run: clock::run_id() })
    }

    fn is_computed(&self, table: &Table) -> bool {
        table.derived().is_some() && !self.case.given.contains_key(&table.name)
    }

    /// Creates the given tables.
    ///
    /// # Errors
    /// Rows cannot be written.
    pub(super) async fn given(&mut self) -> Result<()> {
        let given: Vec<&Table> = self.tables.iter().filter(|table| !self.is_computed(table)).copied().collect();
        for table in given {
            let spec = TableSpec {
                uuid: clock::random_uuid().to_string(),
                name: table.name.to_string(),
                description: String::new(),
                columns: table.columns.clone(),
                properties: Properties { change_data_feed: false },
                layout: Layout::defined(table),
            };
            let commit = Commit { operation: "WRITE", ..Commit::default() };
            let created = create(&self.workspace.location(table)?, &spec, commit).await?;
            let rows = self.case.given.get(&table.name);
            let stands = committed(created, rows.into_iter(), Vec::new()).await?;
            self.stands.insert(table.name.clone(), stands);
        }
        Ok(())
    }

    /// Commits the change of every given table.
    ///
    /// # Errors
    /// Rows cannot be written.
    pub(super) async fn change(&mut self) -> Result<()> {
        for (name, change) in self.case.change.iter().flatten() {
            let Some(table) = self.stands.get(name) else { continue };
            let given = self.case.given.get(name);
            let mut rows = Vec::new();
            let mut removes = Vec::new();
            if let Some(given) = given.filter(|_| !change.deleted.is_empty()) {
                // As a rewrite of their file, which is what a deletion is in a lake.
                let stays = (0..given.num_rows()).map(|row| Some(change.deleted.binary_search(&row).is_err()));
                let stays = filter_record_batch(given, &stays.collect::<BooleanArray>());
                rows.push(stays.context(|| format!("rows of {name} cannot be taken out"))?);
                removes = table.removes(|_| true);
            }
            rows.push(change.inserted.clone());
            let changed = committed(table.clone(), rows.iter(), removes).await?;
            self.stands.insert(name.clone(), changed);
        }
        Ok(())
    }

    /// Brings every computed table to the given ones; the result for the tested one.
    ///
    /// # Errors
    /// As of a refresh.
    pub(super) async fn compute(&mut self) -> Result<Option<Refreshed>> {
        let mut last = None;
        for table in self.tables.clone() {
            if !self.is_computed(table) {
                continue;
            }
            let job = self.job(table)?;
            let opened = Opened::at(&job.location).await?;
            let refreshed = Box::pin(refresh::refresh(&job, opened)).await?;
            self.stands.insert(table.name.clone(), refreshed.table.clone());
            if table.name == self.case.table {
                last = Some(refreshed);
            }
        }
        Ok(last)
    }

    fn job(&self, table: &'a Table) -> Result<Job<'a>> {
        let sources = self.workspace.sources(table);
        let sources = sources.into_iter().filter_map(|name| Some((name.clone(), self.stands.get(&name)?.clone())));
        self.workspace.job(table, sources.collect(), &self.run)
    }

    fn tested(&self) -> Result<&LakeTable> {
        let missing = || Error::new(Kind::Internal, format!("{} was not computed", self.case.table));
        self.stands.get(&self.case.table).ok_or_else(missing)
    }

    /// The rows of the tested table.
    ///
    /// # Errors
    /// They cannot be read.
    pub(super) async fn rows(&self) -> Result<Vec<RecordBatch>> {
        let session = self.workspace.session()?;
        let doing = || format!("{} cannot be read", self.case.table);
        let table = self.tested()?.provider(&session, None).await?;
        session.read_table(table).context(doing)?.collect().await.context(doing)
    }

    /// Compares the tested table with its query, recomputed by another kind of plan.
    ///
    /// # Errors
    /// The query cannot be computed.
    pub(super) async fn verify(&self) -> Result<Option<Error>> {
        let job = self.job(self.workspace.table(self.case.table.as_str())?)?;
        let table = self.tested()?;
        let verified = Box::pin(refresh::verify(&job, table)).await?;
        Ok((!verified.is_equal()).then(|| refresh::mismatch(&job, table, verified)))
    }
}

/// Commits files with these rows, each batch in its own, and removes others.
async fn committed<'r>(
    table: LakeTable,
    rows: impl Iterator<Item = &'r RecordBatch>,
    removes: Vec<crate::lake::Remove>,
) -> Result<LakeTable> {
    let mut change = Change { removes, ..Change::default() };
    for batch in rows.filter(|batch| batch.num_rows() > 0) {
        let mut writer = DataWriter::new(&table, u64::MAX);
        writer.write(batch).await?;
        change.adds.extend(writer.close().await?.adds);
    }
    if change.adds.is_empty() && change.removes.is_empty() {
        return Ok(table);
    }
    let operation = if change.removes.is_empty() { "WRITE" } else { "MERGE" };
    Commit { operation, change, ..Commit::default() }.commit(&table).await
}
