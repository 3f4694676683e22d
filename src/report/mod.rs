//! `report`: what the lake, or one pinned version, holds, from what, for whom, and whether its laws held. One document, which
//! [`page`] makes a page of.

mod gather;
mod graph;
mod page;

pub use gather::{lake, pinned};
pub use page::page;
