//! What was, and what changed: rows of a version, its description, and the difference of two versions.
//!
//! Everything here only reads, and gives personal data as keyed hashes unless it is to be revealed.

mod classified;
mod describe;
mod diff;
mod show;
mod version;

pub use describe::describe;
pub use diff::{Diff, DiffOptions, diff, diff_lake};
pub use show::{ShowOptions, show};

use version::version_of;
