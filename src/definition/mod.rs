//! `stedi-delta.toml` and `tables/**` as a checked [`Project`].
//!
//! Everything is checked before any table is read, and every fault is reported with its place: texts in, a project or a
//! list of faults out. Only `read.rs` accesses the disk.
//!
//! # `stedi-delta.toml`
//! ```toml
//! name = "stedi"
//! zones = ["landing", "trusted", "curated"]   # the order in which data flows; each is a folder under tables/
//! default_target = "dev"                      # may be left out if there is one target
//!
//! [defaults]                                  # may be left out, each key too
//! memory_limit = "2 GB"                       # bytes as a number, or with KB, MB, GB, TB (powers of 1024)
//! target_file_size = "32 MB"
//! spill_folder = "/scratch"                   # for rows that do not fit into memory; default: TMPDIR, or /tmp
//! auto_optimize = true                        # a sync merges small files of tables that do not say so themselves
//! require_consent = ["curated"]               # tables of these zones with personal data must have [consent]
//!
//! [pins]                                      # may be left out
//! on_withdrawal = "keep"                      # or "unpin": a sync unpins what holds people whose consent has ended
//!
//! [targets.dev]
//! landing = "sample/landing"                  # a folder relative to the project, absolute, file:// or s3://
//! warehouse = "warehouse"
//! database = "stedi"                          # default: the project's name
//!
//! [targets.prod]
//! landing = "s3://stedi-landing"
//! warehouse = "s3://stedi-warehouse"
//!
//! [targets.prod.catalog.glue]                 # registers the tables in AWS Glue; credentials are the environment's
//! database = "stedi"                          # all keys may be left out: database, region, catalog_id, endpoint
//!
//! [notify]                                    # whom a sync tells of its result, with the report as JSON
//! command = ["scripts/tell", "lake"]          # gets it on standard input
//! webhook = "${SLACK_WEBHOOK}"                # gets it in a POST
//! on = "failure"                              # always | failure: exit codes other than 0
//! timeout = "10s"                             # at most 5m; nothing waits longer for either
//! ```
//! Values of targets and `webhook` take environment variables: `"s3://${BUCKET}/raw"`, `"${REGION:-eu-west-1}"`. One that is
//! not set and has no default is a fault of the target in use, and no value of one is ever in a message.
//!
//! # `tables/<zone>/<table>.toml`
//! A table has the name of its file. With `[source]` it is a landing table; with a `.sql` of the same name it is
//! derived.
//! ```toml
//! description = "Readings of customers who share their data"   # required
//! tags = ["daily"]
//! location = "s3://elsewhere/readings"        # a folder of its own; default: <warehouse>/<zone>/<table>
//! refresh = "auto"                            # derived: auto | incremental | full
//! primary_key = ["user", "timestamp"]         # derived: these columns hold no NULL
//! cluster_by = ["user"]
//! auto_optimize = true                        # whether a sync merges its small files
//!
//! [source]                                    # landing
//! path = "customer/**/*.json"                 # under the target's landing root
//! exclude = ["customer/**/*.bak.json"]        # left out, as are names that begin with `_` or `.`
//! format = "json"
//! min_age = "2s"                              # ms, s, m, h, d
//! on_overwrite = "fail"                       # fail | replace
//! max_quarantined = "5 %"                     # or a number: past it nothing of a sync's files lands
//! on_new_field = "warn"                       # warn | quarantine | ignore | rescue: in a column `_rescued`, as JSON
//!
//! [columns]                                   # landing: all columns, in order; derived: documents and asserts
//! email = { type = "string", nullable = false, description = "...", classification = "pii" }
//! x = "double"
//! tags = "array<string>"                      # docs/columns.md has the types
//! detail = { type = "string", from = "detail-type" }   # landing: a field of another name; a path; or a list of them
//! at = { type = "timestamp", format = "epoch_ms" }     # landing: epoch_s | epoch_ms | epoch_us
//! payload = { type = "json", classification = "none" } # whatever comes, as text: pii unless it says so
//! address = { type = "struct", fields = { city = "string", zip = { type = "string", from = "zip-code" } } }
//!
//! [grants]                                    # landing: this table is the record of consent
//! subjects = ["email", "serialnumber"]
//! granted = "sharewithresearchasofdate is not null"
//! latest = ["lastupdatedate"]
//!
//! [consent]                                   # derived: who may be in here
//! subject = "user"
//! names = "email"                             # the subject of the grants table; default: the one of the same name
//! by = "sha256(email)"                        # the subject is a pseudonym: this expression over that one
//! grants = "customer_landing"                 # default: the only table with [grants]
//!
//! [[expectations]]
//! name = "timestamp_present"
//! check = "timestamp is not null"
//! action = "fail"                             # warn | quarantine | fail
//! ```
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
mod guess;
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
pub(crate) use units::bytes as parse_bytes;

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

/// Reads and checks the project in a folder: returns its tables without faults, and all faults of its files.
///
/// # Errors
/// There is no project, or its files cannot be read.
pub(crate) fn examine(root: &Path) -> Result<(Project, Vec<Fault>)> {
    examine_with(root, None)
}

/// The same as if it had this file, or had it with this text.
///
/// # Errors
/// As for [`examine`].
pub(crate) fn examine_with(root: &Path, file: Option<SourceFile>) -> Result<(Project, Vec<Fault>)> {
    let mut files = read::read(root)?;
    if let Some(file) = file {
        files.retain(|other| other.path != file.path);
        files.push(Arc::new(file));
        files.sort_by(|a, b| a.path.cmp(&b.path));
    }
    project::examine(root, &files).map_err(Error::definition)
}
