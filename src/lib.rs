//! stedi-delta: a lakehouse table manager over Delta Lake.
//!
//! The order of the modules below is the architecture: a module imports only from modules above it
//! (`tests/it/architecture.rs` enforces it). Reading order is data flow.
//!
//! The program is the product; this library is what it and its tests are made of. On S3 it needs tokio's multi-thread runtime:
//! elsewhere delta-rs reads logs in a runtime of its own, which takes connections with it when it ends. Its entries are a [`Workspace`] and the
//! functions that take one:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use stedi_delta::progress::{Progress, Silent};
//! use stedi_delta::workspace::WorkspaceOptions;
//! use stedi_delta::{Privacy, Storage, Workspace, inspect, sync};
//!
//! # async fn example() -> stedi_delta::error::Result<()> {
//! let options = WorkspaceOptions { root: "my-project".into(), ..WorkspaceOptions::default() };
//! let workspace = Workspace::open(&options, Storage::default(), Privacy::new(None, false)).await?;
//! let silent: Arc<dyn Progress> = Arc::new(Silent);
//! let outcome = sync::sync(&workspace, &sync::Options::default(), &silent).await;
//! for table in &outcome.tables {
//!     println!("{}: {} rows more", table.table, table.rows.inserted);
//! }
//! let rows = inspect::query(&workspace, "select count(*) from customer_landing").await?;
//! # drop(rows);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::disallowed_macros, clippy::disallowed_methods))]

// Words: no I/O; only `retry` sleeps.
mod name;
mod types;
mod shape;
mod source;
mod redact;
pub mod error;
mod clock;
mod program;
mod privacy;
mod retry;
// Helpers for plans and their expressions.
mod node;
// Arithmetic: sums that no order of rows changes, digests of rows, times of every year, parts of JSON, and results that fit into memory.
mod exact;
mod digest;
mod calendar;
mod json_path;
mod bounded;
// Intent: text and plans in, values out.
mod determinism;
mod sql;
mod definition;
mod migration;
pub mod outcome;
pub mod progress;
mod graph;
mod incremental;
mod plan;
// Doors: I/O, one foreign crate each.
mod aws;
mod storage;
mod lake;
mod catalog;
// Stages: the flow, one file per arrow.
mod changes;
mod checks;
mod version_digest;
mod evaluate;
mod merge;
// Operations: return outcomes, never print.
mod ingest;
mod refresh;
pub mod workspace;
mod horizons;
mod pins;
pub mod register;
pub mod migrate;
pub mod optimize;
pub mod sync;
pub mod replay;
pub mod travel;
pub mod defer;
pub mod restore;
pub mod vacuum;
pub mod pin;
pub mod inspect;
pub mod audit;
pub mod report;
pub mod testing;
pub mod notify;
pub mod infer;
pub mod init;
// Face: the command line, outcomes as text and as documents.
pub mod cli;

pub use privacy::Privacy;
pub use storage::Storage;
pub use workspace::Workspace;

/// Further items for the tests and benchmarks of this repository; not a stable interface.
#[doc(hidden)]
pub mod internals {
    pub mod aws {
        pub use crate::aws::{Aws, AwsSettings};
    }
    pub mod cli {
        pub use crate::cli::help::{command, paths};
    }
    pub mod catalog {
        pub use crate::catalog::{Catalog, Entry, GlueCatalog, conformance};
    }
    pub mod changes {
        pub use crate::changes::{ChangeSet, ChangeSource, Changes, Way, since, since_by};
    }
    pub mod definition {
        pub use crate::definition::functions_page::functions;
        pub use crate::definition::keys::{Sample, reference, samples};
        pub use crate::definition::{Action, Column, ColumnType, Glue, Table};
    }
    pub mod incremental {
        pub use crate::incremental::differentiate;
    }
    pub mod ingest {
        pub use crate::ingest::{Batch, FileRow, Ledger, count_quarantined, list_quarantined};
    }
    pub mod lake {
        pub use crate::lake::{
            Change, Commit, DataWriter, LakeTable, Layout, Properties, SessionOptions, TableSpec, create, rows, session,
        };
    }
    pub mod merge {
        pub use crate::merge::{Applied, CdcChange, Merged, Taking, apply};
    }
    pub mod plan {
        pub use crate::plan::expectations;
    }
    pub mod storage {
        pub use crate::storage::{Encryption, Location, Meter, PROBE, StoreRef};
    }
}
