//! Versions and times: what a table, or the whole lake, held at a point.
//!
//! A table is named by its present name, by one that it had before a migration renamed it, or by that of a table that was
//! dropped; a landing table's quarantine and the system tables have versions like any other. docs/time-travel.md.

mod cut;
mod named;
mod point;
mod times;

pub use cut::{AsOf, Cut};
pub use named::{Named, NamedKind, find, find_existing, open};
pub use point::{Point, Zone, split};
pub use times::{Clock, CommitTime, newest_times, times};

pub(crate) use named::system_tables;
