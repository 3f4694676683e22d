//! Rules before, or in place of, those of the engine's logical optimizer.

pub mod equijoin;
pub mod in_list;
pub mod plain;
pub mod reorder;
pub mod canonical_equality;
