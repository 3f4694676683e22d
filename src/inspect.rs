//! Read-only operations: the state of every table, queries over them, and the history of versions.

mod history;
mod plan;
mod quarantine;
mod query;
mod saved;
mod status;

pub(crate) use history::versions;
pub use history::{HistoryOptions, history};
pub use plan::{PlanOptions, explain, plan, plan_with};
pub use quarantine::quarantine;
pub(crate) use query::HELD;
pub use query::{Answer, QueryOptions, answer, query};
pub use saved::{bind, parse_plan, plan_text};
pub use status::status;
