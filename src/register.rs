//! A table's newest version -> a catalog entry equal to its log.
//!
//! After the commit, never before: an entry without a version sends readers to nothing, while a version without an
//! entry is found and registered by the next sync.

use crate::catalog::{Catalog, Entry, Put};
use crate::definition::Column;
use crate::error::Result;
use crate::lake::LakeTable;

/// Makes the catalog say what the log says; writes nothing where it does already.
///
/// # Errors
/// When the catalog cannot be read or written.
pub async fn register(
    catalog: &dyn Catalog,
    database: &str,
    name: &str,
    description: &str,
    columns: &[Column],
    table: &LakeTable,
) -> Result<Put> {
    let entry = Entry::new(
        name,
        &table.location().to_string(),
        description,
        columns,
        &table.schema_string(),
        table.version(),
        table.committed_ms().unwrap_or_default(),
    );
    catalog.put(database, &entry).await
}
