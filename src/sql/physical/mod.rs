//! Physical plans: corrections of the engine's assumptions about rows, the order of conditions, and texts shared by
//! rows.

pub(crate) mod drop_equivalences;
pub(crate) mod filter_ordering;
mod shared_texts;
