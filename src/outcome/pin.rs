//! Versions of tables that are kept for audits.

use std::collections::BTreeMap;

use crate::digest::Sealed;

/// A pinned version of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its name, unique among pins and tables.
    pub name: String,
    /// The table, by its name when it was pinned.
    pub table: String,
    /// The table's id.
    pub uuid: String,
    /// Folder or URL of the table.
    pub location: String,
    /// The version.
    pub version: u64,
    /// When that version was committed, ms since the epoch, if known.
    pub committed_ms: Option<i64>,
    /// When it was pinned, ms since the epoch.
    pub pinned_ms: i64,
    /// Until when it is to be kept; `None` = until it is unpinned.
    pub until_ms: Option<i64>,
    /// Retention settings of the table before the pin raised them, if it did: property -> value.
    pub retained: Option<BTreeMap<String, Option<String>>>,
    /// Whether it is a table of the catalog.
    pub in_catalog: bool,
    /// Rows, if the log has them.
    pub rows: Option<u64>,
    /// Data files: path relative to the table -> bytes.
    pub files: BTreeMap<String, u64>,
    /// The `schemaString` of the version.
    pub schema: String,
    /// Source table -> version from which it was computed.
    pub sources: BTreeMap<String, u64>,
    /// The digest of its rows; `None` if it was pinned without `STEDI_DELTA_HASH_KEY`.
    pub digest: Option<Sealed>,
}

/// A pin was set or removed.
#[derive(Clone, Debug)]
pub struct PinOutcome {
    /// The pin.
    pub pin: Pin,
    /// What should be said of it.
    pub notes: Vec<String>,
}

/// A pin and what is left of it.
#[derive(Clone, Debug)]
pub struct PinStatus {
    /// The pin.
    pub pin: Pin,
    /// How many of its files are gone.
    pub gone: u64,
    /// People with rows in it who have no consent today; `None` if the table declares none, or if that is unknown.
    pub withdrawn: Option<u64>,
    /// Whether the time until which it was to be kept is over.
    pub is_over: bool,
    /// Whether it should be in the catalog and is not, or differs there.
    pub catalog_differs: bool,
}

/// A pin with people whose consent has ended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PinNotice {
    /// The pin.
    pub name: String,
    /// The table.
    pub table: String,
    /// The version.
    pub version: u64,
    /// People in it without consent today.
    pub withdrawn: u64,
    /// Whether it was unpinned for that.
    pub unpinned: bool,
}
