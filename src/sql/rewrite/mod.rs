//! Syntax -> syntax, before planning: what the engine would take for something else, or for nothing at all.

pub mod casts;
pub mod escapes;
pub mod first;
pub mod lateral;
pub mod precedence;
pub mod rows;
pub mod shared;
pub mod spelled;
pub mod unnamed;
