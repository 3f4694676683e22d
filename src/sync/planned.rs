//! `sync --plan`: the files that a sync lands, and the versions of the tables that it starts from.

use std::collections::BTreeMap;

use super::derived::Ahead;
use super::{Attempt, Options};
use crate::error::{Error, Result};
use crate::ingest::{LandingContext, PlannedFiles, TableState};
use crate::lake::LakeTable;
use crate::name::TableName;
use crate::outcome::{SavedPlan, SyncOutcome};

/// A saved plan for a sync: [`crate::inspect::bind`] compares it with the lake.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    files: PlannedFiles,
    tables: BTreeMap<String, Expected>,
}

/// A table as the plan found it.
#[derive(Clone, Debug)]
struct Expected {
    /// Id and version; `None` = not created.
    stands: Option<(String, u64)>,
    batch: Option<i64>,
}

impl Planned {
    /// What a saved plan expects.
    #[must_use]
    pub fn of(saved: &SavedPlan) -> Self {
        let mut planned = Self::default();
        for table in &saved.tables {
            let files = table.files.iter().map(|file| (file.path.clone(), file.clone())).collect();
            planned.files.insert(table.table.clone(), files);
            let stands = table.id.clone().zip(table.version);
            planned.tables.insert(table.table.clone(), Expected { stands, batch: table.batch });
        }
        planned
    }

    /// The files to land, by table.
    pub(crate) fn files(&self) -> &PlannedFiles {
        &self.files
    }

    /// Checks that a table is the one of the plan. `migrated`: its version after the migrations of this sync.
    fn check(&self, name: &TableName, stands: Option<&LakeTable>, migrated: Option<u64>) -> Result<()> {
        let Some(expected) = self.tables.get(name.as_str()) else { return Ok(()) };
        let wanted = expected.stands.as_ref().map(|(id, version)| (id.as_str(), migrated.unwrap_or(*version)));
        let found = stands.map(|table| (table.uuid(), table.version()));
        match (wanted, &found) {
            (Some((id, version)), Some((uuid, at))) if id == uuid && version == *at => Ok(()),
            (None, None) => Ok(()),
            _ => {
                let at = |version: Option<u64>| version.map_or_else(|| "not created".to_owned(), |v| format!("v{v}"));
                Err(moved(name)
                    .fact("planned", at(wanted.map(|(_, version)| version)))
                    .fact("found", at(found.map(|(_, version)| version))))
            }
        }
    }
}

fn moved(name: &TableName) -> Error {
    Error::conflict(format!("{name} was changed by another writer while the plan was applied"))
        .help("stedi-delta plan --out plan.json   (makes a plan of what is left)")
}

/// The versions that migrations of this sync have made, by table.
pub(super) fn migrated(outcome: &SyncOutcome) -> BTreeMap<String, u64> {
    let statements = outcome.migrations.iter().flat_map(|migration| &migration.statements);
    statements.filter_map(|done| Some((done.table.clone(), done.version_after?))).collect()
}

impl Options {
    pub(super) fn planned(&self) -> Option<&Planned> {
        self.plan.as_deref()
    }
}

impl Attempt<'_> {
    /// Refuses landing tables that are not those of the plan. Nothing was read or written for them.
    pub(super) fn check_landing<'l>(
        &self,
        tables: impl Iterator<Item = &'l (LandingContext<'l>, TableState)>,
    ) -> Result<()> {
        let Some(planned) = self.options.planned() else { return Ok(()) };
        for (context, state) in tables {
            let name = &context.table.name;
            planned.check(name, state.table.as_ref(), self.migrated.get(name.as_str()).copied())?;
            let batch = planned.tables.get(name.as_str()).and_then(|expected| expected.batch);
            if batch.is_some_and(|batch| batch != state.ledger.newest) {
                return Err(moved(name).fact("found", format!("batch {} in the ledger", state.ledger.newest)));
            }
        }
        Ok(())
    }

    /// Refuses derived tables that are not those of the plan. Tables that could not be opened report that themselves.
    pub(super) fn check_derived(&self, ahead: &Ahead) -> Result<()> {
        let Some(planned) = self.options.planned() else { return Ok(()) };
        let opened = ahead.iter().filter_map(|(name, opened)| Some((name, opened.as_ref().ok()?)));
        for (name, opened) in opened {
            planned.check(name, opened.table(), None)?;
        }
        Ok(())
    }
}
