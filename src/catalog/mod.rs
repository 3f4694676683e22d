//! Catalogs: where query engines look up a table's place and columns.
//!
//! The law: after every sync an entry equals its Delta log. A catalog never decides anything; engines read the log, and
//! an entry that is missing or late is repaired by the next sync. In: an [`Entry`] built from the log. Out: what the
//! call changed. Every implementation passes [`conformance::suite`].

pub mod entry;
pub mod local;
pub mod conformance;

pub use entry::Entry;
pub use local::LocalCatalog;

use async_trait::async_trait;

use crate::error::Result;

/// What [`Catalog::put`] did.
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

    /// Makes the catalog say what `entry` says, and creates the database if it is absent. Writes only where something
    /// [differs](Entry::differs); keeps what others added to the entry (see [`Entry::merged_into`]).
    ///
    /// # Errors
    /// The catalog cannot be read or written, or an entry of that name describes something that is no Delta table.
    async fn put(&self, database: &str, entry: &Entry) -> Result<Put>;

    /// Removes an entry, never data. Says whether there was one.
    ///
    /// # Errors
    /// The catalog cannot be written.
    async fn remove(&self, database: &str, table: &str) -> Result<bool>;
}
