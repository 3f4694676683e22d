//! Physical plans: what the engine believes wrongly of rows, and in which order conditions are asked.

pub mod drop_equivalences;
pub mod filter_ordering;
