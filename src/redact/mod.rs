//! What the query engine's errors may say.

mod text;

pub use text::redact;
