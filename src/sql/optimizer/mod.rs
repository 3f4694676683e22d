//! Rules that stand before, in the place of, or instead of the engine's logical optimizer's.

pub mod equijoin;
pub mod lists;
pub mod plain;
pub mod reorder;
pub mod sides;
