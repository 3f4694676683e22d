//! What was: whether past versions keep the laws of the lake.
//!
//! Everything here only reads, and gives personal data as keyed hashes unless it is to be revealed.

mod consent;
mod grants;
mod history;
mod offenders;
mod scope;
mod verify;
mod walk;

pub use consent::consent;
pub use scope::{Scope, Versions, What};
pub use verify::verify;
