//! Rules before, or in place of, those of the engine's logical optimizer.

pub(crate) mod equijoin;
pub(crate) mod in_list;
pub(crate) mod merge_keys;
pub(crate) mod plain;
pub(crate) mod reorder;
pub(crate) mod canonical_equality;
