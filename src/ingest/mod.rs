//! Files into landing tables, exactly once.

pub mod read;
