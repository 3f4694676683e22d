//! Physical plans: what the engine believes wrongly of rows, in which order conditions are asked, and which texts rows share.

pub mod drop_equivalences;
pub mod filter_ordering;
mod shared_texts;
