//! The versions of sources from which a version of a derived table was computed, by its commit.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::history::History;
use crate::changes;
use crate::definition::{Derived, Table};
use crate::error::Result;
use crate::lake::LakeTable;
use crate::name::TableName;
use crate::plan;
use crate::workspace::Workspace;

/// The newest versions of a lake's tables, each opened and listed once.
#[derive(Debug, Default)]
pub(super) struct Newest {
    tables: BTreeMap<TableName, Option<LakeTable>>,
    /// By the folder of the table.
    histories: BTreeMap<String, History>,
}

impl Newest {
    /// A table; `None` if it does not exist.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub(super) async fn table(&mut self, workspace: &Workspace, name: &TableName) -> Result<Option<LakeTable>> {
        if let Some(known) = self.tables.get(name) {
            return Ok(known.clone());
        }
        let found = LakeTable::open(&workspace.location(workspace.table(name.as_str())?)?).await?;
        self.tables.insert(name.clone(), found.clone());
        Ok(found)
    }

    /// A version of a table by its newest one, or why it cannot be read.
    ///
    /// # Errors
    /// When its folder cannot be listed.
    pub(super) async fn readable(
        &mut self,
        newest: &LakeTable,
        name: &str,
        version: u64,
    ) -> Result<std::result::Result<LakeTable, String>> {
        if version > newest.version() {
            return Ok(Err(format!("{name} has no v{version}")));
        }
        let history = match self.histories.entry(newest.location().url.to_string()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(History::of(newest).await?),
        };
        if version < history.oldest {
            return Ok(Err(format!("{name} v{version} is gone: {}", history.why_gone())));
        }
        let Ok(table) = newest.at(version).await else {
            return Ok(Err(format!("{name} v{version} can no longer be opened")));
        };
        Ok(match table.paths().is_subset(&history.there) {
            true => Ok(table),
            false => Err(format!("{name} v{version} was vacuumed")),
        })
    }
}

/// A source of a version.
#[derive(Clone, Debug)]
pub(super) struct RecordedSource {
    /// Its name today.
    pub name: TableName,
    /// The version that was read, as recorded.
    pub version: Option<u64>,
    /// The reason why that version is not known, or is not what was read.
    pub why: Option<String>,
}

/// What the commit of a version records.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    /// Every source.
    pub sources: Vec<RecordedSource>,
    /// Whether the version was computed by the definition of today.
    pub is_same_definition: bool,
    /// Whether any commit of ours made it.
    pub is_ours: bool,
}

/// What a version of a derived table records.
///
/// # Errors
/// When a log cannot be read.
pub(super) async fn recorded(
    workspace: &Workspace,
    newest: &mut Newest,
    (table, derived): (&Table, &Derived),
    version: &LakeTable,
) -> Result<Recorded> {
    let version = version.with_own_state().await?;
    let mut sources = Vec::new();
    for name in workspace.sources(table) {
        let (mut consumed, mut why) = (None, None);
        match newest.table(workspace, &name).await? {
            None => why = Some(format!("{name} does not exist")),
            Some(source) => match version.consumed(&source.uuid()).await? {
                None => why = Some(format!("it was computed from another {name} than the current one")),
                Some(found) => {
                    consumed = Some(found.version);
                    if found.version > source.version() || source.is_other_than(found).await? {
                        why = Some(plan::another_commit(&name, found.version));
                    }
                }
            },
        }
        sources.push(RecordedSource { name, version: consumed, why });
    }
    let state = version.state();
    let fingerprint = plan::fingerprint(&workspace.project, table, derived, &workspace.places);
    Ok(Recorded { sources, is_same_definition: fingerprint.is(state.definition()), is_ours: state.head().is_some() })
}

/// The sources that a query reads, by name, at their recorded versions.
///
/// # Errors
/// The first one that can no longer be read.
pub(super) async fn opened(
    workspace: &Workspace,
    newest: &mut Newest,
    recorded: &Recorded,
    read: impl Fn(&TableName) -> bool,
) -> Result<BTreeMap<String, LakeTable>, String> {
    let mut opened = BTreeMap::new();
    for source in recorded.sources.iter().filter(|source| read(&source.name)) {
        if let Some(why) = &source.why {
            return Err(why.clone());
        }
        let told = |error: crate::error::Error| workspace.told(error).to_string();
        let table = newest.table(workspace, &source.name).await.map_err(told)?;
        let (Some(table), Some(version)) = (table, source.version) else {
            return Err(format!("{} does not exist", source.name));
        };
        let at = changes::readable_at(&table, source.name.as_str(), version).await.map_err(told)?;
        opened.insert(source.name.to_string(), at);
    }
    Ok(opened)
}
