//! Catalogs: where query engines look up a table's place and columns.
//!
//! The law: after every sync an entry equals its Delta log. A catalog never decides anything; engines read the log, and
//! an entry that is missing or late is repaired by the next sync. In: an [`Entry`] built from the log. Out: what the
//! call changed. Every implementation passes [`conformance::suite`].

pub mod entry;
pub mod drift;
pub mod hive;
pub mod local;
pub mod glue;
pub mod conformance;

pub use entry::Entry;
pub use glue::GlueCatalog;
pub use local::LocalCatalog;

use async_trait::async_trait;

use crate::error::Result;

/// What [`put_once`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// There was no such entry.
    Created,
    /// The entry differed.
    Updated,
    /// The entry already said the same; nothing was written.
    Unchanged,
}

/// A catalog of tables: database -> table name -> [`Entry`]. Names are lower case, as Glue stores them.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// What it is called in messages.
    fn name(&self) -> String;

    /// Whether others than this warehouse have their tables in it.
    fn is_shared(&self) -> bool;

    /// The entry of a table; `None` = there is none, or no such database.
    ///
    /// # Errors
    /// The catalog cannot be read, or holds something that is no entry.
    async fn get(&self, database: &str, table: &str) -> Result<Option<Entry>>;

    /// All entries of a database by name; none where there is no such database.
    ///
    /// # Errors
    /// As for [`Catalog::get`].
    async fn list(&self, database: &str) -> Result<Vec<Entry>>;

    /// Adds an entry, and the database if it is absent; false = an entry of that name is there already.
    ///
    /// # Errors
    /// The catalog cannot be written.
    async fn create(&self, database: &str, entry: &Entry) -> Result<bool>;

    /// Puts `new` where `old` stands; false = by now something else stands there, or nothing.
    ///
    /// # Errors
    /// The catalog cannot be read or written.
    async fn replace(&self, database: &str, old: &Entry, new: &Entry) -> Result<bool>;

    /// Removes an entry, never data. Says whether there was one.
    ///
    /// # Errors
    /// The catalog cannot be written.
    async fn remove(&self, database: &str, table: &str) -> Result<bool>;
}

/// Makes the catalog say what `entry` says; `standing` is what it was last seen to say. Writes only where something
/// [differs](Entry::differs), and keeps what others added to the entry (see [`Entry::merged_into`]). `None` = something
/// else stands there by now.
///
/// # Errors
/// The catalog cannot be read or written, or an entry of that name describes something that is no Delta table.
pub async fn put_once(
    catalog: &dyn Catalog,
    database: &str,
    entry: &Entry,
    standing: Option<&Entry>,
) -> Result<Option<Put>> {
    let Some(existing) = standing else {
        return Ok(catalog.create(database, entry).await?.then_some(Put::Created));
    };
    entry.may_replace(database, existing)?;
    if !entry.differs(existing) {
        return Ok(Some(Put::Unchanged));
    }
    let replaced = catalog.replace(database, existing, &entry.merged_into(existing)).await?;
    Ok(replaced.then_some(Put::Updated))
}
