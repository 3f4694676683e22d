//! Delta tables: open, read, write files, commit. The one door to `deltalake`'s tables and log.
//!
//! The state of a table lives in `txn` actions of its commits, under the fixed app ids of [`app`].

mod annotations;
mod belief;
mod bounds;
mod columns;
mod commit;
mod encoding;
mod file;
mod gap;
mod layout;
mod log;
mod log_files;
mod log_store;
mod memory;
mod mend;
mod moved;
mod nested;
mod newest;
mod optimized;
mod paths;
mod plain;
mod table_constraints;
mod read;
mod readable;
mod relation;
mod restored;
mod row_cache;
mod scanned;
mod session;
mod sieve;
mod spill;
mod spliced;
mod state;
mod statistics;
mod system;
mod table;
mod tail;
#[cfg(test)]
pub(crate) mod test_table;
mod traces;
mod width;
mod write;

pub(crate) use annotations::{Annotation, Annotations, PROPERTIES, reason as annotation_reason};
pub(crate) use belief::may_be_cut;
pub(crate) use columns::{NewColumns, schema_string};
pub use commit::{Change, Commit, Properties, TableSpec, create};
pub(crate) use deltalake::kernel::{Add, Remove};
pub(crate) use encoding::ROW_GROUP_ROWS;
pub(crate) use file::DeltaFile;
pub use layout::Layout;
pub(crate) use log::{CommitFacts, DataFiles};
pub(crate) use log_files::{LogFiles, outside_of_log};
pub(crate) use memory::{out_of_memory, with_memory_limit};
pub(crate) use mend::bounds_mended;
pub(crate) use moved::{Evidence, MovedRows};
pub(crate) use nested::{adapt, adapted};
pub(crate) use newest::{LogTail, newest_commit};
pub(crate) use optimized::Compacted;
pub(crate) use read::declaring;
pub use read::rows;
pub(crate) use relation::Relation;
pub(crate) use scanned::Scanned;
pub(crate) use session::Joins;
pub use session::{SessionOptions, session};
pub(crate) use spill::{SpillFolder, close as close_spill, sweep as sweep_spill};
pub(crate) use spliced::{Groups, Splice};
pub(crate) use state::{Consumed, HISTORY, app, is_batch};
pub(crate) use system::SystemTable;
pub use table::LakeTable;
pub(crate) use tail::{AT_ONCE, Tail, Values, Wanted};
pub(crate) use width::{in_turn, rewritten_at_once, widest, worked_at_once};
pub use write::DataWriter;
pub(crate) use write::{CHANGING_FILE_ROWS, NullFound, Written, conform};

/// The column of change data files that says whether a row was inserted or deleted.
pub(crate) const CHANGE_TYPE: &str = "_change_type";

/// The writer's name in our commits and data files.
pub(crate) const ENGINE: &str = concat!("stedi-delta/", env!("CARGO_PKG_VERSION"));
