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
//! If a target is in Glue, `check` also notes what Athena reads differently, or not at all. A note is not a fault. `allow`, in
//! `stedi-delta.toml` or in a table's file, lists rules whose notes are not wanted: `allow = ["athena/coarse_time"]`.
//!
//! # `migrations/NNNN_label.sql`
//! Four digits, unique, and a label in snake case.

mod assembly;
mod athena;
pub(crate) mod cases;
mod checks;
pub(crate) mod column_lineage;
mod columns;
mod document;
mod edit;
pub(crate) mod functions_page;
mod guess;
pub(crate) mod keys;
mod layout;
mod lineage;
mod model;
mod notes;
mod notify;
mod order;
mod places;
mod project;
mod query;
mod read;
mod reading;
mod retention;
mod render;
mod settings;
mod sources;
mod spec;
#[cfg(test)]
mod tests;
pub(crate) mod units;
mod variables;

use std::path::Path;
use std::sync::Arc;

pub(crate) use edit::{ColumnSpan, ColumnSpans, column_spans};
pub use model::*;
pub(crate) use notes::Note;
pub(crate) use notify::Notify;
pub(crate) use places::{Claim, clashes};
pub(crate) use read::find_root;
pub(crate) use reading::is_path;
pub(crate) use reading::{Reading, TimeFormat};
pub(crate) use render::{render, render_note};

use crate::error::{Error, Result};
use crate::source::{Fault, SourceFile};

/// The file that makes a folder a project.
pub(crate) const PROJECT_FILE: &str = "stedi-delta.toml";

/// A text with the values of its environment variables.
///
/// # Errors
/// The name of one that is not set and has no default, or what is no variable.
pub(crate) fn expand_environment(text: &str) -> std::result::Result<String, String> {
    variables::expanded(text, &variables::environment)
}

/// Reads and checks the project in a folder, as if it had `file`, or had it with this text: returns its tables without faults,
/// and all faults of its files.
///
/// # Errors
/// There is no project, or its files cannot be read.
pub(crate) fn examine(root: &Path, file: Option<SourceFile>) -> Result<(Project, Vec<Fault>)> {
    let mut files = read::read(root)?;
    if let Some(file) = file {
        files.retain(|other| other.path != file.path);
        files.push(Arc::new(file));
        files.sort_by(|a, b| a.path.cmp(&b.path));
    }
    project::examine(root, &files).map_err(Error::definition)
}
