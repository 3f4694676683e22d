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
pub mod graph;
pub mod outcome;
