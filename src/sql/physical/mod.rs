//! Physical plans: corrections of the engine's assumptions about rows, the order of conditions, texts shared by rows, and
//! unions of wide rows.

pub(crate) mod drop_equivalences;
pub(crate) mod filter_ordering;
mod in_turn;
mod repeated_texts;
mod shared_texts;
