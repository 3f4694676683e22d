//! Rules that stand before, in the place of, or instead of the engine's logical optimizer's.

pub mod equijoin;
pub mod in_list;
pub mod plain;
pub mod reorder;
pub mod canonical_equality;
