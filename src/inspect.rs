//! Reading without changing: where every table stands, queries over them, and what made each version.

mod history;
mod plan;
mod quarantine;
mod query;
mod status;

pub use history::history;
pub use plan::plan;
pub use quarantine::quarantine;
pub use query::{Answer, answer, query};
pub use status::status;
