//! Documents and texts, compared literally.

mod optimize;
mod report;
mod text;
