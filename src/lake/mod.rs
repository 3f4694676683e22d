//! Delta tables: open, read, write files, commit. The one door to `deltalake`'s tables and log.
//!
//! The state of a table lives in `txn` actions of its commits, under the fixed app ids of [`app`].

mod belief;
mod bounds;
mod commit;
mod encoding;
mod gap;
mod layout;
mod log;
mod memory;
mod mend;
mod moved;
mod nested;
mod paths;
mod table_constraints;
mod read;
mod readable;
mod relation;
mod scanned;
mod session;
mod sieve;
mod spill;
mod state;
mod statistics;
mod system;
mod table;
mod tail;
mod traces;
mod width;
mod write;

pub use belief::may_be_cut;
pub use commit::{Change, Commit, NewColumns, Properties, TableSpec, create, schema_string};
pub use deltalake::kernel::{Add, Remove};
pub use layout::Layout;
pub use log::{CommitFacts, DataFiles};
pub use memory::{out_of_memory, with_memory_limit};
pub use mend::bounds_mended;
pub use moved::{Evidence, MovedRows};
pub use nested::{adapt, adapted};
pub use read::{declaring, rows};
pub use relation::Relation;
pub use scanned::Scanned;
pub use session::{Joins, SessionOptions, session};
pub use spill::{close as close_spill, sweep as sweep_spill};
pub use state::{app, is_batch};
pub use system::SystemTable;
pub use table::{DeltaFile, LakeTable};
pub use tail::{AT_ONCE, Tail, Values, Wanted};
pub use write::{CHANGING_FILE_ROWS, DataWriter, NullFound, Written, conform};

/// The column of change data files that says whether a row was inserted or deleted.
pub const CHANGE_TYPE: &str = "_change_type";

/// The writer's name in our commits and data files.
pub const ENGINE: &str = concat!("stedi-delta/", env!("CARGO_PKG_VERSION"));
