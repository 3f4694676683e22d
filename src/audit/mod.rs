//! What was in a table, and where it came from. Everything here only reads.

mod lineage;
mod membership;
mod provenance;
mod recorded;

pub use lineage::{Direction, LineageOptions, lineage};
pub use membership::{MembershipOptions, Wanted, membership};
