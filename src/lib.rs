//! stedi-delta: a lakehouse table manager over Delta Lake.
//!
//! The order of the modules below is the architecture: a module imports only from modules above it
//! (`tests/it/architecture.rs` enforces it). Reading order is data flow.

// Words: no I/O, no async.
pub mod name;
pub mod source;
pub mod error;
pub mod clock;
// Intent: text and plans in, values out.
pub mod definition;
pub mod outcome;
pub mod progress;
// Doors: I/O, one foreign crate each.
pub mod catalog;
// Face: the only part that speaks to people and scripts.
pub mod report;
pub mod cli;
