//! Read-only operations: the state of every table, queries over them, and the history of versions.

mod history;
mod plan;
mod quarantine;
mod query;
mod status;

pub use history::history;
pub use plan::{explain, plan};
pub use quarantine::quarantine;
pub use query::{Answer, answer, query};
pub use status::status;
