//! Physical plans: corrections of the engine's assumptions about rows, the order of conditions, texts shared by rows,
//! unions of wide rows, first rows of partitions, and requirements that the engine leaves open.

pub(crate) mod drop_equivalences;
pub(crate) mod filter_ordering;
mod first_rows;
mod in_turn;
mod repeated_texts;
mod satisfied;
mod shared_texts;
