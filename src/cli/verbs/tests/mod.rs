//! Documents and texts, compared literally.

mod report;
mod text;
