//! `stedi-delta.toml` and `tables/**` as a checked [`Project`].
//!
//! Everything is checked before any table is read, and every fault is reported with its place: texts in, a project or a
//! list of faults out. Only `read.rs` accesses the disk.
//!
//! # `stedi-delta.toml` and `tables/<zone>/<table>.toml`
//! Their keys are declared in [`keys`], and listed in `docs/reference.md`, which is written from there. A table has the name
//! of its file. With `[source]` it is a landing table; with a `.sql` of the same name it is derived.
//!
//! Personal data stays personal: a derived column computed from a column classified `pii` is classified too, unless
//! it is a condition or a count.
//!
//! # Notes
//! If a target is in Glue, `check` also notes what Athena reads differently, or not at all. A note is not a fault.
//!
//! # `migrations/NNNN_label.sql`
//! Four digits, unique, and a label in snake case.

mod assembly;
mod athena;
mod checks;
pub(crate) mod column_lineage;
mod columns;
mod document;
pub(crate) mod functions_page;
mod guess;
pub(crate) mod keys;
mod layout;
mod lineage;
mod model;
mod order;
mod places;
mod project;
mod query;
mod read;
mod reading;
mod render;
mod settings;
mod sources;
mod spec;
#[cfg(test)]
mod tests;
mod units;

use std::path::Path;

pub use model::*;
pub(crate) use places::{Claim, clashes};
pub(crate) use read::find_root;
pub(crate) use reading::is_path;
pub(crate) use reading::{Reading, TimeFormat};
pub(crate) use render::{render, render_note};

use crate::error::{Error, Result};
use crate::source::Fault;

/// The file that makes a folder a project.
pub(crate) const PROJECT_FILE: &str = "stedi-delta.toml";

/// Reads and checks the project in a folder: returns its tables without faults, and all faults of its files.
///
/// # Errors
/// There is no project, or its files cannot be read.
pub(crate) fn examine(root: &Path) -> Result<(Project, Vec<Fault>)> {
    let files = read::read(root)?;
    project::examine(root, &files).map_err(Error::definition)
}
