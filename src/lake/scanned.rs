//! How many rows the scans of a session have read: what an engine decodes of data files, whatever it then drops.

use std::sync::{Arc, Mutex, PoisonError};

use deltalake::datafusion::physical_plan::ExecutionPlan;
use deltalake::datafusion::physical_plan::metrics::MetricsSet;
use deltalake::datafusion::prelude::SessionContext;

/// The plans that a session runs, for their metrics.
#[derive(Default)]
pub struct Scanned(Mutex<Vec<Arc<dyn ExecutionPlan>>>);

impl Scanned {
    /// Remembers a plan about to run.
    pub fn runs(session: &SessionContext, plan: &Arc<dyn ExecutionPlan>) {
        if let Some(scanned) = of(session) {
            scanned.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(plan));
        }
    }

    /// Rows that scans of data files have decoded so far.
    #[must_use]
    pub fn rows(session: &SessionContext) -> u64 {
        let Some(scanned) = of(session) else { return 0 };
        let plans = scanned.0.lock().unwrap_or_else(PoisonError::into_inner);
        plans.iter().map(|plan| rows(plan.as_ref())).sum()
    }
}

fn of(session: &SessionContext) -> Option<Arc<Scanned>> {
    session.state().config().get_extension::<Scanned>()
}

fn rows(plan: &dyn ExecutionPlan) -> u64 {
    let children = plan.children();
    if children.is_empty() {
        return plan.metrics().map_or(0, |metrics| decoded(&metrics));
    }
    children.into_iter().map(|child| rows(child.as_ref())).sum()
}

/// Rows of a scan of files. Those that a condition inside of the scan drops are decoded for it, but do not come out.
fn decoded(metrics: &MetricsSet) -> u64 {
    let sum = |name: &str| metrics.sum_by_name(name).map(|value| value.as_usize() as u64);
    match sum("bytes_scanned") {
        // Rows in memory.
        None => 0,
        Some(_) => metrics.output_rows().unwrap_or(0) as u64 + sum("pushdown_rows_pruned").unwrap_or(0),
    }
}
