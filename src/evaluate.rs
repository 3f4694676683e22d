//! Runs the plans of [`incremental`] over real tables.
//!
//! Providers are opened only when a remaining plan reads them: empty keys or an empty change remove every scan behind
//! them. Intermediate results are held in memory while they are small, and recomputed otherwise.

mod bind;
mod keys;
mod rehearse;
mod run;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::common::DataFusionError;
use deltalake::datafusion::execution::SendableRecordBatchStream;
use deltalake::datafusion::execution::memory_pool::MemoryLimit;
use deltalake::datafusion::logical_expr::LogicalPlan;
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use crate::error::{Context, Result};
use crate::incremental::{self, ChangeKind, OldResult, Program, Side};

pub(crate) use keys::{condition, least_and_greatest};
pub(crate) use rehearse::rehearse;
pub(crate) use run::run_with;

/// The tables of a program.
#[async_trait]
pub(crate) trait Sources: Send + Sync {
    /// The rows of one side of a table. `Old` and `New` have the table's columns; `Change` has the weight
    /// ([`incremental::WEIGHT`]) as a further column. Columns are found by name; others are ignored.
    ///
    /// # Errors
    /// The table or that side of it cannot be read.
    async fn provider(&self, table: &str, side: Side) -> Result<Arc<dyn TableProvider>>;

    /// The kind of a table's change, without reading it.
    fn change_kind(&self, table: &str) -> ChangeKind;

    /// Whether [`Side::Maintained`], the maintained table, may be read instead of recomputing its rows.
    fn old_result(&self) -> OldResult {
        OldResult::Computed
    }
}

/// Results up to this size are always held: computing them twice costs more.
const LEAST_HELD: usize = 8 << 20;

/// Size up to which intermediate results are held in memory. The limit does not affect results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Maximum bytes of one. A larger change is recomputed wherever it is used; a larger set of keys does not restrict
    /// rows.
    pub bytes: usize,
}

impl Default for Limits {
    /// Everything is held.
    fn default() -> Self {
        Self { bytes: usize::MAX }
    }
}

impl Limits {
    /// A quarter of the session's memory limit for operators.
    #[must_use]
    pub(crate) fn of(session: &SessionContext) -> Self {
        match session.runtime_env().memory_pool.memory_limit() {
            MemoryLimit::Finite(bytes) => Self { bytes: (bytes / 4).max(LEAST_HELD) },
            MemoryLimit::Infinite | MemoryLimit::Unknown => Self::default(),
        }
    }
}

/// The change of a query's result.
pub(crate) struct Change {
    /// The result's columns, then the weight.
    pub schema: SchemaRef,
    /// Every weight is positive. Then equal rows may be in several pieces; otherwise each row is there once.
    pub insert_only: bool,
    stream: SendableRecordBatchStream,
}

impl Change {
    /// The rows.
    #[must_use]
    pub(crate) fn into_stream(self) -> SendableRecordBatchStream {
        self.stream
    }

    /// All rows, in memory.
    ///
    /// # Errors
    /// The evaluation fails.
    pub(crate) async fn collect(self) -> Result<Vec<RecordBatch>> {
        self.stream.try_collect().await.context(|| "the change cannot be computed".into())
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("schema", &self.schema)
            .field("insert_only", &self.insert_only)
            .finish_non_exhaustive()
    }
}

/// Computes the change of a program's result.
///
/// # Errors
/// A table cannot be read, or the engine fails, for example for lack of memory; the engine's error is the cause.
pub(crate) async fn run(program: &Program, ctx: &SessionContext, sources: &dyn Sources) -> Result<Change> {
    run_with(program, ctx, sources, Limits::of(ctx)).await
}

/// A plan over tables of these names.
///
/// # Errors
/// A table lacks a column.
pub(crate) fn over_tables(
    plan: LogicalPlan,
    tables: &BTreeMap<String, Arc<dyn TableProvider>>,
) -> Result<LogicalPlan, DataFusionError> {
    bind::bound(plan, |scan| Ok(tables.get(scan.table_name.table()).cloned()))
}

/// The rows of a plan over tables of these names; `what` names it in messages.
///
/// # Errors
/// A table lacks a column, or as for [`run`].
pub(crate) async fn rows_over(
    plan: LogicalPlan,
    tables: &BTreeMap<String, Arc<dyn TableProvider>>,
    ctx: &SessionContext,
    what: &str,
) -> Result<SendableRecordBatchStream> {
    let plan = over_tables(plan, tables).context(|| "a table does not have the columns that the query reads".into())?;
    run::stream(&plan, ctx, what).await
}

/// Computes an analysed query over the new sides of its tables. Columns have the query's names, without qualifiers.
///
/// # Errors
/// As for [`run`].
pub(crate) async fn full(
    plan: &LogicalPlan,
    ctx: &SessionContext,
    sources: &dyn Sources,
) -> Result<SendableRecordBatchStream> {
    let plan = incremental::over_new(plan)?;
    let plan = bind::bind(plan, sources).await?;
    run::stream(&plan, ctx, "the query").await
}

/// The change from the rows of `old` to the result of an analysed query over the new sides of its tables: a full
/// refresh, applied as a difference. Columns of `old` are found by name.
///
/// # Errors
/// As for [`run`]; or `old` lacks a column.
pub(crate) async fn difference(
    plan: &LogicalPlan,
    old: Arc<dyn TableProvider>,
    ctx: &SessionContext,
    sources: &dyn Sources,
) -> Result<Change> {
    difference_to(incremental::over_new(plan)?, plan, old, ctx, sources).await
}

/// The same, with the query planned as written; in a session of [`Planner::Plain`](crate::sql::Planner).
///
/// # Errors
/// As for [`difference`]; or the query has no such plan.
pub(crate) async fn plain_difference(
    plan: &LogicalPlan,
    old: Arc<dyn TableProvider>,
    ctx: &SessionContext,
    sources: &dyn Sources,
) -> Result<Change> {
    let new = incremental::plainly_over_new(plan).context(|| "the query has no other plan".into())?;
    difference_to(new, plan, old, ctx, sources).await
}

async fn difference_to(
    new: LogicalPlan,
    plan: &LogicalPlan,
    old: Arc<dyn TableProvider>,
    ctx: &SessionContext,
    sources: &dyn Sources,
) -> Result<Change> {
    let new = bind::bind(new, sources).await?;
    let old = bind::scan_like(old, plan.schema())?;
    let change = bind::named_like(incremental::difference(new, old)?, plan.schema())?;
    let stream = run::stream(&change, ctx, "the difference").await?;
    Ok(Change { schema: stream.schema(), insert_only: false, stream })
}
