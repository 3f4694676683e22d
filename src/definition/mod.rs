//! `stedi-delta.toml` and `tables/**` as a checked [`Project`].

mod model;

pub use model::*;
