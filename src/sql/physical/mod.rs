//! Physical plans: corrections of the engine's assumptions about rows, the order of conditions, and texts shared by
//! rows.

pub mod drop_equivalences;
pub mod filter_ordering;
mod shared_texts;
