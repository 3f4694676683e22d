//! Constructs that a query must not contain, reported to its author with place, expectation and replacement.

pub mod constants;
pub mod elsewhere;
pub mod limits;
pub mod misread;
pub mod report;
pub mod undetermined;
