//! The tables that a project had at some time, and what statements make of them. Nothing here reads a lake.

use std::collections::BTreeMap;

use super::is_system;
use super::shape::{Columns, Stored};
use super::snapshot::PATH;
use super::statement::{Action, Statement};
use super::values::Reshape;
use crate::definition::{ColumnType, Project, SOURCE_FILE, SOURCE_OFFSET, Table};
use crate::name::{RESCUED, nearest};
use crate::source::Fault;

/// The columns of tables by name.
pub(super) type Tables = BTreeMap<String, Columns>;

/// The tables of a project.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Landing tables.
    pub landing: Tables,
    /// Derived tables, as their queries made them then; `None` = they are not known.
    pub derived: Option<Tables>,
}

impl Known {
    /// Those of a project.
    #[must_use]
    pub(crate) fn declared(project: &Project) -> Self {
        let landing = project.tables.iter().filter(|table| table.landing().is_some());
        let columns = |table: &Table| (table.name.to_string(), Columns::declared(&table.columns));
        Self { landing: landing.map(columns).collect(), derived: Some(derived(project).map(columns).collect()) }
    }

    /// Tables that a project no longer has.
    #[must_use]
    pub(crate) fn gone(&self, project: &Project) -> Vec<&str> {
        let is_gone = |name: &&str| project.tables.iter().all(|table| table.name.as_str() != *name);
        self.names().filter(is_gone).collect()
    }

    /// The names of all tables.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.landing.keys().chain(self.derived.iter().flat_map(Tables::keys)).map(String::as_str)
    }

    /// Whether there is a table of this name.
    #[must_use]
    pub(crate) fn has(&self, name: &str) -> bool {
        self.landing.contains_key(name) || self.derived.as_ref().is_some_and(|derived| derived.contains_key(name))
    }

    /// Gives a table another name.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        if let Some(columns) = self.landing.remove(from) {
            self.landing.insert(to.to_owned(), columns);
        }
        if let Some(derived) = &mut self.derived
            && let Some(columns) = derived.remove(from)
        {
            derived.insert(to.to_owned(), columns);
        }
    }

    /// Two landing tables of which each now has the columns that the other had, if they differ.
    #[must_use]
    pub(crate) fn swapped(&self, project: &Project) -> Vec<(String, String)> {
        let own = |columns: &Columns| Columns(columns.0.iter().filter(|c| !is_system(&c.name)).cloned().collect());
        let declared = |name: &str| {
            let table = project.tables.iter().find(|table| table.name.as_str() == name && table.landing().is_some())?;
            Some(own(&Columns::declared(&table.columns)))
        };
        let mut found = Vec::new();
        for (at, (one, columns)) in self.landing.iter().enumerate() {
            for (other, others) in self.landing.iter().skip(at + 1) {
                let (columns, others) = (own(columns), own(others));
                if columns != others && declared(one) == Some(others) && declared(other) == Some(columns) {
                    found.push((one.clone(), other.clone()));
                }
            }
        }
        found
    }

    /// The tables after a statement.
    pub(super) fn take(&mut self, statement: &Statement) -> Result<(), Vec<Fault>> {
        let name = statement.table.value.as_str();
        match &statement.action {
            Action::RenameTable { .. } | Action::DropTable if !self.has(name) => {
                // Without a list of derived tables it may be one of them.
                let Some(derived) = &self.derived else { return Ok(()) };
                let known = self.landing.keys().chain(derived.keys()).map(String::as_str);
                let label = match nearest(name, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "a table that came since needs no statement".to_owned(),
                };
                return Err(vec![Fault::at(&statement.table.place, format!("table `{name}` is not in {PATH}"), label)]);
            }
            Action::RenameTable { to, .. } if to.value != name && self.has(&to.value) => {
                let label = format!("rename or drop `{}` first", to.value);
                return Err(vec![Fault::at(&to.place, format!("table `{}` is there already", to.value), label)]);
            }
            Action::RenameTable { to, .. } => self.rename(name, &to.value),
            Action::DropTable => {
                self.landing.remove(name);
                if let Some(derived) = &mut self.derived {
                    derived.remove(name);
                }
            }
            _ => {
                // A table that came since was made with it.
                if let Some(columns) = self.landing.get_mut(name) {
                    let before = with_system(columns);
                    let after = before.after(statement).map_err(|fault| vec![fault])?;
                    Reshape::new(statement, &before, &after)?;
                    *columns = after;
                }
            }
        }
        Ok(())
    }
}

/// The columns of a landing table with those that the tool adds, for expressions that read them.
fn with_system(columns: &Columns) -> Columns {
    let mut all = columns.clone();
    let system = [(RESCUED, ColumnType::String), (SOURCE_FILE, ColumnType::String), (SOURCE_OFFSET, ColumnType::Long)];
    for (name, of) in system {
        if all.get(name).is_none() {
            all.0.push(Stored { name: name.to_owned(), of, nullable: true });
        }
    }
    all
}

/// The derived tables of a project but for quarantines, which have the columns of their tables.
pub(super) fn derived(project: &Project) -> impl Iterator<Item = &Table> {
    project.tables.iter().filter(|table| table.derived().is_some_and(|derived| derived.quarantine_of.is_none()))
}

/// The columns of derived tables that their queries no longer have, by table.
#[must_use]
pub(crate) fn lost<'p>(project: &'p Project, known: &Known) -> Vec<(&'p Table, Vec<String>)> {
    let of = |table: &'p Table| {
        let before = known.derived.as_ref()?.get(table.name.as_str())?;
        let has = |name: &str| table.columns.iter().any(|column| column.name == name);
        let gone: Vec<String> = before.0.iter().map(|c| c.name.clone()).filter(|name| !has(name)).collect();
        (!gone.is_empty()).then_some((table, gone))
    };
    derived(project).filter_map(of).collect()
}
