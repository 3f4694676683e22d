//! Arithmetic whose results are exact or an error: integers and decimals do not wrap on overflow (`checked`, `sums`),
//! and aggregates of floating-point numbers do not depend on the order of the rows.
//!
//! An incremental refresh recomputes a group from other files, in another order, with other partitions. A sum that
//! rounds at every row then differs in its last bit from the one in the table, and the row to delete is not found. Here
//! nothing is rounded before the end: sums are integers of as many bits as they need (`number`), and dependent results
//! are computed from those integers (`moments`). `min` and `max` use a total order that includes NaN (`extremes`). Sums
//! and averages of integers and decimals are accumulated in wider numbers (`sums`). Everything else is left to the
//! built-in function.

mod accumulate;
mod big;
mod chain;
mod checked;
mod extremes;
mod function;
mod moments;
mod number;
mod ranges;
mod sums;
#[cfg(test)]
mod chain_tests;
#[cfg(test)]
mod tests;

pub(crate) use checked::{CheckedArithmetic, has_every_value, operator};
pub(crate) use function::functions;
