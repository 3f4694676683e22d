//! Catalogs: where query engines look up a table's location and columns.
//!
//! The law: after every sync an entry matches its Delta log. A catalog never decides anything; engines read the log,
//! and the next sync repairs a missing or outdated entry. Input: an [`Entry`] built from the log. Output: the change
//! that the call made. Every implementation passes [`conformance::suite`].

pub(crate) mod entry;
pub(crate) mod drift;
pub(crate) mod hive;
pub(crate) mod local;
pub(crate) mod glue;
pub mod conformance;

pub use entry::Entry;
pub use glue::GlueCatalog;
pub(crate) use local::LocalCatalog;

use async_trait::async_trait;

use crate::error::Result;

/// The result of [`put_once`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// There was no such entry.
    Created,
    /// The entry differed.
    Updated,
    /// The entry already matched; nothing was written.
    Unchanged,
}

/// A catalog of tables: database -> table name -> [`Entry`]. Names are lower case, as Glue stores them.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// Its name in messages.
    fn name(&self) -> String;

    /// Whether tables outside of this warehouse may be in it.
    fn is_shared(&self) -> bool;

    /// The entry of a table; `None` = there is none, or no such database.
    ///
    /// # Errors
    /// The catalog cannot be read, or holds an invalid entry.
    async fn get(&self, database: &str, table: &str) -> Result<Option<Entry>>;

    /// All entries of a database by name; none if there is no such database.
    ///
    /// # Errors
    /// As for [`Catalog::get`].
    async fn list(&self, database: &str) -> Result<Vec<Entry>>;

    /// Adds an entry, and the database if it is absent; false = an entry of that name exists already.
    ///
    /// # Errors
    /// The catalog cannot be written.
    async fn create(&self, database: &str, entry: &Entry) -> Result<bool>;

    /// Replaces `old` by `new`; false = the current entry is another one, or there is none.
    ///
    /// # Errors
    /// The catalog cannot be read or written.
    async fn replace(&self, database: &str, old: &Entry, new: &Entry) -> Result<bool>;

    /// Removes an entry, never data. Returns whether there was one.
    ///
    /// # Errors
    /// The catalog cannot be written.
    async fn remove(&self, database: &str, table: &str) -> Result<bool>;
}

/// Updates the catalog to match `entry`; `standing` is the last entry seen. Writes only if something
/// [differs](Entry::differs), and keeps additions of others (see [`Entry::merged_into`]). `None` = the current entry is
/// another one.
///
/// # Errors
/// The catalog cannot be read or written, or an entry of that name describes something that is not a Delta table.
pub(crate) async fn put_once(
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
