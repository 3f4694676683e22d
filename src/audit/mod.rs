//! What was, and what changed: rows of a version, its description, the difference of two versions, and whether past versions
//! keep the laws of the lake.
//!
//! Everything here only reads, and gives personal data as keyed hashes unless it is to be revealed.

mod classified;
mod consent;
mod describe;
mod diff;
mod digests;
mod grants;
mod history;
mod lineage;
mod membership;
mod offenders;
mod provenance;
mod recorded;
mod scope;
mod show;
mod verify;
mod version;
mod walk;

pub use consent::consent;
pub use describe::describe;
pub use diff::{Diff, DiffOptions, diff, diff_lake};
pub use digests::digests;
pub use lineage::{Direction, LineageOptions, lineage};
pub use membership::{MembershipOptions, Wanted, membership};
pub use scope::{Scope, Versions, What};
pub use show::{ShowOptions, show};
pub use verify::verify;

use version::version_of;
