//! Outcomes as documents for scripts: versioned, serialisable, apart from the inner types.
//!
//! Each document begins with `report`, its name and number: `sync/1`. New keys may appear under the same number;
//! a key that changes its meaning or goes raises it. Keys stand in the order of the structs here. Times are RFC 3339
//! in UTC, durations seconds, sizes bytes; what is unknown is `null`, never left out. No document holds values of
//! columns classified `pii`.

mod problem;
mod sync;
mod status;
mod plan;
mod history;
mod check;
mod catalog;

pub use catalog::{CatalogReport, EntryReport, catalog, catalog_failed, catalog_is_even, entry_is_even};
pub use check::{CheckReport, FaultReport, check};
pub use history::{HistoryReport, VersionReport, history, history_failed};
pub use plan::{
    EstimateReport, ExplainReport, OperatorReport, PlanReport, TablePlanReport, plan, plan_failed, plan_is_pending,
    plan_stops,
};
pub use problem::{ErrorReport, FactReport};
pub use status::{StatusReport, TableStatusReport, status, status_failed};
pub use sync::{
    ReplayReport, SyncReport, TableReport, Totals, WarningReport, changed, exit_code, replay, replay_failed, sync,
    sync_failed, table_exit_code,
};

use std::time::Duration;

/// Seconds, to the millisecond.
fn seconds(elapsed: Duration) -> f64 {
    // A run of 285 million years keeps its milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 ms")]
    let milliseconds = elapsed.as_millis() as f64;
    milliseconds / 1000.0
}

#[cfg(test)]
mod tests;
