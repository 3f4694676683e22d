//! Documents and texts, literally.

mod report;
mod text;
