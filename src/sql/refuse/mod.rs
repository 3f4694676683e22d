//! Constructs that a query must not contain, reported to its author with place, expectation and replacement.

pub(crate) mod constants;
pub(crate) mod elsewhere;
mod frames;
pub(crate) mod limits;
pub(crate) mod long_chains;
pub(crate) mod misread;
pub(crate) mod report;
pub(crate) mod undetermined;
