//! What a query may not say, and how that is said to its author: with its place, what was expected and what to write.

pub mod constants;
pub mod elsewhere;
pub mod limits;
pub mod misread;
pub mod report;
pub mod undetermined;
