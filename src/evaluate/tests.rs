//! The law: the change applied to the old result is the new result.

mod law;
mod support;
