//! How many rows the scans of a session have decoded from data files, including rows that it then drops.

use std::sync::{Arc, Mutex, PoisonError};

use deltalake::datafusion::catalog::Session;
use deltalake::datafusion::datasource::source::DataSourceExec;
use deltalake::datafusion::physical_plan::ExecutionPlan;
use deltalake::datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use deltalake::datafusion::prelude::SessionContext;

/// The counters of a session's scans. It does not keep their plans: a plan keeps the tables that its hash joins built,
/// and their reservation of the session's memory.
#[derive(Default)]
pub(crate) struct Scanned(Mutex<Vec<ExecutionPlanMetricsSet>>);

impl Scanned {
    /// Remembers the scans of a plan about to run.
    pub(crate) fn runs(session: &SessionContext, plan: &Arc<dyn ExecutionPlan>) {
        Self::reads(&session.state(), plan);
    }

    /// The same for a plan that runs while another one is planned.
    pub(super) fn reads(session: &dyn Session, plan: &Arc<dyn ExecutionPlan>) {
        if let Some(scanned) = session.config().get_extension::<Self>() {
            scans(plan.as_ref(), &mut scanned.0.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Rows that scans of data files have decoded so far.
    #[must_use]
    pub(crate) fn rows(session: &SessionContext) -> u64 {
        let Some(scanned) = of(session) else { return 0 };
        let counters = scanned.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.iter().map(|counters| decoded(&counters.clone_inner())).sum()
    }
}

fn of(session: &SessionContext) -> Option<Arc<Scanned>> {
    session.state().config().get_extension::<Scanned>()
}

fn scans(plan: &dyn ExecutionPlan, found: &mut Vec<ExecutionPlanMetricsSet>) {
    found.extend(plan.downcast_ref::<DataSourceExec>().map(|scan| scan.data_source().metrics()));
    plan.children().into_iter().for_each(|child| scans(child.as_ref(), found));
}

/// Rows of a scan of files. Rows that a condition inside the scan drops are decoded for it, but not in its output.
fn decoded(metrics: &MetricsSet) -> u64 {
    let sum = |name: &str| metrics.sum_by_name(name).map(|value| value.as_usize() as u64);
    match sum("bytes_scanned") {
        // A scan of rows in memory.
        None => 0,
        Some(_) => metrics.output_rows().unwrap_or(0) as u64 + sum("pushdown_rows_pruned").unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use deltalake::datafusion::physical_plan::collect;

    use super::*;
    use crate::lake::{SessionOptions, session};

    #[tokio::test]
    async fn a_query_that_ran_leaves_the_memory_to_the_next_one() {
        let session = session(SessionOptions::limited(64 << 20), &[]).expect("session");
        let sql = "select a.x from (values (1), (2)) a(x) join (values (1), (3)) b(x) on a.x = b.x";
        let plan = session.sql(sql).await.expect(sql).create_physical_plan().await.expect(sql);
        Scanned::runs(&session, &plan);
        let rows = collect(plan, session.task_ctx()).await.expect(sql);
        assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
        assert_eq!(session.runtime_env().memory_pool.reserved(), 0);
        assert_eq!(Scanned::rows(&session), 0, "these rows were in no file");
    }
}
