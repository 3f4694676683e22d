//! What a catalog entry should contain.

use std::collections::BTreeMap;

use crate::catalog::Entry;
use crate::catalog::entry::Declared;
use crate::definition::{Column, Table};
use crate::ingest::format::quarantine_columns;
use crate::lake::{LakeTable, schema_string};
use crate::storage::Location;

/// The name, description and declared columns of a table.
#[derive(Clone, Debug)]
pub struct Described {
    /// Name in the catalog.
    pub name: String,
    /// For people.
    pub description: String,
    /// Columns with their descriptions and classifications.
    pub columns: Vec<Column>,
    /// For other engines.
    pub properties: BTreeMap<String, String>,
}

impl Described {
    /// A table of the project.
    #[must_use]
    pub fn table(table: &Table) -> Self {
        let (description, columns) = (table.description.clone(), table.columns.clone());
        Self { name: table.name.to_string(), description, columns, properties: table.properties.clone() }
    }

    /// The quarantine of a landing table.
    #[must_use]
    pub fn quarantine(table: &Table) -> Self {
        Self {
            name: table.name.quarantine().to_string(),
            description: format!("Records of {} that could not land", table.name),
            columns: quarantine_columns(),
            properties: BTreeMap::new(),
        }
    }

    /// The entry of a table by its current log.
    #[must_use]
    pub fn entry(&self, table: &LakeTable) -> Entry {
        let (schema, committed) = (table.schema_string(), table.committed_ms().unwrap_or_default());
        self.entry_of(table.location(), &schema, table.version(), committed)
    }

    /// The entry of a table whose log will hold these columns. Its version and time, which are not compared, are 0.
    #[must_use]
    pub fn entry_with(&self, location: &Location, columns: &[Column]) -> Entry {
        self.entry_of(location, &schema_string(columns), 0, 0)
    }

    /// The entry of a table whose log holds exactly the declared columns.
    #[must_use]
    pub fn entry_as_declared(&self, location: &Location) -> Entry {
        self.entry_with(location, &self.columns)
    }

    fn entry_of(&self, location: &Location, schema: &str, version: u64, committed_ms: i64) -> Entry {
        let location = location.to_string();
        let Self { description, columns, properties, .. } = self;
        let declared = Declared { description, columns, properties };
        Entry::new(&self.name, &location, declared, schema, version, committed_ms)
    }
}
