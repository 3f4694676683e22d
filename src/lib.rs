//! stedi-delta: a lakehouse table manager over Delta Lake.
//!
//! The order of the modules below is the architecture: a module imports only from modules above it
//! (`tests/it/architecture.rs` enforces it). Reading order is data flow.

#![cfg_attr(test, allow(clippy::disallowed_macros, clippy::disallowed_methods))]

// Words: no I/O, no async.
pub mod name;
pub mod types;
pub mod source;
pub mod redact;
pub mod error;
pub mod clock;
pub mod privacy;
// Plans and their expressions, whoever rewrites them.
pub mod node;
// Arithmetic: sums that no order of rows changes, times of every year, and results that fit into memory.
pub mod exact;
pub mod calendar;
pub mod bounded;
// Intent: text and plans in, values out.
pub mod determinism;
pub mod sql;
pub mod definition;
pub mod outcome;
pub mod progress;
pub mod graph;
pub mod incremental;
pub mod plan;
// Doors: I/O, one foreign crate each.
pub mod aws;
pub mod storage;
pub mod lake;
pub mod catalog;
// Stages: the flow, one file per arrow.
pub mod changes;
pub mod checks;
pub mod evaluate;
pub mod merge;
// Operations: return outcomes, never print.
pub mod ingest;
pub mod refresh;
pub mod workspace;
pub mod register;
pub mod sync;
pub mod replay;
pub mod inspect;
// Face: the command line, outcomes as text and as documents.
pub mod cli;
