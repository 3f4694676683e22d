//! Arithmetic whose results are right, or an error: what leaves its type does not wrap (`checked`, `sums`), and aggregates
//! of floating-point numbers do not depend on the order of the rows.
//!
//! An incremental refresh computes a group again from other files, in another order, with other partitions. A sum
//! that rounds at every row then ends in another last bit than the one in the table, and the row to delete is not
//! found. Here nothing is rounded before the end: sums are integers of as many bits as they need (`number`), and
//! what follows from them is computed from those integers (`moments`). `min` and `max` have an order in which NaN
//! has a place (`extremes`). Sums and averages of integers and decimals are added up in wider numbers (`sums`). Everything
//! else is left to the built-in function.

mod accumulate;
mod big;
mod checked;
mod extremes;
mod function;
mod moments;
mod number;
mod ranges;
mod sums;
#[cfg(test)]
mod tests;

pub use checked::{CheckedArithmetic, has_every_value, operator};
pub use function::functions;
